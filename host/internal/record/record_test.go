package record

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/extractor"
	"github.com/lubod/lubod/sdk/recorder"
)

func TestSessionIsARowBeforeTheRecorderStarts(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.process.start = func(request recorder.Request) error {
		if n := scalar[int](h, "SELECT count(*) FROM recorder_sessions WHERE id = $1 AND path_prefix = $2", request.SessionID, request.PathPrefix); n != 1 {
			t.Errorf("the recorder was asked to start a session that is no row")
		}
		return nil
	}
	s := h.start()
	request := h.request(h.begin(s))
	if request.FirstIndex != 1 || request.SplitDuration != 20*time.Second || request.SplitSize != 3<<20 || request.Streams[0].URL != "http://cdn/1.flv" {
		t.Errorf("request = %+v", request)
	}
	if !strings.HasPrefix(request.PathPrefix, h.root+"/host/host2") {
		t.Errorf("prefix = %s", request.PathPrefix)
	}
	if !s.Active(h.streamer.ID) || h.rows("recordings") != 0 {
		t.Error("a recording exists before any media, or the session is not active")
	}
}

func TestLostAnswerToStartIsFoundOut(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.process.start = func(request recorder.Request) error {
		h.process.take(request) // and the answer is lost
		return sdk.Errorf(sdk.Unavailable, "connection cut")
	}
	s := h.start()
	if err := s.Start(t.Context(), h.streamer, live); err == nil {
		t.Error("a start that was not confirmed is no success")
	}
	id := h.lastSession()
	h.process.emit(id, recorder.MediaArrived{}, h.closed(id, 1))
	h.untilRows(1, "segments")
}

func TestStartThatNeverArrivedLeavesNothing(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.process.start = func(recorder.Request) error { return sdk.Errorf(sdk.Unsupported, "no such container") }
	h.process.recover = func(string) ([]recorder.Segment, error) { return nil, nil }
	s := h.start()
	if err := s.Start(t.Context(), h.streamer, live); err == nil || !strings.Contains(err.Error(), "no such container") {
		t.Errorf("error = %v", err)
	}
	h.until("given up", func() bool { return !s.Active(h.streamer.ID) })
	if h.rows("recorder_sessions") != 0 || h.rows("recordings") != 0 {
		t.Error("a session that never was left rows")
	}
	if len(h.asked) != 0 {
		t.Error("the room is asked again at once, and fails again at once")
	}
}

func TestMediaOpensOneRecording(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := h.start()
	id := h.begin(s)
	if s.Fed(h.streamer.ID) {
		t.Error("media arrives before there is any")
	}
	h.process.emit(id, recorder.MediaArrived{}, recorder.SegmentOpened{Index: 1}, h.closed(id, 1), recorder.Note{Code: "x"}, h.closed(id, 2))
	h.untilRows(2, "segments")
	if n := h.rows("recordings"); n != 1 {
		t.Errorf("%d recordings", n)
	}
	recording, err := h.db.GetRecording(t.Context(), scalar[int64](h, "SELECT id FROM recordings"))
	if err != nil {
		t.Fatal(err)
	}
	if recording.State != "recording" || recording.Title != "title" || recording.StreamerName != "name" || *recording.TemplateName != "t" {
		t.Errorf("recording = %+v", recording)
	}
	if told := <-h.fed; told != h.streamer.ID || !s.Fed(h.streamer.ID) {
		t.Errorf("media of streamer %d was told, want %d", told, h.streamer.ID)
	}
	select {
	case <-h.fed:
		t.Error("that media arrives was told twice")
	default:
	}
}

func TestOfflineSessionLeavesNoTrace(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := h.start()
	id := h.begin(s)
	h.process.emit(id, recorder.Ended{Reason: recorder.EndOffline})
	h.until("ended", func() bool { return !s.Active(h.streamer.ID) })
	if h.rows("recorder_sessions") != 0 || h.rows("recordings") != 0 {
		t.Error("a room that sent nothing left rows")
	}
	h.until("no folder is left", func() bool { return len(h.files()) == 0 })
	if len(h.asked) != 0 {
		t.Error("the room is asked again at once; one attempt per turn is enough")
	}
}

