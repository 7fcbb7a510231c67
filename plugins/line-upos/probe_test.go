package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lubod/lubod/sdk/line"
	"github.com/lubod/lubod/sdk/simulator/bilibili"
)

// lineFarm is a creator centre whose lines answer as a test wants. Its clock moves only when a line says so.
type lineFarm struct {
	server *httptest.Server
	upos   *upos

	mu    sync.Mutex
	clock time.Time
	asked []string
}

// newLineFarm serves list, in which %s stands for its own host, and the lines by name.
func newLineFarm(t *testing.T, list string, lines map[string]func(f *lineFarm, w http.ResponseWriter, r *http.Request)) *lineFarm {
	t.Helper()
	f := &lineFarm{clock: time.Unix(1_800_000_000, 0)}
	f.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/preupload" {
			_, _ = fmt.Fprintf(w, list, r.Host)
			return
		}
		name := r.URL.Path[1:]
		f.mu.Lock()
		f.asked = append(f.asked, r.Method+" "+name)
		f.mu.Unlock()
		lines[name](f, w, r)
	}))
	t.Cleanup(f.server.Close)
	f.upos = newTestUpos(t, f.server.URL)
	f.upos.now = f.now
	return f
}

func (f *lineFarm) now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.clock
}

func takes(d time.Duration) func(*lineFarm, http.ResponseWriter, *http.Request) {
	return func(f *lineFarm, _ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.clock = f.clock.Add(d)
	}
}

