package upload

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/lubod/lubod/host/internal/jobs"
	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/line"
)

// waits is how many transfers wait for a slot.
func (s *slots) waits() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting
}

// queued lets one transfer hold the only slot while another one waits for it. The caller changes the world, and release lets the
// other one go on; done is closed when it came to its end.
func (h *harness) queued(s *Service, recording int64) (segment int64, release func(), done <-chan struct{}) {
	h.t.Helper()
	h.configure(map[string]any{"lines": "bda2", "upload_limit": 1})
	if err := s.slots.acquire(h.t.Context(), s.uploadLimit); err != nil {
		h.t.Fatal(err)
	}
	segment = h.closed(s, recording, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.transfer(h.t.Context(), s, segment)
	}()
	h.until("the transfer waits for its slot", func() bool { return s.slots.waits() == 1 })
	return segment, s.slots.release, ended
}

// What a transfer is about may change while it waits for its slot: for hours, when many wait.
func TestATransferReadsWhatItNeedsAfterItsWait(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(h *harness, s *Service, segment int64)
		check  func(h *harness, segment int64)
	}{
		"segment waived": {
			func(h *harness, s *Service, segment int64) {
				if err := s.WaiveSegment(h.t.Context(), segment); err != nil {
					h.t.Fatal(err)
				}
			},
			func(h *harness, segment int64) {
				if upload := h.upload(segment); len(h.begun()) != 0 || upload.State != "pending" || upload.Claim != nil {
					h.t.Errorf("it was sent %d times: %+v", len(h.begun()), upload)
				}
			},
		},
		"login refreshed": {
			func(h *harness, _ *Service, _ int64) { h.cookies("a.json", "refreshed") },
			func(h *harness, _ int64) {
				if begun := h.begun(); len(begun) != 1 || begun[0].Cookies["SESSDATA"] != "refreshed" {
					h.t.Errorf("sent with %+v", begun)
				}
			},
		},
		"another account": {
			func(h *harness, _ *Service, _ int64) {
				h.cookies("b.json", "other")
				h.exec("UPDATE templates SET user_cookie = 'b.json'", nil)
			},
			func(h *harness, segment int64) {
				if begun := h.begun(); len(begun) != 1 || begun[0].Cookies["SESSDATA"] != "other" || h.upload(segment).AccountFile != "b.json" {
					h.t.Errorf("sent with %+v", begun)
				}
			},
		},
		"file moved": {
			func(h *harness, _ *Service, segment int64) {
				h.exec("UPDATE segments SET path = '/elsewhere/r.flv' WHERE id = $1", []any{segment})
			},
			func(h *harness, _ int64) {
				if begun := h.begun(); len(begun) != 1 || begun[0].Path != "/elsewhere/r.flv" {
					h.t.Errorf("sent %+v", begun)
				}
			},
		},
		"uploaded by another job": {
			func(h *harness, _ *Service, segment int64) {
				h.exec("UPDATE uploads SET state = 'uploaded', remote_name = 'n' WHERE segment_id = $1", []any{segment})
			},
			func(h *harness, segment int64) {
				if upload := h.upload(segment); len(h.begun()) != 0 || upload.RemoteName != "n" {
					h.t.Errorf("it was sent again: %+v", upload)
				}
			},
		},
		"threads": {
			func(h *harness, _ *Service, _ int64) {
				h.configure(map[string]any{"lines": "bda2", "upload_limit": 1, "threads": 7})
			},
			func(h *harness, _ int64) {
				if begun := h.begun(); len(begun) != 1 || begun[0].Threads != 7 {
					h.t.Errorf("sent %+v", begun)
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			s := h.service()
			segment, release, done := h.queued(s, h.recording("recording"))
			test.change(h, s, segment)
			release()
			<-done
			test.check(h, segment)
		})
	}
}

// Fifty transfers with a limit of three: never four at once, at any moment of any of them, and always three while there are.
func TestUploadLimitHoldsAtEachMoment(t *testing.T) {
	t.Parallel()
	const limit, segments = 3, 50
	h := newHarness(t)
	h.configure(map[string]any{"lines": "bda2", "upload_limit": limit})
	began, proceed := make(chan struct{}, segments), make(chan struct{})
	var running, most atomic.Int32
	h.lines.upload = func(ctx context.Context, file line.File, report func(line.Progress) error) (line.Result, error) {
		if n := running.Add(1); n > most.Load() {
			most.Store(n)
		}
		began <- struct{}{}
		<-proceed
		running.Add(-1)
		return h.store(ctx, file, report)
	}
	s := h.service()
	recording := h.recording("recording")
	for i := range segments {
		h.closed(s, recording, i+1)
	}
	h.start(s)
	for i := range segments {
		if i == 0 {
			// All that can wait do: whoever is let through by mistake is in by now.
			for range limit {
				<-began
			}
			h.until("all others wait", func() bool { return s.slots.waits() == segments-limit })
		} else if i <= segments-limit {
			<-began // the next one, now that one ended
		}
		if n := running.Load(); i <= segments-limit && n != limit {
			t.Errorf("%d transfers run after %d, the limit is %d", n, i, limit)
		}
		proceed <- struct{}{}
	}
	h.until("all are uploaded", func() bool {
		var left int
		h.exec("SELECT count(*) FROM uploads WHERE state <> 'uploaded'", nil, &left)
		return left == 0
	})
	if most.Load() != limit {
		t.Errorf("%d transfers at once, the limit is %d", most.Load(), limit)
	}
}

