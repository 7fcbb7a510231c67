package live_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lubod/lubod/sdk/simulator/live"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clipFile encodes one clip for all tests: 4 s, a keyframe every second.
var clipFile = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "lubod-live")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "clip.flv")
	if err := live.Encode(context.Background(), path, live.Encoding{Length: 4 * time.Second, BFrames: 2}); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

func clip(t *testing.T) *live.Clip {
	t.Helper()
	b, err := clipFile()
	if err != nil {
		t.Fatal(err)
	}
	c, err := live.Parse(slices.Clone(b))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func serve(t *testing.T, o live.Options) *live.Server {
	t.Helper()
	if o.Clip == nil {
		o.Clip = clip(t)
	}
	s, err := live.Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// get reads one whole answer.
func get(t *testing.T, s *live.Server) (int, []byte, error) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, body, err
}

// probe returns the hashes of the packets of a file, as ffprobe sees them.
func probe(t *testing.T, body []byte, stream string) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "body.flv")
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-select_streams", stream, "-show_packets",
		"-show_data_hash", "md5", "-show_entries", "packet=data_hash", "-of", "csv=p=0", path).Output()
	if err != nil {
		t.Fatalf("ffprobe (is ffmpeg installed?): %v", err)
	}
	var hashes []string
	for line := range strings.FieldsSeq(string(out)) {
		hashes = append(hashes, strings.ToLower(strings.TrimPrefix(line, "MD5:")))
	}
	return hashes
}

func TestSendsWhatFFprobeSees(t *testing.T) {
	for _, speed := range []float64{0, 20} {
		s := serve(t, live.Options{Speed: speed})
		status, body, err := get(t, s)
		if err != nil || status != http.StatusOK {
			t.Fatalf("status %d, %v", status, err)
		}
		sent := s.Connections()[0]
		for stream, video := range map[string]bool{"v": true, "a": false} {
			got, want := probe(t, body, stream), live.Hashes(sent.Tags, video)
			if len(want) == 0 || !slices.Equal(got, want) {
				t.Errorf("speed %v, stream %s: ffprobe sees %d packets, the server noted %d, or they differ", speed, stream, len(got), len(want))
			}
		}
		if sent.Bytes != int64(len(body)) || sent.Open || sent.Ending != "clip over" {
			t.Errorf("%d bytes received; noted: %d bytes, open %t, ending %q", len(body), sent.Bytes, sent.Open, sent.Ending)
		}
		if status, _, _ := get(t, s); status != http.StatusNotFound {
			t.Errorf("after the broadcast: status %d, want 404", status)
		}
		if m := s.Mistakes(); len(m) > 0 {
			t.Errorf("mistakes of a good client: %v", m)
		}
	}
}

func TestRefusesFilesWithAnyFlaw(t *testing.T) {
	b, err := clipFile()
	if err != nil {
		t.Fatal(err)
	}
	flaws := map[string]func([]byte) []byte{
		"not FLV":       func(b []byte) []byte { b[0] = 'X'; return b },
		"cut":           func(b []byte) []byte { return b[:len(b)-7] },
		"stream id":     func(b []byte) []byte { b[13+10] = 1; return b },
		"trailer":       func(b []byte) []byte { b[len(b)-1]++; return b },
		"tag type":      func(b []byte) []byte { b[13] = 7; return b },
		"header only":   func(b []byte) []byte { return b[:13] },
		"nothing":       func([]byte) []byte { return nil },
		"file header":   func(b []byte) []byte { b[8] = 10; return b },
		"size of a tag": func(b []byte) []byte { b[13+3]++; return b },
	}
	for name, damage := range flaws {
		if _, err := live.Parse(damage(slices.Clone(b))); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	if b, err := clipFile(); err == nil {
		f.Add(b[:4096])
	}
	f.Add([]byte("FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00\x09\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x17\x01\x00\x00\x00\x00\x00\x00\x10"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := live.Parse(b); err == nil && len(c.Frames()) == 0 {
			t.Error("a clip without frames was accepted")
		}
	})
}

func TestEndings(t *testing.T) {
	tests := []struct {
		name   string
		do     live.Action
		status int
		err    func(error) bool
		tags   int
		body   string
	}{
		{"close", live.CloseCleanly{}, 200, isNil, 30, ""},
		{"cut", live.CutMidTag{}, 200, isNil, 31, ""},
		{"abort", live.Abort{}, 200, is(io.ErrUnexpectedEOF), 30, ""},
		{"reset", live.Reset{}, 200, is(syscall.ECONNRESET), 30, ""},
		{"reset in a tag", live.Reset{MidTag: true}, 200, is(syscall.ECONNRESET), 31, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t, live.Options{Faults: []live.Fault{{Connection: 1, AfterTags: 30, Do: test.do}}})
			status, body, err := get(t, s)
			if status != test.status || !test.err(err) {
				t.Errorf("status %d, error %v", status, err)
			}
			c := s.Connections()[0]
			if int64(len(body)) != c.Bytes {
				t.Errorf("%d bytes arrived of the %d that were sent before the end", len(body), c.Bytes)
			}
			if len(c.Tags) != test.tags {
				t.Errorf("%d tags noted, want %d", len(c.Tags), test.tags)
			}
			if status, _, err := get(t, s); status != http.StatusOK || err != nil {
				t.Errorf("the next connection: status %d, %v", status, err)
			}
		})
	}
}