func answers(status int) func(*lineFarm, http.ResponseWriter, *http.Request) {
	return func(_ *lineFarm, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

func hangs(_ *lineFarm, _ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

func breaks(*lineFarm, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

const farmList = `{"OK":1,"lines":[
 {"os":"upos","query":"probe_version=20250923&upcdn=estx&zone=cs","probe_url":"//%[1]s/estx"},
 {"os":"upos","query":"probe_version=20250923&upcdn=tx&zone=cs","probe_url":"//%[1]s/tx"},
 {"os":"upos","query":"probe_version=20250923&upcdn=bda2&zone=cs","probe_url":"//%[1]s/bda2"},
 {"os":"upos","query":"upcdn=bda2&zone=cs","probe_url":"//%[1]s/again"},
 {"os":"upos","query":"upcdn=alia&zone=jd","probe_url":"//%[1]s/otherzone"},
 {"os":"upos","query":"upcdn=future&zone=cs","probe_url":"//%[1]s/future"},
 {"os":"kodo","query":"bucket=bvcupcdnkodobm","probe_url":"//%[1]s/kodo"},
 {"os":"upos","query":"upcdn=txa&zone=cs","probe_url":"file:///etc/passwd"},
 {"os":"upos","query":"upcdn=bldsa&zone=cs","probe_url":"//%[1]s/bldsa"}
 ],"probe":{"post":0.5}}`

func TestProbeRanksTheLinesThatAnswer(t *testing.T) {
	f := newLineFarm(t, farmList, map[string]func(*lineFarm, http.ResponseWriter, *http.Request){
		"estx": breaks, "tx": takes(400 * time.Millisecond), "bda2": takes(100 * time.Millisecond), "bldsa": answers(404),
	})
	got, err := f.upos.Probe(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	want := []line.ProbeResult{
		{Line: "bda2", LatencyMS: 100, BytesPerSecond: 5 * mib},
		{Line: "tx", LatencyMS: 400, BytesPerSecond: 5 * mib / 4},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// One after the other, each served line once, and nothing else.
	if diff := cmp.Diff([]string{"POST estx", "POST tx", "POST bda2", "POST bldsa"}, f.asked); diff != "" {
		t.Error(diff)
	}
}

func TestProbePassesALineThatHangs(t *testing.T) {
	t.Parallel()
	f := newLineFarm(t, farmList, map[string]func(*lineFarm, http.ResponseWriter, *http.Request){
		"estx": hangs, "tx": takes(time.Millisecond), "bda2": answers(500), "bldsa": answers(500),
	})
	f.upos.probeLimits.line = 2 * time.Second
	got, err := f.upos.Probe(testContext(t))
	if err != nil || len(got) != 1 || got[0].Line != "tx" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestProbeStopsAtItsBudget(t *testing.T) {
	t.Parallel()
	f := newLineFarm(t, farmList, map[string]func(*lineFarm, http.ResponseWriter, *http.Request){
		"estx": takes(time.Millisecond), "tx": hangs, "bda2": hangs, "bldsa": hangs,
	})
	f.upos.probeLimits.total = 3 * time.Second
	got, err := f.upos.Probe(testContext(t))
	if err != nil || len(got) != 1 || got[0].Line != "estx" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestProbeFallsBack(t *testing.T) {
	dead := map[string]func(*lineFarm, http.ResponseWriter, *http.Request){"estx": breaks, "tx": breaks, "bda2": breaks, "bldsa": breaks}
	for name, list := range map[string]string{
		"all lines dead": farmList,
		"empty list":     `{"OK":1,"lines":[],"host":"%[1]s"}`,
		"web page":       `<html>%[1]s</html>`,
		"limited":        `{"code":601,"host":"%[1]s"}`,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := newLineFarm(t, list, dead).upos.Probe(testContext(t))
			if err != nil || len(got) != 1 || got[0] != (line.ProbeResult{Line: "bldsa"}) {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
	t.Run("unreachable", func(t *testing.T) {
		f := newLineFarm(t, farmList, dead)
		f.server.Close()
		got, err := f.upos.Probe(testContext(t))
		if err != nil || len(got) != 1 || got[0].Line != "bldsa" {
			t.Errorf("got %v, %v", got, err)
		}
	})
}

func TestProbeEndsWithItsCaller(t *testing.T) {
	ctx, cancel := context.WithCancel(testContext(t))
	f := newLineFarm(t, farmList, map[string]func(*lineFarm, http.ResponseWriter, *http.Request){
		"estx": func(f *lineFarm, w http.ResponseWriter, r *http.Request) {
			cancel()
			hangs(f, w, r)
		},
	})
	if got, err := f.upos.Probe(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestProbeGetsWhenTheServerSaysSo(t *testing.T) {
	list := `{"OK":1,"lines":[{"os":"upos","query":"upcdn=tx&zone=cs","probe_url":"//%[1]s/tx"}],"probe":{"get":1}}`
	f := newLineFarm(t, list, map[string]func(*lineFarm, http.ResponseWriter, *http.Request){"tx": takes(time.Second)})
	got, err := f.upos.Probe(testContext(t))
	if err != nil || len(got) != 1 || got[0] != (line.ProbeResult{Line: "tx", LatencyMS: 1000}) {
		t.Errorf("got %v, %v", got, err)
	}
	if diff := cmp.Diff([]string{"GET tx"}, f.asked); diff != "" {
		t.Error(diff)
	}
}

func TestProbeBodyIsBounded(t *testing.T) {
	for body, want := range map[string]int64{
		`{}`:                        104857,
		`{"probe":{"post":0.1}}`:    104857,
		`{"probe":{"post":null}}`:   104857,
		`{"probe":{"post":-1}}`:     104857,
		`{"probe":{"post":0}}`:      0,
		`{"probe":{"post":2}}`:      2 * mib,
		`{"probe":{"post":1e300}}`:  10 * mib,
		`{"probe":{"post":1e-300}}`: 0,
	} {
		var list probeList
		if err := (answer{status: 200, body: []byte(body)}).decode("probe", &list); err != nil {
			t.Errorf("%s: %v", body, err)
		}
		if got := list.postSize(); got != want {
			t.Errorf("%s: %d bytes, want %d", body, got, want)
		}
	}
}

func TestProbeOfTheSimulator(t *testing.T) {
	b := newBench(t, bilibili.Options{LineHosts: true, ProbeLines: lineNames()})
	got, err := b.Probe(testContext(t))
	if err != nil || len(got) != len(uposLines) {
		t.Errorf("got %v, %v", got, err)
	}
	b.sim.RequireNoViolations(t)
}
