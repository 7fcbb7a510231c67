// Package recorder is for plugins that write a live stream into segment files.
//
// A recorder process is detached: it outlives the host that launched it, so that a crash, restart or upgrade of the
// host does not cost a frame. This package owns that machinery (sessions, numbered events, acknowledgement, re-attach);
// an author writes one blocking function.
//
// That is Recorder.Record: hand its factory to Serve, and test it with plugintest.Recorder. Request is what it is asked, Session
// how it tells what happens, by one of the types that are a Payload; Recoverer and sdk.HealthChecker are optional. Client,
// NewClient and Plugin are for hosts and for tests.
package recorder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/lubod/lubod/sdk"
)

// Recorder records one session until the stream ends or ctx does.
//
// Record returns nil when the stream ended by itself, ErrOffline when nothing could be opened (nothing is being sent),
// any other error when the session broke. Errors of package sdk keep their kind; one that wraps ErrOffline says why nothing
// could be opened. When ctx is cancelled the host asked to stop: Record finishes the current
// segment with everything received and returns nil or ctx.Err(). Whatever the outcome, every segment was closed
// (renamed, synced) and emitted before Record returns. Record may be called for many sessions at once.
type Recorder interface {
	Record(ctx context.Context, request Request, session Session) error
}

// ErrOffline means that no stream could be opened and no media arrived.
var ErrOffline = errors.New("nothing is being sent")

// Recoverer is implemented by recorders that can finish the unfinished files of a dead session. It returns every
// finished segment under the prefix in order of index, those that were complete already included. The host calls it
// only for prefixes without a running session, and may call it again: the answer is the same.
//
// A *LeftError beside the segments names the files that could not be finished, so that one of them does not keep the others
// from being published.
type Recoverer interface {
	Recover(ctx context.Context, pathPrefix string) ([]Segment, error)
}

// LeftError says which files could not be finished, and why.
type LeftError struct{ Files []Leftover }

// Leftover is a file that is no segment yet. An Err of kind sdk.Corrupt: there is no media in it that could be saved.
type Leftover struct {
	Path string
	Err  *sdk.Error
}

func (e *LeftError) Error() string {
	texts := make([]string, len(e.Files))
	for i, one := range e.Files {
		texts[i] = fmt.Sprintf("%s: %v", one.Path, one.Err)
	}
	return "some files could not be finished: " + strings.Join(texts, "; ")
}

// Unwrap gives the whole the kind of the first file's error.
func (e *LeftError) Unwrap() error {
	if len(e.Files) == 0 || e.Files[0].Err == nil {
		return nil
	}
	return e.Files[0].Err
}

// Session is an author's side of one running session.
type Session interface {
	// Emit hands an event to the host: numbered, kept until acknowledged. It never blocks on the host.
	Emit(payload Payload)
	// Refreshed delivers new stream addresses, the newest only.
	Refreshed() <-chan []Stream
	// SplitRequested fires when the current segment should end at the next keyframe.
	SplitRequested() <-chan struct{}
}

// Request is what to record.
type Request struct {
	// SessionID is chosen by the host: a UUID.
	SessionID string
	// Streams in order of preference, at least one.
	Streams []Stream
	// PathPrefix is absolute; segment n is written to <PathPrefix>_<n, three digits>.<extension>, with ".part" behind it
	// while it is being recorded.
	PathPrefix string
	// FirstIndex numbers the first segment of this session, from 1.
	FirstIndex int
	// SplitDuration and SplitSize limit one segment; 0: no limit. SplitSize is in bytes.
	SplitDuration time.Duration
	SplitSize     int64
	// Options are options of this room over those of the plugin, one JSON object; nil: none.
	Options json.RawMessage
	// FileMode are the permissions of the files; 0: as the umask says. An author makes files with 0666 and need not look at
	// it: this package changes the mode of each file when it is emitted.
	FileMode fs.FileMode
}

// Stream is one place where the live media can be fetched.
type Stream = sdk.Stream

// Lease says how long the address of a stream works.
type Lease = sdk.Lease

// Event is one step of a session. Seq counts from 1 within a session; 0 marks a transient event that is not kept.
type Event struct {
	Seq     int64
	At      time.Time
	Payload Payload
}

