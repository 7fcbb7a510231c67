package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/line"
	"github.com/lubod/lubod/sdk/simulator/bilibili"
)

// interrupted is an upload of five blocks that ended after two.
func interrupted(t *testing.T) (*bench, line.File) {
	t.Helper()
	b := newBench(t)
	file := b.file(writeFile(t, 4*blockSize+1))
	file.Threads = 1
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	k := &keeper{t: t}
	k.each = func(p line.Progress) error {
		if p.AcknowledgedBytes == 2*blockSize {
			kill()
		}
		return nil
	}
	if _, err := b.Upload(ctx, file, k.report); !errors.Is(err, context.Canceled) {
		t.Fatalf("error is %v", err)
	}
	b.sim.ClearLog()
	file.Checkpoint = k.last().Checkpoint
	return b.restarted(t), file
}

func TestResumeSendsOnlyMissingBlocks(t *testing.T) {
	b, file := interrupted(t)
	_, k := b.mustUpload(t, file)
	if n := b.count(bilibili.CallBlock); n != 3 {
		t.Errorf("%d blocks were sent, want 3", n)
	}
	if k.progress[0].AcknowledgedBytes != 2*blockSize {
		t.Errorf("it began at byte %d", k.progress[0].AcknowledgedBytes)
	}
	if b.count(bilibili.CallPreupload) != 0 {
		t.Error("a resumed upload asked for another place")
	}
	b.mustBeOne(t)
	b.sim.RequireNoViolations(t)
}

func TestResumeStartsOver(t *testing.T) {
	cases := map[string]func(t *testing.T, b *bench, file *line.File){
		"clock is six days ahead": func(_ *testing.T, b *bench, _ *line.File) {
			b.sim.Advance(6 * 24 * time.Hour)
			b.now = b.sim.Now
		},
		"file changed": func(t *testing.T, _ *bench, file *line.File) {
			if err := os.Chtimes(file.Path, time.Now(), time.Now().Add(-time.Minute)); err != nil {
				t.Fatal(err)
			}
		},
		"another account": func(_ *testing.T, b *bench, file *line.File) {
			file.Cookies = b.sim.AddAccount(bilibili.AccountOptions{Name: "other"}).Cookies
		},
		"damaged": func(_ *testing.T, _ *bench, file *line.File) { file.Checkpoint = file.Checkpoint[:20] },
		"format of the future": func(t *testing.T, _ *bench, file *line.File) {
			s := mustDecode(t, file.Checkpoint)
			s.Version++
			file.Checkpoint = mustJSON(t, s)
		},
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			b, file := interrupted(t)
			change(t, b, &file)
			b.mustUpload(t, file)
			if n := b.count(bilibili.CallBlock); n != 5 {
				t.Errorf("%d blocks were sent, want each once", n)
			}
			b.mustBeOne(t)
			b.sim.RequireNoViolations(t)
		})
	}
}

// Blocks that would die before the file is made are sent again, and only those.
func TestBlocksNearTheirEndAreSentAgain(t *testing.T) {
	b, file := interrupted(t)
	s := mustDecode(t, file.Checkpoint)
	s.Blocks[1].Expires = time.Now().Add(time.Hour).Unix()
	file.Checkpoint = mustJSON(t, s)
	_, k := b.mustUpload(t, file)
	if n := b.count(bilibili.CallBlock); n != 4 {
		t.Errorf("%d blocks were sent, want 4", n)
	}
	if k.progress[0].AcknowledgedBytes != blockSize {
		t.Errorf("it began at byte %d", k.progress[0].AcknowledgedBytes)
	}
	b.sim.RequireNoViolations(t)
}

// The clock of this machine may say otherwise than that of the service.
func TestWhatExpiredForTheServiceStartsOver(t *testing.T) {
	for name, days := range map[string]time.Duration{"its fetch": 6, "its token": 8} {
		t.Run(name, func(t *testing.T) {
			b, file := interrupted(t)
			b.sim.Advance(days * 24 * time.Hour)
			b.mustUpload(t, file)
			if n := b.count(bilibili.CallPreupload); n != 1 {
				t.Errorf("%d preuploads, want 1", n)
			}
			b.mustBeOne(t)
			b.sim.RequireNoViolations(t)
		})
	}
}

