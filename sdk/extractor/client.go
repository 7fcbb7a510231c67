package extractor

import (
	"context"

	"google.golang.org/grpc"

	"github.com/lubod/lubod/sdk"
	extractorv1 "github.com/lubod/lubod/sdk/internal/gen/lubod/extractor/v1"
	"github.com/lubod/lubod/sdk/internal/rpcerr"
)

// Client is the host's side: an Extractor in another process. Hosts get one from sdk/wire.
type Client struct {
	rpc extractorv1.ExtractorServiceClient
}

var (
	_ Extractor     = (*Client)(nil)
	_ BatchResolver = (*Client)(nil)
)

// NewClient talks over a connection to a plugin process.
func NewClient(conn grpc.ClientConnInterface) *Client {
	return &Client{rpc: extractorv1.NewExtractorServiceClient(conn)}
}

// Resolve implements Extractor. Errors are *sdk.Error.
func (c *Client) Resolve(ctx context.Context, ref Ref) (Status, error) {
	out, err := c.rpc.Resolve(ctx, toRequest(ref))
	if err != nil {
		return Status{}, rpcerr.Decode(ctx, err)
	}
	return fromStatus(out.GetStatus())
}

// ResolveBatch implements BatchResolver. Errors are *sdk.Error.
func (c *Client) ResolveBatch(ctx context.Context, refs []Ref) ([]BatchAnswer, error) {
	in := &extractorv1.ResolveBatchRequest{}
	for _, ref := range refs {
		in.Rooms = append(in.Rooms, toRequest(ref))
	}
	out, err := c.rpc.ResolveBatch(ctx, in)
	if err != nil {
		return nil, rpcerr.Decode(ctx, err)
	}
	if len(out.GetResults()) != len(refs) {
		return nil, sdk.Errorf(sdk.Bug, "the extractor answered %d of %d rooms", len(out.GetResults()), len(refs))
	}
	answers := make([]BatchAnswer, len(refs))
	for i, result := range out.GetResults() {
		answers[i] = fromResult(result)
	}
	return answers, nil
}
