package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/lubod/lubod/sdk/simulator/bilibili"
)

// What the API answers, as far as it is shown.
type (
	shownRecording struct {
		ID         int64  `json:"id"`
		State      string `json:"state"`
		Submission *struct {
			State string `json:"state"`
			BVID  string `json:"bvid"`
			Error string `json:"error"`
		} `json:"submission"`
	}
	shownSegment struct {
		Index    int     `json:"index"`
		Path     string  `json:"file_path"`
		Size     int64   `json:"file_size"`
		Duration float64 `json:"duration"`
		Upload   *struct {
			State string `json:"state"`
			Line  string `json:"line"`
			Error string `json:"error"`
		} `json:"upload"`
	}
)

// watch prints what changes until the archive is accepted.
func (d *demo) watch(ctx context.Context, client *apiClient, daemon *daemon) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Duration(d.seconds)*time.Second+2*time.Minute,
		errors.New("two minutes after the stream there is still no archive"))
	defer cancel()
	shown := map[string]bool{}
	ticker := time.NewTicker(300 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-daemon.done:
			return fmt.Errorf("lubod ended on its own: %w", cmp.Or(daemon.err, errEndedEarly))
		case <-ticker.C:
		}
		recording, segments, err := d.look(ctx, client)
		if err != nil {
			return err
		}
		if recording == nil {
			continue
		}
		d.show(shown, recording, segments)
		if s := recording.Submission; s != nil {
			switch s.State {
			case "accepted":
				return nil
			case "failed":
				return fmt.Errorf("the submission failed: %s", s.Error)
			}
		}
	}
}

// look asks for the only recording and its files; nil: there is none yet.
func (d *demo) look(ctx context.Context, client *apiClient) (*shownRecording, []shownSegment, error) {
	var recordings []shownRecording
	if err := client.call(ctx, "GET", "/streamer_info", nil, &recordings); err != nil || len(recordings) == 0 {
		return nil, nil, err
	}
	var segments []shownSegment
	err := client.call(ctx, "GET", fmt.Sprintf("/streamer_info/%d/files", recordings[0].ID), nil, &segments)
	return &recordings[0], segments, err
}

// show prints each change once.
func (d *demo) show(shown map[string]bool, recording *shownRecording, segments []shownSegment) {
	once := func(key, english, chinese string, values ...any) {
		if !shown[key] {
			shown[key] = true
			d.step(english, chinese, values...)
		}
	}
	once("live", "the stream is being recorded", "正在录制")
	for i, segment := range segments {
		key := segment.Path
		once(key, "segment %d is a file: %.1f s, %d bytes", "第 %d 个分段已落盘：%.1f 秒，%d 字节", i+1, segment.Duration, segment.Size)
		if segment.Upload != nil && segment.Upload.State == "uploaded" {
			once(key+" uploaded", "segment %d is uploaded over %s", "第 %d 个分段已通过 %s 上传", i+1, segment.Upload.Line)
		}
		if segment.Upload != nil && segment.Upload.Error != "" {
			once(key+segment.Upload.Error, "segment %d: %s", "第 %d 个分段：%s", i+1, segment.Upload.Error)
		}
	}
	if recording.State == "waiting" {
		once("waiting", "the stream has ended; lubod waits whether it comes back", "直播已结束；等待是否恢复")
	}
	if recording.State == "ended" {
		once("ended", "the recording has ended; its parts are submitted", "录制结束，提交稿件")
	}
}

// report compares what was sent, what is on disk and what arrived.
func (d *demo) report(ctx context.Context, sim *bilibili.Server, daemon *daemon, clip string) error {
	archives := sim.Archives()
	if len(archives) != 1 {
		return daemon.explain(fmt.Errorf("there are %d archives, want one", len(archives)))
	}
	archive := archives[0]
	d.step("the archive exists: %s %q with %d parts", "稿件已创建：%s %q，共 %d 个分 P", archive.BVID, archive.Title, len(archive.Videos))
	files, err := filepath.Glob(filepath.Join(daemon.dataDir, "recordings", "*", "*.flv"))
	if err != nil {
		return err
	}
	if len(files) != len(archive.Videos) {
		return daemon.explain(fmt.Errorf("%d files were recorded and %d published", len(files), len(archive.Videos)))
	}
	for i, video := range archive.Videos { // files are sorted by name, which is the order of time
		if err := d.compare(sim, i, video, files[i]); err != nil {
			return err
		}
	}
	sent, err := countFrames(ctx, clip)
	if err != nil {
		return err
	}
	recorded, err := countFrames(ctx, files...)
	if err != nil {
		return err
	}
	d.step("%d of %d video frames that were live are published", "直播的 %[2]d 帧视频中，%[1]d 帧已投稿", recorded, sent)
	if recorded != sent {
		return fmt.Errorf("%d video frames were sent and %d recorded", sent, recorded)
	}
	if violations := sim.Violations(); len(violations) > 0 {
		return fmt.Errorf("the simulated Bilibili saw %d departures from its protocol, the first: %+v", len(violations), violations[0])
	}
	return nil
}

func (d *demo) compare(sim *bilibili.Server, index int, video bilibili.ArchiveVideo, file string) error {
	stored, err := sim.SHA256(video.Filename)
	if err != nil {
		return err
	}
	local, err := sha256File(file)
	if err != nil {
		return err
	}
	if stored != local {
		return fmt.Errorf("part %d differs: %s was recorded, %s arrived", index+1, local, stored)
	}
	d.step("part %d %q: SHA-256 %s… on both sides", "分 P %d %q：两侧 SHA-256 均为 %s…", index+1, video.Title, local[:16])
	return nil
}

func sha256File(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
