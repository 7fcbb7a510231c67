package monitor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/window"
	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/extractor"
)

// around is a time range from a time before now to one after it.
func around(before, after time.Duration) string {
	clock := func(d time.Duration) string { return time.Now().UTC().Add(d).Format("15:04:05") }
	return fmt.Sprintf(`{"start":%q,"end":%q,"time_zone":"UTC"}`, clock(before), clock(after))
}

// recorded makes a harness whose one room is live, with a title and a recording that come and go.
func recorded(t *testing.T, title string) (*harness, *atomic.Pointer[string], *atomic.Bool) {
	h := newHarness(t, 1)
	h.exec(`UPDATE configuration SET value = '{"event_loop_interval": 1}'`)
	var current atomic.Pointer[string]
	var active atomic.Bool
	current.Store(&title)
	h.rooms.resolve = func(context.Context, string) (extractor.Status, error) {
		return extractor.Status{State: extractor.StateLive, Title: *current.Load(), Streams: []extractor.Stream{{URL: "http://cdn/1"}}}, nil
	}
	h.rooms.active = func(int64) bool { return active.Load() }
	h.rooms.start = func(db.Streamer) error { active.Store(true); return nil }
	h.rooms.stop = func(int64) error { active.Store(false); return nil }
	return h, &current, &active
}

func TestRoomOutsideItsWindowIsNotPolled(t *testing.T) {
	t.Parallel()
	h, _, active := recorded(t, "title")
	h.exec("UPDATE streamers SET time_range = $1", around(time.Hour, 2*time.Hour))
	m := h.start()
	h.until("the reason", func() bool { return strings.HasPrefix(h.lastError("http://room/1"), "outside its time window until ") })
	if n := h.rooms.times("http://room/1"); n != 0 {
		t.Errorf("it was polled %d times", n)
	}
	// The row tells what the room waits for; whoever overwrites that does not for long.
	h.exec("UPDATE streamers SET last_error = ''")
	m.ConfigurationChanged()
	m.Poll(1)
	h.until("the reason again", func() bool { return h.lastError("http://room/1") != "" })
	h.exec("UPDATE streamers SET time_range = $1", around(-time.Hour, time.Hour))
	m.Changed(1)
	h.until("a recording", active.Load)
	h.until("no reason", func() bool { return h.lastError("http://room/1") == "" })
}

func TestRoomIsPolledWhenItsWindowOpensAndEndedWhenItCloses(t *testing.T) {
	t.Parallel()
	h, _, active := recorded(t, "title")
	h.exec(`UPDATE configuration SET value = '{"event_loop_interval": 86400}'`) // nothing but the window makes it due
	h.exec("UPDATE streamers SET time_range = $1", around(2*time.Second, 6*time.Second))
	h.start()
	h.until("the reason", func() bool { return h.lastError("http://room/1") != "" })
	h.until("a recording", active.Load)
	h.until("its end", func() bool { return !active.Load() })
	h.until("the reason", func() bool { return strings.HasPrefix(h.lastError("http://room/1"), "outside its time window until ") })
	if n := h.rooms.times("http://room/1"); n != 1 {
		t.Errorf("it was polled %d times, want once", n)
	}
}

func TestRecordingFoundOutsideItsWindowIsEnded(t *testing.T) {
	t.Parallel()
	h, _, active := recorded(t, "title")
	active.Store(true) // an earlier host began it
	h.exec("UPDATE streamers SET time_range = $1", around(time.Hour, 2*time.Hour))
	var stops atomic.Int64
	h.rooms.stop = func(int64) error {
		if stops.Add(1) == 1 {
			return errors.New("the recorder does not answer")
		}
		active.Store(false)
		return nil
	}
	h.start()
	h.until("a second try", func() bool { return !active.Load() })
	h.until("the reason", func() bool {
		text := h.lastError("http://room/1")
		return strings.HasPrefix(text, "outside its time window") && !strings.Contains(text, "could not")
	})
}

