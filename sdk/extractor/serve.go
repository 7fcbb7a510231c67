package extractor

import (
	"context"
	"io"
	"reflect"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/internal/options"
	"github.com/lubod/lubod/sdk/internal/serve"
)

// Serve runs the plugin; it is the whole main function. C is a struct whose tags are the option schema (see
// sdk/README.md). factory is called once, when the host has sent the options; its ctx lives as long as the process.
//
// A factory that returns its concrete type lets the plugin name its optional abilities before it is configured.
func Serve[C any, E Extractor](info sdk.Info, factory func(ctx context.Context, options C) (E, error)) {
	serve.Main(Plugin(info, factory))
}

// Plugin is what Serve runs, for the conformance suite. It panics when info or the tags of C are wrong, because
// nothing but a change of the program can help.
func Plugin[C any, E Extractor](info sdk.Info, factory func(context.Context, C) (E, error)) *serve.Plugin {
	s := &server{batches: reflect.TypeFor[E]().Implements(reflect.TypeFor[BatchResolver]())}
	p := &serve.Plugin{
		Info:         info,
		Kind:         sdk.KindExtractor,
		Capabilities: s.capabilities,
		Register:     s.register,
		Health:       s.health,
	}
	p.Options, p.Configure = options.MustBind(p.Check, factory, func(_ context.Context, e E) { s.configure(info, e) })
	p.Ask = func(ctx context.Context, optionsJSON []byte, url string, out io.Writer) error {
		if err := p.Configure(ctx, optionsJSON); err != nil {
			return err
		}
		return s.ask(ctx, url, out)
	}
	return p
}

// Options reads the options of one room (Ref.Options) over those of the plugin: what the room does not set keeps
// its value in base.
func Options[C any](ref Ref, base C) (C, error) {
	return options.Over(ref.Options, base)
}
