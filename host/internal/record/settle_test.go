package record

import (
	"encoding/binary"
	"math"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/lubod/lubod/host/internal/reason"
	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/recorder"
)

// noDelay has recordings end as soon as nothing holds them.
func (h *harness) noDelay() {
	h.t.Helper()
	h.exec(`UPDATE configuration SET value = '{"filtering_threshold": 0, "delay": 0}'`)
}

func (h *harness) code(query string) string {
	h.t.Helper()
	return scalar[string](h, "SELECT coalesce(("+query+"), '')")
}

// A file that a session could not finish is taken over as soon as that works, without a restart; its recording does not end
// before, and says why.
func TestFileThatASessionKeptIsTakenOverAndHoldsItsRecording(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.noDelay()
	var away atomic.Bool
	away.Store(true)
	h.process.recover = func(prefix string) ([]recorder.Segment, error) {
		part := prefix + "_002.flv.part"
		if away.Load() {
			return []recorder.Segment{file(prefix, 1)}, &recorder.LeftError{Files: []recorder.Leftover{{
				Path: part, Err: &sdk.Error{Kind: sdk.Unavailable, Message: "read-only file system", Err: syscall.EROFS},
			}}}
		}
		_ = os.Rename(part, prefix+"_002.flv")
		return []recorder.Segment{file(prefix, 1), file(prefix, 2)}, nil
	}
	s := h.start()
	id := h.begin(s)
	prefix := h.request(id).PathPrefix
	h.touch(prefix + "_001.flv")
	h.touch(prefix + "_002.flv.part")
	h.process.emit(id, recorder.MediaArrived{}, h.closed(id, 1), recorder.SegmentOpened{Index: 2}, recorder.Ended{
		Reason: recorder.EndFailed, Message: "kept", Err: &sdk.Error{Kind: sdk.Unavailable, Code: sdk.CodeDiskKept, Message: "kept"},
	})
	<-h.asked // the room is free at once
	h.until("the reason", func() bool {
		return strings.Contains(h.code("SELECT reason -> 'args' ->> 'cause' FROM recordings"), "read-only file system")
	})
	if code := h.code("SELECT reason ->> 'code' FROM recordings"); code != reason.RecordingUnadopted {
		t.Errorf("the recording says %q", code)
	}
	if state := h.code("SELECT state FROM recordings"); state != "waiting" {
		t.Errorf("a recording with a file that is no segment is %s", state)
	}
	if !scalar[bool](h, "SELECT bool_and(holds) FROM recorder_sessions") {
		t.Error("after a try that failed, the recording does not wait for the file any more")
	}
	away.Store(false)
	h.untilRows(2, "segments")
	h.untilRows(1, "recordings WHERE state = 'ended' AND reason IS NULL")
	if h.publisher.ordered() != 2 {
		t.Errorf("%d orders, want 2", h.publisher.ordered())
	}
}

// The next session of a room begins behind the numbers of files that are not taken over yet.
func TestNextSessionLeavesRoomForLeftFiles(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	var own atomic.Bool
	h.process.recover = func(prefix string) ([]recorder.Segment, error) {
		if !own.Load() {
			return nil, sdk.Errorf(sdk.Unavailable, "away")
		}
		return []recorder.Segment{file(prefix, 1), file(prefix, 2)}, nil
	}
	s := h.start()
	id := h.begin(s)
	prefix := h.request(id).PathPrefix
	h.touch(prefix + "_001.flv.part")
	h.touch(prefix + "_002.flv.part")
	h.process.emit(id, recorder.MediaArrived{}, recorder.Ended{Reason: recorder.EndFailed, Message: "kept"})
	<-h.asked
	next := h.begin(s)
	if first := h.request(next).FirstIndex; first != 3 {
		t.Errorf("the next session begins with %d, want 3", first)
	}
	h.process.emit(next, h.closed(next, 3))
	h.untilRows(1, "segments")
	own.Store(true)
	h.untilRows(3, "segments")
	recording := scalar[int64](h, "SELECT id FROM recordings")
	if got := h.segments(recording); !strings.HasPrefix(got, "1:001.flv 2:002.flv 3:") {
		t.Errorf("segments %s", got)
	}
}

// Without the plugin that wrote them, finished files become segments as they are; of the rest it is said that nothing can be
// done, and the recording does not wait for that.
func TestFilesWithoutTheirRecorder(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(h *harness){
		"uninstalled": func(h *harness) {
			h.recorders.alone = func(string, string) (*fakeProcess, error) { return nil, ErrUninstalled }
		},
		"cannot recover": func(*harness) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.noDelay()
			h.recorders.processes = []*fakeProcess{newProcess("second"), h.process}
			prepare(h)
			s := h.start()
			id := h.begin(s)
			prefix := h.request(id).PathPrefix
			h.process.emit(id, recorder.MediaArrived{})
			h.untilRows(1, "recordings")
			h.touch(prefix + "_001.flv")
			h.touch(prefix + "_001.xml") // beside a segment, and none
			h.touch(prefix + "_002.flv.part")
			ended := time.Now().Add(-time.Minute).Truncate(time.Second)
			if err := os.Chtimes(prefix+"_001.flv", ended, ended); err != nil {
				t.Fatal(err)
			}
			h.process.kill()
			h.untilRows(1, "segments")
			if got := scalar[time.Time](h, "SELECT ended_at FROM segments"); !got.Equal(ended) {
				t.Errorf("the segment ended at %v, want the time of its file, %v", got, ended)
			}
			h.untilRows(1, "recordings WHERE state = 'ended'")
			if code := h.code("SELECT reason ->> 'code' FROM recordings"); code != reason.RecordingNoRecorder {
				t.Errorf("the recording says %q, want %q", code, reason.RecordingNoRecorder)
			}
			if text := reason.Parse(scalar[[]byte](h, "SELECT reason FROM recordings")).Text(reason.English); !strings.Contains(text, "_002.flv.part") {
				t.Errorf("the file that is left is not named: %s", text)
			}
			if message := h.code("SELECT end_message FROM recorder_sessions"); strings.Contains(message, "files were finished") {
				t.Errorf("the session says %q", message)
			}
		})
	}
}

