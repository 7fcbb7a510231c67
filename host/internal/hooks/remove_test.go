package hooks

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/lubod/lubod/host/internal/pipeline"
)

// reasonOf is the code that a run keeps.
func (h *harness) reasonOf(run int64) (code string) {
	h.t.Helper()
	h.exec("SELECT coalesce(reason ->> 'code', '') FROM hook_runs WHERE id = $1", []any{run}, &code)
	return code
}

// followed tells what Bilibili says of the archive of a recording.
func (h *harness) followed(s *Service, recording int64, archive pipeline.Archive, words string) {
	h.t.Helper()
	rows, err := h.db.RecordingSubmissions(h.t.Context(), recording)
	if err != nil || len(rows) != 1 {
		h.t.Fatalf("%d submissions: %v", len(rows), err)
	}
	if err := s.Pipeline.Followed(h.t.Context(), rows[0], archive, 0, words); err != nil {
		h.t.Fatal(err)
	}
}

// Removing waits until the archive is public, says for what, and goes on as soon as that is known.
func TestRemoveWaitsUntilTheArchiveIsPublic(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		archive           pipeline.Archive
		words, code, says string
	}{
		"in review": {pipeline.ArchiveReview, "审核中", "submission.not_public", "审核中"},
		"scheduled": {pipeline.ArchiveScheduled, "定时发布", "submission.not_public", "定时发布"},
		"rejected":  {pipeline.ArchiveRejected, "转码失败", "submission.archive_rejected", "转码失败"},
		"no words":  {pipeline.ArchiveReview, "", "submission.not_public", "review"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.options.Pace.Turn = time.Hour // it is told, and does not look by itself
			h.hook(Postprocessor, `"rm"`)
			s := h.service()
			h.start(s)
			recording := h.recording()
			segment := h.closed(s, recording, 1, "wanted")
			h.end(s, recording)
			h.acceptAs(s, recording, pipeline.ArchiveReview)
			h.exec("UPDATE submissions SET archive = $1, archive_text = $2", []any{string(test.archive), test.words})
			h.until("the reason", func() bool { run := h.the(Postprocessor, recording); return strings.Contains(run.Error, test.says) })
			run := h.the(Postprocessor, recording)
			if run.State != "pending" || run.Attempts != 0 || h.reasonOf(run.ID) != test.code {
				t.Errorf("%s after %d attempts: %s", run.State, run.Attempts, h.reasonOf(run.ID))
			}
			if _, err := os.Stat(h.segment(segment).Path); err != nil {
				t.Error(err)
			}
			h.followed(s, recording, pipeline.ArchivePublic, "")
			h.untilState(Postprocessor, recording, "done")
			if _, err := os.Stat(h.path(recording, 1)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the file of a public archive: %v", err)
			}
		})
	}
}

func TestRemoveEndsWithoutRemovingWhenNothingComesOfTheArchive(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.hook(Postprocessor, `"rm"`, say("after"))
	s := h.service()
	recording := h.recording()
	segment := h.closed(s, recording, 1, "wanted")
	h.end(s, recording)
	h.acceptAs(s, recording, pipeline.ArchiveUnknown)
	run := h.workOff(s, Postprocessor, recording)
	if run.State != "done" || !strings.Contains(run.Error, "BV5") || !strings.Contains(run.Error, "kept") || h.reasonOf(run.ID) != "hook.failed" {
		t.Errorf("%s: %s (%s)", run.State, run.Error, h.reasonOf(run.ID))
	}
	if _, err := os.Stat(h.segment(segment).Path); err != nil {
		t.Error(err)
	}
}

// All archives of a recording have to be public, and each part has to be in one that is.
func TestRemoveWaitsForEveryArchive(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.hook(Postprocessor, `"rm"`)
	s := h.service()
	recording := h.recording()
	h.closed(s, recording, 1, "wanted")
	h.end(s, recording)
	h.accept(s, recording)
	h.exec("INSERT INTO submissions (recording_id, number, state, archive) VALUES ($1, 2, 'accepted', 'review')", []any{recording})
	if run := h.workOff(s, Postprocessor, recording); run.State != "pending" || h.reasonOf(run.ID) != "submission.not_public" {
		t.Errorf("%s: %s", run.State, run.Error)
	}
	if _, err := os.Stat(h.path(recording, 1)); err != nil {
		t.Error(err)
	}
}

