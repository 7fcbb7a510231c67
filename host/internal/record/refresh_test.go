package record

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/extractor"
	"github.com/lubod/lubod/sdk/recorder"
)

func refreshWanted() recorder.RefreshWanted { return recorder.RefreshWanted{Reason: "403"} }

func TestRequestForNewAddressesIsAnswered(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.refreshPause = time.Millisecond
	h.exec(`UPDATE configuration SET value = value || '{"x_qn": 1}'`)
	h.exec(`UPDATE streamers SET override = '{"x_qn": 2}'`)
	fresh := extractor.Status{State: extractor.StateLive, Streams: []extractor.Stream{{URL: "http://cdn/2.flv", Container: "flv", Headers: map[string]string{"Referer": "r"}}}}
	var settings string
	h.rooms.resolve = func(_ context.Context, url string, layers ...[]byte) (extractor.Status, error) {
		settings = fmt.Sprintf("%s %s", url, layers)
		return fresh, nil
	}
	s := h.start()
	id := h.begin(s)
	h.process.emit(id, recorder.MediaArrived{}, refreshWanted())
	h.until("new addresses", func() bool { return h.process.refreshes() == 1 })
	if got := h.process.refreshed[0][0]; got.URL != "http://cdn/2.flv" || got.Headers["Referer"] != "r" {
		t.Errorf("handed over %+v", got)
	}
	if want := `http://room/1?a=1&b=2 [{"x_qn": 1, "delay": 3600, "filtering_threshold": 0} {"x_qn": 2}]`; settings != want {
		t.Errorf("asked with %s", settings)
	}
	h.process.emit(id, refreshWanted())
	h.until("once more", func() bool { return h.process.refreshes() == 2 })
	h.process.emit(id, h.closed(id, 1), recorder.Ended{Reason: recorder.EndEOF})
	h.untilRows(1, "segments")
	<-h.asked
}

// However often a recorder wants new addresses, the platform is asked once in a while only.
func TestManyRequestsAreOne(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.refreshPause = time.Hour
	s := h.start()
	id := h.begin(s)
	h.process.emit(id, recorder.MediaArrived{})
	for range 50 {
		h.process.emit(id, refreshWanted())
	}
	h.until("new addresses", func() bool { return h.process.refreshes() == 1 })
	h.process.emit(id, h.closed(id, 1))
	h.untilRows(1, "segments") // all requests are behind it
	if n := h.rooms.times(); n != 1 {
		t.Errorf("the platform was asked %d times", n)
	}
}

func TestRequestIsRepeatedAFewTimesWhenThePlatformIsAway(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.refreshPause = time.Hour
	h.rooms.resolve = func(context.Context, string, ...[]byte) (extractor.Status, error) {
		if h.rooms.times() < refreshTries {
			return extractor.Offline, sdk.Errorf(sdk.Unavailable, "away")
		}
		return live, nil
	}
	id := h.begin(h.start())
	h.process.emit(id, recorder.MediaArrived{}, refreshWanted())
	h.until("new addresses", func() bool { return h.process.refreshes() == 1 })
	if n := h.rooms.times(); n != refreshTries {
		t.Errorf("asked %d times", n)
	}
}

func TestRequestThatCannotBeAnswered(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err   error
		asked int
	}{
		"offline":     {nil, 1},
		"login":       {sdk.Errorf(sdk.LoginRequired, "log in"), 1},
		"banned":      {&sdk.Error{Kind: sdk.RateLimited, RetryAfter: time.Hour}, 1},
		"always away": {sdk.Errorf(sdk.Unavailable, "away"), refreshTries},
		"no kind":     {errors.New("odd"), refreshTries},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.refreshPause = time.Millisecond
			h.rooms.resolve = func(context.Context, string, ...[]byte) (extractor.Status, error) { return extractor.Offline, test.err }
			id := h.begin(h.start())
			h.process.emit(id, recorder.MediaArrived{}, refreshWanted())
			h.until("asked", func() bool { return h.rooms.times() == test.asked })
			// The session is left to its recorder, and what it still brings is kept.
			h.process.emit(id, h.closed(id, 1), recorder.Ended{Reason: recorder.EndEOF})
			h.untilRows(1, "segments")
			<-h.asked
			if n := h.process.refreshes(); n != 0 {
				t.Errorf("%d times new addresses", n)
			}
			if n := h.rooms.times(); n != test.asked {
				t.Errorf("asked %d times, want %d", n, test.asked)
			}
		})
	}
}

// The end of the session, and of the host, cut a question that hangs; events are committed meanwhile.
func TestRequestThatHangsHoldsNothingUp(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	asking := make(chan struct{}, 2)
	h.rooms.resolve = func(ctx context.Context, _ string, _ ...[]byte) (extractor.Status, error) {
		asking <- struct{}{}
		<-ctx.Done()
		return extractor.Offline, ctx.Err()
	}
	s := h.start()
	id := h.begin(s)
	h.process.emit(id, recorder.MediaArrived{}, refreshWanted())
	<-asking
	h.process.emit(id, h.closed(id, 1), recorder.Ended{Reason: recorder.EndEOF})
	h.untilRows(1, "segments")
	<-h.asked

	id = h.begin(s)
	h.process.emit(id, refreshWanted())
	<-asking
	s.kill()
}

// fakeExtractors answer questions by a function.
type fakeExtractors struct {
	resolve func(ctx context.Context, url string, settings ...[]byte) (extractor.Status, error) // nil: live
	mu      sync.Mutex
	asked   int
}

func (f *fakeExtractors) Resolve(ctx context.Context, _ extractor.Purpose, url string, settings ...[]byte) (extractor.Status, error) {
	f.mu.Lock()
	f.asked++
	f.mu.Unlock()
	if f.resolve == nil {
		return live, nil
	}
	return f.resolve(ctx, url, settings...)
}

func (f *fakeExtractors) times() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}
