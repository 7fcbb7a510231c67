package monitor

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/reason"
	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/extractor"
)

func refusedBy(kind sdk.Kind, code, text string) *sdk.Error {
	return &sdk.Error{Kind: kind, Code: code, Args: map[string]string{"where": "cdn", "status": "403"}, Message: text}
}

// A room that is live and cannot be recorded has a reason with a code. Nothing is live only where an address that is itself
// the stream is not found or refuses the connection.
func TestWhyARoomIsNotRecorded(t *testing.T) {
	t.Parallel()
	missing := refusedBy(sdk.NotFound, sdk.CodeStatus, "cdn-a answered 404; cdn-b answered 404")
	closed := refusedBy(sdk.Unavailable, sdk.CodeRefused, "cdn refuses")
	proxy := &sdk.Error{Kind: sdk.Unavailable, Code: sdk.CodeProxy, Args: map[string]string{"proxy": "http://10.0.0.1:1", "cause": "connection refused"}}
	full := &sdk.Error{Kind: sdk.Unavailable, Code: sdk.CodeDiskFull, Args: map[string]string{"path": "/rec"}}
	tests := map[string]struct {
		end  SessionEnd
		code string // "": nothing is live, or all is well
		text string
	}{
		"not found, unasked":             {SessionEnd{Offline: true, Unasked: true, Err: missing}, "", ""},
		"connection refused, unasked":    {SessionEnd{Offline: true, Unasked: true, Err: closed}, "", ""},
		"an older recorder, unasked":     {SessionEnd{Offline: true, Unasked: true}, "", ""},
		"forbidden, unasked":             {SessionEnd{Offline: true, Unasked: true, Err: refusedBy(sdk.Forbidden, sdk.CodeStatus, "")}, sdk.CodeStatus, "cdn answered 403"},
		"unknown host, unasked":          {SessionEnd{Offline: true, Unasked: true, Err: refusedBy(sdk.Unavailable, sdk.CodeDNS, "")}, sdk.CodeDNS, "host name"},
		"not found":                      {SessionEnd{Offline: true, Err: missing}, reason.RoomRefused, "the room is live and none of its addresses can be recorded: cdn-a answered 404; cdn-b answered 404"},
		"connection refused":             {SessionEnd{Offline: true, Err: closed}, reason.RoomRefused, "cdn refuses"},
		"an older recorder":              {SessionEnd{Offline: true}, reason.RoomRefused, "nothing is being sent"},
		"dead proxy":                     {SessionEnd{Offline: true, Err: proxy}, sdk.CodeProxy, "the proxy http://10.0.0.1:1 cannot be used"},
		"dead proxy, unasked":            {SessionEnd{Offline: true, Unasked: true, Err: proxy}, sdk.CodeProxy, "the proxy http://10.0.0.1:1"},
		"unsupported":                    {SessionEnd{Err: sdk.Errorf(sdk.Unsupported, "no such container")}, reason.ErrorUnsupported, "no such container"},
		"broke after media":              {SessionEnd{Fed: true, Err: errors.New("it broke")}, reason.RoomBroke, "recording broke: it broke"},
		"disk full after media":          {SessionEnd{Fed: true, Err: full}, sdk.CodeDiskFull, "no space is left for /rec"},
		"the stream ended, or a stop":    {SessionEnd{Fed: true}, "", ""},
		"a stop before media":            {SessionEnd{}, "", ""},
		"ended without media, by itself": {SessionEnd{Unasked: true}, "", ""},
	}
	for name, tt := range tests {
		err := tt.end.trouble()
		got := reason.Of(err)
		if got.Code != tt.code || !strings.Contains(got.Text(reason.English), tt.text) {
			t.Errorf("%s: %q, %q; want %q, %q", name, got.Code, got.Text(reason.English), tt.code, tt.text)
		}
	}
}

func (h *harness) code(url string) string {
	h.t.Helper()
	var code string
	if err := h.db.Pool.QueryRow(h.t.Context(), "SELECT coalesce(reason ->> 'code', '') FROM streamers WHERE url = $1", url).Scan(&code); err != nil {
		h.t.Fatal(err)
	}
	return code
}

