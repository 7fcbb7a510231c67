package record

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/recorder"
)

// recorded runs one session with one segment up to its end.
func (h *harness) recorded(s host) (recording int64) {
	h.t.Helper()
	id := h.begin(s)
	h.touch(h.closed(id, h.request(id).FirstIndex).Segment.Path)
	before := h.rows("segments")
	h.process.emit(id, recorder.MediaArrived{}, h.closed(id, h.request(id).FirstIndex), recorder.Ended{Reason: recorder.EndEOF})
	<-h.asked
	if after := h.rows("segments"); after != before+1 {
		h.t.Fatalf("%d segments, want %d", after, before+1)
	}
	return scalar[int64](h, "SELECT max(recording_id) FROM segments")
}

func (h *harness) state(recording int64) string {
	h.t.Helper()
	return scalar[string](h, "SELECT state FROM recordings WHERE id = $1", recording)
}

func (h *harness) untilState(recording int64, state string) {
	h.t.Helper()
	h.until("recording "+state, func() bool { return h.state(recording) == state })
}

// expire lets a recording's time be over.
func (h *harness) expire(s host, recording int64) {
	h.exec("UPDATE recordings SET resume_until = now() - interval '1 second' WHERE id = $1", recording)
	s.wakeEnd()
}

func TestRoomThatComesBackInTimeIsTheSameRecording(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := h.start()
	first := h.recorded(s)
	if state := h.state(first); state != "waiting" {
		t.Errorf("the recording is %s", state)
	}
	if second := h.recorded(s); second != first {
		t.Errorf("recording %d goes on as %d", first, second)
	}
	if got := h.segments(first); got != "1:001.flv 2:002.flv" {
		t.Errorf("segments = %s", got)
	}
}

func TestRoomThatComesBackTooLateIsANewRecording(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := h.start()
	first := h.recorded(s)
	h.expire(s, first)
	h.untilState(first, "ended")
	if h.publisher.recordings[0] != first {
		t.Errorf("ended: %v", h.publisher.recordings)
	}
	if second := h.recorded(s); second == first {
		t.Error("a recording that ended went on")
	}
}

func TestSessionThatBeganInTimeHoldsItsRecording(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := h.start()
	first := h.recorded(s)
	id := h.begin(s) // connecting, no media yet
	h.expire(s, first)
	if _, err := s.endDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	if state := h.state(first); state != "waiting" {
		t.Errorf("the recording is %s while its room connects again", state)
	}
	h.process.emit(id, recorder.MediaArrived{})
	h.untilState(first, "recording")
}

func TestAnotherURLIsAnotherRecording(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := h.start()
	first := h.recorded(s)
	h.exec("UPDATE streamers SET url = 'http://room/other'")
	h.reread()
	if second := h.recorded(s); second == first {
		t.Error("another room went on with the recording")
	}
	h.untilState(first, "ended")
}

func TestDeletedStreamerEndsItsRecording(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := h.start()
	first := h.recorded(s)
	h.exec("DELETE FROM streamers")
	s.RoomChanged()
	h.untilState(first, "ended")
	if n := h.rows("segments"); n != 1 {
		t.Errorf("%d segments are left", n)
	}
}

// Whoever looks at a recording that nothing can join any more is not told to wait for it.
func TestARoomThatIsGoneOrAnotherOneIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{"deleted": "DELETE FROM streamers", "another URL": "UPDATE streamers SET url = 'http://room/other'"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			s := h.start()
			id := h.begin(s)
			h.process.emit(id, recorder.MediaArrived{}, h.closed(id, 1))
			h.untilRows(1, "segments")
			h.exec(`CREATE TABLE waits AS SELECT resume_until FROM recordings WHERE false`)
			h.exec(`CREATE FUNCTION note_wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO waits VALUES (NEW.resume_until); RETURN NULL; END $$`)
			h.exec(`CREATE TRIGGER note_wait AFTER UPDATE ON recordings FOR EACH ROW WHEN (NEW.state = 'waiting') EXECUTE FUNCTION note_wait()`)
			h.exec(change)
			h.process.emit(id, recorder.Ended{Reason: recorder.EndStopped})
			h.untilRows(1, "recordings WHERE state = 'ended'")
			if n := h.rows("waits WHERE resume_until <= now()"); n != 1 || h.rows("waits") != 1 {
				t.Errorf("of %d waits %d are over", h.rows("waits"), n)
			}
		})
	}
}

func TestDelayOfZeroEndsAtOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.exec(`UPDATE streamers SET override = '{"delay": 0}'`)
	s := h.start()
	h.untilState(h.recorded(s), "ended")
}

func TestEndIsCommittedWithItsSubmission(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	tries := 0
	h.publisher.ended = func(id int64) error {
		if state := h.state(id); state != "waiting" {
			t.Errorf("the end was committed before its submission was ordered: %s", state)
		}
		if tries++; tries < 3 {
			return errors.New("the job cannot be inserted")
		}
		return nil
	}
	s := h.start()
	first := h.recorded(s)
	h.expire(s, first)
	h.untilState(first, "ended")
	if len(h.publisher.recordings) != 1 {
		t.Errorf("ended: %v", h.publisher.recordings)
	}
}

func TestRestartGivesWaitingRecordingsTimeToBeAsked(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := h.start()
	first := h.recorded(s)
	s.kill()
	h.exec("UPDATE recordings SET resume_until = now() - interval '1 hour'")
	s = h.start()
	if left := time.Until(scalar[time.Time](h, "SELECT resume_until FROM recordings")); left < 15*time.Second {
		t.Errorf("%v are left for the first question after a restart", left)
	}
	if second := h.recorded(s); second != first {
		t.Error("the room came back just after a restart and is another recording")
	}
}

func TestRecordingWithoutSessionWaits(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := h.start()
	first := h.recorded(s)
	s.kill()
	h.exec("UPDATE recordings SET state = 'recording', resume_until = NULL")
	h.start()
	if state := h.state(first); state != "waiting" {
		t.Errorf("the recording is %s, and nothing will ever end it", state)
	}
}

// What a streamer's change does to a session that is under way.

func TestStopReturnsWhenTheEndIsCommitted(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := h.start()
	id := h.begin(s)
	h.process.emit(id, recorder.MediaArrived{}, h.closed(id, 1))
	h.exec("UPDATE streamers SET paused = true")
	if err := s.Stop(t.Context(), h.streamer.ID); err != nil {
		t.Fatal(err)
	}
	if h.rows("segments") != 1 || scalar[string](h, "SELECT end_reason FROM recorder_sessions") != "stopped" || s.Active(h.streamer.ID) {
		t.Error("stop returned before everything was committed")
	}
}

func TestStopOfAnIdleRoomIsFine(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	if err := h.start().Stop(t.Context(), h.streamer.ID); err != nil {
		t.Error(err)
	}
}

func TestStopDuringStartWaitsForIt(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	starting, goOn := make(chan struct{}), make(chan struct{})
	h.process.start = func(recorder.Request) error {
		close(starting)
		<-goOn
		return nil
	}
	s := h.start()
	started, stopped := make(chan error, 1), make(chan error, 1)
	go func() { started <- s.Start(t.Context(), h.streamer, live) }()
	<-starting
	h.exec("UPDATE streamers SET paused = true")
	go func() { stopped <- s.Stop(t.Context(), h.streamer.ID) }()
	close(goOn)
	if err := errors.Join(<-started, <-stopped); err != nil {
		t.Fatal(err)
	}
	if s.Active(h.streamer.ID) || h.rows("recorder_sessions") != 0 {
		t.Error("a paused room is recorded")
	}
}

func TestChangeBetweenQuestionAndStartIsSeen(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"paused":  "UPDATE streamers SET paused = true",
		"deleted": "DELETE FROM streamers",
		"url":     "UPDATE streamers SET url = 'http://room/other'",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			s := h.start()
			h.exec(change)
			if err := s.Start(t.Context(), h.streamer, live); err != nil {
				t.Error(err)
			}
			if len(h.process.order) != 0 || h.rows("recorder_sessions") != 0 || s.Active(h.streamer.ID) {
				t.Error("a room that is not wanted any more is recorded")
			}
		})
	}
}

