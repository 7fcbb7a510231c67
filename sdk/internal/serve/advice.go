package serve

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/internal/handshake"
)

// byHand handles a start that no host made: it tells a person what the file is for. done is false when a host is there.
func byHand(p *Plugin, args []string, getenv func(string) string, stdout, stderr io.Writer) (code int, done bool) {
	if len(args) > 1 {
		switch args[1] {
		case "describe":
			if err := writeDescription(stdout, p.describe("")); err != nil {
				fmt.Fprintln(stderr, err)
				return 1, true
			}
			return 0, true
		case "resolve":
			if p.Ask != nil {
				return resolve(p, args[2:], stdout, stderr), true
			}
		case "-h", "-help", "--help", "help":
			fmt.Fprint(stdout, advice(p))
			return 0, true
		}
	}
	if getenv(handshake.CookieKey) == handshake.CookieValue {
		return 0, false
	}
	fmt.Fprint(stderr, advice(p))
	return 1, true
}

// askTimeout is what a person waits for an answer.
const askTimeout = time.Minute

// resolve asks a platform about one URL, without a host.
func resolve(p *Plugin, args []string, stdout, stderr io.Writer) (code int) {
	flags := flag.NewFlagSet("resolve", flag.ContinueOnError)
	flags.SetOutput(stderr)
	options := flags.String("options", "{}", "options of the plugin, one JSON object")
	flags.Usage = func() {
		fmt.Fprintf(stderr, "usage: resolve [-options '{\"name\": value}'] URL\n")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil || flags.NArg() != 1 {
		if err == nil {
			flags.Usage()
		}
		return 2
	}
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	err := p.Ask(sdk.WithLogger(ctx, slog.New(slog.NewTextHandler(stderr, nil))), []byte(*options), flags.Arg(0), stdout)
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", sdk.KindOf(err), err)
		return 1
	}
	return 0
}

func advice(p *Plugin) string {
	label := string(p.Kind) + "-" + p.Info.Name
	return fmt.Sprintf(`%[1]s %[2]s is a lubod plugin: lubod starts it, not a person.

To use it, put this file into lubod's plugin directory and add to plugins.hcl:

    plugin %[3]q {}

then let lubod read that file again (kill -HUP). To see the options, run "%[4]s describe".
%[5]s`, label, p.Info.Version, label, os.Args[0], asking(p))
}

func asking(p *Plugin) string {
	if p.Ask == nil {
		return ""
	}
	return fmt.Sprintf("To ask about one room without lubod, run \"%s resolve URL\".\n", os.Args[0])
}

// description is the JSON form of sdk.Description that tools for packaging read.
type description struct {
	Name         string              `json:"name"`
	Version      string              `json:"version"`
	Kind         sdk.PluginKind      `json:"kind"`
	Protocol     int                 `json:"protocol"`
	Revision     int                 `json:"revision"`
	Match        []string            `json:"match,omitempty"`
	Examples     []string            `json:"examples,omitempty"`
	Lines        []string            `json:"lines,omitempty"`
	Target       sdk.LineTarget      `json:"target,omitempty"`
	Containers   []string            `json:"containers,omitempty"`
	Prefixes     []string            `json:"option_prefixes,omitempty"`
	Capabilities []string            `json:"capabilities"`
	Options      []optionDescription `json:"options"`
}

type optionDescription struct {
	Name     string          `json:"name"`
	Type     sdk.OptionType  `json:"type"`
	Default  json.RawMessage `json:"default,omitempty"`
	Unit     string          `json:"unit,omitempty"`
	Allowed  []string        `json:"allowed,omitempty"`
	Minimum  string          `json:"min,omitempty"`
	Maximum  string          `json:"max,omitempty"`
	Pattern  string          `json:"pattern,omitempty"`
	Format   string          `json:"format,omitempty"`
	Room     bool            `json:"room,omitempty"`
	Secret   bool            `json:"secret,omitempty"`
	Required bool            `json:"required,omitempty"`
	Env      string          `json:"env,omitempty"`
	EN       string          `json:"en,omitempty"`
	ZH       string          `json:"zh,omitempty"`
}

func writeDescription(w io.Writer, d sdk.Description) error {
	out := description{
		Name: d.Name, Version: d.Version, Kind: d.Kind, Protocol: handshake.ProtocolVersion,
		Revision: d.Revision, Match: d.Match, Examples: d.Examples, Lines: d.Lines, Target: d.Target,
		Containers: d.Containers, Prefixes: d.OptionPrefixes,
		Capabilities: append([]string{}, d.Capabilities...), Options: []optionDescription{},
	}
	for _, o := range d.Options {
		out.Options = append(out.Options, optionDescription{
			Name: o.Name, Type: o.Type, Default: json.RawMessage(o.DefaultJSON), Unit: o.Unit, Allowed: o.Allowed,
			Minimum: o.Minimum, Maximum: o.Maximum, Pattern: o.Pattern, Format: o.Format, Room: o.Room,
			Secret: o.Secret, Required: o.Required, Env: o.Env, EN: o.DocEN, ZH: o.DocZH,
		})
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(out); err != nil {
		return fmt.Errorf("write description: %w", err)
	}
	return nil
}
