package upload

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/bilibili"
	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/line"
	simulator "github.com/lubod/lubod/sdk/simulator/bilibili"
)

func TestRefusalsByCode(t *testing.T) {
	t.Parallel()
	tests := []struct {
		code  int
		state string
		due   time.Duration
	}{
		{21070, "waiting", 36 * time.Second},
		{-352, "waiting", time.Minute},
		{20042, "waiting", time.Minute},
		{31415, "waiting", time.Minute},
		{601, "waiting", time.Hour},
		{137022, "waiting", 2 * time.Hour},
		{21103, "failed", 0},
		{-400, "failed", 0},
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.code), func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.pace.Unit, h.pace.Slow = time.Minute, time.Minute
			sim := h.real(simulator.Options{})
			sim.AddFault(simulator.Code(test.code).Always())
			recording, submission := func() (int64, db.Submission) {
				s := h.service()
				recording := h.recording("recording")
				h.closed(s, recording, 1)
				h.end(s, recording)
				h.start(s)
				h.until("refused", func() bool { submission, _ := h.submission(recording); return submission.Error != "" })
				submission, _ := h.submission(recording)
				return recording, submission
			}()
			if submission.State != test.state || !strings.Contains(submission.Error, fmt.Sprint(test.code)) || submission.Attempts != 1 {
				t.Errorf("submission %d = %+v, want %s", recording, submission, test.state)
			}
			if test.state == "failed" {
				h.until("no job", func() bool { return h.jobs("submit", "completed") == 1 })
				return
			}
			h.until("waits", func() bool { return h.jobs("submit", "scheduled") == 1 })
			if due := h.dueIn("submit"); due < test.due-10*time.Second || due > test.due {
				t.Errorf("next try in %v, want %v", due, test.due)
			}
		})
	}
}

func TestUnreachableBilibiliCountsNoTry(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	tries := 0
	h.archives = &fakeArchives{submit: func(context.Context, *bilibili.Account, bilibili.Archive) (bilibili.Accepted, error) {
		if tries++; tries < 3 {
			return bilibili.Accepted{}, fmt.Errorf("%w: no network", bilibili.ErrNotSent)
		}
		return bilibili.Accepted{AID: 3, BVID: "BV3"}, nil
	}}
	if _, submission := h.published(1, "accepted"); submission.Attempts != 1 {
		t.Errorf("%d tries were counted, want 1", submission.Attempts)
	}
}

// TestARefusedLoginWaitsForAnotherOne: the login is void, and a new file lets everything go on at once.
func TestARefusedLoginWaitsForAnotherOne(t *testing.T) {
	t.Parallel()
	for name, strike := range map[string]func(h *harness){
		"transfer": func(h *harness) {
			store := h.lines.upload
			h.lines.upload = func(ctx context.Context, file line.File, report func(line.Progress) error) (line.Result, error) {
				if file.Cookies["SESSDATA"] == "sess" {
					return line.Result{}, sdk.Errorf(sdk.LoginRequired, "not logged in")
				}
				return store(ctx, file, report)
			}
		},
		"submit": func(h *harness) {
			h.archives.(*fakeArchives).submit = func(_ context.Context, account *bilibili.Account, _ bilibili.Archive) (bilibili.Accepted, error) {
				if account.Cookies["SESSDATA"] == "sess" {
					return bilibili.Accepted{}, &bilibili.RefusedError{Code: bilibili.CodeCSRF}
				}
				return bilibili.Accepted{AID: 1, BVID: "BV1"}, nil
			}
		},
		"look-up": func(h *harness) {
			archives := h.archives.(*fakeArchives)
			archives.submit = func(context.Context, *bilibili.Account, bilibili.Archive) (bilibili.Accepted, error) {
				return bilibili.Accepted{}, bilibili.ErrAnswerLost
			}
			archives.find = func(_ context.Context, account *bilibili.Account, _ []string) (bilibili.Accepted, error) {
				if account.Cookies["SESSDATA"] == "sess" {
					return bilibili.Accepted{}, &bilibili.RefusedError{Code: bilibili.CodeNotLoggedIn}
				}
				return bilibili.Accepted{AID: 1, BVID: "BV1"}, nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.pace.Operator, h.pace.Lookup = 20*time.Second, 10*time.Second // only PublishingChanged ends the wait
			if name == "look-up" {
				h.pace.Lookup = time.Millisecond
			}
			accounts := &doubtfulAccounts{fakeAccounts: fakeAccounts{dir: h.dir}}
			h.accounts = accounts
			strike(h)
			s := h.service()
			recording := h.recording("recording")
			segment := h.closed(s, recording, 1)
			h.end(s, recording)
			h.start(s)
			h.until("rejected", func() bool { return accounts.void() != "" })
			h.until("a reason", func() bool {
				submission, _ := h.submission(recording)
				return strings.Contains(h.upload(segment).Error+submission.Error, "refused")
			})
			h.until("waits", func() bool {
				return h.jobs("submit", "running", "available")+h.jobs("transfer", "running", "available") == 0
			})
			h.cookies("a.json", "another")
			s.PublishingChanged()
			if submission := h.untilSubmission(recording, "accepted"); submission.Attempts != 1 {
				t.Errorf("submission %+v", submission)
			}
		})
	}
}

// doubtfulAccounts refuse a login that was rejected, as long as its file stays the same.
type doubtfulAccounts struct {
	fakeAccounts
	mu          sync.Mutex
	fingerprint string
}

func (d *doubtfulAccounts) void() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.fingerprint
}

func (d *doubtfulAccounts) Account(ctx context.Context, file string) (*bilibili.Account, error) {
	account, err := d.fakeAccounts.Account(ctx, file)
	if err == nil && account.Fingerprint == d.void() {
		return nil, fmt.Errorf("%w: refused; log in again", bilibili.ErrNoAccount)
	}
	return account, err
}

func (d *doubtfulAccounts) Rejected(_ context.Context, account *bilibili.Account) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fingerprint = account.Fingerprint
	return nil
}