// How a session ended reaches whoever decides about its room, once it is committed: kind, code and all.
func TestEndOfASessionIsTold(t *testing.T) {
	t.Parallel()
	refused := &sdk.Error{Kind: sdk.Forbidden, Code: sdk.CodeStatus, Message: "no"}
	tests := map[string]struct {
		events  []recorder.Payload
		unasked bool
		want    End
	}{
		"refused":            {[]recorder.Payload{recorder.Ended{Reason: recorder.EndOffline, Err: refused}}, false, End{Offline: true, Err: refused}},
		"refused, unasked":   {[]recorder.Payload{recorder.Ended{Reason: recorder.EndOffline, Err: refused}}, true, End{Offline: true, Unasked: true, Err: refused}},
		"an older recorder":  {[]recorder.Payload{recorder.Ended{Reason: recorder.EndOffline, Message: "nothing"}}, false, End{Offline: true}},
		"broken after media": {[]recorder.Payload{recorder.MediaArrived{}, recorder.Ended{Reason: recorder.EndFailed, Err: refused}}, false, End{Fed: true, Err: refused}},
		"end of the stream":  {[]recorder.Payload{recorder.MediaArrived{}, recorder.Ended{Reason: recorder.EndEOF}}, false, End{Fed: true}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			s := h.start()
			status := live
			status.Unasked = test.unasked
			if err := s.Start(t.Context(), h.streamer, status); err != nil {
				t.Fatal(err)
			}
			h.process.emit(h.lastSession(), test.events...)
			if diff := cmp.Diff(test.want, <-h.ends); diff != "" {
				t.Errorf("end (-want +got):\n%s", diff)
			}
			if s.Active(h.streamer.ID) {
				t.Error("the end was told while the session was active")
			}
			if text := scalar[string](h, "SELECT last_error FROM streamers"); text != "" {
				t.Errorf("last_error is %q: it has one writer, and that is the monitor", text)
			}
		})
	}
}

func TestSessionThatBrokeWithoutAKindIsTold(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := h.start()
	h.process.emit(h.begin(s), recorder.MediaArrived{}, recorder.Ended{Reason: recorder.EndFailed, Message: "it broke"})
	if end := <-h.ends; end.Err == nil || end.Err.Error() != "it broke" {
		t.Errorf("end: %+v", end)
	}
}

func TestOddTitlesDoNotKeepARoomFromBeingRecorded(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := h.start()
	odd := extractor.Status{State: extractor.StateLive, Title: "a\x00b\xff", Streamer: "\x00", CoverURL: "\xfe", Category: "c\x00", Streams: live.Streams}
	if err := s.Start(t.Context(), h.streamer, odd); err != nil {
		t.Fatal(err)
	}
	h.process.emit(h.lastSession(), recorder.MediaArrived{})
	h.untilRows(1, "recordings")
}

func TestSegmentAndItsOrderAreOneTransaction(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	tries := 0
	h.publisher.closed = func(int64) error {
		if n := h.rows("segments"); n != 0 {
			t.Errorf("the segment was committed before its upload was ordered")
		}
		if tries++; tries < 3 {
			return errors.New("the job cannot be inserted")
		}
		return nil
	}
	s := h.start()
	id := h.begin(s)
	h.process.emit(id, h.closed(id, 1))
	h.untilRows(1, "segments")
	if h.publisher.ordered() != 1 {
		t.Errorf("%d uploads were ordered", h.publisher.ordered())
	}
}

func TestReplayedEventsCreateNothingTwice(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := h.start()
	id := h.begin(s)
	h.process.mu.Lock()
	h.process.sessions[id].noAcks = true
	h.process.mu.Unlock()
	h.process.emit(id, recorder.MediaArrived{}, h.closed(id, 1))
	h.untilRows(1, "segments")
	s.kill()
	s = h.start()
	h.process.emit(id, h.closed(id, 2))
	h.untilRows(2, "segments")
	s.kill()
	// As if nothing of it had been noted: all events come again.
	h.exec("UPDATE recorder_sessions SET last_seq = 0")
	h.start()
	h.until("replayed", func() bool { return scalar[int](h, "SELECT last_seq FROM recorder_sessions") == 3 })
	if h.rows("segments") != 2 || h.rows("recordings") != 1 || h.publisher.ordered() != 2 {
		t.Errorf("%d segments, %d recordings, %d orders; want 2, 1, 2", h.rows("segments"), h.rows("recordings"), h.publisher.ordered())
	}
}

// A recorder may forget what is committed, and nothing else; what is committed it is told to forget.
func TestEventsAreAcknowledgedOnceTheyAreCommitted(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	var mu sync.Mutex
	var acknowledged []int64
	h.process.acknowledge = func(id string, seq int64) {
		var committed int64
		err := h.db.Pool.QueryRow(context.Background(), "SELECT last_seq FROM recorder_sessions WHERE id = $1", id).Scan(&committed)
		if err != nil || committed < seq {
			t.Errorf("event %d is acknowledged, and the database knows %d: %v", seq, committed, err)
		}
		mu.Lock()
		defer mu.Unlock()
		acknowledged = append(acknowledged, seq)
	}
	s := h.start()
	id := h.begin(s)
	h.process.emit(id, recorder.MediaArrived{}, recorder.SegmentOpened{Index: 1}, h.closed(id, 1), recorder.Note{Code: "x"}, recorder.Ended{Reason: recorder.EndEOF})
	<-h.asked
	mu.Lock()
	defer mu.Unlock()
	if want := []int64{1, 2, 3, 4, 5}; !slices.Equal(acknowledged, want) {
		t.Errorf("acknowledged %v, want %v", acknowledged, want)
	}
}

