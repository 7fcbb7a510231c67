package recorder

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"

	"github.com/lubod/lubod/sdk/internal/convert"
	recorderv1 "github.com/lubod/lubod/sdk/internal/gen/lubod/recorder/v1"
	"github.com/lubod/lubod/sdk/internal/rpcerr"
)

// Client is the host's side of a recorder process. Hosts get one from sdk/wire. Errors of all calls are *sdk.Error.
type Client struct {
	rpc recorderv1.RecorderServiceClient
}

// NewClient talks over a connection to a plugin process.
func NewClient(conn grpc.ClientConnInterface) *Client {
	return &Client{rpc: recorderv1.NewRecorderServiceClient(conn)}
}

// Start begins a session. A session whose id is known already is left as it is.
func (c *Client) Start(ctx context.Context, request Request) error {
	_, err := c.rpc.Start(ctx, toStartRequest(request))
	return rpcerr.Decode(ctx, err)
}

// Watch calls handle with each event after afterSeq, old ones first, until the session's end (nil), an error of handle
// (returned as it is) or of the call. sdk.NotFound: no such session. Numbers grow, with gaps where events were dropped.
func (c *Client) Watch(ctx context.Context, sessionID string, afterSeq int64, handle func(Event) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // a stream that is not read to its end lives until its context does
	stream, err := c.rpc.Watch(ctx, &recorderv1.WatchRequest{SessionId: sessionID, AfterSeq: afterSeq})
	if err != nil {
		return rpcerr.Decode(ctx, err)
	}
	for {
		msg, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return rpcerr.Decode(ctx, err)
		}
		e := fromEvent(msg.GetEvent())
		if e.Payload == nil {
			continue // from a plugin that is newer than this host
		}
		if err := handle(e); err != nil {
			return err
		}
	}
}

// Acknowledge lets the recorder forget events up to seq; after the end of a session, the session itself. A session that
// is forgotten already is no error.
func (c *Client) Acknowledge(ctx context.Context, sessionID string, seq int64) error {
	_, err := c.rpc.Acknowledge(ctx, &recorderv1.AcknowledgeRequest{SessionId: sessionID, Seq: seq})
	return rpcerr.Decode(ctx, err)
}

// Refresh hands new stream addresses to a running session.
func (c *Client) Refresh(ctx context.Context, sessionID string, streams []Stream) error {
	_, err := c.rpc.Refresh(ctx, &recorderv1.RefreshRequest{SessionId: sessionID, Streams: convert.Streams(streams)})
	return rpcerr.Decode(ctx, err)
}

// Split ends the current segment at the next keyframe.
func (c *Client) Split(ctx context.Context, sessionID string) error {
	_, err := c.rpc.Split(ctx, &recorderv1.SplitRequest{SessionId: sessionID})
	return rpcerr.Decode(ctx, err)
}

// Stop ends a session, keeps what was received, and returns when the last segment is closed or ctx ends; the session
// goes on ending in that case.
func (c *Client) Stop(ctx context.Context, sessionID string) error {
	_, err := c.rpc.Stop(ctx, &recorderv1.StopRequest{SessionId: sessionID})
	return rpcerr.Decode(ctx, err)
}

// List names the sessions that are running, or ended and not acknowledged.
func (c *Client) List(ctx context.Context) ([]SessionInfo, error) {
	out, err := c.rpc.List(ctx, &recorderv1.ListRequest{})
	if err != nil {
		return nil, rpcerr.Decode(ctx, err)
	}
	infos := make([]SessionInfo, 0, len(out.GetSessions()))
	for _, i := range out.GetSessions() {
		infos = append(infos, fromSessionInfo(i))
	}
	return infos, nil
}

// Recover finishes what a dead session left under a path prefix and returns every finished segment there, in order.
// sdk.Unsupported: the recorder has no such ability. sdk.Unavailable: a session is still running there. *LeftError: some files
// could not be finished; the segments are there all the same.
func (c *Client) Recover(ctx context.Context, pathPrefix string) ([]Segment, error) {
	out, err := c.rpc.Recover(ctx, &recorderv1.RecoverRequest{PathPrefix: pathPrefix})
	if err != nil {
		return nil, rpcerr.Decode(ctx, err)
	}
	segments := make([]Segment, 0, len(out.GetSegments()))
	for _, s := range out.GetSegments() {
		segments = append(segments, fromSegment(s))
	}
	if left := fromLeft(out.GetLeft()); len(left) > 0 {
		return segments, &LeftError{Files: left}
	}
	return segments, nil
}