// A transfer that ends gives its slot back, whatever came of it.
func TestEachEndOfATransferGivesItsSlotBack(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := h.service()
	recording := h.recording("recording")
	segment := h.closed(s, recording, 1)
	outcomes := []func(){
		func() {
			h.lines.upload = func(context.Context, line.File, func(line.Progress) error) (line.Result, error) {
				return line.Result{}, sdk.Errorf(sdk.Unavailable, "no")
			}
		},
		func() { h.exec("DELETE FROM templates", nil) },
		func() { h.exec("UPDATE segments SET publish = 'waived'", nil) },
		func() { h.exec("DELETE FROM segments", nil) },
	}
	for i, arise := range outcomes {
		arise()
		s.transferJob(t.Context(), jobs.Transfer{SegmentID: segment})
		if s.slots.used != 0 {
			t.Errorf("outcome %d: %d slots are taken", i, s.slots.used)
		}
	}
}

// The configuration of a host that cannot be used is said where a person sees it, and nothing waits in silence.
func TestAConfigurationThatCannotBeUsedIsSaid(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.exec("UPDATE configuration SET value = '{\"upload_limit\": \"many\"}'", nil)
	s := h.service()
	segment := h.closed(s, h.recording("recording"), 1)
	if _, again := h.transfer(t.Context(), s, segment); !again {
		t.Error("it is given up")
	}
	if upload := h.upload(segment); !strings.Contains(upload.Error, "upload_limit") {
		t.Errorf("upload %+v", upload)
	}
}

// While completion is tried again, what went wrong stays visible; what arrives puts an end to it.
func TestWhatWentWrongShowsUntilSomethingArrives(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := h.service()
	segment := h.closed(s, h.recording("recording"), 1)
	try := func(do func(report func(line.Progress) error) error) {
		t.Helper()
		h.lines.upload = func(_ context.Context, _ line.File, report func(line.Progress) error) (line.Result, error) {
			return line.Result{}, do(report)
		}
		h.transfer(t.Context(), s, segment)
	}
	shows := func(when, state string, attempts int32, text string) {
		t.Helper()
		upload := h.upload(segment)
		if upload.State != state || upload.Attempts != attempts || (text == "") != (upload.Error == "") || !strings.Contains(upload.Error, text) || (text == "") != (upload.Reason == nil) {
			t.Errorf("%s: %+v", when, upload)
		}
	}
	all := line.Progress{Checkpoint: []byte("all parts"), AcknowledgedBytes: 100}
	failed := sdk.Errorf(sdk.Unavailable, "complete: HTTP 500")
	try(func(report func(line.Progress) error) error {
		if err := report(all); err != nil {
			return err
		}
		return failed
	})
	shows("after the first failure", "pending", 1, "HTTP 500")
	try(func(report func(line.Progress) error) error {
		shows("while completion is tried again", "uploading", 1, "HTTP 500")
		if err := report(all); err != nil { // the line says again what it has
			return err
		}
		shows("while completion is tried again, resumed", "uploading", 1, "HTTP 500")
		return failed
	})
	shows("after the second failure", "pending", 2, "HTTP 500")
	try(func(report func(line.Progress) error) error {
		if err := report(line.Progress{Checkpoint: []byte("anew"), AcknowledgedBytes: 0}); err != nil {
			return err
		}
		shows("when it starts over", "uploading", 2, "HTTP 500")
		if err := report(line.Progress{Checkpoint: []byte("anew"), AcknowledgedBytes: 10}); err != nil {
			return err
		}
		shows("when bytes arrive", "uploading", 2, "")
		return failed
	})
	h.lines.upload = h.store
	h.transfer(t.Context(), s, segment)
	shows("at the end", "uploaded", 3, "")
}

// Rows guard the states that they leave: a worker that lost its row changes nothing, and a segment that is uploaded stays so.
func TestAWorkerThatLostItsRowChangesNothing(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]string{
		"another worker": "UPDATE uploads SET claim = gen_random_uuid()",
		"uploaded":       "UPDATE uploads SET state = 'uploaded', remote_name = 'first', claim = NULL",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for when, late := range map[string]bool{"before the line begins": false, "at the end": true} {
				h := newHarness(t)
				s := h.service()
				segment := h.closed(s, h.recording("recording"), 1)
				h.lines.lease = func(string) error {
					if !late {
						h.exec(lose, nil)
					}
					return nil
				}
				h.lines.upload = func(ctx context.Context, file line.File, report func(line.Progress) error) (line.Result, error) {
					if h.exec(lose, nil); report(line.Progress{Checkpoint: []byte("c"), AcknowledgedBytes: 5}) != nil {
						t.Error("a checkpoint ends the transfer")
					}
					return h.store(ctx, file, report)
				}
				_, again := h.transfer(t.Context(), s, segment)
				upload := h.upload(segment)
				if again || upload.RemoteName == fmt.Sprintf("nr%d_001", 1) || upload.Checkpoint != nil || upload.Error != "" {
					t.Errorf("%s: again %v, upload %+v", when, again, upload)
				}
				if !late && len(h.begun()) > 0 {
					t.Errorf("%s: a line began with it", when)
				}
			}
		})
	}
}