func TestHostComesBackAndWatchesOn(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := h.start()
	id := h.begin(s)
	h.process.emit(id, recorder.MediaArrived{}, h.closed(id, 1))
	h.untilRows(1, "segments")
	s.kill()
	h.process.emit(id, h.closed(id, 2), h.closed(id, 3)) // while no host is there
	s = h.start()
	if !s.Active(h.streamer.ID) {
		t.Error("the session of an earlier host is not active")
	}
	h.untilRows(3, "segments")
	if err := s.Start(t.Context(), h.streamer, live); err != nil || h.lastSession() != id {
		t.Errorf("a second session of one room was begun: %v", err)
	}
}

func TestFilesOfADeadRecorderAreAdopted(t *testing.T) {
	t.Parallel()
	for _, known := range []bool{true, false} { // whether its media had become a recording
		t.Run(fmt.Sprint(known), func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			second := newProcess("second")
			second.recover = func(prefix string) ([]recorder.Segment, error) {
				_ = os.Rename(prefix+"_002.flv.part", prefix+"_002.flv")
				return []recorder.Segment{file(prefix, 1), file(prefix, 2)}, nil
			}
			h.recorders.processes = []*fakeProcess{second, h.process}
			s := h.start()
			id := h.begin(s)
			if known {
				h.process.emit(id, h.closed(id, 1))
				h.untilRows(1, "segments")
			}
			h.touch(h.request(id).PathPrefix + "_001.flv")
			h.touch(h.request(id).PathPrefix + "_002.flv.part")
			h.process.kill()
			<-h.asked
			h.untilRows(2, "segments")
			h.untilRows(0, "recorder_sessions WHERE unsettled IS NOT NULL")
			if h.publisher.ordered() != 2 {
				t.Errorf("%d orders, want 2", h.publisher.ordered())
			}
			if state := scalar[string](h, "SELECT state FROM recordings"); state != "waiting" {
				t.Errorf("the recording is %s", state)
			}
			// The room is recorded on by the next process: the same recording, and the numbers go on.
			h.process = second
			next := h.begin(s)
			if first := h.request(next).FirstIndex; first != 3 {
				t.Errorf("the next session begins with %d, want 3", first)
			}
			second.emit(next, h.closed(next, 3))
			h.untilRows(3, "segments")
			if n := h.rows("recordings"); n != 1 {
				t.Errorf("%d recordings", n)
			}
		})
	}
}

func TestDownloadLimit(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.exec(`UPDATE configuration SET value = '{"download_limit": 1}'`)
	h.exec("INSERT INTO streamers (url) VALUES ('http://room/2')")
	all, err := h.db.WatchedStreamers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := h.start()
	id := h.begin(s)
	if err := s.Start(t.Context(), all[1], live); !errors.Is(err, ErrNoSlot) || !strings.Contains(err.Error(), "download_limit") {
		t.Errorf("error = %v", err)
	}
	h.process.emit(id, recorder.Ended{Reason: recorder.EndOffline})
	h.until("slot free", func() bool { return !s.Active(h.streamer.ID) })
	if err := s.Start(t.Context(), all[1], live); err != nil {
		t.Error(err)
	}
}

func TestWhatIsPublished(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		prepare               string
		publish, reason, code string
	}{
		"wanted":         {"SELECT 1", "wanted", "", ""},
		"too small":      {`UPDATE configuration SET value = '{"filtering_threshold": 0.002}'`, "undecided", "(0.002 MB)", "segment.undecided"},
		"override":       {`UPDATE streamers SET override = '{"filtering_threshold": 0.002}'`, "undecided", "filtering_threshold", "segment.undecided"},
		"no template":    {"UPDATE streamers SET template_name = NULL", "never", "no template", "segment.no_template"},
		"never":          {"UPDATE streamers SET publish = 'never', template_name = NULL", "never", "never published", "segment.never"},
		"broken setting": {`UPDATE configuration SET value = '{"filtering_threshold": "x"}'`, "undecided", "20 MB", "segment.undecided"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.exec(test.prepare)
			h.reread()
			s := h.start()
			id := h.begin(s)
			h.process.emit(id, h.closed(id, 1))
			h.untilRows(1, "segments")
			publish, reason := scalar[string](h, "SELECT publish FROM segments"), scalar[string](h, "SELECT reason FROM segments")
			if publish != test.publish || !strings.Contains(reason, test.reason) {
				t.Errorf("%s because %q, want %s because of %s", publish, reason, test.publish, test.reason)
			}
			if code := scalar[string](h, "SELECT coalesce(reason_data ->> 'code', '') FROM segments"); code != test.code {
				t.Errorf("the reason has the code %q, want %q", code, test.code)
			}
			if told := h.publisher.ordered(); told != 1 {
				t.Errorf("the publisher was told of %d segments", told)
			}
		})
	}
}

