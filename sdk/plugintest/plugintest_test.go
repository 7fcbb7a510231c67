package plugintest_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/extractor"
	"github.com/lubod/lubod/sdk/fetch"
	"github.com/lubod/lubod/sdk/line"
	"github.com/lubod/lubod/sdk/plugintest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// room is an extractor over one JSON answer.
type room struct {
	api  string
	http *fetch.Client
	bad  bool
}

type roomOptions struct {
	API  string `json:"api" required:"true" en:"API." zh:"接口。"`
	Mode string `json:"mode" default:"a" allowed:"a,b" en:"Mode." zh:"模式。"`
}

var roomInfo = sdk.Info{Name: "room", Version: "1", Match: []string{`^room://(?P<id>\w+)$`}}

func newRoom(_ context.Context, o roomOptions) (*room, error) {
	return &room{api: o.API, http: fetch.New("")}, nil
}

func (r *room) Resolve(ctx context.Context, ref extractor.Ref) (extractor.Status, error) {
	if r.bad {
		ctx = context.WithoutCancel(ctx)
	}
	var answer struct{ Title string }
	if err := r.http.JSON(ctx, r.api+"/"+ref.Groups["id"], &answer); err != nil {
		return extractor.Offline, err
	}
	if answer.Title == "" {
		return extractor.Offline, nil
	}
	return extractor.Status{State: extractor.StateLive, Title: answer.Title, Streams: []extractor.Stream{{URL: "http://x/y.flv"}}}, nil
}

// platform answers by path; "hangs" is told to hung and not answered until the caller leaves.
func platform(t *testing.T, hung chan<- struct{}) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/live":
			_, _ = fmt.Fprint(w, `{"title": "hello"}`)
		case "/offline":
			_, _ = fmt.Fprint(w, `{}`)
		case "/busy":
			w.Header().Set("Retry-After", "3")
			w.WriteHeader(http.StatusTooManyRequests)
		case "/hangs":
			hung <- struct{}{}
			<-r.Context().Done()
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func roomCases(hung <-chan struct{}) []plugintest.ExtractorCase {
	return []plugintest.ExtractorCase{
		{Name: "live", URL: "room://live", Want: extractor.Status{
			State: extractor.StateLive, Title: "hello", Streams: []extractor.Stream{{URL: "http://x/y.flv"}},
		}},
		{Name: "offline", URL: "room://offline"},
		{Name: "throttled", URL: "room://busy", WantKind: sdk.RateLimited, RetryAfter: 3 * time.Second},
		{Name: "missing", URL: "room://nobody", WantKind: sdk.NotFound},
		{Name: "cancelled", URL: "room://hangs", Hangs: hung},
	}
}

func TestExtractor(t *testing.T) {
	hung := make(chan struct{}, 1)
	plugintest.Extractor(t, roomInfo, newRoom, roomOptions{API: platform(t, hung)}, roomCases(hung)...)
}

// store is a line into a map, chunk by chunk.
type store struct {
	far    *far
	forget bool
}

type far struct {
	mu       sync.Mutex
	files    map[string][]byte
	received int64
	refuse   bool
}

type checkpoint struct {
	Sum  [32]byte
	Done int
}

func (s *store) Upload(ctx context.Context, f line.File, report func(line.Progress) error) (line.Result, error) {
	content, err := os.ReadFile(f.Path)
	if err != nil {
		return line.Result{}, sdk.Errorf(sdk.NotFound, "open file: %w", err)
	}
	s.far.mu.Lock()
	refuse := s.far.refuse
	s.far.mu.Unlock()
	if refuse {
		return line.Result{}, sdk.Errorf(sdk.LoginRequired, "cookies ran out")
	}
	var c checkpoint
	if json.Unmarshal(f.Checkpoint, &c) != nil || c.Sum != sha256.Sum256(content) || s.forget {
		c = checkpoint{Sum: sha256.Sum256(content)}
	}
	const chunk = 2 << 20
	for c.Done < len(content) {
		end := min(c.Done+chunk, len(content))
		s.far.store(f.Path, c.Done, content[c.Done:end])
		c.Done = end
		raw, err := json.Marshal(c)
		if err != nil {
			return line.Result{}, err
		}
		if err := report(line.Progress{AcknowledgedBytes: int64(c.Done), Checkpoint: raw}); err != nil {
			return line.Result{}, err
		}
		if err := s.pause(ctx, c.Done < len(content)); err != nil {
			return line.Result{}, err
		}
	}
	return line.Result{RemoteName: f.Path}, nil
}

