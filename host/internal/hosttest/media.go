package hosttest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Clip is one real recording source: 1080p30 H.264 with AAC, a keyframe every two seconds.
type Clip struct {
	Path    string
	Seconds int
}

var (
	clipsMu sync.Mutex
	clips   = make(map[int]Clip)
)

// EncodeClip lets ffmpeg encode a clip of the given length, once per test binary.
func EncodeClip(t testing.TB, seconds int) Clip {
	t.Helper()
	clipsMu.Lock()
	defer clipsMu.Unlock()
	if clip, known := clips[seconds]; known {
		return clip
	}
	path := filepath.Join(Programs(t), fmt.Sprintf("clip-%d.flv", seconds))
	length := fmt.Sprint(seconds)
	run(t, "ffmpeg", "-v", "error", "-y",
		"-f", "lavfi", "-i", "testsrc2=size=1920x1080:rate=30:duration="+length,
		"-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100:duration="+length,
		"-c:v", "libx264", "-preset", "ultrafast", "-b:v", "4M", "-g", "60", "-pix_fmt", "yuv420p",
		"-c:a", "aac", "-b:a", "96k", "-f", "flv", path)
	clips[seconds] = Clip{path, seconds}
	return clips[seconds]
}

func run(t testing.TB, name string, arguments ...string) []byte {
	t.Helper()
	output, err := exec.Command(name, arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, output)
	}
	return output
}

// LiveServer is ffmpeg itself as a live server for one client.
type LiveServer struct {
	URL  string
	done chan error
}

// Settle makes a file one that nobody writes any more: it changed a minute ago.
func Settle(t testing.TB, path string) {
	t.Helper()
	if err := os.Chtimes(path, time.Time{}, time.Now().Add(-time.Minute)); err != nil {
		t.Fatal(err)
	}
}

// ServeLive lets ffmpeg send the clip in real time to the first client that comes.
func ServeLive(t testing.TB, clip Clip) *LiveServer {
	t.Helper()
	address := "http://" + ReservePort(t) + "/live.flv"
	ctx, cancel := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, "ffmpeg", "-v", "error", "-re", "-i", clip.Path, "-c", "copy", "-f", "flv", "-listen", "1", address)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var complaints bytes.Buffer
	command.Stderr = &complaints
	if err := command.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	server := &LiveServer{URL: address, done: make(chan error, 1)}
	ended := make(chan struct{})
	go func() {
		err := command.Wait()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, complaints.String())
		}
		server.done <- err
		close(ended)
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return server
}

// Wait returns when ffmpeg has sent everything.
func (s *LiveServer) Wait(t testing.TB) {
	t.Helper()
	if err := <-s.done; err != nil {
		t.Fatalf("ffmpeg did not send everything: %v", err)
	}
}

// Packets returns the hashes of the packets of files, one after the other, per stream, as ffprobe reads them.
func Packets(t testing.TB, files ...string) map[string][]string {
	t.Helper()
	packets := make(map[string][]string)
	for _, file := range files {
		if _, err := os.Stat(file); err != nil {
			t.Fatal(err)
		}
		output := run(t, "ffprobe", "-v", "error", "-show_packets", "-show_data_hash", "md5", "-show_entries", "packet=codec_type,data_hash", "-of", "csv=p=0", file)
		for line := range strings.Lines(string(output)) {
			kind, hash, found := strings.Cut(strings.TrimSpace(line), ",")
			if !found {
				t.Fatalf("ffprobe says %q about %s", line, file)
			}
			packets[kind] = append(packets[kind], hash)
		}
	}
	return packets
}
