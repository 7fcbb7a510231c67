// Package serve runs the plugin side of a process: the gRPC server behind go-plugin, what every call has in common
// (panics, errors, logger, presence of the host), logs, signals and the process's end.
package serve

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"

	"google.golang.org/grpc"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/internal/handshake"
)

// Plugin is one plugin as the package of its kind describes it.
type Plugin struct {
	Info    sdk.Info
	Kind    sdk.PluginKind
	Options []sdk.Option
	// Capabilities are asked for at every Describe: some are known only once the author's value was built.
	Capabilities func() []string
	// Configure builds the author's value. ctx lives as long as the process.
	Configure func(ctx context.Context, optionsJSON []byte) error
	// Register adds the service of the plugin's kind.
	Register func(grpc.ServiceRegistrar)
	// Health is asked once the plugin is configured; nil: always healthy.
	Health func(ctx context.Context) error
	// Drain starts no new work and calls idle once all work is done, then the process ends; nil: the host ends it.
	Drain func(idle func())
	// Busy counts what keeps a detached process alive without a host; nil: nothing does.
	Busy func() int
	// Ask asks a plugin that was not configured about one URL, and writes the answer as JSON; nil: there is nothing to ask.
	Ask func(ctx context.Context, optionsJSON []byte, url string, out io.Writer) error
	// Kept counts what is over and waits to be acknowledged; without a host, that keeps a process for some minutes. nil: nothing.
	Kept func() int
	// Close ends all work and returns when it has ended or ctx has; nil: nothing to end.
	Close func(ctx context.Context)
}

// Check reports what an author got wrong in Info, or in the names of options.
func (p *Plugin) Check(options []sdk.Option) error {
	if !regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`).MatchString(p.Info.Name) {
		return fmt.Errorf("sdk.Info.Name %q must consist of lower-case letters, digits and dashes", p.Info.Name)
	}
	if p.Info.Version == "" {
		return fmt.Errorf("sdk.Info.Version is empty")
	}
	var patterns []*regexp.Regexp
	for _, text := range p.Info.Match {
		pattern, err := regexp.Compile(text)
		if err != nil {
			return fmt.Errorf("sdk.Info.Match %q: %w", text, err)
		}
		patterns = append(patterns, pattern)
	}
	for _, url := range p.Info.Examples {
		if !slices.ContainsFunc(patterns, func(pattern *regexp.Regexp) bool { return pattern.MatchString(url) }) {
			return fmt.Errorf("sdk.Info.Examples: %q matches no pattern of Match", url)
		}
	}
	if err := p.checkOptions(options); err != nil {
		return err
	}
	switch {
	case p.Info.Target != sdk.TargetBilibili && (p.Info.Target != sdk.TargetStorage || p.Kind != sdk.KindLine):
		return fmt.Errorf("sdk.Info.Target %q is none, or the plugin is no line", p.Info.Target)
	case p.Kind == sdk.KindExtractor && len(p.Info.Match) == 0:
		return fmt.Errorf("sdk.Info.Match is empty: the extractor would never be asked")
	case p.Kind == sdk.KindLine && len(p.Info.Lines) == 0:
		return fmt.Errorf("sdk.Info.Lines is empty: no line could be chosen")
	}
	return nil
}

// checkOptions holds the names of room options against the prefixes. They share one list with those of all other plugins.
func (p *Plugin) checkOptions(options []sdk.Option) error {
	for _, prefix := range p.Info.OptionPrefixes {
		if !sdk.ValidOptionPrefix(prefix) {
			return fmt.Errorf("sdk.Info.OptionPrefixes: %q must be a word of lower-case letters and digits with _ behind it, such as %q", prefix, "acme_")
		}
	}
	for _, option := range options {
		if option.Room && !sdk.OwnsRoomOption(p.Info.OptionPrefixes, option) {
			return fmt.Errorf("option %q has room:\"true\": its name must begin with one of sdk.Info.OptionPrefixes %q, or be one that all plugins share",
				option.Name, p.Info.OptionPrefixes)
		}
	}
	return nil
}

// describe answers Describe and the command-line argument of that name.
func (p *Plugin) describe(instance string) sdk.Description {
	d := sdk.Description{Info: p.Info, Kind: p.Kind, Options: p.Options, Instance: instance, Revision: handshake.Revision}
	if p.Capabilities != nil {
		d.Capabilities = p.Capabilities()
	}
	return d
}
