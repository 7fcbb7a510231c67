package extractor

import (
	"context"

	"google.golang.org/grpc"

	extractorv1 "github.com/lubod/lubod/sdk/internal/gen/lubod/extractor/v1"
	"github.com/lubod/lubod/sdk/internal/rpcerr"
)

// Client is the host's side: an Extractor in another process. Hosts get one from sdk/wire.
type Client struct {
	rpc extractorv1.ExtractorServiceClient
}

var _ Extractor = (*Client)(nil)

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
	return fromResponse(out), nil
}