// pause lets a test that interrupts be heard before the next chunk.
func (s *store) pause(ctx context.Context, more bool) error {
	if !more {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(5 * time.Millisecond):
		return nil
	}
}

func (f *far) store(name string, at int, chunk []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.files[name] = append(f.files[name][:at:at], chunk...)
	f.received += int64(len(chunk))
}

func (f *far) cases() []plugintest.LineCase {
	set := func(refuse bool) func(*testing.T) {
		return func(*testing.T) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.refuse = refuse
		}
	}
	return []plugintest.LineCase{
		{
			Name:    "nine MiB",
			Prepare: set(false),
			Stored: func(_ *testing.T, r line.Result) []byte {
				f.mu.Lock()
				defer f.mu.Unlock()
				return f.files[r.RemoteName]
			},
			Received: func() int64 {
				f.mu.Lock()
				defer f.mu.Unlock()
				return f.received
			},
		},
		{Name: "cookies ran out", Size: 10, Prepare: set(true), WantKind: sdk.LoginRequired},
	}
}

var storeInfo = sdk.Info{Name: "store", Version: "1", Lines: []string{"map"}}

func TestLine(t *testing.T) {
	f := &far{files: map[string][]byte{}}
	plugintest.Line(t, storeInfo, func(context.Context, struct{}) (*store, error) { return &store{far: f}, nil }, struct{}{}, f.cases()...)
}

func TestRecorder(t *testing.T) {
	plugintest.Recorder(t, tapeInfo, newTape, tapeOptions{}, tapeCases()...)
}

// Suites must find what they are there for. Each of these is a plugin with one fault; the test runs the suite in another
// process and reads why it failed.
func TestSuitesFindFaults(t *testing.T) {
	for name, want := range map[string]string{
		"ExtractorIgnoresCancel":   "still works on it",
		"LineStartsOver":           "were acknowledged before",
		"RecorderLeavesPart":       "left behind",
		"RecorderAnnouncesTooSoon": "announced segment",
		"RecorderLosesTail":        "was never closed",
		"RecorderWrongSize":        "announced were",
		"OptionsWithoutText":       `needs both tags`,
		"PatternTakesAll":          "takes any URL",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFault$", "-test.v")
			cmd.Env = append(os.Environ(), "LUBOD_TEST_FAULT="+name)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), want) {
				t.Errorf("want a failure with %q, got %v:\n%s", want, err, out)
			}
		})
	}
}

func TestFault(t *testing.T) {
	fault := os.Getenv("LUBOD_TEST_FAULT")
	tape := func(f faults) {
		plugintest.Recorder(t, tapeInfo, func(context.Context, tapeOptions) (*tapeRecorder, error) {
			return &tapeRecorder{faults: f}, nil
		}, tapeOptions{}, tapeCases()[0])
	}
	switch fault {
	case "":
		t.Skip("run by TestSuitesFindFaults")
	case "ExtractorIgnoresCancel":
		hung := make(chan struct{}, 1)
		plugintest.Extractor(t, roomInfo, func(ctx context.Context, o roomOptions) (*room, error) {
			r, err := newRoom(ctx, o)
			r.bad, r.http = true, fetch.New("", fetch.WithTimeout(6*time.Second)) // longer than the suite's patience
			return r, err
		}, roomOptions{API: platform(t, hung)}, roomCases(hung)...)
	case "LineStartsOver":
		f := &far{files: map[string][]byte{}}
		plugintest.Line(t, storeInfo, func(context.Context, struct{}) (*store, error) {
			return &store{far: f, forget: true}, nil
		}, struct{}{}, f.cases()...)
	case "RecorderLeavesPart":
		tape(faults{leavesPart: true})
	case "RecorderAnnouncesTooSoon":
		tape(faults{announcesTooSoon: true})
	case "RecorderLosesTail":
		tape(faults{losesTail: true})
	case "RecorderWrongSize":
		tape(faults{wrongSize: true})
	case "OptionsWithoutText":
		plugintest.Extractor(t, roomInfo, func(context.Context, struct {
			A string `json:"a"`
		}) (*room, error) {
			return &room{}, nil
		}, struct {
			A string `json:"a"`
		}{})
	case "PatternTakesAll":
		info := roomInfo
		info.Match = []string{`https?://`}
		plugintest.Extractor(t, info, newRoom, roomOptions{API: "http://x"})
	}
}
