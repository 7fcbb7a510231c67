package plugins

import (
	"context"
	"slices"

	"github.com/lubod/lubod/host/internal/config"
	"github.com/lubod/lubod/host/internal/settings"
	"github.com/lubod/lubod/sdk"
)

// WaitLoaded returns once it is known what is installed.
func (m *Manager) WaitLoaded(ctx context.Context) error { return m.waitLoaded(ctx) }

// Options lists what the installed plugins say about their options, in the order of plugins.hcl, and the labels of those
// that never came up.
func (m *Manager) Options() (known []settings.PluginOptions, silent []string) {
	m.mu.Lock()
	var blocks []config.Plugin
	for _, e := range m.entries {
		if e.described {
			blocks = append(blocks, e.block)
		} else {
			silent = append(silent, e.block.Name)
		}
	}
	known = m.declaredLocked()
	m.mu.Unlock()
	for i, block := range blocks {
		base, err := config.DecodeOptions(block, known[i].Schema, m.options.Getenv)
		if err == nil { // else a variable changed since the plugin was configured
			known[i].Base = base
		}
	}
	return known, silent
}

// declaredLocked is what the plugins that are known say about their options, in the order of plugins.hcl.
func (m *Manager) declaredLocked() []settings.PluginOptions {
	var declared []settings.PluginOptions
	for _, e := range m.entries {
		if e.described {
			declared = append(declared, settings.PluginOptions{Plugin: e.block.Name, Schema: e.about.Options, Prefixes: e.about.OptionPrefixes})
		}
	}
	return declared
}

// Schema is what the plugin says about its options. Those that belong to another plugin are no room options: it never gets their
// values.
func (l *Lease) Schema() []sdk.Option {
	about := l.inst.description()
	l.manager.mu.Lock()
	declared := l.manager.declaredLocked()
	l.manager.mu.Unlock()
	self := settings.PluginOptions{Plugin: l.Plugin, Schema: about.Options, Prefixes: about.OptionPrefixes}
	at := slices.IndexFunc(declared, func(one settings.PluginOptions) bool { return one.Plugin == l.Plugin })
	if at < 0 { // not in plugins.hcl any more
		at, declared = len(declared), append(declared, self)
	}
	declared[at] = self
	owned, _ := settings.Owned(declared)
	return owned[at].Schema
}
