package upload

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/line"
	simulator "github.com/lubod/lubod/sdk/simulator/bilibili"
)

// file puts a file into the world that changed at a certain time, and returns it as it is.
func (h *harness) file(name, content string, changed time.Time) File {
	h.t.Helper()
	path := filepath.Join(h.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		h.t.Fatal(err)
	}
	if err := os.Chtimes(path, time.Time{}, changed); err != nil {
		h.t.Fatal(err)
	}
	return File{Path: path, SizeBytes: int64(len(content)), ModifiedAt: changed}
}

// ordered orders files, and returns the recording that became of them and its segments.
func (h *harness) ordered(s *Service, order Order) (recording int64, segments []int64) {
	h.t.Helper()
	if order.Params.UserCookie == "" {
		order.Params = db.Template{Title: "manual", TID: 171, Tag: "a", Copyright: 1, UserCookie: "a.json"}
	}
	if err := s.Order(h.t.Context(), order); err != nil {
		h.t.Fatal(err)
	}
	h.exec("SELECT max(id) FROM recordings WHERE kind = 'manual'", nil, &recording)
	rows, err := h.db.RecordingSegments(h.t.Context(), recording)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, row := range rows {
		segments = append(segments, row.ID)
	}
	return recording, segments
}

var newYear = time.Date(2025, 1, 1, 12, 0, 0, 123456789, time.Local)

func TestManualFilesBecomeOneArchiveInTheirOrder(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	sim := h.real(simulator.Options{})
	s := h.service()
	h.start(s)
	b, a := h.file("b.mp4", "bb", newYear), h.file("a.mp4", "a", newYear.Add(time.Hour))
	recording, segments := h.ordered(s, Order{Files: []File{b, a}, Params: db.Template{
		TemplateName: "nobody knows it", Title: "{title} {{streamer}} %Y-%m-%d", TID: 17, Tag: "x,y", Copyright: 1, Description: "d", NoReprint: 1, UserCookie: "a.json",
	}})
	submission := h.untilSubmission(recording, "accepted")
	for i, segment := range segments {
		if upload := h.upload(segment); upload.State != "uploaded" || upload.AcknowledgedBytes != []int64{2, 1}[i] {
			t.Errorf("upload %d = %+v", i, upload)
		}
	}
	archives := sim.Archives()
	if len(archives) != 1 || len(archives[0].Videos) != 2 {
		t.Fatalf("archives: %+v", archives)
	}
	archive := archives[0]
	if archive.Title != "b b 2025-01-01" || archive.TID != 17 || archive.Tag != "x,y" || archive.Desc != "d" || archive.BVID != submission.BVID {
		t.Errorf("archive %+v", archive)
	}
	if archive.Videos[0].Title != "b" || archive.Videos[1].Title != "a" {
		t.Errorf("parts %+v", archive.Videos)
	}
	sim.RequireNoViolations(t)
	for _, file := range []File{a, b} {
		if _, err := os.Stat(file.Path); err != nil {
			t.Errorf("a file that a person ordered is not there any more: %v", err)
		}
	}
}

// What was recorded here, and perhaps published, can be ordered too, and its title knows where it comes from.
func TestRecordedFilesCanBeOrderedByHand(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	sim := h.real(simulator.Options{})
	s := h.service()
	h.start(s)
	recorded := h.recording("recording")
	segment := h.closed(s, recorded, 1)
	h.end(s, recorded)
	h.untilSubmission(recorded, "accepted")
	var path string
	h.exec("SELECT path FROM segments WHERE id = $1", []any{segment}, &path)
	h.exec("UPDATE segments SET duration_ms = 5000, started_at = '2024-12-31T23:00:00Z' WHERE id = $1", []any{segment})
	file := h.file(filepath.Base(path), strings.Repeat("x", 100), newYear)
	for range 2 {
		recording, segments := h.ordered(s, Order{Files: []File{file}, Params: db.Template{
			Title: "{title} {{streamer}} %Y again", TID: 171, Tag: "x", Copyright: 2, UserCookie: "a.json",
		}})
		h.untilSubmission(recording, "accepted")
		var duration int64
		h.exec("SELECT duration_ms FROM segments WHERE id = $1", []any{segments[0]}, &duration)
		if duration != 5000 {
			t.Errorf("the file lasts %d ms, want what was recorded", duration)
		}
		archives := sim.Archives()
		if archive := archives[len(archives)-1]; archive.Title != "title host 2024 again" && archive.Title != "title host 2025 again" || archive.Source != "http://room/1" {
			t.Errorf("archive %+v", archive)
		}
	}
	if n := len(sim.Archives()); n != 3 {
		t.Errorf("%d archives of three orders", n)
	}
	// The recorder tells of its file again, after a crash for example: it is known, whoever ordered it meanwhile.
	err := h.db.InTx(t.Context(), func(tx pgx.Tx, _ *db.Queries) error {
		_, err := h.segment(t.Context(), tx, recorded, 1)
		return err
	})
	if !errors.Is(err, pgx.ErrNoRows) {
		t.Errorf("the recorded file was inserted again: %v", err)
	}
}

