package line_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/internal/inproc"
	"github.com/lubod/lubod/sdk/line"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var info = sdk.Info{Name: "toy", Version: "1", Lines: []string{"fast", "slow"}}

type report = func(line.Progress) error

type upload func(ctx context.Context, f line.File, r report) (line.Result, error)

func (u upload) Upload(ctx context.Context, f line.File, r report) (line.Result, error) {
	return u(ctx, f, r)
}

func serve(t *testing.T, u upload) *inproc.Instance {
	t.Helper()
	in := inproc.Start(t, line.Plugin(info, func(context.Context, struct{}) (upload, error) { return u, nil }))
	if err := in.Configure(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return in
}

func ignore(line.Progress) error { return nil }

func TestProgressFromManyGoroutinesArrives(t *testing.T) {
	in := serve(t, func(_ context.Context, _ line.File, r report) (line.Result, error) {
		var sending sync.WaitGroup
		for i := range 8 {
			sending.Go(func() {
				for range 100 {
					if err := r(line.Progress{AcknowledgedBytes: int64(i), Checkpoint: []byte{byte(i)}}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		sending.Wait()
		return line.Result{RemoteName: "n1", RemoteID: 7}, nil
	})
	count := 0
	got, err := in.Line().Upload(t.Context(), line.File{Line: "fast", Path: "/a.flv"}, func(p line.Progress) error {
		if int64(p.Checkpoint[0]) != p.AcknowledgedBytes {
			t.Errorf("mixed up: %+v", p)
		}
		count++
		return nil
	})
	if err != nil || got != (line.Result{RemoteName: "n1", RemoteID: 7}) || count != 800 {
		t.Errorf("got %+v, %v, %d reports", got, err, count)
	}
}

func TestRequestIsCompleted(t *testing.T) {
	got := make(chan line.File, 1)
	in := serve(t, func(_ context.Context, f line.File, _ report) (line.Result, error) {
		got <- f
		return line.Result{RemoteName: "n"}, nil
	})
	if _, err := in.Line().Upload(t.Context(), line.File{Line: "slow", Path: "/dir/a.flv"}, ignore); err != nil {
		t.Fatal(err)
	}
	if f := <-got; f.Name != "a.flv" || f.Threads != 1 || f.Checkpoint != nil {
		t.Errorf("got %+v", f)
	}
}

func TestTransfersThatCannotWork(t *testing.T) {
	in := serve(t, func(_ context.Context, f line.File, r report) (line.Result, error) {
		switch f.Name {
		case "panic":
			panic("x")
		case "negative":
			return line.Result{RemoteName: "n"}, r(line.Progress{AcknowledgedBytes: -1})
		}
		return line.Result{}, nil
	})
	for name, tt := range map[string]struct {
		file line.File
		want sdk.Kind
	}{
		"line of another plugin": {line.File{Line: "other", Path: "/a"}, sdk.Unsupported},
		"relative path":          {line.File{Line: "fast", Path: "a"}, sdk.Bug},
		"result without a name":  {line.File{Line: "fast", Path: "/a"}, sdk.Bug},
		"negative progress":      {line.File{Line: "fast", Path: "/a", Name: "negative"}, sdk.Bug},
		"panic":                  {line.File{Line: "fast", Path: "/a", Name: "panic"}, sdk.Bug},
	} {
		if _, err := in.Line().Upload(t.Context(), tt.file, ignore); sdk.KindOf(err) != tt.want {
			t.Errorf("%s: got %v, want %s", name, err, tt.want)
		}
	}
}

func TestHostThatIsGoneStopsTheTransfer(t *testing.T) {
	ended := make(chan error, 1)
	in := serve(t, func(ctx context.Context, _ line.File, r report) (line.Result, error) {
		for {
			if err := r(line.Progress{AcknowledgedBytes: 1}); err != nil {
				<-ctx.Done()
				ended <- err
				return line.Result{}, err
			}
		}
	})
	full := errors.New("database is full")
	_, err := in.Line().Upload(t.Context(), line.File{Line: "fast", Path: "/a"}, func(line.Progress) error { return full })
	if !errors.Is(err, full) {
		t.Errorf("the host's own error became %v", err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) && sdk.KindOf(err) != sdk.Unavailable {
		t.Errorf("the line was told %v", err)
	}
}

func TestReportAfterTheEndIsRefused(t *testing.T) {
	late := make(chan report, 1)
	in := serve(t, func(_ context.Context, _ line.File, r report) (line.Result, error) {
		late <- r
		return line.Result{RemoteName: "n"}, nil
	})
	if _, err := in.Line().Upload(t.Context(), line.File{Line: "fast", Path: "/a"}, ignore); err != nil {
		t.Fatal(err)
	}
	if err := (<-late)(line.Progress{}); err == nil {
		t.Error("no error")
	}
}

type prober struct{ upload }

func (prober) Probe(context.Context) ([]line.ProbeResult, error) {
	return []line.ProbeResult{{Line: "slow", LatencyMS: 3, BytesPerSecond: 9}}, nil
}

func TestProbeIsACapability(t *testing.T) {
	with := inproc.Start(t, line.Plugin(info, func(context.Context, struct{}) (prober, error) { return prober{}, nil }))
	if d, err := with.Describe(t.Context()); err != nil || len(d.Capabilities) != 1 || d.Capabilities[0] != sdk.CapabilityProbe {
		t.Errorf("got %+v, %v", d.Capabilities, err)
	}
	if _, err := with.Line().Probe(t.Context()); sdk.KindOf(err) != sdk.Bug {
		t.Errorf("not configured: got %v", err)
	}
	if err := with.Configure(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if got, err := with.Line().Probe(t.Context()); err != nil || len(got) != 1 || got[0].BytesPerSecond != 9 {
		t.Errorf("got %+v, %v", got, err)
	}
	without := serve(t, nil)
	if d, err := without.Describe(t.Context()); err != nil || len(d.Capabilities) != 0 {
		t.Errorf("got %+v, %v", d.Capabilities, err)
	}
	if _, err := without.Line().Probe(t.Context()); sdk.KindOf(err) != sdk.Unsupported {
		t.Errorf("got %v", err)
	}
}
