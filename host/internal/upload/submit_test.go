package upload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/bilibili"
	"github.com/lubod/lubod/sdk/line"
	simulator "github.com/lubod/lubod/sdk/simulator/bilibili"
)

// real replaces Bilibili by the strict simulator: files are stored there, and the client of the host talks to it.
func (h *harness) real(options simulator.Options) *simulator.Server {
	h.t.Helper()
	sim := simulator.New(h.t, options)
	account := sim.AddAccount(simulator.AccountOptions{})
	content, err := json.Marshal(account.CookieFile())
	if err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(h.dir, "a.json"), content, 0o600); err != nil {
		h.t.Fatal(err)
	}
	h.lines.upload = func(_ context.Context, file line.File, _ func(line.Progress) error) (line.Result, error) {
		h.began(file)
		object, err := sim.Store(account.MID, file.Line, file.Name, []byte(file.Path))
		return line.Result{RemoteName: object.Name, RemoteID: object.BizID}, err
	}
	client := bilibili.New(bilibili.Options{MemberURL: sim.URL()})
	h.t.Cleanup(client.Close)
	h.archives, h.covers = client, client
	return sim
}

// published runs a whole recording of some segments up to its submission's state.
func (h *harness) published(segments int, state string) (int64, db.Submission) {
	h.t.Helper()
	s := h.service()
	recording := h.recording("recording")
	for i := range segments {
		h.closed(s, recording, i+1)
	}
	h.end(s, recording)
	h.start(s)
	return recording, h.untilSubmission(recording, state)
}

func TestRecordingBecomesOneArchive(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	sim := h.real(simulator.Options{})
	h.exec(`UPDATE templates SET title = '{title} by {{streamer}}', description = '{url}', copyright = 2, tag = 'live, 录像，live'`, nil)
	_, submission := h.published(3, "accepted")
	archives := sim.Archives()
	if len(archives) != 1 {
		t.Fatalf("%d archives", len(archives))
	}
	archive := archives[0]
	if archive.Title != "title by host" || archive.Desc != "http://room/1" || archive.Source != "http://room/1" || archive.Tag != "live,录像" {
		t.Errorf("archive = %+v", archive)
	}
	for i, video := range archive.Videos {
		if !strings.HasSuffix(video.Title, fmt.Sprintf("_%03d", i+1)) {
			t.Errorf("part %d is %s", i+1, video.Title)
		}
	}
	if submission.AID != archive.AID || submission.BVID != archive.BVID || submission.Attempts != 1 {
		t.Errorf("submission = %+v", submission)
	}
	sim.RequireNoViolations(t)
}

func TestLostAnswerIsLookedUpAndNotSubmittedAgain(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]simulator.Fault{
		"cut":       simulator.SubmitAnswerLost(),
		"gateway":   {Match: simulator.Match{Call: simulator.CallSubmit}, Action: simulator.Action{Do: simulator.DoReplace, Status: 502}, Times: 1},
		"not JSON":  {Match: simulator.Match{Call: simulator.CallSubmit}, Action: simulator.Action{Do: simulator.DoReplace, Status: 200, Body: "<html>"}, Times: 1},
		"bad gate":  {Match: simulator.Match{Call: simulator.CallSubmit}, Action: simulator.Action{Do: simulator.DoReplace, Status: 504, Body: `{"code":-504}`}, Times: 1},
		"nameless":  {Match: simulator.Match{Call: simulator.CallSubmit}, Action: simulator.Action{Do: simulator.DoEdit, Drop: []string{"data"}}, Times: 1},
		"duplicate": {Match: simulator.Match{Call: simulator.CallSubmit}, Action: simulator.Action{Do: simulator.DoReplace, Status: 200, Body: `{"code":10009}`}, Times: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			sim := h.real(simulator.Options{})
			sim.AddFault(fault)
			_, submission := h.published(2, "accepted")
			if archives, submits := sim.Archives(), sim.Submits(); len(archives) != 1 || len(submits) != 1 || submission.BVID != archives[0].BVID {
				t.Errorf("%d archives after %d submits, submission %+v", len(archives), len(submits), submission)
			}
			sim.RequireNoViolations(t)
		})
	}
}