// What a session ended with stays in the row until media arrives, and the room is not polled again before the policy says so:
// neither the start of the next session nor its end makes the reason flip.
func TestReasonOfAFailedSessionStaysUntilMediaArrives(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 1)
	h.exec(`UPDATE configuration SET value = '{"event_loop_interval": 1}'`)
	const url = "http://room/1"
	h.rooms.resolve = func(context.Context, string) (extractor.Status, error) { return broadcast, nil }
	var sessions, tries atomic.Int64
	var m *Monitor
	ready := make(chan struct{})
	h.rooms.start = func(streamer db.Streamer) error {
		<-ready
		if tries.Add(1)%2 == 0 {
			return ErrNoSlot // that it waits its turn in between says less
		}
		sessions.Add(1)
		m.SessionEnded(streamer.ID, SessionEnd{Offline: true, Err: refusedBy(sdk.NotFound, sdk.CodeStatus, "cdn answered 404")})
		return nil
	}
	m = h.start()
	close(ready)
	h.until("the reason", func() bool { return h.code(url) == reason.RoomRefused })
	begun := sessions.Load()
	for sessions.Load() < begun+3 { // three more sessions
		if code, text := h.code(url), h.lastError(url); code != reason.RoomRefused || !strings.Contains(text, "404") {
			t.Fatalf("the row says %q, %q in between", code, text)
		}
	}
	if n := h.logged("room cannot be recorded"); n != 1 {
		t.Errorf("the log tells %d times of the same trouble, want once", n)
	}
	m.SessionFed(1)
	h.until("no reason", func() bool { return h.lastError(url) == "" && h.code(url) == "" })
}

func TestSessionThatCannotBeIsNotBegunAtEveryPoll(t *testing.T) {
	t.Parallel()
	room := &watched{interval: time.Second, polled: time.Now()}
	told := fact{&SessionEnd{Err: sdk.Errorf(sdk.Unsupported, "no such container")}}
	err := told.settled()
	now := time.Now()
	if due := room.afterFact(told, err, now); due.Before(room.polled.Add(5 * time.Minute)) {
		t.Errorf("the room is polled again after %v, and a session that cannot be is begun again", due.Sub(room.polled))
	}
	limited := fact{&SessionEnd{Offline: true, Err: &sdk.Error{Kind: sdk.RateLimited, RetryAfter: time.Hour}}}
	err = limited.settled()
	if due := room.afterFact(limited, err, now); due.Before(room.polled.Add(time.Hour)) {
		t.Errorf("a server that said how long to leave it alone is polled after %v", due.Sub(room.polled))
	}
	refused := fact{&SessionEnd{Offline: true, Err: refusedBy(sdk.Forbidden, sdk.CodeStatus, "no")}}
	err = refused.settled()
	if due := room.afterFact(refused, err, now); due.After(now.Add(2 * time.Second)) {
		t.Errorf("a live room whose addresses were refused is left alone for %v", due.Sub(now))
	}
	fed := fact{&SessionEnd{Fed: true}}
	room.polled = now.Add(-time.Hour)
	if due := room.afterFact(fed, nil, now); due.After(now) {
		t.Errorf("a room whose long session ended waits %v", due.Sub(now))
	}
}

// A host that died after media arrived, and before the row was cleared, leaves no trouble in the row of a room that is
// recorded.
func TestTroubleOfARoomThatIsRecordedIsClearedAtStart(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 1)
	h.exec("UPDATE streamers SET last_error = 'it broke'")
	h.rooms.active = func(int64) bool { return true }
	h.rooms.fed = func(int64) bool { return true }
	h.start()
	h.until("cleared", func() bool { return h.lastError("http://room/1") == "" })
}

// A trouble is told once, then once an hour with how often it was met, and its end once.
func TestLogTellsOfATroubleOnceAndThenHourly(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	r := &scheduler{Monitor: New(Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})}
	room := &watched{streamer: db.Streamer{ID: 1, URL: "http://room/1"}}
	trouble := reason.New(reason.RoomRefused, "cause", "404").Err()
	now := time.Now()
	say := func(err error) { room.trouble = reason.Of(err); r.say(room, result{err: err, fact: &fact{}}, now) }
	for range 240 { // every 30 s for two hours
		say(trouble)
		now = now.Add(30 * time.Second)
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 2 || !strings.Contains(log.String(), "times=121") {
		t.Errorf("%d warnings in two hours, want 2, the second with the number of times:\n%s", n, log.String())
	}
	say(reason.New(reason.RoomNoStream).Err())
	if n := strings.Count(log.String(), "level=WARN"); n != 3 {
		t.Errorf("another trouble is not told:\n%s", log.String())
	}
	say(nil)
	say(nil)
	if n := strings.Count(log.String(), "is over"); n != 1 {
		t.Errorf("its end is told %d times:\n%s", n, log.String())
	}
	log.Reset()
	for range 10 { // comes and goes
		say(trouble)
		say(nil)
	}
	if n := strings.Count(log.String(), "\n"); n > 2 {
		t.Errorf("a trouble that comes and goes is told %d times within an hour:\n%s", n, log.String())
	}
}