func isNil(err error) bool               { return err == nil }
func is(want error) func(err error) bool { return func(err error) bool { return errors.Is(err, want) } }

func TestAnswersInPlaceOfTheStream(t *testing.T) {
	tests := []struct {
		do     live.Action
		status int
		body   string
	}{
		{live.Refuse{Status: http.StatusForbidden}, 403, "Forbidden"},
		{live.Answer{ContentType: "text/html", Body: "<html>"}, 200, "<html>"},
		{live.Redirect{To: "/elsewhere"}, 302, ""},
	}
	for _, test := range tests {
		s := serve(t, live.Options{Faults: []live.Fault{{Connection: 1, Do: test.do}}})
		status, body, err := get(t, s)
		if status != test.status || string(body) != test.body || err != nil {
			t.Errorf("%T: status %d, %q, %v", test.do, status, body, err)
		}
		if c := s.Connections()[0]; c.Status != test.status || len(c.Tags) > 0 {
			t.Errorf("%T: noted %+v", test.do, c)
		}
	}
}

func TestNextConnectionGoesOnAtAKeyframe(t *testing.T) {
	for cache, want := range map[bool]int{false: 2, true: 1} {
		s := serve(t, live.Options{GOPCache: cache, Faults: []live.Fault{{Connection: 1, AfterKeyframes: 2, AfterTags: 100, Do: live.Abort{}}}})
		_, _, _ = get(t, s)
		_, _, _ = get(t, s)
		first, second := s.Connections()[0].Tags, s.Connections()[1].Tags
		if !second[0].Key {
			t.Errorf("cache %t: the second connection begins with no keyframe", cache)
		}
		keys := 0
		for _, tag := range first {
			if tag.Key && tag.Ms < second[0].Ms {
				keys++
			}
		}
		if keys != want {
			t.Errorf("cache %t: the second connection begins at %d ms, the first ended at %d ms", cache, second[0].Ms, first[len(first)-1].Ms)
		}
	}
}

func TestStallUntilReleased(t *testing.T) {
	s := serve(t, live.Options{Faults: []live.Fault{{AfterTags: 10, Do: live.Stall{}}}})
	done := make(chan error, 1)
	go func() { _, _, err := get(t, s); done <- err }()
	if err := s.Wait(t.Context(), func(c []live.Connection) bool { return len(c) == 1 && c[0].Stalled }); err != nil {
		t.Fatal(err)
	}
	if n := len(s.Connections()[0].Tags); n != 10 {
		t.Errorf("stalled after %d tags, want 10", n)
	}
	s.Release()
	if err := <-done; err != nil || len(s.Connections()[0].Tags) != len(clip(t).Frames()) {
		t.Errorf("after the stall: %v", err)
	}
}