func TestKeywordInTheTitleEndsARecordingAndItsAbsenceBeginsOne(t *testing.T) {
	t.Parallel()
	h, title, active := recorded(t, "录播 of yesterday")
	h.exec("UPDATE streamers SET excluded_keywords = '{重播,录播}'")
	h.start()
	want := `the title holds the excluded keyword "录播"`
	h.until("the reason", func() bool { return h.lastError("http://room/1") == want })
	for range 2 {
		fresh, old := "新的一天", "again a 录播"
		title.Store(&fresh)
		h.until("a recording", active.Load)
		h.until("no reason", func() bool { return h.lastError("http://room/1") == "" })
		title.Store(&old)
		h.until("its end", func() bool { return !active.Load() })
		h.until("the reason", func() bool { return h.lastError("http://room/1") == want })
	}
}

func TestNothingThatAPlatformAnswersEndsARecording(t *testing.T) {
	t.Parallel()
	for name, resolve := range map[string]func() (extractor.Status, error){
		"error":   func() (extractor.Status, error) { return extractor.Status{}, sdk.Errorf(sdk.Bug, "unexpected answer") },
		"offline": func() (extractor.Status, error) { return extractor.Offline, nil },
		"no streams": func() (extractor.Status, error) {
			return extractor.Status{State: extractor.StateLive, Title: "title"}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, _, active := recorded(t, "title")
			active.Store(true)
			h.exec("UPDATE streamers SET excluded_keywords = '{录播}'")
			h.rooms.stop = func(int64) error { t.Error("the recording was ended"); return nil }
			h.rooms.resolve = func(context.Context, string) (extractor.Status, error) { return resolve() }
			h.start()
			h.until("three polls", func() bool { return h.rooms.times("http://room/1") >= 3 })
			if text := h.lastError("http://room/1"); text != "" {
				t.Errorf("the row of a room that is recorded says %q", text)
			}
		})
	}
}

func TestRecordingWithoutKeywordsIsNotPolled(t *testing.T) {
	t.Parallel()
	h, _, active := recorded(t, "title")
	active.Store(true)
	h.exec("UPDATE streamers SET time_range = $1", around(-time.Hour, time.Hour))
	h.exec("INSERT INTO streamers (url, excluded_keywords) VALUES ('http://room/2', '{x}')")
	h.start()
	h.until("polls about the other", func() bool { return h.rooms.times("http://room/2") >= 3 })
	if n := h.rooms.times("http://room/1"); n != 0 {
		t.Errorf("it was polled %d times", n)
	}
}

func TestReasonsReadWell(t *testing.T) {
	t.Parallel()
	now := time.Date(2025, 1, 10, 12, 0, 0, 0, time.UTC)
	for raw, want := range map[string]string{
		`null`: "",
		`{"start":"22:00","end":"02:00","time_zone":"Asia/Shanghai"}`:                "outside its time window until 22:00 (Asia/Shanghai)",
		`{"start":"22:00:30","end":"02:00","time_zone":"UTC"}`:                       "outside its time window until 22:00:30 (UTC)",
		`{"start":"22:00","end":"02:00","time_zone":"Asia/Shanghai","days":["mon"]}`: "outside its time window until 2025-01-13 22:00 (Asia/Shanghai)",
		`"[\"2024-06-01T14:00:00.000Z\",\"2024-06-01T18:30:00.000Z\"]"`:              "outside its time window until 14:00 (UTC)",
		`{"start":"20:00","end":"02:00","time_zone":"Asia/Shanghai","days":["fri"]}`: "",
		`{"start":"12:00:01","end":"12:00:02","time_zone":"UTC"}`:                    "outside its time window until 12:00:01 (UTC)",
	} {
		allowed, err := window.Parse([]byte(raw), time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if _, closed := (rules{allowed: allowed}).at(now); closed != nil {
			got = closed.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", raw, got, want)
		}
	}
	if err := (rules{}).titled("anything"); err != nil {
		t.Error(err)
	}
	if err := (rules{keywords: []string{"ABC"}}).titled("abc"); err != nil {
		t.Errorf("upper and lower case do not differ: %v", err)
	}
}

// A poll may leave streams out: a recording begins with addresses that were asked for to begin it.
func TestStreamsArePolledForWhenARecordingBegins(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 1)
	h.rooms.resolve = func(context.Context, string) (extractor.Status, error) {
		if h.rooms.lastPurpose() == extractor.PurposePoll {
			return extractor.Status{State: extractor.StateLive, Title: "title"}, nil
		}
		return broadcast, nil
	}
	h.start()
	h.until("a recording", func() bool { return h.rooms.begun() > 0 })
	if got := h.rooms.allPurposes()[:2]; !slices.Equal(got, []extractor.Purpose{extractor.PurposePoll, extractor.PurposeStart}) {
		t.Errorf("polled for %q", got)
	}
}

