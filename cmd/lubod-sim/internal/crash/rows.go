package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/jackc/pgx/v5"
)

// rows are what the database holds in the end. Columns that are not named here may come and go.
type rows struct {
	Jobs        []job
	Sessions    []session
	Recordings  []recording
	Segments    []segment
	Uploads     []upload
	Submissions []submission
}

type job struct {
	ID      int64
	Kind    string
	State   string
	Attempt int
	Args    json.RawMessage
}

type session struct {
	ID          string
	RecordingID *int64  `json:"recording_id"`
	PathPrefix  string  `json:"path_prefix"`
	EndedAt     *string `json:"ended_at"`
	EndReason   string  `json:"end_reason"`
	EndMessage  string  `json:"end_message"`
}

type recording struct {
	ID     int64
	Remark string
	State  string
}

type segment struct {
	ID          int64
	RecordingID int64 `json:"recording_id"`
	Index       int
	Path        string
	Publish     string
	SizeBytes   int64 `json:"size_bytes"`
	Reason      json.RawMessage
	RemovedAt   *string `json:"removed_at"`
}

type upload struct {
	SegmentID  int64 `json:"segment_id"`
	State      string
	RemoteName string `json:"remote_name"`
	Error      string
}

type submission struct {
	RecordingID int64 `json:"recording_id"`
	State       string
	BVID        string
	Error       string
	Parts       []string
	Archive     string
}

// settled reports whether nothing more will become of a submission by itself.
func (s submission) settled() bool {
	switch s.State {
	case "failed":
		return true
	case "accepted":
		return s.Archive != "review" && s.Archive != "scheduled"
	}
	return false
}

// read looks into the daemon's database.
func (r *run) read(ctx context.Context) (*rows, error) {
	socket := filepath.Join(r.data, "postgres", "socket")
	conn, err := pgx.Connect(ctx, fmt.Sprintf("host=%s port=5432 user=lubod dbname=lubod sslmode=disable", socket))
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	// One moment of all tables: lubod works on.
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	found := &rows{}
	for table, into := range map[string]any{
		"river_job": &found.Jobs, "recorder_sessions": &found.Sessions, "recordings": &found.Recordings, "segments": &found.Segments,
		"uploads": &found.Uploads, "submissions": &found.Submissions,
	} {
		var text []byte
		query := "SELECT coalesce(json_agg(to_jsonb(t) ORDER BY id), '[]') FROM " + table + " t"
		if err := tx.QueryRow(ctx, query).Scan(&text); err != nil {
			return nil, fmt.Errorf("read %s: %w", table, err)
		}
		if err := json.Unmarshal(text, into); err != nil {
			return nil, fmt.Errorf("read %s: %w", table, err)
		}
	}
	return found, nil
}

// open tells what is left to do.
func (r *rows) open() []string {
	var open []string
	unsettled := slices.ContainsFunc(r.Submissions, func(s submission) bool { return !s.settled() })
	refused := slices.ContainsFunc(r.Submissions, func(s submission) bool { return s.Archive == "rejected" })
	for _, job := range r.Jobs {
		// Archives that were refused are followed on, in case that the reviewer thinks better of it, and rm waits for that.
		if !unsettled && (job.Kind == "follow" || job.Kind == "hook" && refused) {
			continue
		}
		if !slices.Contains([]string{"completed", "cancelled", "discarded"}, job.State) {
			open = append(open, fmt.Sprintf("job %d is %s: %s %s, attempt %d", job.ID, job.State, job.Kind, job.Args, job.Attempt))
		}
	}
	for _, session := range r.Sessions {
		if session.EndedAt == nil {
			open = append(open, "session "+session.ID+" has not ended")
		}
	}
	for _, recording := range r.Recordings {
		if recording.State != "ended" {
			open = append(open, fmt.Sprintf("recording %d is %s", recording.ID, recording.State))
		}
	}
	for _, s := range r.Submissions {
		if !s.settled() {
			open = append(open, fmt.Sprintf("submission of recording %d is %s, its archive in %s: %s", s.RecordingID, s.State, s.Archive, s.Error))
		}
	}
	for _, upload := range r.Uploads {
		if upload.State != "uploaded" && upload.State != "failed" {
			open = append(open, fmt.Sprintf("upload of segment %d is %s: %s", upload.SegmentID, upload.State, upload.Error))
		}
	}
	return open
}
