package line

import (
	"context"
	"reflect"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/internal/options"
	"github.com/lubod/lubod/sdk/internal/serve"
)

// Serve runs the plugin; it is the whole main function. C is a struct whose tags are the option schema (see
// sdk/README.md). factory is called once, when the host has sent the options; its ctx lives as long as the process.
//
// A factory that returns its concrete type lets the plugin name its optional abilities before it is configured.
func Serve[C any, L Line](info sdk.Info, factory func(ctx context.Context, options C) (L, error)) {
	serve.Main(Plugin(info, factory))
}

// Plugin is what Serve runs, for the conformance suite. It panics when info or the tags of C are wrong, because
// nothing but a change of the program can help.
func Plugin[C any, L Line](info sdk.Info, factory func(context.Context, C) (L, error)) *serve.Plugin {
	s := &server{info: info, probes: reflect.TypeFor[L]().Implements(reflect.TypeFor[Prober]())}
	p := &serve.Plugin{
		Info:         info,
		Kind:         sdk.KindLine,
		Capabilities: s.capabilities,
		Register:     s.register,
		Health:       s.health,
	}
	p.Options, p.Configure = options.MustBind(p.Check, factory, func(_ context.Context, l L) { s.configure(l) })
	return p
}
