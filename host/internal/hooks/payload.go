package hooks

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/sdk/extractor"
)

// Version is the version of Payload. It changes when a field changes its meaning or goes away; new ones may come.
const Version = 1

// Payload is what commands get on standard input and webhooks as their body.
type Payload struct {
	Version int   `json:"v"`
	Event   Event `json:"event"`
	Room    Room  `json:"room"`
	// Recording is what is known of the broadcast; before it begins it has no id.
	Recording Recording `json:"recording"`
	// Segments are the one that was closed, or all of the recording, in order. Removed files are not among them.
	Segments []Segment `json:"segments"`
	// Submission is null until there is one.
	Submission *Submission `json:"submission"`
}

// Event says at which stage a hook runs, in one word.
type Event string

// The events.
const (
	EventPreprocessor Event = "preprocessor"
	EventSegment      Event = "segment"
	EventDownloaded   Event = "downloaded"
	EventPost         Event = "post"
)

func eventOf(stage Stage) Event {
	switch stage {
	case Preprocessor:
		return EventPreprocessor
	case SegmentProcessor:
		return EventSegment
	case DownloadedProcessor:
		return EventDownloaded
	}
	return EventPost
}

// Room is the streamer; its id is null when it was deleted meanwhile.
type Room struct {
	ID           *int64  `json:"id"`
	URL          string  `json:"url"`
	Remark       string  `json:"remark"`
	TemplateName *string `json:"template_name"`
}

// Recording is one live session.
type Recording struct {
	ID        *int64     `json:"id"`
	Title     string     `json:"title"`
	Streamer  string     `json:"streamer"`
	Category  string     `json:"category"`
	CoverURL  string     `json:"cover_url"`
	StartedAt time.Time  `json:"started_at"`
	EndedAt   *time.Time `json:"ended_at"`
}

// Segment is one finished media file.
type Segment struct {
	ID         int64     `json:"id"`
	Index      int32     `json:"index"`
	Path       string    `json:"path"`
	SizeBytes  int64     `json:"size_bytes"`
	DurationMs int64     `json:"duration_ms"`
	StartedAt  time.Time `json:"started_at"`
	EndedAt    time.Time `json:"ended_at"`
	// Publish is wanted, filtered, never or waived.
	Publish string `json:"publish"`
}

// Submission is the archive on Bilibili.
type Submission struct {
	State      string     `json:"state"`
	Title      string     `json:"title"`
	AID        int64      `json:"aid"`
	BVID       string     `json:"bvid"`
	AcceptedAt *time.Time `json:"accepted_at"`
}

// facts is what a step works with, as it is when the step begins.
type facts struct {
	payload  Payload
	segments []db.Segment
	uploads  map[int64]string // states by segment
}

// facts reads what a run is about.
func (s *Service) facts(ctx context.Context, run db.HookRun) (facts, error) {
	recording, err := s.DB.GetRecording(ctx, run.RecordingID)
	if err != nil {
		return facts{}, fmt.Errorf("read recording: %w", err)
	}
	rows, err := s.DB.ListSegments(ctx, run.RecordingID)
	if err != nil {
		return facts{}, fmt.Errorf("read segments: %w", err)
	}
	read := facts{payload: payloadOf(Stage(run.Stage), recording), uploads: make(map[int64]string)}
	for _, row := range rows {
		if row.Segment.RemovedAt != nil || run.SegmentID != nil && row.Segment.ID != *run.SegmentID {
			continue
		}
		read.segments = append(read.segments, row.Segment)
		read.uploads[row.Segment.ID] = row.UploadState
		read.payload.Segments = append(read.payload.Segments, segmentOf(row.Segment))
	}
	submissions, err := s.DB.RecordingSubmissions(ctx, run.RecordingID)
	if err != nil {
		return facts{}, fmt.Errorf("read submissions: %w", err)
	}
	if len(submissions) > 0 {
		read.payload.Submission = submissionOf(submissions[0])
	}
	return read, nil
}