func TestSubmitThatNeverArrivedIsRepeatedAfterLooking(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.pace.LookFor = time.Second
	sim := h.real(simulator.Options{})
	sim.AddFault(simulator.Reset(simulator.CallSubmit))
	_, submission := h.published(1, "accepted")
	if archives := sim.Archives(); len(archives) != 1 || submission.Attempts != 2 || submission.Lookups != 0 {
		t.Errorf("%d archives, submission %+v", len(archives), submission)
	}
	var looks int
	for _, request := range sim.Requests() {
		if request.Path == "/x/web/archives" {
			looks++
		}
	}
	if looks < 3 {
		t.Errorf("the list was read %d times before the second submit", looks)
	}
	sim.RequireNoViolations(t)
}

func TestEarlyLookProvesNothing(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.pace.Lookup, h.pace.LookupMax = longTime, longTime
	found := 0
	h.archives = &fakeArchives{
		submit: func(context.Context, *bilibili.Account, bilibili.Archive) (bilibili.Accepted, error) {
			return bilibili.Accepted{}, bilibili.ErrAnswerLost
		},
		find: func(context.Context, *bilibili.Account, []string) (bilibili.Accepted, error) {
			found++
			return bilibili.Accepted{}, bilibili.ErrNoArchive
		},
	}
	recording, _ := h.published(1, "unknown")
	s := h.service()
	for range 5 { // a restart, an edited template: jobs run early
		if wait, again := h.submit(t.Context(), s, recording); !again || wait < longTime/2 {
			t.Fatalf("again %v, in %v", again, wait)
		}
	}
	if found != 0 {
		t.Errorf("the list was read %d times within moments of the submit", found)
	}
}

func TestDuplicateThatIsNeverFoundIsGivenUp(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	submits := 0
	h.archives = &fakeArchives{
		submit: func(context.Context, *bilibili.Account, bilibili.Archive) (bilibili.Accepted, error) {
			submits++
			return bilibili.Accepted{}, &bilibili.RefusedError{Code: 21012, Message: "duplicate"}
		},
		find: func(context.Context, *bilibili.Account, []string) (bilibili.Accepted, error) {
			return bilibili.Accepted{}, bilibili.ErrNoArchive
		},
	}
	s := h.service()
	recording := h.recording("recording")
	segment := h.closed(s, recording, 1)
	h.exec("UPDATE uploads SET state = 'uploaded', remote_name = 'n1', account_file = 'data/a.json' WHERE segment_id = $1", []any{segment})
	h.end(s, recording)
	for steps := 0; ; steps++ {
		h.exec("UPDATE submissions SET updated_at = now() - interval '1 hour', submitted_at = submitted_at - interval '1 hour'", nil)
		_, again := h.submit(t.Context(), s, recording)
		if steps > 10*maxLost {
			t.Fatalf("after %d steps it goes on", steps)
		}
		if !again {
			break
		}
	}
	submission, _ := h.submission(recording)
	if submission.State != "failed" || submits != maxLost || !strings.Contains(submission.Error, "creator centre") {
		t.Errorf("after %d submits: %+v", submits, submission)
	}
}

func TestPartsOfTwoAccountsAreHeld(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.archives = &fakeArchives{}
	s := h.service()
	recording := h.recording("recording")
	h.closed(s, recording, 1)
	h.exec("UPDATE uploads SET state = 'uploaded', remote_name = 'n1', account_file = 'old.json'", nil)
	h.end(s, recording)
	if _, again := h.submit(t.Context(), s, recording); !again {
		t.Fatal("it is given up")
	}
	submission, _ := h.submission(recording)
	if submission.State != "waiting" || !strings.Contains(submission.Error, `"old.json"`) {
		t.Errorf("submission = %+v", submission)
	}
}

func TestDatabaseAwayBeforeASubmitIsNoRefusal(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.archives = &fakeArchives{}
	s := h.service()
	recording := h.recording("recording")
	h.closed(s, recording, 1)
	h.exec("UPDATE uploads SET state = 'uploaded', remote_name = 'n1', account_file = 'a.json'", nil)
	h.end(s, recording)
	h.exec("ALTER TABLE templates RENAME TO gone", nil)
	if _, again := h.submit(t.Context(), s, recording); !again {
		t.Error("it is not tried again")
	}
	if submission, _ := h.submission(recording); submission.State != "waiting" || submission.Error != "" {
		t.Errorf("submission = %+v", submission)
	}
}

