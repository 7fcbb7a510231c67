package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// encodeClip makes a clip of moving pictures and a tone, with a keyframe every second.
func encodeClip(ctx context.Context, path string, seconds int) error {
	length := strconv.Itoa(seconds)
	_, err := tool(ctx, "ffmpeg", "-v", "error", "-y",
		"-f", "lavfi", "-i", "testsrc2=size=640x360:rate=30:duration="+length,
		"-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100:duration="+length,
		"-c:v", "libx264", "-preset", "ultrafast", "-b:v", "1M", "-g", "30", "-pix_fmt", "yuv420p",
		"-c:a", "aac", "-b:a", "96k", "-f", "flv", path)
	return err
}

// countFrames counts the video packets of files, as ffprobe reads them.
func countFrames(ctx context.Context, files ...string) (int, error) {
	total := 0
	for _, file := range files {
		output, err := tool(ctx, "ffprobe", "-v", "error", "-select_streams", "v:0", "-count_packets",
			"-show_entries", "stream=nb_read_packets", "-of", "csv=p=0", file)
		if err != nil {
			return 0, err
		}
		count, err := strconv.Atoi(strings.Trim(string(output), " ,\r\n"))
		if err != nil {
			return 0, fmt.Errorf("ffprobe says %q about %s", output, file)
		}
		total += count
	}
	return total, nil
}

func tool(ctx context.Context, name string, args ...string) ([]byte, error) {
	var complaints bytes.Buffer
	command := exec.CommandContext(ctx, name, args...)
	command.Stderr = &complaints
	output, err := command.Output()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, exec.ErrNotFound):
		return nil, fmt.Errorf("%s is not installed: make deps", name)
	case err != nil:
		return nil, fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(complaints.String()))
	}
	return output, nil
}

// ffmpegLive is ffmpeg as a live server: it sends a file in real time to the first client that comes.
type ffmpegLive struct {
	url     string
	command *exec.Cmd
	done    chan struct{}
}

func startFFmpegLive(clip string) (*ffmpegLive, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	live := &ffmpegLive{url: fmt.Sprintf("http://127.0.0.1:%d/live.flv", port), done: make(chan struct{})}
	// Its life is longer than any context here: stop ends it.
	live.command = exec.Command("ffmpeg", "-v", "error", "-re", "-i", clip, "-c", "copy", "-f", "flv", "-listen", "1", live.url) //nolint:noctx // see above
	// Ctrl-C in the terminal is for the demonstration, which ends its processes in order.
	live.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := live.command.Start(); err != nil {
		return nil, fmt.Errorf("start the live stream: %w", err)
	}
	go func() {
		_ = live.command.Wait() // how it ends says nothing that the recording does not
		close(live.done)
	}()
	return live, nil
}

func (l *ffmpegLive) stop() {
	_ = l.command.Process.Kill()
	<-l.done
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // an address of this machine, at once
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}