func payloadOf(stage Stage, r db.Recording) Payload {
	return Payload{
		Version: Version, Event: eventOf(stage),
		Room: Room{ID: r.StreamerID, URL: r.URL, Remark: r.Remark, TemplateName: r.TemplateName},
		Recording: Recording{
			ID: &r.ID, Title: r.Title, Streamer: r.StreamerName, Category: r.Category, CoverURL: r.CoverURL,
			StartedAt: r.StartedAt.UTC(), EndedAt: utc(r.EndedAt),
		},
		Segments: []Segment{},
	}
}

// payloadBefore is the payload of a recording that is about to begin.
func payloadBefore(streamer db.Streamer, status extractor.Status, now time.Time) Payload {
	return Payload{
		Version: Version, Event: EventPreprocessor,
		Room: Room{ID: &streamer.ID, URL: streamer.URL, Remark: streamer.Remark, TemplateName: streamer.TemplateName},
		Recording: Recording{
			Title: db.Text(status.Title), Streamer: db.Text(status.Streamer), Category: db.Text(status.Category),
			CoverURL: db.Text(status.CoverURL), StartedAt: now.UTC(),
		},
		Segments: []Segment{},
	}
}

func segmentOf(g db.Segment) Segment {
	return Segment{
		ID: g.ID, Index: g.Index, Path: g.Path, SizeBytes: g.SizeBytes, DurationMs: g.DurationMs,
		StartedAt: g.StartedAt.UTC(), EndedAt: g.EndedAt.UTC(), Publish: g.Publish,
	}
}

func submissionOf(s db.Submission) *Submission {
	return &Submission{State: s.State, Title: s.Title, AID: s.AID, BVID: s.BVID, AcceptedAt: utc(s.AcceptedAt)}
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}

// encode writes the payload as one line.
func (p Payload) encode() ([]byte, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encode what the hook is told: %w", err)
	}
	return append(text, '\n'), nil
}

// maxFilesVariable keeps LUBOD_FILES below what Linux takes for one variable.
const maxFilesVariable = 100 << 10

// plainEnvironment is what programs get of the daemon's own environment. The rest may hold its secrets.
func plainEnvironment() []string {
	environment := []string{} // nil would mean all of it
	for _, name := range []string{"PATH", "HOME", "LANG", "TZ"} {
		if value, set := os.LookupEnv(name); set {
			environment = append(environment, name+"="+value)
		}
	}
	return environment
}

// environment is all that a command finds in its environment.
func (p Payload) environment() []string {
	environment := plainEnvironment()
	add := func(name, value string) {
		environment = append(environment, "LUBOD_"+name+"="+strings.ReplaceAll(value, "\x00", ""))
	}
	add("EVENT", string(p.Event))
	add("URL", p.Room.URL)
	add("STREAMER", p.streamer())
	add("TITLE", p.Recording.Title)
	add("STARTED_AT", p.Recording.StartedAt.Format(time.RFC3339))
	if p.Recording.ID != nil {
		add("RECORDING_ID", strconv.FormatInt(*p.Recording.ID, 10))
	}
	files := make([]string, 0, len(p.Segments))
	for _, segment := range p.Segments {
		files = append(files, segment.Path)
	}
	if p.Event == EventSegment && len(files) == 1 {
		add("FILE", files[0])
		add("SEGMENT_INDEX", strconv.Itoa(int(p.Segments[0].Index)))
	}
	if list := strings.Join(files, "\n"); len(files) > 0 && len(list) <= maxFilesVariable {
		add("FILES", list)
	}
	if p.Submission != nil && p.Submission.BVID != "" {
		add("BVID", p.Submission.BVID)
		add("AID", strconv.FormatInt(p.Submission.AID, 10))
	}
	return environment
}

// streamer is what a person calls the room.
func (p Payload) streamer() string {
	for _, name := range []string{p.Room.Remark, p.Recording.Streamer} {
		if strings.TrimSpace(name) != "" {
			return name
		}
	}
	return p.Room.URL
}