// Either the last upload or the end of the recording makes it complete: each alone does not, and both together order one
// submission, whichever commits first.
func TestLastUploadAndEndInAnyOrderOrderOneSubmission(t *testing.T) {
	t.Parallel()
	upload := func(tx pgx.Tx, h *harness, s *Service, recording, segment int64) error {
		_, err := s.Pipeline.Lock(t.Context(), tx, recording)
		_, finished := tx.Exec(t.Context(), "UPDATE uploads SET state = 'uploaded', remote_name = 'n' WHERE segment_id = $1", segment)
		return errors.Join(err, finished, s.Pipeline.Advance(t.Context(), tx, recording))
	}
	end := func(tx pgx.Tx, h *harness, s *Service, recording, _ int64) error {
		err := h.db.WithTx(tx).EndRecording(t.Context(), db.EndRecordingParams{ID: recording, EndedAt: time.Now()})
		return errors.Join(err, s.Pipeline.RecordingEnded(t.Context(), tx, recording))
	}
	type half func(tx pgx.Tx, h *harness, s *Service, recording, segment int64) error
	for name, order := range map[string][]half{"upload first": {upload, end}, "end first": {end, upload}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			s := h.service()
			recording := h.recording("recording")
			segment := h.closed(s, recording, 1)
			// The second transaction is under way while the first is not committed.
			first, err := h.db.Pool.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = first.Rollback(context.WithoutCancel(t.Context())) }()
			if err := order[0](first, h, s, recording, segment); err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() {
				done <- h.db.InTx(t.Context(), func(tx pgx.Tx, _ *db.Queries) error { return order[1](tx, h, s, recording, segment) })
			}()
			h.until("the second waits for the first", func() bool {
				var waiting int
				h.exec("SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database OR l.database IS NULL WHERE NOT l.granted AND d.datname = current_database()", nil, &waiting)
				return waiting > 0
			})
			if err := first.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if n := h.jobs("submit"); n != 1 {
				t.Errorf("%d submissions were ordered, want 1", n)
			}
		})
	}
}

func TestLostOrdersAreMadeAgain(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := h.service()
	pending, ended := h.recording("ended"), h.recording("ended")
	first := h.closed(s, pending, 1)
	second := h.closed(s, ended, 1)
	h.exec("UPDATE uploads SET state = 'uploaded', remote_name = 'n2', account_file = 'a.json' WHERE segment_id = $1", []any{second})
	h.exec("DELETE FROM river_job", nil)
	h.start(h.service())
	h.untilUpload(first, "uploaded")
	h.untilSubmission(pending, "accepted")
	h.untilSubmission(ended, "accepted")
}

func TestAcceptedArchiveIsSavedThoughTheHostStops(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	called, release := make(chan struct{}), make(chan struct{})
	h.archives = &fakeArchives{submit: func(ctx context.Context, _ *bilibili.Account, _ bilibili.Archive) (bilibili.Accepted, error) {
		close(called)
		<-ctx.Done() // the stop begins while the call is under way, and the answer comes all the same
		close(release)
		return bilibili.Accepted{AID: 9, BVID: "BV9"}, nil
	}}
	s := h.service()
	recording := h.recording("recording")
	h.closed(s, recording, 1)
	h.end(s, recording)
	stop := h.start(s)
	<-called
	stop()
	<-release
	if submission, _ := h.submission(recording); submission.State != "accepted" || submission.AID != 9 {
		t.Errorf("submission = %+v", submission)
	}
}

func TestSegmentsThatAreNotWantedAreNoParts(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := h.service()
	var parts []string
	h.archives = &fakeArchives{submit: func(_ context.Context, _ *bilibili.Account, archive bilibili.Archive) (bilibili.Accepted, error) {
		parts = filenames(archive.Videos)
		return bilibili.Accepted{AID: 1, BVID: "BV1"}, nil
	}}
	recording, nothing := h.recording("recording"), h.recording("ended")
	first := h.closed(s, recording, 1)
	h.closed(s, recording, 2)
	waived := h.closed(s, nothing, 1)
	h.exec("UPDATE segments SET publish = 'waived' WHERE id IN ($1, $2)", []any{first, waived})
	h.end(s, recording)
	h.start(h.service())
	h.untilSubmission(recording, "accepted")
	if want := fmt.Sprintf("[nr%d_002]", recording); fmt.Sprint(parts) != want {
		t.Errorf("parts = %v, want %s", parts, want)
	}
	if _, exists := h.submission(nothing); exists || len(h.begun()) != 1 {
		t.Errorf("what nobody wants was published: %v", h.begun())
	}
}
