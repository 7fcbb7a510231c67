// Command recorder-native records HTTP-FLV streams into FLV files.
package main

import (
	"context"

	"github.com/lubod/lubod/plugins/recorder-native/internal/segment"
	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/recorder"
)

var info = sdk.Info{Name: "native", Version: "0.1.0", Containers: []string{"flv"}, OptionPrefixes: []string{"native_"}}

func main() { recorder.Serve(info, newNative) }

// native records sessions; it is safe for many at once.
type native struct {
	options options
}

var (
	_ recorder.Recorder  = (*native)(nil)
	_ recorder.Recoverer = (*native)(nil)
)

func newNative(_ context.Context, o options) (*native, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	return &native{options: o}, nil
}

// Recover finishes the files of a dead session.
func (n *native) Recover(ctx context.Context, pathPrefix string) ([]recorder.Segment, error) {
	return segment.Recover(ctx, pathPrefix)
}