// The host dies between the commit of the change and the order to the recorder: the next one gives it.
func TestChangeWhileNoHostRanStopsTheSession(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"paused":  "UPDATE streamers SET paused = true",
		"deleted": "DELETE FROM streamers",
		"url":     "UPDATE streamers SET url = 'http://room/other'",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			s := h.start()
			id := h.begin(s)
			h.process.emit(id, recorder.MediaArrived{}, h.closed(id, 1))
			h.untilRows(1, "segments")
			s.kill()
			h.exec(change)
			h.start()
			h.until("stopped", func() bool {
				return scalar[int](h, "SELECT count(*) FROM recorder_sessions WHERE end_reason = 'stopped'") == 1
			})
			if n := h.rows("segments"); n != 1 {
				t.Errorf("%d segments are left", n)
			}
		})
	}
}

func TestStopThatFailsIsGivenAgain(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := h.start()
	id := h.begin(s)
	h.process.emit(id, recorder.MediaArrived{})
	h.untilRows(1, "recordings")
	s.kill()
	h.exec("UPDATE streamers SET paused = true")
	tries := 0
	h.process.stop = func(string) error {
		if tries++; tries < 3 {
			return sdk.Errorf(sdk.Unavailable, "busy")
		}
		return nil
	}
	h.start()
	h.until("stopped", func() bool {
		return scalar[int](h, "SELECT count(*) FROM recorder_sessions WHERE end_reason = 'stopped'") == 1
	})
}

func TestStopOfADeadRecorderAdoptsItsFiles(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	second := newProcess("second")
	second.recover = func(prefix string) ([]recorder.Segment, error) { return []recorder.Segment{file(prefix, 1)}, nil }
	h.recorders.processes = []*fakeProcess{second, h.process}
	s := h.start()
	h.touch(h.request(h.begin(s)).PathPrefix + "_001.flv.part")
	h.process.kill()
	if err := s.Stop(t.Context(), h.streamer.ID); err != nil {
		t.Fatal(err)
	}
	h.untilRows(1, "segments")
}

// The database goes away: what the recorder says meanwhile is committed later, and once.

func TestDatabaseAwayDuringEvents(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := h.start()
	id := h.begin(s)
	h.process.emit(id, recorder.MediaArrived{})
	h.untilRows(1, "recordings")
	h.exec("CREATE FUNCTION away() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'away' USING ERRCODE = 'cannot_connect_now'; END$$")
	h.exec("CREATE TRIGGER away BEFORE INSERT ON segments EXECUTE FUNCTION away()")
	h.process.emit(id, h.closed(id, 1), h.closed(id, 2), recorder.Ended{Reason: recorder.EndEOF})
	h.until("tried again", func() bool { return strings.Contains(h.logged(), "cannot go on, trying again") })
	h.exec("DROP TRIGGER away ON segments")
	<-h.asked
	if h.rows("segments") != 2 || h.publisher.ordered() != 2 {
		t.Errorf("%d segments, %d orders", h.rows("segments"), h.publisher.ordered())
	}
}

func TestLostAnswerToTheLastCommitIsNoEndlessWait(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := h.start()
	id := h.begin(s)
	h.exec("DELETE FROM recorder_sessions") // what the commit of an end without media did
	h.process.emit(id, recorder.Ended{Reason: recorder.EndOffline})
	h.until("ended", func() bool { return !s.Active(h.streamer.ID) })
}

func TestLostAnswerToTheFirstCommitIsFoundOut(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.process.recover = func(string) ([]recorder.Segment, error) { return nil, nil }
	// The row is there, and the service is told that it is not.
	h.exec(`CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'lost'; END $$`)
	h.exec(`CREATE TRIGGER lost AFTER INSERT ON recorder_sessions FOR EACH ROW EXECUTE FUNCTION lose()`)
	s := h.start()
	if err := s.Start(t.Context(), h.streamer, live); err == nil {
		t.Error("no error")
	}
	h.until("given up", func() bool { return !s.Active(h.streamer.ID) })
	if len(h.asked) != 0 || len(h.process.order) != 0 {
		t.Error("a session without a row was begun, or the room is asked again without a pause")
	}
	h.exec("DROP TRIGGER lost ON recorder_sessions")
	h.begin(s)
}

