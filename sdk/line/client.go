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
			if err := report(fromProgress(kind.Progress)); err != nil {
				return Result{}, err
			}
		case *linev1.UploadResponse_Result:
			return fromResult(kind.Result), nil
		}
	}
}