// Payload is one of MediaArrived, SegmentOpened, SegmentClosed, Progress, RefreshWanted, Timeline, Note and Ended.
type Payload interface{ payload() }

// MediaArrived: the first media of a session was received.
type MediaArrived struct{}

// SegmentOpened: a new file is being written. Path ends in ".part".
type SegmentOpened struct {
	Index int
	Path  string
}

// SegmentClosed: the file has its final name, is complete and synced to disk.
type SegmentClosed struct{ Segment Segment }

// Segment is one finished stretch of a recording. Its files lie directly under the session's prefix and are regular files of
// the sizes that are told: a host refuses others.
type Segment struct {
	Index int
	// Path and SizeBytes are those of the media, which is published.
	Path      string
	SizeBytes int64
	// Files are what else was written for this stretch.
	Files     []File
	Duration  time.Duration
	StartedAt time.Time
	EndedAt   time.Time
	// Recovered: finished by Recover from what a dead session left.
	Recovered bool
}

// File is one file of a segment beside its media.
type File struct {
	Role      FileRole
	Path      string
	SizeBytes int64
}

// FileRole is what a file of a segment holds.
type FileRole string

// The roles of contract version 1.
const (
	FileOther FileRole = ""      // something else
	FileChat  FileRole = "chat"  // what viewers wrote
	FileCover FileRole = "cover" // a picture of the broadcast
	FileAudio FileRole = "audio" // sound that belongs to media without any
)

// Progress is transient: where a session stands. About one a second.
type Progress struct {
	ReceivedBytes int64
	MediaDuration time.Duration
}

// RefreshWanted: the addresses are dead or about to expire; the host answers with Refresh or Stop.
type RefreshWanted struct{ Reason string }

// Timeline is what happened to a stretch of the broadcast. The host keeps it: for every second that was live and is in no
// file, somebody is told why. Of a connection that breaks and comes back a recorder tells TimelineLost at once, and
// TimelineResumed with the length when media arrives again.
type Timeline struct {
	Kind  TimelineKind
	Cause sdk.GapCause
	// At is the moment; zero: when it is emitted.
	At time.Time
	// MediaTime is how much media the session had received by then.
	MediaTime time.Duration
	// Length of the stretch; 0: not known yet, or nothing is missing.
	Length time.Duration
	// Index of the segment that ends or begins here; 0: none.
	Index int
	// Code says more precisely what happened, such as sdk.CodeTimeout; Args are what it is about.
	Code string
	Args map[string]string
}

// TimelineKind says what a Timeline tells.
type TimelineKind string

// The kinds of contract version 1. One that a newer plugin tells is empty.
const (
	TimelineLost     TimelineKind = "lost"     // media stopped arriving, at At
	TimelineResumed  TimelineKind = "resumed"  // media arrives again: the stretch of Length before At is missing
	TimelineRepaired TimelineKind = "repaired" // Length of media around At was left out, while the connection went on
	TimelineChanged  TimelineKind = "changed"  // nothing is missing: another address, network, codec or size from here on
)

// Note is an oddity worth a line in the log.
type Note struct{ Code, Text string }

// Ended is the last event of a session. Emitted by this package, never by an author.
type Ended struct {
	Reason  EndReason
	Message string
	// Err is what the session broke with, or what kept every stream from being opened; nil: nothing more is known.
	Err *sdk.Error
}

func (MediaArrived) payload()  {}
func (SegmentOpened) payload() {}
func (SegmentClosed) payload() {}
func (Progress) payload()      {}
func (RefreshWanted) payload() {}
func (Timeline) payload()      {}
func (Note) payload()          {}
func (Ended) payload()         {}

// EndReason says why a session ended.
type EndReason string

// The end reasons of contract version 1.
const (
	EndEOF     EndReason = "eof"     // the stream ended by itself
	EndStopped EndReason = "stopped" // Stop was called
	EndOffline EndReason = "offline" // the stream could not be opened
	EndFailed  EndReason = "failed"  // the session broke; Message says why
)

// SessionInfo names a session that is running, or ended and not acknowledged.
type SessionInfo struct {
	SessionID  string
	PathPrefix string
	LastSeq    int64
	Ended      bool
}