// A file that a person ordered before its recorder's segment was committed does not keep that from being adopted.
func TestOrderedFilesAreStillAdopted(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := h.service()
	recording := h.recording("recording")
	file := h.file(fmt.Sprintf("r%d_001.flv", recording), "x", newYear)
	h.ordered(s, Order{Files: []File{file}})
	h.closed(s, recording, 1)
	if n := h.jobs("transfer"); n != 2 {
		t.Errorf("%d transfers, want one of each", n)
	}
}

func TestFileThatIsNotWhatWasOrderedFailsAndSaysWhatToDo(t *testing.T) {
	t.Parallel()
	change := func(h *harness) { h.file("a.flv", "changed", newYear.Add(time.Minute)) }
	remove := func(h *harness) { _ = os.Remove(filepath.Join(h.dir, "a.flv")) }
	replace := func(h *harness) {
		remove(h)
		if err := os.Symlink("/etc/hostname", filepath.Join(h.dir, "a.flv")); err != nil {
			h.t.Error(err)
		}
	}
	for name, tc := range map[string]struct {
		before, during func(h *harness)
		answer         error
		words          []string
	}{
		"changed before":              {before: change, words: []string{"changed", "4 bytes", "7 bytes", "retry", "waive"}},
		"gone before":                 {before: remove, words: []string{"gone", "a.flv", "retry", "waive"}},
		"something else before":       {before: replace, words: []string{"gone"}},
		"changed while it is sent":    {during: change, words: []string{"changed"}},
		"gone while it is sent":       {during: remove, words: []string{"gone"}},
		"gone, and the line says so":  {during: remove, answer: sdk.Errorf(sdk.NotFound, "no such file"), words: []string{"gone", "put it back"}},
		"changed and the line breaks": {during: change, answer: sdk.Errorf(sdk.Unavailable, "reset"), words: []string{"changed"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			s := h.service()
			file := h.file("a.flv", "good", newYear)
			once := tc.during
			h.lines.upload = func(ctx context.Context, file line.File, report func(line.Progress) error) (line.Result, error) {
				if err := report(line.Progress{AcknowledgedBytes: 1, Checkpoint: []byte("old")}); err != nil {
					return line.Result{}, err
				}
				if once != nil {
					once(h)
					once = nil
					if tc.answer != nil {
						return line.Result{}, tc.answer
					}
				}
				return h.store(ctx, file, report)
			}
			recording, segments := h.ordered(s, Order{Files: []File{file}})
			if tc.before != nil {
				tc.before(h)
			}
			h.start(s)
			upload := h.untilUpload(segments[0], "failed")
			for _, word := range append(tc.words, fmt.Sprintf("/api/v1/segments/%d/", segments[0])) {
				if !strings.Contains(upload.Error, word) {
					t.Errorf("error %q does not say %q", upload.Error, word)
				}
			}
			if _, exists := h.submission(recording); exists {
				t.Error("a submission exists")
			}
			size := int64(len("changed"))
			var refused *ConflictError
			if strings.Contains(upload.Error, "gone") {
				if err := s.RetrySegment(t.Context(), segments[0]); !errors.As(err, &refused) || !strings.Contains(refused.Error(), "put it back") {
					t.Errorf("a retry of a file that is gone: %v", err)
				}
				_ = os.Remove(file.Path)
				size = h.file("a.flv", "it is back", newYear.Add(time.Hour)).SizeBytes
			}
			if err := s.RetrySegment(t.Context(), segments[0]); err != nil {
				t.Fatal(err)
			}
			h.untilSubmission(recording, "accepted")
			if upload := h.upload(segments[0]); upload.AcknowledgedBytes != size {
				t.Errorf("uploaded %d bytes of %d", upload.AcknowledgedBytes, size)
			}
		})
	}
}