func TestBlocksThatTheStorageForgotStartOver(t *testing.T) {
	for name, fault := range map[string]bilibili.Fault{
		"mkfile 400":  bilibili.MakeFileBadRequest(),
		"bad context": {Match: bilibili.Match{Call: bilibili.CallMakeFile}, Action: bilibili.Action{Do: bilibili.DoAnswer, Status: 701, Body: `{"error":"context expired"}`}, Times: 1},
	} {
		t.Run(name, func(t *testing.T) {
			b, file := interrupted(t)
			b.sim.AddFault(fault)
			b.mustUpload(t, file)
			if n := b.count(bilibili.CallBlock); n != 3+5 {
				t.Errorf("%d blocks were sent, want 8", n)
			}
			b.mustBeOne(t)
			b.sim.RequireNoViolations(t)
		})
	}
}

func TestStartingOverIsBounded(t *testing.T) {
	b, file := interrupted(t)
	b.sim.AddFault(bilibili.Fault{Match: bilibili.Match{Call: bilibili.CallBlock}, Action: bilibili.Action{
		Do: bilibili.DoAnswer, Status: 401, Body: `{"error":"expired token"}`,
	}})
	_, err := b.Upload(t.Context(), file, (&keeper{t: t}).report)
	mustBeKind(t, err, sdk.Unavailable)
	if n := b.count(bilibili.CallPreupload); n != 1 {
		t.Errorf("%d preuploads, want 1", n)
	}
}

func TestResultThatTheHostDidNotStoreIsGivenAgain(t *testing.T) {
	b := newBench(t)
	file := b.file(writeFile(t, threeBlocks))
	_, k := b.mustUpload(t, file)
	requests := len(b.sim.Requests())
	file.Checkpoint = k.last().Checkpoint
	b.restarted(t).mustUpload(t, file)
	if n := len(b.sim.Requests()); n != requests {
		t.Errorf("%d more requests for a finished upload", n-requests)
	}
}

// cut ends the process at one of its requests: before it is sent, or when it was carried out and nobody heard of it.
type cut struct {
	http.RoundTripper
	mu    sync.Mutex
	left  int
	after bool
	kill  func()
}

func (c *cut) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	c.left--
	now := c.left < 0
	c.mu.Unlock()
	if !now {
		return c.RoundTripper.RoundTrip(r)
	}
	if c.after {
		resp, err := c.RoundTripper.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		if err := errors.Join(err, resp.Body.Close()); err != nil {
			return nil, err
		}
	} else if r.Body != nil {
		r.Body.Close()
	}
	c.kill()
	return nil, context.Canceled
}

// A process that dies between any two calls of the protocol, or while one is answered, is followed by one that goes on at the
// last block that was acknowledged, and the file exists once.
func TestKilledBetweenAnyTwoCalls(t *testing.T) {
	calls := []bilibili.Call{
		bilibili.CallPreupload, bilibili.CallBlock, bilibili.CallBlock, bilibili.CallBlock, bilibili.CallMakeFile, bilibili.CallFetch,
	}
	for at, call := range calls {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d %s %v", at, call, after), func(t *testing.T) {
				b := newBench(t)
				file := b.file(writeFile(t, threeBlocks))
				file.Threads = 1
				checkpoint := killedAt(t, b, file, at, after)
				acknowledged := min(max(at-1, 0), 3) // blocks
				b.sim.ClearLog()

				again := b.restarted(t)
				file.Checkpoint = checkpoint
				object, k := again.mustUpload(t, file)
				if got, want := k.progress[0].AcknowledgedBytes, min(int64(acknowledged)*blockSize, threeBlocks); got != want {
					t.Errorf("it goes on at byte %d, want %d", got, want)
				}
				if n := again.count(bilibili.CallBlock); n != 3-acknowledged {
					t.Errorf("%d blocks were sent again, want %d", n, 3-acknowledged)
				}
				if n := again.count(bilibili.CallPreupload); n > 0 && call != bilibili.CallPreupload {
					t.Errorf("%d more places were asked for", n)
				}
				if n := again.count(bilibili.CallMakeFile); n != 1 && call != bilibili.CallFetch || n != 0 && call == bilibili.CallFetch {
					t.Errorf("the file was made %d times", n)
				}
				fetches := 1
				if after && call == bilibili.CallFetch {
					fetches = 2 // into the same file
				}
				if object.Fetches != fetches {
					t.Errorf("it was fetched %d times, want %d", object.Fetches, fetches)
				}
				b.mustBeOne(t)
				b.sim.RequireNoViolations(t)
			})
		}
	}
}

// killedAt uploads until the process is killed, and returns the last checkpoint that the host heard of.
func killedAt(t *testing.T, b *bench, file line.File, at int, after bool) []byte {
	t.Helper()
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	b.client.http.Transport = &cut{RoundTripper: b.client.http.Transport, left: at, after: after, kill: kill}
	var last []byte
	_, err := b.Upload(ctx, file, func(p line.Progress) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		last = p.Checkpoint
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error is %v", err)
	}
	return last
}
