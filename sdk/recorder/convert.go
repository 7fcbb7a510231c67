package recorder

import (
	"io/fs"
	"math"
	"time"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/internal/convert"
	recorderv1 "github.com/lubod/lubod/sdk/internal/gen/lubod/recorder/v1"
)

func toStartRequest(r Request) *recorderv1.StartRequest {
	return &recorderv1.StartRequest{
		SessionId:       r.SessionID,
		Streams:         convert.Streams(r.Streams),
		PathPrefix:      r.PathPrefix,
		FirstIndex:      toIndex(r.FirstIndex),
		SplitDurationMs: r.SplitDuration.Milliseconds(),
		SplitSizeBytes:  r.SplitSize,
		OptionsJson:     r.Options,
		FileMode:        uint32(r.FileMode.Perm()),
	}
}

func fromStartRequest(in *recorderv1.StartRequest) Request {
	return Request{
		SessionID:     in.GetSessionId(),
		Streams:       convert.FromStreams(in.GetStreams()),
		PathPrefix:    in.GetPathPrefix(),
		FirstIndex:    int(in.GetFirstIndex()),
		SplitDuration: milliseconds(in.GetSplitDurationMs()),
		SplitSize:     in.GetSplitSizeBytes(),
		Options:       in.GetOptionsJson(),
		FileMode:      fs.FileMode(in.GetFileMode()).Perm(),
	}
}

func toEvent(e Event) *recorderv1.Event {
	out := &recorderv1.Event{Seq: e.Seq, At: convert.Time(e.At)}
	switch p := e.Payload.(type) {
	case MediaArrived:
		out.Kind = &recorderv1.Event_MediaArrived{MediaArrived: &recorderv1.MediaArrived{}}
	case SegmentOpened:
		out.Kind = &recorderv1.Event_SegmentOpened{SegmentOpened: &recorderv1.SegmentOpened{
			Index: toIndex(p.Index), Path: p.Path,
		}}
	case SegmentClosed:
		out.Kind = &recorderv1.Event_SegmentClosed{SegmentClosed: &recorderv1.SegmentClosed{Segment: toSegment(p.Segment)}}
	case Progress:
		out.Kind = &recorderv1.Event_Progress{Progress: &recorderv1.Progress{
			ReceivedBytes: p.ReceivedBytes, MediaMs: p.MediaDuration.Milliseconds(),
		}}
	case RefreshWanted:
		out.Kind = &recorderv1.Event_RefreshWanted{RefreshWanted: &recorderv1.RefreshWanted{Reason: convert.Text(p.Reason)}}
	case Timeline:
		out.Kind = &recorderv1.Event_Timeline{Timeline: toTimeline(p)}
	case Note:
		out.Kind = &recorderv1.Event_Note{Note: &recorderv1.Note{Code: convert.Text(p.Code), Text: convert.Text(p.Text)}}
	case Ended:
		out.Kind = &recorderv1.Event_Ended{Ended: &recorderv1.Ended{
			Reason: reasons.To(p.Reason, recorderv1.EndReason_END_REASON_UNSPECIFIED), Message: convert.Text(p.Message), Failure: convert.Failure(p.Err),
		}}
	}
	return out
}

// fromEvent is toEvent backwards. Payload is nil for a kind of event that this version does not know.
func fromEvent(in *recorderv1.Event) Event {
	e := Event{Seq: in.GetSeq(), At: convert.FromTime(in.GetAt())}
	switch p := in.GetKind().(type) {
	case *recorderv1.Event_MediaArrived:
		e.Payload = MediaArrived{}
	case *recorderv1.Event_SegmentOpened:
		e.Payload = SegmentOpened{Index: int(p.SegmentOpened.GetIndex()), Path: p.SegmentOpened.GetPath()}
	case *recorderv1.Event_SegmentClosed:
		e.Payload = SegmentClosed{Segment: fromSegment(p.SegmentClosed.GetSegment())}
	case *recorderv1.Event_Progress:
		e.Payload = Progress{
			ReceivedBytes: p.Progress.GetReceivedBytes(), MediaDuration: milliseconds(p.Progress.GetMediaMs()),
		}
	case *recorderv1.Event_RefreshWanted:
		e.Payload = RefreshWanted{Reason: convert.Text(p.RefreshWanted.GetReason())}
	case *recorderv1.Event_Timeline:
		e.Payload = fromTimeline(p.Timeline)
	case *recorderv1.Event_Note:
		e.Payload = Note{Code: convert.Name(p.Note.GetCode()), Text: convert.Text(p.Note.GetText())}
	case *recorderv1.Event_Ended:
		e.Payload = Ended{Reason: fromReason(p.Ended.GetReason()), Message: convert.Text(p.Ended.GetMessage()), Err: convert.FromFailure(p.Ended.GetFailure())}
	}
	return e
}

func toLeft(files []Leftover) []*recorderv1.Leftover {
	out := make([]*recorderv1.Leftover, 0, len(files))
	for _, one := range files {
		failure := one.Err
		if failure == nil {
			failure = sdk.Errorf(sdk.Bug, "the recorder does not say why")
		}
		out = append(out, &recorderv1.Leftover{Path: one.Path, Failure: convert.Failure(failure)})
	}
	return out
}

func fromLeft(in []*recorderv1.Leftover) []Leftover {
	var files []Leftover
	for _, one := range in {
		failure := convert.FromFailure(one.GetFailure())
		if failure == nil {
			failure = sdk.Errorf(sdk.Bug, "the recorder does not say why")
		}
		files = append(files, Leftover{Path: one.GetPath(), Err: failure})
	}
	return files
}

