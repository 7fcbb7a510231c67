package recorder

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
func Serve[C any, R Recorder](info sdk.Info, factory func(ctx context.Context, options C) (R, error)) {
	serve.Main(Plugin(info, factory))
}

// Plugin is what Serve runs, for the conformance suite. It panics when info or the tags of C are wrong, because nothing
// but a change of the program can help.
func Plugin[C any, R Recorder](info sdk.Info, factory func(context.Context, C) (R, error)) *serve.Plugin {
	s := newServer()
	s.recovers = reflect.TypeFor[R]().Implements(reflect.TypeFor[Recoverer]())
	p := &serve.Plugin{
		Info:         info,
		Kind:         sdk.KindRecorder,
		Capabilities: s.capabilities,
		Register:     s.register,
		Health:       s.health,
		Drain:        s.drain,
		Busy:         s.busy,
		Kept:         s.kept,
		Close:        s.close,
	}
	p.Options, p.Configure = options.MustBind(p.Check, factory, func(life context.Context, r R) { s.configure(life, r) })
	return p
}

// Options reads the options of one room (Request.Options) over those of the plugin: what the room does not set keeps
// its value in base.
func Options[C any](request Request, base C) (C, error) {
	return options.Over(request.Options, base)
}
