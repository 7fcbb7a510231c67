package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
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

// ffmpegLive is a live server whose stream is made by ffmpeg: it sends a file in real time to the first client that comes.
type ffmpegLive struct {
	url    string
	server *http.Server
	doing  sync.WaitGroup // the accept loop and the request that it serves
}

func startFFmpegLive(clip string) (*ffmpegLive, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // an address of this machine, at once
	if err != nil {
		return nil, fmt.Errorf("start the live stream: %w", err)
	}
	live := &ffmpegLive{url: "http://" + listener.Addr().String() + "/live.flv"}
	var sent atomic.Bool
	live.server = &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if sent.Swap(true) {
			http.NotFound(w, r) // the broadcast is over
			return
		}
		live.doing.Add(1)
		defer live.doing.Done()
		command := exec.CommandContext(r.Context(), "ffmpeg", "-v", "error", "-re", "-i", clip, "-c", "copy", "-f", "flv", "pipe:1") //nolint:gosec // the clip of the demonstration
		// Ctrl-C in the terminal is for the demonstration, which ends its processes in order.
		command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		command.Stdout = flushing{w, http.NewResponseController(w)}
		w.Header().Set("Content-Type", "video/x-flv")
		_ = command.Run() // how it ends says nothing that the recording does not
	})}
	live.doing.Go(func() { _ = live.server.Serve(listener) })
	return live, nil
}

// flushing sends what is written at once.
type flushing struct {
	io.Writer
	control *http.ResponseController
}

func (f flushing) Write(b []byte) (int, error) {
	n, err := f.Writer.Write(b)
	return n, errors.Join(err, f.control.Flush())
}

func (l *ffmpegLive) stop() {
	_ = l.server.Close()
	l.doing.Wait()
}