// Files that disappear, and media of which there is no file, are failures that are seen, and nothing waits for them.
func TestFilesThatAreGone(t *testing.T) {
	t.Parallel()
	t.Run("removed meanwhile", func(t *testing.T) {
		t.Parallel()
		h := newHarness(t)
		h.noDelay()
		h.process.recover = func(string) ([]recorder.Segment, error) { return nil, sdk.Errorf(sdk.Unavailable, "away") }
		s := h.start()
		id := h.begin(s)
		part := h.request(id).PathPrefix + "_001.flv.part"
		h.touch(part)
		h.process.emit(id, recorder.MediaArrived{}, recorder.Ended{Reason: recorder.EndFailed, Message: "kept"})
		<-h.asked
		h.untilRows(1, "recordings WHERE reason IS NOT NULL")
		if err := os.Remove(part); err != nil {
			t.Fatal(err)
		}
		h.untilRows(1, "recordings WHERE state = 'ended' AND reason ->> 'code' = 'recording.vanished'")
	})
	t.Run("nothing was written", func(t *testing.T) {
		t.Parallel()
		h := newHarness(t)
		h.noDelay()
		h.recorders.processes = []*fakeProcess{newProcess("second"), h.process}
		s := h.start()
		h.process.emit(h.begin(s), recorder.MediaArrived{})
		h.untilRows(1, "recordings")
		h.process.kill()
		h.untilRows(1, "recordings WHERE state = 'ended' AND reason ->> 'code' = 'recording.nothing'")
	})
	t.Run("not media", func(t *testing.T) {
		t.Parallel()
		h := newHarness(t)
		h.noDelay()
		h.process.recover = func(prefix string) ([]recorder.Segment, error) {
			return nil, &recorder.LeftError{Files: []recorder.Leftover{{Path: prefix + "_001.flv.part", Err: sdk.Errorf(sdk.Corrupt, "no media")}}}
		}
		s := h.start()
		id := h.begin(s)
		h.touch(h.request(id).PathPrefix + "_001.flv.part")
		h.process.emit(id, recorder.MediaArrived{}, recorder.Ended{Reason: recorder.EndFailed, Message: "kept"})
		h.untilRows(1, "recordings WHERE state = 'ended' AND reason ->> 'code' = 'recording.unreadable'")
	})
}

// A host that died before it took files over does so when it comes back.
func TestLeftFilesAreTakenOverByTheNextHost(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.process.recover = func(string) ([]recorder.Segment, error) { return nil, sdk.Errorf(sdk.Unavailable, "away") }
	s := h.start()
	id := h.begin(s)
	h.touch(h.request(id).PathPrefix + "_001.flv.part")
	h.process.emit(id, recorder.MediaArrived{}, recorder.Ended{Reason: recorder.EndFailed, Message: "kept"})
	<-h.asked
	s.kill()
	h.process.recover = func(prefix string) ([]recorder.Segment, error) { return []recorder.Segment{file(prefix, 1)}, nil }
	h.start()
	h.untilRows(1, "segments")
}

// An event that the database refuses for good is set aside: what is behind it is committed, the recording says so and waits,
// and the file becomes a segment when it can.
func TestEventThatTheDatabaseRefusesIsSetAside(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.noDelay()
	h.exec("ALTER TABLE segments ADD CONSTRAINT no_two CHECK (index <> 2)")
	h.process.recover = func(prefix string) ([]recorder.Segment, error) { return []recorder.Segment{file(prefix, 2)}, nil }
	s := h.start()
	id := h.begin(s)
	for index := 1; index <= 3; index++ {
		h.touch(h.closed(id, index).Segment.Path)
	}
	h.process.emit(id, recorder.MediaArrived{}, h.closed(id, 1), h.closed(id, 2), h.closed(id, 3), recorder.Ended{Reason: recorder.EndEOF})
	<-h.asked
	h.untilRows(2, "segments")
	h.untilRows(1, "recordings WHERE state = 'waiting' AND reason ->> 'code' = 'recording.refused'")
	if n := strings.Count(h.logged(), "it is set aside"); n != 1 {
		t.Errorf("the log tells of it %d times, want once", n)
	}
	if strings.Contains(h.logged(), "cannot go on, trying again") {
		t.Error("it was tried again as if the database were away")
	}
	h.exec("ALTER TABLE segments DROP CONSTRAINT no_two")
	h.untilRows(3, "segments")
	h.untilRows(1, "recordings WHERE state = 'ended' AND reason IS NULL")
}

func TestLengthOfAnFLVFileIsInItsHead(t *testing.T) {
	head := append([]byte("FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00\x12\x00\x00\x00onMetaData"), "\x00\x08duration\x00"...)
	with := func(seconds float64) string {
		return string(binary.BigEndian.AppendUint64(head[:len(head):len(head)], math.Float64bits(seconds)))
	}
	for name, test := range map[string]struct {
		head string
		want time.Duration
	}{
		"known": {with(12.5), 12500 * time.Millisecond}, "not written": {with(0), 0}, "nonsense": {with(math.NaN()), 0}, "negative": {with(-1), 0},
		"cut": {string(head) + "\x40", 0}, "another container": {"\x00\x00\x00\x20ftypisom", 0}, "empty": {"", 0},
	} {
		if got := flvLength(strings.NewReader(test.head)); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}
