package line

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"

	"github.com/lubod/lubod/sdk"
	linev1 "github.com/lubod/lubod/sdk/internal/gen/lubod/line/v1"
	"github.com/lubod/lubod/sdk/internal/rpcerr"
)

// Client is the host's side: a Line in another process. Hosts get one from sdk/wire.
type Client struct {
	rpc linev1.LineServiceClient
}

var (
	_ Line   = (*Client)(nil)
	_ Prober = (*Client)(nil)
)

// The most that a line may hand over: both are kept in rows. A checkpoint has some bytes for each part of a file, of which there
// are at most ten thousand.
const (
	maxCheckpoint = 4 << 20
	maxRemoteName = 4 << 10
)

// NewClient talks over a connection to a plugin process.
func NewClient(conn grpc.ClientConnInterface) *Client {
	return &Client{rpc: linev1.NewLineServiceClient(conn)}
}

// Probe implements Prober. A plugin without that ability answers sdk.Unsupported.
func (c *Client) Probe(ctx context.Context) ([]ProbeResult, error) {
	out, err := c.rpc.Probe(ctx, &linev1.ProbeRequest{})
	if err != nil {
		return nil, rpcerr.Decode(ctx, err)
	}
	results := make([]ProbeResult, 0, len(out.GetResults()))
	for _, r := range out.GetResults() {
		results = append(results, fromProbeResult(r))
	}
	return results, nil
}

// Upload implements Line. An error from report stops the transfer and is returned as it is; the plugin's own errors are
// *sdk.Error.
func (c *Client) Upload(ctx context.Context, file File, report func(Progress) error) (Result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // a stream that is not read to its end lives until its context does
	stream, err := c.rpc.Upload(ctx, toRequest(file))
	if err != nil {
		return Result{}, rpcerr.Decode(ctx, err)
	}
	for {
		msg, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return Result{}, sdk.Errorf(sdk.Bug, "the plugin ended the upload of %s without a result", file.Name)
		}
		if err != nil {
			return Result{}, rpcerr.Decode(ctx, err)
		}
		switch kind := msg.GetKind().(type) {
		case *linev1.UploadResponse_Progress:
			if len(kind.Progress.GetCheckpoint()) > maxCheckpoint || kind.Progress.GetAcknowledgedBytes() < 0 {
				return Result{}, sdk.Errorf(sdk.Bug, "the line reports a checkpoint of %d bytes and %d acknowledged bytes; at most %d and at least 0 are possible",
					len(kind.Progress.GetCheckpoint()), kind.Progress.GetAcknowledgedBytes(), maxCheckpoint)
			}
			if err := report(fromProgress(kind.Progress)); err != nil {
				return Result{}, err
			}
		case *linev1.UploadResponse_Result:
			if len(kind.Result.GetRemoteName()) > maxRemoteName {
				return Result{}, sdk.Errorf(sdk.Bug, "the line names the stored file by %d bytes; at most %d are possible", len(kind.Result.GetRemoteName()), maxRemoteName)
			}
			return fromResult(kind.Result), nil
		}
	}
}