func TestStopOfTheHostLeavesSessionsRunning(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := h.start()
	h.begin(s)
	s.kill()
	if h.process.stops != 0 {
		t.Error("the recorder was told to stop")
	}
	if err := s.Start(t.Context(), h.streamer, live); !errors.Is(err, context.Canceled) {
		t.Errorf("a host that stopped began a session: %v", err)
	}
}

// Whoever reads the log finds in the database what it says: a segment whose commit failed is not logged as closed.
func TestLogSaysOnlyWhatIsCommitted(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	var mu sync.Mutex
	tries := 0
	h.publisher.closed = func(int64) error {
		mu.Lock()
		defer mu.Unlock()
		if tries++; tries < 3 {
			return errors.New("not yet")
		}
		return nil
	}
	s := h.start()
	id := h.begin(s)
	h.process.emit(id, h.closed(id, 1))
	h.untilRows(1, "segments")
	h.until("logged", func() bool { return strings.Contains(h.logged(), "segment closed") })
	for _, line := range []string{"recording begins", "segment closed"} {
		if n := strings.Count(h.logged(), line); n != 1 {
			t.Errorf("%q is logged %d times for one that was committed at the third try", line, n)
		}
	}
}

// What happened to a stretch of the broadcast is committed with its event, once, and belongs to its recording.
func TestTimelineIsKeptWithTheRecording(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := h.start()
	status := live
	status.BroadcastID = "b-1"
	if err := s.Start(t.Context(), h.streamer, status); err != nil {
		t.Fatal(err)
	}
	id := h.lastSession()
	at := time.Unix(1_700_000_000, 0).UTC()
	h.process.emit(id,
		recorder.Timeline{Kind: recorder.TimelineChanged}, // before any media: of no recording
		recorder.MediaArrived{},
		recorder.Timeline{Kind: recorder.TimelineLost, Cause: sdk.GapStreamStalled, At: at, MediaTime: 5 * time.Second, Code: sdk.CodeTimeout, Args: map[string]string{"where": "http://cdn"}},
		recorder.Timeline{Kind: recorder.TimelineResumed, Cause: sdk.GapStreamStalled, At: at.Add(7 * time.Second), Length: 7 * time.Second, Index: 2},
		recorder.Timeline{}, // of a newer recorder
		recorder.Note{Code: "x"},
	)
	h.untilRows(2, "recording_timeline")
	if got := h.code("SELECT string_agg(concat_ws(' ', kind, cause, extract(epoch FROM at)::bigint, media_ms, length_ms, index, code, args ->> 'where'), '; ' ORDER BY seq) FROM recording_timeline"); got !=
		"lost stream.stalled 1700000000 5000 0 0 net.timeout http://cdn; resumed stream.stalled 1700000007 0 7000 2 " {
		t.Errorf("timeline: %s", got)
	}
	if got := h.code("SELECT broadcast_id FROM recordings"); got != "b-1" {
		t.Errorf("broadcast %q", got)
	}
}

// A recorder that tells of something all the time fills no disk with it, and is recorded on.
func TestTimelineIsBounded(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := h.start()
	id := h.begin(s)
	h.process.emit(id, recorder.MediaArrived{})
	h.untilRows(1, "recordings")
	h.exec(`INSERT INTO recording_timeline (recording_id, session_id, seq, kind, cause, at, media_ms, length_ms, index)
		SELECT 1, gen_random_uuid(), n, 'repaired', 'repair.dropped', now(), 0, 1, 0 FROM generate_series(1, $1::int) n`, maxTimeline-1)
	h.touch(h.request(id).PathPrefix + "_001.flv")
	h.process.emit(id, recorder.Timeline{Kind: recorder.TimelineRepaired}, recorder.Timeline{Kind: recorder.TimelineRepaired}, h.closed(id, 1))
	h.untilRows(1, "segments")
	if n := h.rows("recording_timeline"); n != maxTimeline {
		t.Errorf("%d rows, want %d", n, maxTimeline)
	}
}
