package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lubod/lubod/sdk/recorder"
	"github.com/lubod/lubod/sdk/simulator/live"
)

const (
	liveStreams = 100
	liveSettle  = 5 * time.Second
	liveMeasure = 20 * time.Second
	// liveRole makes a process of this test binary a recorder, or a plain copy, of the streams below a URL.
	liveRole = "LUBOD_BENCH_LIVE_ROLE"
	liveURL  = "LUBOD_BENCH_LIVE_URL"
	liveDir  = "LUBOD_BENCH_LIVE_DIR"
)

// BenchmarkLive records 100 streams of 6 Mbit/s in real time, each program in processes of its own: the recorder, a plain
// copy from the connection to a file, and ffmpeg -c copy. It reports what they compute, in percent of one core, and their
// share of memory (PSS). The aims: at most 1.1 of the copy and half of ffmpeg, and 80 MiB.
func BenchmarkLive(b *testing.B) {
	server := liveServer(b)
	for _, role := range []string{"native", "copy"} {
		b.Run(role, func(b *testing.B) {
			for b.Loop() {
				command := exec.Command(os.Args[0])
				command.Env = append(os.Environ(), liveRole+"="+role, liveURL+"="+server.URL(), liveDir+"="+b.TempDir())
				measureLive(b, []*exec.Cmd{command})
			}
		})
	}
	b.Run("ffmpeg", func(b *testing.B) {
		for b.Loop() {
			var commands []*exec.Cmd
			for i := range liveStreams {
				commands = append(commands, exec.Command("ffmpeg", "-v", "error", "-y", "-i", server.URL(),
					"-c", "copy", "-f", "flv", filepath.Join(b.TempDir(), fmt.Sprintf("%d.flv", i))))
			}
			measureLive(b, commands)
		}
	})
}

// measureLive runs programs until they are measured.
func measureLive(b *testing.B, commands []*exec.Cmd) {
	b.Helper()
	var pids []int
	for _, command := range commands {
		if err := command.Start(); err != nil {
			b.Fatal(err)
		}
		pids = append(pids, command.Process.Pid)
		defer func() {
			_ = command.Process.Kill()
			_ = command.Wait()
		}()
	}
	time.Sleep(liveSettle)
	began, before := time.Now(), cpuTime(b, pids)
	time.Sleep(liveMeasure)
	spent, took := cpuTime(b, pids)-before, time.Since(began)
	b.ReportMetric(100*spent.Seconds()/took.Seconds(), "%core")
	b.ReportMetric(float64(memory(b, pids))/1024, "MiB")
	b.ReportMetric(0, "ns/op")
}

// cpuTime is what processes have computed so far (proc(5), stat: utime and stime).
func cpuTime(b *testing.B, pids []int) time.Duration {
	b.Helper()
	ticks := 0
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			b.Fatal(err)
		}
		fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
		ticks += count(b, string(fields[11])) + count(b, string(fields[12]))
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// memory is the proportional share of processes, in KiB.
func memory(b *testing.B, pids []int) int {
	b.Helper()
	kib := 0
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			b.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(text), "\nPss:")
		kib += count(b, strings.Fields(rest)[0])
	}
	return kib
}

func count(b *testing.B, text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// liveServer broadcasts a clip of 6 Mbit/s, 1080p at 30 pictures a second, over and over to everybody.
func liveServer(b *testing.B) *live.Server {
	b.Helper()
	path := filepath.Join(b.TempDir(), "clip.flv")
	output, err := exec.Command("ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=size=1920x1080:rate=30:duration=10",
		"-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100:duration=10", "-c:v", "libx264", "-preset", "ultrafast",
		"-b:v", "6M", "-minrate", "6M", "-maxrate", "6M", "-bufsize", "6M", "-x264-params", "nal-hrd=cbr", "-g", "60", "-pix_fmt", "yuv420p",
		"-c:a", "aac", "-b:a", "96k", "-f", "flv", path).CombinedOutput()
	if err != nil {
		b.Fatalf("ffmpeg: %v\n%s", err, output)
	}
	clip, err := live.Load(path)
	if err != nil {
		b.Fatal(err)
	}
	return live.New(b, live.Options{Clip: clip, Speed: 1, Loop: true, GOPCache: time.Second, Clients: -1, TagLog: 1000})
}

// recordLive is the whole program of a process that liveRole asks for.
func recordLive(role string) {
	url, dir := os.Getenv(liveURL), os.Getenv(liveDir)
	n := &native{options: testOptions()}
	var all sync.WaitGroup
	for i := range liveStreams {
		all.Go(func() {
			to := filepath.Join(dir, strconv.Itoa(i))
			if role == "copy" {
				copyLive(url, to)
				return
			}
			if err := n.Record(context.Background(), recorder.Request{Streams: at(url), PathPrefix: to, FirstIndex: 1}, newSession()); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		})
	}
	all.Wait()
	os.Exit(1) // a stream ended: what was measured means nothing
}

func copyLive(from, to string) {
	response, err := http.Get(from)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	defer func() { _ = response.Body.Close() }()
	file, err := os.Create(to)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	_, _ = io.Copy(struct{ io.Writer }{file}, response.Body)
	_ = file.Close()
}
