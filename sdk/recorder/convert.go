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
		Streams:         toStreams(r.Streams),
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
		Streams:       fromStreams(in.GetStreams()),
		PathPrefix:    in.GetPathPrefix(),
		FirstIndex:    int(in.GetFirstIndex()),
		SplitDuration: milliseconds(in.GetSplitDurationMs()),
		SplitSize:     in.GetSplitSizeBytes(),
		Options:       in.GetOptionsJson(),
		FileMode:      fs.FileMode(in.GetFileMode()).Perm(),
	}
}

func toStreams(streams []Stream) []*recorderv1.Stream {
	out := make([]*recorderv1.Stream, 0, len(streams))
	for _, s := range streams {
		out = append(out, &recorderv1.Stream{
			Url:       convert.Text(s.URL),
			Container: convert.Text(s.Container),
			Codec:     convert.Text(s.Codec),
			Cdn:       convert.Text(s.CDN),
			Headers:   convert.TextMap(s.Headers),
			ExpiresAt: convert.Time(s.ExpiresAt),
		})
	}
	return out
}

func fromStreams(in []*recorderv1.Stream) []Stream {
	out := make([]Stream, 0, len(in))
	for _, s := range in {
		out = append(out, Stream{
			URL:       s.GetUrl(),
			Container: s.GetContainer(),
			Codec:     s.GetCodec(),
			CDN:       s.GetCdn(),
			Headers:   s.GetHeaders(),
			ExpiresAt: convert.FromTime(s.GetExpiresAt()),
		})
	}
	return out
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
	case Note:
		out.Kind = &recorderv1.Event_Note{Note: &recorderv1.Note{Code: convert.Text(p.Code), Text: convert.Text(p.Text)}}
	case Ended:
		out.Kind = &recorderv1.Event_Ended{Ended: &recorderv1.Ended{
			Reason: reasonToProto[p.Reason], Message: convert.Text(p.Message), Failure: toFailure(p.Err),
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
		e.Payload = RefreshWanted{Reason: p.RefreshWanted.GetReason()}
	case *recorderv1.Event_Note:
		e.Payload = Note{Code: p.Note.GetCode(), Text: p.Note.GetText()}
	case *recorderv1.Event_Ended:
		e.Payload = Ended{Reason: fromReason(p.Ended.GetReason()), Message: p.Ended.GetMessage(), Err: fromFailure(p.Ended.GetFailure())}
	}
	return e
}

func toFailure(err *sdk.Error) *recorderv1.Failure {
	if err == nil {
		return nil
	}
	return &recorderv1.Failure{
		Kind: string(err.Kind), Message: convert.Text(err.Message), RetryAfterMs: err.RetryAfter.Milliseconds(),
		Cause: convert.Text(string(err.Cause)), Code: convert.Text(err.Code), Args: convert.TextMap(err.Args),
	}
}

func fromFailure(in *recorderv1.Failure) *sdk.Error {
	if in == nil {
		return nil
	}
	return &sdk.Error{
		Kind: sdk.Kind(in.GetKind()), Message: in.GetMessage(), RetryAfter: milliseconds(in.GetRetryAfterMs()),
		Cause: sdk.Cause(in.GetCause()), Code: in.GetCode(), Args: in.GetArgs(),
	}
}

func toLeft(files []Leftover) []*recorderv1.Leftover {
	out := make([]*recorderv1.Leftover, 0, len(files))
	for _, one := range files {
		failure := one.Err
		if failure == nil {
			failure = sdk.Errorf(sdk.Bug, "the recorder does not say why")
		}
		out = append(out, &recorderv1.Leftover{Path: one.Path, Failure: toFailure(failure)})
	}
	return out
}

func fromLeft(in []*recorderv1.Leftover) []Leftover {
	var files []Leftover
	for _, one := range in {
		failure := fromFailure(one.GetFailure())
		if failure == nil {
			failure = sdk.Errorf(sdk.Bug, "the recorder does not say why")
		}
		files = append(files, Leftover{Path: one.GetPath(), Err: failure})
	}
	return files
}

var reasonToProto = map[EndReason]recorderv1.EndReason{
	EndEOF:     recorderv1.EndReason_END_REASON_EOF,
	EndStopped: recorderv1.EndReason_END_REASON_STOPPED,
	EndOffline: recorderv1.EndReason_END_REASON_OFFLINE,
	EndFailed:  recorderv1.EndReason_END_REASON_FAILED,
}

// fromReason reads a reason that this version does not know as a failure: it is the one that is looked into.
func fromReason(in recorderv1.EndReason) EndReason {
	for reason, proto := range reasonToProto {
		if proto == in {
			return reason
		}
	}
	return EndFailed
}

func toSegment(s Segment) *recorderv1.Segment {
	return &recorderv1.Segment{
		Index:      toIndex(s.Index),
		Path:       s.Path,
		SizeBytes:  s.SizeBytes,
		DurationMs: s.Duration.Milliseconds(),
		StartedAt:  convert.Time(s.StartedAt),
		EndedAt:    convert.Time(s.EndedAt),
		Recovered:  s.Recovered,
	}
}

func fromSegment(in *recorderv1.Segment) Segment {
	return Segment{
		Index:     int(in.GetIndex()),
		Path:      in.GetPath(),
		SizeBytes: in.GetSizeBytes(),
		Duration:  milliseconds(in.GetDurationMs()),
		StartedAt: convert.FromTime(in.GetStartedAt()),
		EndedAt:   convert.FromTime(in.GetEndedAt()),
		Recovered: in.GetRecovered(),
	}
}

func toSessionInfo(i SessionInfo) *recorderv1.SessionInfo {
	return &recorderv1.SessionInfo{SessionId: i.SessionID, PathPrefix: i.PathPrefix, LastSeq: i.LastSeq, Ended: i.Ended}
}

func fromSessionInfo(in *recorderv1.SessionInfo) SessionInfo {
	return SessionInfo{
		SessionID: in.GetSessionId(), PathPrefix: in.GetPathPrefix(), LastSeq: in.GetLastSeq(), Ended: in.GetEnded(),
	}
}

func milliseconds(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }

func toIndex(i int) int32 { return int32(min(max(i, 0), math.MaxInt32)) }