func TestOrderSentAgainTriesAgainWhatFailed(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := h.service()
	h.start(s)
	var broken bool
	broken = true
	h.lines.upload = func(ctx context.Context, file line.File, report func(line.Progress) error) (line.Result, error) {
		if broken {
			broken = false
			return line.Result{}, sdk.Errorf(sdk.Corrupt, "not this time")
		}
		return h.store(ctx, file, report)
	}
	order := Order{Request: "r", Files: []File{h.file("a.flv", "good", newYear)}}
	recording, segments := h.ordered(s, order)
	h.untilUpload(segments[0], "failed")
	again, _ := h.ordered(s, order)
	h.untilSubmission(recording, "accepted")
	if again != recording {
		t.Errorf("the order sent again became recording %d, want %d", again, recording)
	}
	if third, _ := h.ordered(s, order); third == recording {
		t.Error("the order is not taken again after its archive was accepted")
	}
}

// A retry takes a changed file as it is: from then on the request about the changed file is the known one.
func TestOrderOfAChangedFileIsTheSameAfterItsRetry(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := h.service()
	order := Order{Request: "r", Files: []File{h.file("b.flv", "b", newYear), h.file("a.flv", "good", newYear)}}
	recording, segments := h.ordered(s, order)
	order.Files[1] = h.file("a.flv", "changed", newYear.Add(time.Second))
	h.exec("UPDATE uploads SET state = 'failed', checkpoint = 'old', acknowledged_bytes = 3 WHERE segment_id = $1", []any{segments[1]})
	if err := s.RetrySegment(t.Context(), segments[1]); err != nil {
		t.Fatal(err)
	}
	if upload := h.upload(segments[1]); upload.Checkpoint != nil || upload.AcknowledgedBytes != 0 || upload.State != "pending" {
		t.Errorf("upload %+v goes on from what was sent of another content", upload)
	}
	if again, _ := h.ordered(s, order); again != recording {
		t.Errorf("became recording %d, want %d", again, recording)
	}
}

// Whatever statement a process dies at while it takes an order: the order is there with all its jobs or not at all, and
// sent again it is one.
func TestKillWhileAnOrderIsTakenMakesOneArchive(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	world := &memory{archives: make(map[string]int)}
	h.archives = h.archivesOf(world)
	healthy := h.service()
	deaths := 0
	for ; ; deaths++ {
		files := []File{h.file(fmt.Sprintf("a%d.flv", deaths), "a", newYear), h.file(fmt.Sprintf("b%d.flv", deaths), "b", newYear)}
		order := Order{Params: db.Template{Title: "t", Tag: "a", UserCookie: "a.json"}, Request: fmt.Sprint(deaths), Files: files}
		s, m := h.crashingService(h.archives, deaths)
		died := s.Order(m.Context, order) != nil
		var rows, segments int
		h.exec("SELECT count(*) FROM recordings WHERE request_key = $1", []any{s.requestKey(order.Request, files)}, &rows)
		h.exec("SELECT count(*) FROM segments WHERE path = ANY ($1)", []any{[]string{files[0].Path, files[1].Path}}, &segments)
		if segments != 2*rows || !died && rows != 1 {
			t.Errorf("death %d left %d recordings with %d segments", deaths, rows, segments)
		}
		if err := healthy.Order(t.Context(), order); err != nil {
			t.Fatal(err)
		}
		if !died {
			break
		}
		if deaths > 60 {
			t.Fatal("a process that lives does not come to an end")
		}
	}
	if deaths < 8 {
		t.Errorf("only %d statements were seen", deaths)
	}
	h.start(h.service())
	var recordings []int64
	h.exec("SELECT array_agg(id) FROM recordings", nil, &recordings)
	for _, recording := range recordings {
		h.untilSubmission(recording, "accepted")
	}
	for death := range deaths + 1 {
		if made := world.made(fmt.Sprintf("na%d", death)); made != 1 {
			t.Errorf("death %d: %d archives, want 1", death, made)
		}
	}
	if slices.Contains(recordings, 0) || len(recordings) != deaths+1 {
		t.Errorf("%d recordings of %d orders", len(recordings), deaths+1)
	}
}