func TestStatesThatAreNotRecorded(t *testing.T) {
	t.Parallel()
	for state, want := range map[extractor.State]string{
		extractor.StateReplay: "", extractor.StateUpcoming: "", extractor.StateRestricted: "the room is live, and not for this account: it is for viewers who paid",
	} {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, 1)
			h.exec(`UPDATE configuration SET value = '{"event_loop_interval": 1}'`)
			h.rooms.resolve = func(context.Context, string) (extractor.Status, error) {
				status := extractor.Status{State: state, Streams: broadcast.Streams}
				if state == extractor.StateRestricted {
					status.Restriction = extractor.RestrictionPaid
				}
				return status, nil
			}
			h.start()
			h.until("polls", func() bool { return h.rooms.times("http://room/1") >= 2 })
			h.until("the reason", func() bool { return h.lastError("http://room/1") == want })
			if n := h.rooms.begun(); n != 0 {
				t.Errorf("%d recordings were begun", n)
			}
		})
	}
}

// Two spellings of one room are one room: the platform's name for it tells, also while it is offline.
func TestRoomThatIsThereTwiceIsRecordedOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 3)
	h.exec(`UPDATE configuration SET value = '{"event_loop_interval": 1}'`)
	var onAir atomic.Bool
	h.rooms.resolve = func(_ context.Context, url string) (extractor.Status, error) {
		status := extractor.Status{RoomID: "7000001"}
		if url == "http://room/3" {
			status.RoomID = "5"
		}
		if onAir.Load() {
			status.State, status.Streams = extractor.StateLive, broadcast.Streams
		}
		return status, nil
	}
	monitor := h.start()
	want := "the room is there twice: it is recorded by streamer 1, as http://room/1"
	h.until("the reason", func() bool { return h.lastError("http://room/2") == want || h.lastError("http://room/1") != "" })
	onAir.Store(true)
	h.until("two recordings", func() bool { return h.rooms.begun() >= 2 })
	if text := h.lastError("http://room/1"); text != "" {
		t.Errorf("the first says %q", text)
	}
	h.rooms.mu.Lock()
	started := slices.Sorted(slices.Values(h.rooms.started))
	h.rooms.mu.Unlock()
	if slices.Contains(started, 2) {
		t.Errorf("recorded: %v", started)
	}
	// Once the first one is not watched any more, the second is the room.
	h.exec("DELETE FROM streamers WHERE id = 1")
	monitor.Changed(1)
	h.until("the reason is gone", func() bool { return h.lastError("http://room/2") == "" })
}

// A room that is live at its very first poll must not slip through.
func TestTwinThatIsLiveAtItsFirstPollIsNotRecorded(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 2)
	h.exec("UPDATE streamers SET platform = 'platform', room_id = '7' WHERE id = 1")
	h.rooms.resolve = func(_ context.Context, url string) (extractor.Status, error) {
		if url == "http://room/1" {
			return extractor.Status{RoomID: "7"}, nil
		}
		return extractor.Status{State: extractor.StateLive, RoomID: "7", Streams: broadcast.Streams}, nil
	}
	h.start()
	h.until("the reason", func() bool { return h.lastError("http://room/2") != "" })
	if n := h.rooms.begun(); n != 0 {
		t.Errorf("%d recordings were begun", n)
	}
}

// Once it is known, also after a restart, nobody is asked about it; a recording of it that runs already goes on.
func TestKnownTwinIsNotAskedAbout(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 3)
	h.exec("UPDATE streamers SET platform = 'platform', room_id = '7'")
	h.exec("INSERT INTO streamers (url, platform, room_id) VALUES ('http://room/4', 'other', '7')") // the same name elsewhere
	h.rooms.active = func(id int64) bool { return id == 3 }
	h.rooms.stop = func(int64) error { t.Error("a recording was ended"); return nil }
	h.start()
	h.until("the reason", func() bool { return h.lastError("http://room/2") != "" && h.rooms.times("http://room/4") == 1 })
	if n := h.rooms.times("http://room/2"); n != 0 {
		t.Errorf("it was asked %d times", n)
	}
	if text := h.lastError("http://room/3") + h.lastError("http://room/4"); text != "" {
		t.Errorf("the others say %q", text)
	}
}