// A file that a person ordered as well goes away only when that order is public too.
func TestRemoveKeepsWhatAPersonOrdered(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		publish string // of the room's segment
		order   string // what became of the order by hand
		gone    bool
	}{
		"nothing yet":                 {"wanted", "SELECT 1", false},
		"uploaded":                    {"wanted", "INSERT INTO uploads (segment_id, state, remote_name) VALUES ($1, 'uploaded', 'm')", false},
		"in review":                   {"wanted", "WITH u AS (INSERT INTO uploads (segment_id, state, remote_name) VALUES ($1, 'uploaded', 'm')) INSERT INTO submissions (recording_id, state, archive, parts) SELECT recording_id, 'accepted', 'review', '{m}' FROM segments WHERE id = $1", false},
		"public without it":           {"wanted", "WITH u AS (INSERT INTO uploads (segment_id, state, remote_name) VALUES ($1, 'uploaded', 'm')) INSERT INTO submissions (recording_id, state, archive, parts) SELECT recording_id, 'accepted', 'public', '{other}' FROM segments WHERE id = $1", false},
		"public":                      {"wanted", "WITH u AS (INSERT INTO uploads (segment_id, state, remote_name) VALUES ($1, 'uploaded', 'm')) INSERT INTO submissions (recording_id, state, archive, parts) SELECT recording_id, 'accepted', 'public', '{m}' FROM segments WHERE id = $1", true},
		"given up":                    {"wanted", "UPDATE segments SET publish = 'waived' WHERE id = $1", true},
		"of a room that is no public": {"never", "SELECT 1", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.hook(Postprocessor, `"rm"`)
			s := h.service()
			recording := h.recording()
			segment := h.closed(s, recording, 1, test.publish)
			if test.publish == "never" {
				h.exec("UPDATE recordings SET publish = 'never'", nil)
			}
			var order int64
			h.exec(`WITH r AS (INSERT INTO recordings (kind, host_id, url, remark, title, streamer_name, state, started_at, ended_at, params, request_key)
					VALUES ('manual', $1, '', '', 't', 's', 'ended', now(), now(), '{}', 'k') RETURNING id)
				INSERT INTO segments (recording_id, index, path, size_bytes, duration_ms, started_at, ended_at, publish, modified_at)
				SELECT r.id, 1, g.path, g.size_bytes, 0, now(), now(), 'wanted', now() FROM r, segments g WHERE g.id = $2 RETURNING id`, []any{h.host, segment}, &order)
			args := []any{order}
			if !strings.Contains(test.order, "$1") {
				args = nil
			}
			h.exec(test.order, args)
			h.end(s, recording)
			h.accept(s, recording)
			h.workOff(s, Postprocessor, recording)
			_, err := os.Stat(h.path(recording, 1))
			if gone := errors.Is(err, os.ErrNotExist); gone != test.gone {
				t.Errorf("gone: %v", gone)
			}
		})
	}
}

// What a person ordered by hand has no hooks: nothing ever removes it on its own account.
func TestOrdersByHandHaveNoHooks(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.hook(Postprocessor, `"rm"`)
	s := h.service()
	path := h.path(7, 1)
	h.write(path, "mine")
	var recording int64
	h.exec(`WITH r AS (INSERT INTO recordings (kind, host_id, url, remark, title, streamer_name, state, started_at, ended_at, params, request_key)
			VALUES ('manual', $1, 'http://room/1', '', 't', 's', 'ended', now(), now(), '{}', 'k') RETURNING id)
		INSERT INTO segments (recording_id, index, path, size_bytes, duration_ms, started_at, ended_at, publish, modified_at)
		SELECT r.id, 1, $2, 4, 0, now(), now(), 'wanted', now() FROM r RETURNING recording_id`, []any{h.host, path}, &recording)
	for range 2 {
		if err := s.Pipeline.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	h.accept(s, recording)
	if n := h.count("hook_runs"); n != 0 {
		t.Errorf("%d hooks", n)
	}
	if h.read(path) != "mine" {
		t.Error("the file changed")
	}
}