func TestControls(t *testing.T) {
	s := serve(t, live.Options{Offline: true, Speed: 1, Loop: true})
	if status, _, _ := get(t, s); status != http.StatusNotFound {
		t.Errorf("before GoLive: status %d, want 404", status)
	}
	for _, step := range []struct {
		end  func()
		want func(error) bool
	}{{s.Break, is(syscall.ECONNRESET)}, {s.End, isNil}} {
		s.GoLive()
		n := len(s.Connections())
		done := make(chan error, 1)
		go func() { _, _, err := get(t, s); done <- err }()
		media := func(c []live.Connection) bool { return len(c) > n && len(c[n].Tags) > 3 }
		if err := s.Wait(t.Context(), media); err != nil {
			t.Fatal(err)
		}
		step.end()
		if err := <-done; !step.want(err) {
			t.Errorf("the body ended with %v", err)
		}
	}
	if status, _, _ := get(t, s); status != http.StatusNotFound {
		t.Errorf("after End: status %d, want 404", status)
	}
}

func TestSwitchAndJumpAndDamage(t *testing.T) {
	other := filepath.Join(t.TempDir(), "other.flv")
	if err := live.Encode(t.Context(), other, live.Encoding{Length: time.Second, Width: 160, Height: 120, AudioRate: 48000}); err != nil {
		t.Fatal(err)
	}
	second, err := live.Load(other)
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, live.Options{StartAt: -68 * time.Millisecond, Faults: []live.Fault{
		{AfterTags: 20, Do: live.Garbage{Bytes: 3000}},
		{AfterTags: 30, Do: live.Jump{By: 13 * time.Second}},
		{AfterTags: 40, Do: live.RepeatHeaders{}},
		{AfterTags: 50, Do: live.DamageTag{Size: 1 << 20}},
		{AfterTags: 60, Do: live.Switch{To: second, Late: 3}},
	}})
	_, body, err := get(t, s)
	if err != nil {
		t.Fatal(err)
	}
	tags := s.Connections()[0].Tags
	if tags[0].Ms != -68 || tags[30].Ms-tags[29].Ms < 12_900 || tags[50].Whole {
		t.Errorf("first time %d ms, step at the jump %d ms, damaged tag whole %t", tags[0].Ms, tags[30].Ms-tags[29].Ms, tags[50].Whole)
	}
	joined := second.Frames()
	joined = joined[slices.IndexFunc(joined, func(s live.Sent) bool { return s.Key }):]
	if got := len(tags) - len(joined); got < 61 || got > 75 {
		t.Errorf("%d tags of the first clip were sent", got)
	}
	if last := tags[len(tags)-len(joined):]; !last[0].Key || last[0].Ms <= tags[60].Ms {
		t.Errorf("the second clip begins with %+v", last[0])
	}
	if n := bytes.Count(body, []byte("onMetaData")); n != 3 {
		t.Errorf("%d script tags, want 3", n)
	}
}

func TestMistakesOfClients(t *testing.T) {
	s := serve(t, live.Options{Speed: 1})
	head, err := http.NewRequestWithContext(t.Context(), http.MethodHead, s.URL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	response, err := client.Do(head)
	if err != nil || response.StatusCode != http.StatusMethodNotAllowed {
		t.Fatalf("HEAD: %v, %v", response, err)
	}
	_ = response.Body.Close()
	var bodies []io.Closer
	for range 2 {
		request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL(), nil)
		request.Header.Set("Range", "bytes=0-")
		response, err := client.Do(request) //nolint:bodyclose // closed below, after both are open
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, response.Body)
	}
	for _, b := range bodies {
		_ = b.Close()
	}
	if m := s.Mistakes(); len(m) != 4 {
		t.Errorf("mistakes noted: %q; want the method, two ranges and a second connection", m)
	}
}

// A client that does not read must not hold up the end.
func TestCloseWithAClientThatDoesNotRead(t *testing.T) {
	s := serve(t, live.Options{Loop: true})
	address := strings.TrimSuffix(strings.TrimPrefix(s.URL(), "http://"), "/live.flv")
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /live.flv HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReaderSize(conn, 16).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