var reasons = convert.NewEnum(map[EndReason]recorderv1.EndReason{
	EndEOF:     recorderv1.EndReason_END_REASON_EOF,
	EndStopped: recorderv1.EndReason_END_REASON_STOPPED,
	EndOffline: recorderv1.EndReason_END_REASON_OFFLINE,
	EndFailed:  recorderv1.EndReason_END_REASON_FAILED,
})

var roles = convert.NewEnum(map[FileRole]recorderv1.FileRole{
	FileOther: recorderv1.FileRole_FILE_ROLE_UNSPECIFIED,
	FileChat:  recorderv1.FileRole_FILE_ROLE_CHAT,
	FileCover: recorderv1.FileRole_FILE_ROLE_COVER,
	FileAudio: recorderv1.FileRole_FILE_ROLE_AUDIO,
})

var timelineKinds = convert.NewEnum(map[TimelineKind]recorderv1.TimelineKind{
	"":               recorderv1.TimelineKind_TIMELINE_KIND_UNSPECIFIED,
	TimelineLost:     recorderv1.TimelineKind_TIMELINE_KIND_LOST,
	TimelineResumed:  recorderv1.TimelineKind_TIMELINE_KIND_RESUMED,
	TimelineRepaired: recorderv1.TimelineKind_TIMELINE_KIND_REPAIRED,
	TimelineChanged:  recorderv1.TimelineKind_TIMELINE_KIND_CHANGED,
})

func toTimeline(t Timeline) *recorderv1.Timeline {
	return &recorderv1.Timeline{
		Kind:     timelineKinds.To(t.Kind, recorderv1.TimelineKind_TIMELINE_KIND_UNSPECIFIED),
		Cause:    convert.GapCause(t.Cause),
		At:       convert.Time(t.At),
		MediaMs:  t.MediaTime.Milliseconds(),
		LengthMs: t.Length.Milliseconds(),
		Index:    toIndex(t.Index),
		Code:     convert.Name(t.Code),
		Args:     convert.TextMap(t.Args),
	}
}

func fromTimeline(in *recorderv1.Timeline) Timeline {
	return Timeline{
		Kind:      timelineKinds.From(in.GetKind(), ""),
		Cause:     convert.FromGapCause(in.GetCause()),
		At:        convert.FromTime(in.GetAt()),
		MediaTime: milliseconds(in.GetMediaMs()),
		Length:    milliseconds(in.GetLengthMs()),
		Index:     int(in.GetIndex()),
		Code:      convert.Name(in.GetCode()),
		Args:      convert.TextMap(in.GetArgs()),
	}
}

// fromReason reads a reason that this version does not know as a failure: it is the one that is looked into.
func fromReason(in recorderv1.EndReason) EndReason { return reasons.From(in, EndFailed) }

func toSegment(s Segment) *recorderv1.Segment {
	out := &recorderv1.Segment{
		Index:      toIndex(s.Index),
		Files:      []*recorderv1.SegmentFile{{Role: recorderv1.FileRole_FILE_ROLE_MEDIA, Path: s.Path, SizeBytes: s.SizeBytes}},
		DurationMs: s.Duration.Milliseconds(),
		StartedAt:  convert.Time(s.StartedAt),
		EndedAt:    convert.Time(s.EndedAt),
		Recovered:  s.Recovered,
	}
	for _, file := range s.Files {
		out.Files = append(out.Files, &recorderv1.SegmentFile{
			Role: roles.To(file.Role, recorderv1.FileRole_FILE_ROLE_UNSPECIFIED), Path: file.Path, SizeBytes: file.SizeBytes,
		})
	}
	return out
}

// fromSegment takes the first media file as the segment's. Path is empty when there is none.
func fromSegment(in *recorderv1.Segment) Segment {
	out := Segment{
		Index:     int(in.GetIndex()),
		Duration:  milliseconds(in.GetDurationMs()),
		StartedAt: convert.FromTime(in.GetStartedAt()),
		EndedAt:   convert.FromTime(in.GetEndedAt()),
		Recovered: in.GetRecovered(),
	}
	for _, file := range in.GetFiles() {
		if file.GetRole() == recorderv1.FileRole_FILE_ROLE_MEDIA && out.Path == "" {
			out.Path, out.SizeBytes = file.GetPath(), file.GetSizeBytes()
			continue
		}
		if len(out.Files) < maxFiles {
			out.Files = append(out.Files, File{Role: roles.From(file.GetRole(), FileOther), Path: file.GetPath(), SizeBytes: file.GetSizeBytes()})
		}
	}
	return out
}

// maxFiles bounds the files of one segment beside its media.
const maxFiles = 16

func toSessionInfo(i SessionInfo) *recorderv1.SessionInfo {
	return &recorderv1.SessionInfo{SessionId: i.SessionID, PathPrefix: i.PathPrefix, LastSeq: i.LastSeq, Ended: i.Ended}
}

func fromSessionInfo(in *recorderv1.SessionInfo) SessionInfo {
	return SessionInfo{
		SessionID: in.GetSessionId(), PathPrefix: in.GetPathPrefix(), LastSeq: in.GetLastSeq(), Ended: in.GetEnded(),
	}
}

// milliseconds reads a length; what is longer than a century, or below nothing, is nonsense of the other side.
func milliseconds(ms int64) time.Duration {
	const century = 100 * 365 * 24 * time.Hour
	return time.Duration(min(max(ms, 0), century.Milliseconds())) * time.Millisecond
}

func toIndex(i int) int32 { return int32(min(max(i, 0), math.MaxInt32)) }
