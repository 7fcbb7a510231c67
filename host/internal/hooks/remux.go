package hooks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lubod/lubod/db"
)

// demuxers are ffmpeg's names for the containers that recordings have. A container is never guessed from what is in a
// file: a stream may send anything, also a list of other files to read.
var demuxers = map[string]string{".flv": "flv", ".ts": "mpegts", ".mp4": "mov", ".mov": "mov", ".m4s": "mov", ".mkv": "matroska", ".webm": "matroska"}

// muxers are what ffmpeg is told to write.
var muxers = map[string][]string{
	"mp4": {"-f", "mp4", "-movflags", "+faststart"}, "mkv": {"-f", "matroska"}, "ts": {"-f", "mpegts"}, "flv": {"-f", "flv"},
}

// remux puts the segments' media into another container, without encoding anything again. Their files are settled.
func (a attempt) remux(ctx context.Context) error {
	container := a.step.Value
	plan, err := a.plan(ctx, func(segment db.Segment) ([]transition, error) { return a.planRemux(ctx, segment, "."+container) })
	if err != nil {
		return err
	}
	rewrap := func(ctx context.Context, from, to string) error { return a.rewrap(ctx, from, to, muxers[container]) }
	for _, t := range plan.Moves {
		if err := a.carry(ctx, t, rewrap); err != nil {
			return err
		}
	}
	return nil
}

func (a attempt) planRemux(ctx context.Context, segment db.Segment, ending string) ([]transition, error) {
	is := strings.ToLower(filepath.Ext(segment.Path))
	if is == ending {
		return nil, nil
	}
	if demuxers[is] == "" {
		return nil, &hopelessError{fmt.Sprintf("%s files cannot be put into another container", is)}
	}
	to, err := a.free(ctx, filepath.Dir(segment.Path), filepath.Base(stem(segment.Path))+ending)
	if err != nil {
		return nil, err
	}
	return []transition{{SegmentID: segment.ID, From: segment.Path, To: to}}, nil
}

// rewrap makes a file in another container beside the first one, and lets it have its name only when it is complete.
func (a attempt) rewrap(ctx context.Context, from, to string, muxer []string) error {
	if _, err := os.Lstat(to); err == nil {
		return compare(ctx, from, to, to) // finished by a try before
	}
	if err := clearParts(to); err != nil {
		return err
	}
	// A name that was never used: what a killed daemon left may still be writing.
	file, err := os.CreateTemp(filepath.Dir(to), filepath.Base(to)+".*"+partSuffix)
	if err != nil {
		return fmt.Errorf("make file: %w", err)
	}
	part := file.Name()
	defer func() {
		_ = file.Close()
		_ = os.Remove(part)
	}()
	arguments := []string{"-nostdin", "-hide_banner", "-v", "warning", "-y"}
	arguments = append(arguments, input(from, from)...)
	arguments = append(arguments, "-map", "0:v?", "-map", "0:a?", "-c", "copy")
	arguments = append(append(arguments, muxer...), part)
	output := &lineLog{logger: a.logger}
	ffmpeg := group(ctx, "ffmpeg", arguments...)
	ffmpeg.Dir, ffmpeg.Env, ffmpeg.Stdout, ffmpeg.Stderr = a.Root, plainEnvironment(), output, output
	err = runGroup(ctx, ffmpeg)
	output.flush()
	if err := installed(output.explain(err)); err != nil {
		return err
	}
	if err := compare(ctx, from, part, to); err != nil {
		return err
	}
	if info, err := os.Stat(from); err == nil {
		_ = file.Chmod(info.Mode().Perm())
		_ = os.Chtimes(part, info.ModTime(), info.ModTime())
	}
	if err := file.Sync(); err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	return errors.Join(publish(part, to), syncDir(filepath.Dir(to)))
}

// input names a file to ffmpeg and ffprobe as what it is by name, and lets it lead to no other file.
func input(path, name string) []string {
	return []string{"-protocol_whitelist", "file", "-f", demuxers[strings.ToLower(filepath.Ext(name))], "-i", "file:" + path}
}

// installed says what to do about a program that is missing.
func installed(err error) error {
	if errors.Is(err, exec.ErrNotFound) {
		return &hopelessError{"ffmpeg and ffprobe are needed for this and not installed: " + err.Error()}
	}
	return err
}

// clearParts removes what earlier tries began to write.
func clearParts(to string) error {
	left, err := os.ReadDir(filepath.Dir(to))
	if err != nil {
		return fmt.Errorf("look for unfinished files: %w", err)
	}
	for _, entry := range left {
		if strings.HasPrefix(entry.Name(), filepath.Base(to)+".") && strings.HasSuffix(entry.Name(), partSuffix) {
			err := os.Remove(filepath.Join(filepath.Dir(to), entry.Name()))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("remove unfinished file: %w", err)
			}
		}
	}
	return nil
}

// probed is what ffprobe says about a file.
type probed struct {
	Duration time.Duration
	Streams  []string // kind and codec of each, sorted
}

// compare refuses a new file that does not hold what the old one does. name is what the new one will be called.
func compare(ctx context.Context, from, path, name string) error {
	before, err := probe(ctx, from, from)
	if err != nil {
		return fmt.Errorf("look at the file: %w", err)
	}
	after, err := probe(ctx, path, name)
	if err != nil {
		return fmt.Errorf("look at the new file: %w", err)
	}
	if !slices.Equal(before.Streams, after.Streams) {
		return fmt.Errorf("the new file has %s where the old one has %s; the old one is kept", strings.Join(after.Streams, ", "), strings.Join(before.Streams, ", "))
	}
	if len(after.Streams) == 0 {
		return fmt.Errorf("%s has neither video nor audio", from)
	}
	if tolerance := max(time.Second, before.Duration/50); (before.Duration - after.Duration).Abs() > tolerance {
		return fmt.Errorf("the new file is %v long and the old one %v; the old one is kept", after.Duration, before.Duration)
	}
	return nil
}

func probe(ctx context.Context, path, name string) (probed, error) {
	arguments := append([]string{"-v", "error", "-show_entries", "format=duration:stream=codec_type,codec_name", "-of", "json"}, input(path, name)...)
	ffprobe := group(ctx, "ffprobe", arguments...)
	var complaints, output bytes.Buffer
	ffprobe.Env, ffprobe.Stdout, ffprobe.Stderr = plainEnvironment(), &output, &complaints
	if err := runGroup(ctx, ffprobe); err != nil {
		return probed{}, installed(fmt.Errorf("%w: %.300s", err, bytes.TrimSpace(complaints.Bytes())))
	}
	var answer struct {
		Streams []struct {
			Kind  string `json:"codec_type"`
			Codec string `json:"codec_name"`
		} `json:"streams"`
		Format struct {
			Duration string `json:"duration"`
		} `json:"format"`
	}
	if err := json.Unmarshal(output.Bytes(), &answer); err != nil {
		return probed{}, fmt.Errorf("decode the answer of ffprobe: %w", err)
	}
	seconds, err := strconv.ParseFloat(answer.Format.Duration, 64)
	if err != nil {
		return probed{}, errors.New("ffprobe cannot tell how long it is")
	}
	found := probed{Duration: time.Duration(seconds * float64(time.Second))}
	for _, stream := range answer.Streams {
		if stream.Kind == "video" || stream.Kind == "audio" {
			found.Streams = append(found.Streams, stream.Kind+" "+stream.Codec)
		}
	}
	slices.Sort(found.Streams)
	return found, nil
}
