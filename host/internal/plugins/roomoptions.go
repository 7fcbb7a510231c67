package plugins

import (
	"context"

	"github.com/lubod/lubod/host/internal/config"
	"github.com/lubod/lubod/host/internal/settings"
	"github.com/lubod/lubod/sdk"
)

// WaitLoaded returns once it is known what is installed.
func (m *Manager) WaitLoaded(ctx context.Context) error { return m.waitLoaded(ctx) }

// Options lists what the installed plugins say about their options, in the order of plugins.hcl, and the labels of those
// that never came up.
func (m *Manager) Options() (known []settings.PluginOptions, silent []string) {
	type described struct {
		block  config.Plugin
		schema []sdk.Option
	}
	var all []described
	m.mu.Lock()
	for _, e := range m.entries {
		if e.described {
			all = append(all, described{e.block, e.about.Options})
		} else {
			silent = append(silent, e.block.Name)
		}
	}
	m.mu.Unlock()
	for _, d := range all {
		base, err := config.DecodeOptions(d.block, d.schema, m.options.Getenv)
		if err != nil {
			base = nil // it was good when the plugin was configured: a variable changed since
		}
		known = append(known, settings.PluginOptions{Plugin: d.block.Name, Schema: d.schema, Base: base})
	}
	return known, silent
}

// Schema is what the plugin says about its options.
func (l *Lease) Schema() []sdk.Option { return l.inst.description().Options }