// A process that dies between any two statements of a session's life loses nothing and makes nothing twice.
func TestKillBetweenAnyTwoStatements(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	statements := 0
	for ; ; statements++ {
		if statements > 200 {
			t.Fatal("a session that lives does not come to an end")
		}
		s, died := h.startCrashing(statements)
		var id string
		if err := s.Start(t.Context(), h.streamer, live); err == nil {
			id = h.lastSession()
			index := h.request(id).FirstIndex
			h.touch(h.closed(id, index).Segment.Path)
			h.process.emit(id, recorder.MediaArrived{}, h.closed(id, index), h.closed(id, index+1), recorder.Ended{Reason: recorder.EndEOF})
			h.until("ended or dead", func() bool { return died() || !s.Active(h.streamer.ID) })
		}
		dead := died()
		s.kill()
		h.process.recover = func(string) ([]recorder.Segment, error) { return nil, nil } // of a session that never began
		healthy := h.start()
		h.until("nothing open", func() bool {
			return scalar[int](h, "SELECT count(*) FROM recorder_sessions WHERE ended_at IS NULL") == 0 && !healthy.Active(h.streamer.ID)
		})
		healthy.kill()
		if id != "" {
			prefix := h.request(id).PathPrefix
			if n := scalar[int](h, "SELECT count(*) FROM segments WHERE starts_with(path, $1)", prefix); n != 2 {
				t.Fatalf("death at statement %d: %d segments, want 2", statements, n)
			}
		}
		if id != "" && !dead {
			break
		}
	}
	if statements < 10 {
		t.Errorf("only %d statements were seen", statements)
	}
	if segments := h.rows("segments"); h.publisher.committed(h.db, t) != segments || h.rows("recordings") != 1 {
		t.Errorf("%d segments, %d recordings", segments, h.rows("recordings"))
	}
}

// committed counts the orders whose transaction was committed.
func (f *fakePublisher) committed(database *db.DB, t *testing.T) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	var n int
	if err := database.Pool.QueryRow(t.Context(), "SELECT count(*) FROM segments WHERE id = ANY ($1)", f.segments).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestNothingIsWaitedForBeyondTheTimeWindow(t *testing.T) {
	t.Parallel()
	clock := func(after time.Duration) string { return time.Now().UTC().Add(after).Format("15:04:05") }
	for name, test := range map[string]struct {
		timeRange string
		ended     bool
		within    time.Duration // resume_until is not later than this from now
	}{
		"outside":          {`{"start":"` + clock(2*time.Hour) + `","end":"` + clock(3*time.Hour) + `","time_zone":"UTC"}`, true, 0},
		"shortly before":   {`{"start":"` + clock(-time.Hour) + `","end":"` + clock(10*time.Minute) + `","time_zone":"UTC"}`, false, 10 * time.Minute},
		"long before":      {`{"start":"` + clock(-time.Hour) + `","end":"` + clock(5*time.Hour) + `","time_zone":"UTC"}`, false, time.Hour},
		"no window at all": {`null`, false, time.Hour},
		"a broken one":     {`7`, false, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.exec("UPDATE streamers SET time_range = $1", test.timeRange)
			s := h.start()
			id := h.begin(s)
			h.process.emit(id, recorder.MediaArrived{}, h.closed(id, 1), recorder.Ended{Reason: recorder.EndStopped})
			<-h.asked
			if test.ended {
				h.untilRows(1, "recordings WHERE state = 'ended'")
				return
			}
			left := time.Until(scalar[time.Time](h, "SELECT resume_until FROM recordings"))
			if left > test.within || left < test.within-5*time.Minute {
				t.Errorf("waits for %s, want %s", left, test.within)
			}
		})
	}
}
