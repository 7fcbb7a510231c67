package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// status is what GET /status tells, as far as it tells whether something is left to do.
type status struct {
	Rooms []struct {
		Downloader string `json:"downloader_status"`
		Uploader   string `json:"uploader_status"`
		Reason     string `json:"reason"`
	}
	Recordings  []json.RawMessage
	Uploads     []json.RawMessage
	Submissions []submissionStatus
	Hooks       []struct {
		ID    int64  `json:"id"`
		State string `json:"state"`
		Hook  string `json:"hook"`
		Error string `json:"error"`
	}
}

type submissionStatus struct {
	ID      int64  `json:"streamer_info_id"`
	State   string `json:"state"`
	Archive string `json:"archive"`
	Error   string `json:"error"`
}

// final are the states of a submission in which only a person or nobody has something to do.
var final = []string{"accepted", "failed"}

// open tells what is left to do.
func (s *status) open() []string {
	var open []string
	for i, room := range s.Rooms {
		if room.Downloader == "Working" {
			open = append(open, fmt.Sprintf("room %d is recorded", i+1))
		}
	}
	for _, recording := range s.Recordings {
		open = append(open, "recording "+short(recording))
	}
	for _, upload := range s.Uploads {
		open = append(open, "upload "+short(upload))
	}
	for _, submission := range s.Submissions {
		if !slices.Contains(final, submission.State) {
			open = append(open, fmt.Sprintf("submission of recording %d is %s: %s", submission.ID, submission.State, submission.Error))
		}
	}
	refused := slices.ContainsFunc(s.Submissions, func(s submissionStatus) bool { return s.Archive == "rejected" })
	for _, hook := range s.Hooks {
		// What waits for an archive that was refused waits for a person.
		if hook.State != "done" && !refused {
			open = append(open, fmt.Sprintf("%s %d is %s: %s", hook.Hook, hook.ID, hook.State, hook.Error))
		}
	}
	return open
}

func short(raw json.RawMessage) string {
	if text := string(raw); len(text) > 300 {
		return text[:300] + "…"
	}
	return string(raw)
}

// settle returns when lubod has nothing left to do, which its own words and its database must agree about.
func (r *run) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleBudget)
	defer cancel()
	last := []string{"nothing was asked"}
	for calm := 0; calm < 2; {
		if err := pause(ctx, 150*time.Millisecond); err != nil {
			return fmt.Errorf("stuck after %v: %s", settleBudget, strings.Join(last, "; "))
		}
		var now status
		if err := r.api().call(ctx, "GET", "/status", nil, &now); err != nil {
			last, calm = []string{err.Error()}, 0
			continue
		}
		last = now.open()
		if len(last) == 0 {
			rows, err := r.read(ctx)
			if err != nil {
				last = []string{err.Error()}
			} else {
				last = rows.open()
			}
		}
		calm++
		if len(last) > 0 {
			calm = 0
		}
	}
	return nil
}
