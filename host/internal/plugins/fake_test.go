package plugins

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/extractor"
	"github.com/lubod/lubod/sdk/line"
	"github.com/lubod/lubod/sdk/recorder"
)

// The test binary is every plugin and every host of these tests: small scripts in a test's plugin directory execute it
// again with FAKE_KIND and friends in the environment. The script is what the manager sees as the plugin's binary.
func TestMain(m *testing.M) {
	switch kind := os.Getenv("FAKE_KIND"); kind {
	case "":
		goleak.VerifyTestMain(m)
	case "host":
		fakeHost()
	case "older":
		fakeRaw(answerOlder)
	case "hostile":
		fakeRaw(answerHostile)
	default:
		fakePlugin(kind)
	}
}

type fakeOptions struct {
	Greeting string `json:"greeting" default:"hello" en:"what the title says"`
	Count    int    `json:"count" default:"1" en:"a number"`
	Secret   string `json:"secret" secret:"true" en:"a secret"`
	Refuse   bool   `json:"refuse" en:"makes Configure fail"`
	Sick     string `json:"sick" en:"a file whose existence makes Health fail"`
	Leaky    string `json:"leaky" env:"LUBOD_TEST_GREETING" en:"from the host's environment"`
}

func fakePlugin(kind string) {
	name := os.Getenv("FAKE_NAME")
	info := sdk.Info{Name: name, Version: envOr("FAKE_VERSION", "1.0.0")}
	if os.Getenv("FAKE_BORN") != "" {
		note(os.Getenv("FAKE_BORN"), "born")
	}
	for gate := os.Getenv("FAKE_GATE"); gate != ""; { // held at its start until the test makes the file
		if _, err := os.Stat(gate); err == nil {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	switch kind {
	case "extractor":
		info.Match = strings.Split(envOr("FAKE_MATCH", `^fake://`+name+`/`), " ")
		info.Examples = strings.Fields(os.Getenv("FAKE_EXAMPLES"))
		extractor.Serve(info, newFakeExtractor)
	case "line":
		info.Lines = strings.Split(envOr("FAKE_LINES", name), " ")
		line.Serve(info, newFakeLine)
	case "recorder":
		info.Containers = strings.Fields(os.Getenv("FAKE_CONTAINERS"))
		recorder.Serve(info, newFakeRecorder)
	case "exits":
		fmt.Fprintln(os.Stderr, "cannot find my shoes")
		os.Exit(7)
	}
}

func envOr(name, byDefault string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return byDefault
}

// note appends a line to a file that a test reads.
func note(path, text string) {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, _ = fmt.Fprintln(file, text)
		_ = file.Close()
	}
}

type fakeBase struct{ options fakeOptions }

func newBase(options fakeOptions) (fakeBase, error) {
	if options.Refuse {
		return fakeBase{}, sdk.Errorf(sdk.InvalidOption, "count: I refuse %d", options.Count)
	}
	return fakeBase{options}, nil
}

func (b fakeBase) Health(context.Context) error {
	if _, err := os.Stat(b.options.Sick); err == nil {
		return sdk.Errorf(sdk.LoginRequired, "the cookie has expired")
	}
	return nil
}

// misbehave does what the last part of a URL asks for.
func (b fakeBase) misbehave(ctx context.Context, what string) (string, error) {
	verb, argument, _ := strings.Cut(what, ":")
	switch verb {
	case "exit":
		os.Exit(3)
	case "panic":
		go panic("goroutine of the author\nwith two lines")
		<-ctx.Done()
	case "stderr":
		_, _ = os.Stderr.WriteString(argument + "\n")
	case "fd1": // what no variable of Go reaches
		for range 5 {
			if _, err := syscall.Write(1, []byte(strings.Repeat("x", 64<<10))); err != nil {
				return "", err
			}
		}
	case "log":
		sdk.Logger(ctx).Warn(argument, "room", 7) //nolint:sloglint // the test chooses the message
	case "env":
		return strings.Join(os.Environ(), "\n"), nil
	case "greeting":
		return b.options.Greeting + "/" + b.options.Leaky, nil
	case "pgid":
		group, err := syscall.Getpgid(0)
		return strconv.Itoa(group), err
	case "wait":
		<-ctx.Done()
		return "", ctx.Err()
	case "slow":
		duration, _ := time.ParseDuration(argument)
		select {
		case <-time.After(duration):
		case <-ctx.Done():
		}
	}
	return strconv.Itoa(os.Getpid()), nil
}

type fakeExtractor struct{ fakeBase }

func newFakeExtractor(_ context.Context, options fakeOptions) (*fakeExtractor, error) {
	base, err := newBase(options)
	return &fakeExtractor{base}, err
}

func (f *fakeExtractor) Resolve(ctx context.Context, ref extractor.Ref) (extractor.Status, error) {
	_, what, _ := strings.Cut(strings.TrimPrefix(ref.URL, "fake://"), "/")
	title, err := f.misbehave(ctx, what)
	if err != nil {
		return extractor.Status{}, err
	}
	return extractor.Status{State: extractor.StateLive, Title: title, Streamer: os.Getenv("FAKE_VERSION"), Streams: []extractor.Stream{{URL: "http://x", Headers: map[string]string{"said": title}}}}, nil
}

type fakeLine struct{ fakeBase }

func newFakeLine(_ context.Context, options fakeOptions) (*fakeLine, error) {
	base, err := newBase(options)
	return &fakeLine{base}, err
}

func (f *fakeLine) Upload(ctx context.Context, file line.File, _ func(line.Progress) error) (line.Result, error) {
	name, err := f.misbehave(ctx, file.Name)
	return line.Result{RemoteName: name}, err
}

func (f *fakeLine) Probe(context.Context) ([]line.ProbeResult, error) {
	return []line.ProbeResult{{Line: os.Getenv("FAKE_NAME"), LatencyMS: 1}}, nil
}

type fakeRecorder struct{ fakeBase }

func newFakeRecorder(_ context.Context, options fakeOptions) (*fakeRecorder, error) {
	base, err := newBase(options)
	return &fakeRecorder{base}, err
}

// Record emits one numbered event for every refresh: that is how tests make it work.
func (f *fakeRecorder) Record(ctx context.Context, _ recorder.Request, session recorder.Session) error {
	session.Emit(recorder.MediaArrived{})
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case streams := <-session.Refreshed():
			what := streams[0].URL
			if _, err := f.misbehave(sdk.WithLogger(ctx, sdk.Logger(ctx)), what); err != nil {
				return err
			}
			session.Emit(recorder.Note{Code: "refreshed", Text: what})
		}
	}
}
