package live

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Encoding describes a clip that ffmpeg makes. Zero values: 10 s of 320x240 at 30 frames a second with a keyframe every
// second and no B-frames, and noise at 44.1 kHz.
type Encoding struct {
	Length        time.Duration
	Width, Height int
	FrameRate     int
	// GOP is the distance of keyframes in frames; default: a second.
	GOP       int
	BFrames   int
	AudioRate int
	// VideoBitrate in bits per second; 0: whatever the picture needs.
	VideoBitrate     int
	NoVideo, NoAudio bool
}

func (e Encoding) withDefaults() Encoding {
	setDefault(&e.Length, 10*time.Second)
	setDefault(&e.Width, 320)
	setDefault(&e.Height, 240)
	setDefault(&e.FrameRate, 30)
	setDefault(&e.GOP, e.FrameRate)
	setDefault(&e.AudioRate, 44100)
	return e
}

// Encode makes a clip with ffmpeg, which has to be in PATH and needs libx264. No frame is like any other one, so that a
// hash says which one it is.
func Encode(ctx context.Context, e Encoding) (*Clip, error) {
	program, err := exec.LookPath("ffmpeg")
	if err != nil {
		return nil, fmt.Errorf("encode a clip: %w (install ffmpeg with libx264, and put it on the PATH)", err)
	}
	var out, complaints bytes.Buffer
	command := exec.CommandContext(ctx, program, e.withDefaults().arguments()...)
	command.Stdout, command.Stderr = &out, &complaints
	if err := command.Run(); err != nil {
		return nil, fmt.Errorf("encode a clip with ffmpeg: %w: %s", err, strings.TrimSpace(complaints.String()))
	}
	return Parse(out.Bytes())
}

func (e Encoding) arguments() []string {
	args := []string{"-nostdin", "-v", "error"}
	if !e.NoVideo {
		args = append(args, "-f", "lavfi", "-i", fmt.Sprintf("testsrc2=size=%dx%d:rate=%d", e.Width, e.Height, e.FrameRate))
	}
	if !e.NoAudio {
		args = append(args, "-f", "lavfi", "-i", fmt.Sprintf("anoisesrc=color=pink:seed=1:amplitude=0.3:sample_rate=%d", e.AudioRate))
	}
	if !e.NoVideo {
		gop := strconv.Itoa(e.GOP)
		args = append(args, "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-threads", "1",
			"-g", gop, "-keyint_min", gop, "-sc_threshold", "0", "-bf", strconv.Itoa(e.BFrames))
		if e.VideoBitrate > 0 {
			rate := strconv.Itoa(e.VideoBitrate)
			args = append(args, "-b:v", rate, "-minrate", rate, "-maxrate", rate, "-bufsize", rate, "-x264-params", "nal-hrd=cbr")
		}
	}
	if !e.NoAudio {
		args = append(args, "-c:a", "aac", "-b:a", "64k")
	}
	return append(args, "-t", strconv.FormatFloat(e.Length.Seconds(), 'f', 3, 64),
		"-flvflags", "no_duration_filesize", "-f", "flv", "pipe:1")
}
