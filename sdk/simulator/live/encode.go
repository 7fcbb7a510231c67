package live

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Encoding describes a test clip. Zero values: 10 s of 320x240 at 30 frames a second with a keyframe every second, no
// B-frames, and a tone at 44.1 kHz.
type Encoding struct {
	Length        time.Duration
	Width, Height int
	FrameRate     int
	// GOP is the distance of keyframes in frames.
	GOP       int
	BFrames   int
	AudioRate int
	// VideoBitrate in bits per second; 0: whatever the picture needs.
	VideoBitrate     int
	NoVideo, NoAudio bool
}

func (e Encoding) withDefaults() Encoding {
	or := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	or(&e.Width, 320)
	or(&e.Height, 240)
	or(&e.FrameRate, 30)
	or(&e.GOP, e.FrameRate)
	or(&e.AudioRate, 44100)
	if e.Length == 0 {
		e.Length = 10 * time.Second
	}
	return e
}

// Encode makes an FLV file of a moving test picture and a tone with ffmpeg, which has to be in PATH. Every frame is
// different from all others.
func Encode(ctx context.Context, path string, e Encoding) error {
	e = e.withDefaults()
	args := []string{"-nostdin", "-v", "error", "-y"}
	if !e.NoVideo {
		args = append(args, "-f", "lavfi", "-i", fmt.Sprintf("testsrc2=size=%dx%d:rate=%d", e.Width, e.Height, e.FrameRate))
	}
	if !e.NoAudio {
		args = append(args, "-f", "lavfi", "-i", fmt.Sprintf("sine=frequency=440:beep_factor=4:sample_rate=%d", e.AudioRate))
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
		args = append(args, "-c:a", "aac", "-b:a", "96k")
	}
	args = append(args, "-t", strconv.FormatFloat(e.Length.Seconds(), 'f', 3, 64), "-f", "flv", path)
	out, err := exec.CommandContext(ctx, "ffmpeg", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("encode a test clip with ffmpeg (is it installed, with libx264?): %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
