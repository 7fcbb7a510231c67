package live_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lubod/lubod/sdk/simulator/live"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// encoded are the clips of all tests: 4 s with a keyframe every second, and 2 s of another size and sampling rate.
var encoded = sync.OnceValues(func() ([2]*live.Clip, error) {
	var clips [2]*live.Clip
	var err error
	for i, encoding := range []live.Encoding{
		{Length: 4 * time.Second, Width: 160, Height: 120, FrameRate: 15, BFrames: 2},
		{Length: 2 * time.Second, Width: 96, Height: 64, FrameRate: 15, AudioRate: 48000},
	} {
		if clips[i], err = live.Encode(context.Background(), encoding); err != nil {
			return clips, err
		}
	}
	return clips, nil
})

func clip(t testing.TB) *live.Clip {
	t.Helper()
	clips, err := encoded()
	if err != nil {
		t.Fatal(err)
	}
	return clips[0]
}

func otherClip(t testing.TB) *live.Clip {
	t.Helper()
	clip(t)
	clips, _ := encoded()
	return clips[1]
}

// serve starts a server of the clip, unless the options have another one.
func serve(t *testing.T, options live.Options) *live.Server {
	t.Helper()
	if options.Clip == nil {
		options.Clip = clip(t)
	}
	return live.New(t, options)
}

// answer is all that a request brought.
type answer struct {
	status int
	header http.Header
	body   []byte
	err    error // also that of a body that did not end properly
}

func fetch(ctx context.Context, method, url string, header ...string) answer {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	request, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return answer{err: err}
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := client.Do(request)
	if err != nil {
		return answer{err: err}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, body, err}
}

func get(t *testing.T, s *live.Server) answer {
	t.Helper()
	return fetch(t.Context(), http.MethodGet, s.URL())
}

// watch fetches in the background.
func watch(t *testing.T, s *live.Server) <-chan answer {
	t.Helper()
	ctx, got := t.Context(), make(chan answer, 1)
	go func() { got <- fetch(ctx, http.MethodGet, s.URL()) }()
	return got
}

// received is a tag as a client sees it.
type received struct {
	kind byte
	ms   uint32
	body []byte
}

func (r received) config() bool {
	return r.kind == 18 || len(r.body) > 1 && (r.kind == 9 && r.body[1] == 0 || r.kind == 8 && r.body[0]>>4 == 10 && r.body[1] == 0)
}

// read splits a body into tags as a client without any doubt does, and returns what it cannot read.
func read(body []byte) (tags []received, rest []byte) {
	if len(body) < 13 || string(body[:3]) != "FLV" {
		return nil, body
	}
	for body = body[13:]; len(body) >= 15; {
		size := int(body[1])<<16 | int(body[2])<<8 | int(body[3])
		if len(body) < size+15 || binary.BigEndian.Uint32(body[11+size:]) != uint32(size+11) {
			break
		}
		ms := uint32(body[7])<<24 | uint32(body[4])<<16 | uint32(body[5])<<8 | uint32(body[6])
		tags = append(tags, received{body[0], ms, body[11 : 11+size]})
		body = body[15+size:]
	}
	return tags, body
}

func frames(tags []received) []received {
	return slices.DeleteFunc(slices.Clone(tags), received.config)
}

// sentFrames are the frames of a connection, counted from 1.
func sentFrames(s *live.Server, connection int) []live.Sent {
	return slices.DeleteFunc(slices.Clone(s.Connections()[connection-1].Tags), func(t live.Sent) bool { return t.Config })
}

func program(t *testing.T, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%v: these tests need ffmpeg and ffprobe", err)
	}
	var out, complaints bytes.Buffer
	command := exec.CommandContext(t.Context(), path, args...)
	command.Stdout, command.Stderr = &out, &complaints
	if err := command.Run(); err != nil || complaints.Len() > 0 {
		t.Fatalf("%s: %v: %s", name, err, complaints.String())
	}
	return out.String()
}

// probe lists the hashes of a track of a file or address, and fails when ffprobe complains.
func probe(t *testing.T, source string, track live.Track) []string {
	t.Helper()
	args := []string{
		"-v", "error", "-select_streams", string(track[0]), "-show_packets", "-show_data_hash", "sha256",
		"-show_entries", "packet=data_hash", "-of", "default=noprint_wrappers=1:nokey=1", source,
	}
	if strings.HasPrefix(source, "http:") {
		args = append([]string{"-seekable", "0"}, args...) // it asks for a byte range otherwise
	}
	out := program(t, "ffprobe", args...)
	var hashes []string
	for line := range strings.Lines(out) {
		if hash, ok := strings.CutPrefix(strings.TrimSpace(line), "SHA256:"); ok {
			hashes = append(hashes, strings.ToLower(hash))
		}
	}
	return hashes
}

func store(t *testing.T, body []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "body.flv")
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
