package config

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/lubod/lubod/sdk"
)

// Plugins is what plugins.hcl says.
type Plugins struct {
	// Dir is where binaries are looked for that have no path of their own. Absolute.
	Dir string
	// Blocks in the order of the file, which is the order of preference.
	Blocks []Plugin
}

// Plugin is one plugin block.
type Plugin struct {
	// Name is the label, for example "extractor-direct": the kind, a dash and the plugin's own name.
	Name string
	Kind sdk.PluginKind
	// Path of the binary. Absolute.
	Path string
	// User is whom the process runs as; nil: the user of the host.
	User *Account
	// SHA256 of the binary in lower-case hex; empty: any.
	SHA256 string
	// Options are checked by DecodeOptions once the plugin has described itself; nil: no options block.
	Options hcl.Body
	Limits  Limits
	// Range is the block's header, for messages.
	Range hcl.Range
}

// ShortName is Name without its kind: what the plugin calls itself.
func (p Plugin) ShortName() string {
	_, name, _ := strings.Cut(p.Name, "-")
	return name
}

// Limits bound one plugin process; 0: the host's default.
type Limits struct {
	// IdleStop is how long an extractor or line may be unused before its process is stopped.
	IdleStop time.Duration
	// StartTimeout is how long a process may take from start to handshake.
	StartTimeout time.Duration
}

// defaultPluginDir is where `make build` puts the plugins, seen from the file in the repository's root.
const defaultPluginDir = "bin/plugins"

var labelForm = regexp.MustCompile(`^(extractor|recorder|line)-[a-z0-9]+(-[a-z0-9]+)*$`)

// maxLabelLength keeps file names that are made from a label within every file system's limit.
const maxLabelLength = 64

// ReadPlugins reads plugins.hcl. Mistakes in it come back as a *FileError that lists all of them.
func ReadPlugins(path string) (Plugins, error) {
	source, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Plugins{}, fmt.Errorf("there is no plugins file %s; name one with --plugins or LUBOD_PLUGINS", path)
	}
	if err != nil {
		return Plugins{}, fmt.Errorf("read the plugins file: %w", err)
	}
	return ParsePlugins(source, path)
}

// ParsePlugins reads the text of a plugins.hcl that lies at path; paths in it are relative to that file.
func ParsePlugins(source []byte, path string) (Plugins, error) {
	base, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return Plugins{}, fmt.Errorf("make %q absolute: %w", path, err)
	}
	reader := pluginsReader{root: os.Geteuid() == 0, base: base, dir: filepath.Join(base, filepath.FromSlash(defaultPluginDir))}
	file, diagnostics := hclsyntax.ParseConfig(source, path, hcl.InitialPos)
	reader.addDiagnostics(diagnostics, hcl.Range{Filename: path, Start: hcl.InitialPos, End: hcl.InitialPos})
	// Behind a syntax error the rest would be misread, and its mistakes would mislead.
	if !diagnostics.HasErrors() {
		reader.read(file.Body.(*hclsyntax.Body))
	}
	if err := reader.err(); err != nil {
		return Plugins{}, err
	}
	return Plugins{Dir: reader.dir, Blocks: reader.blocks}, nil
}

type pluginsReader struct {
	problems
	// root: the host may run programs as any user.
	root   bool
	base   string
	dir    string
	blocks []Plugin
}

func (r *pluginsReader) read(body *hclsyntax.Body) {
	r.checkNames(body, "at the top of the file", []string{"plugin_dir"}, []string{"plugin"})
	if dir, ok := r.text(body.Attributes["plugin_dir"]); ok {
		r.dir = r.resolve(dir)
	}
	seen := map[string]hcl.Range{}
	for _, block := range body.Blocks {
		if block.Type != "plugin" {
			continue
		}
		plugin, ok := r.plugin(block)
		if !ok {
			continue
		}
		if first, duplicate := seen[plugin.Name]; duplicate {
			r.add(plugin.Range, "plugin %q is named twice, first at %s; a label may occur once", plugin.Name, first)
			continue
		}
		seen[plugin.Name] = plugin.Range
		r.blocks = append(r.blocks, plugin)
	}
}

// plugin reads one block; ok is false when its label cannot be used.
func (r *pluginsReader) plugin(block *hclsyntax.Block) (plugin Plugin, ok bool) {
	plugin.Range = block.DefRange()
	ok = r.label(block, &plugin)
	r.checkNames(block.Body, "in a plugin block", []string{"path", "sha256", "user"}, []string{"options", "limits"})
	plugin.Path = filepath.Join(r.dir, plugin.Name)
	if path, given := r.text(block.Body.Attributes["path"]); given {
		plugin.Path = r.resolve(path)
	}
	plugin.SHA256 = r.sha256(block.Body.Attributes["sha256"])
	plugin.User = r.account(block.Body.Attributes["user"])
	if options := r.single(block.Body, "options"); options != nil {
		plugin.Options = options.Body
	}
	if limits := r.single(block.Body, "limits"); limits != nil {
		r.limits(limits.Body, &plugin.Limits)
	}
	return plugin, ok
}

func (r *pluginsReader) label(block *hclsyntax.Block, plugin *Plugin) bool {
	const want = `a plugin block has one label: kind, dash, name, for example plugin "extractor-direct"`
	if len(block.Labels) != 1 {
		r.add(plugin.Range, "%s", want)
		return false
	}
	label, at := block.Labels[0], block.LabelRanges[0]
	kind, _, _ := strings.Cut(label, "-")
	switch {
	case !isKind(kind):
		r.add(at, "%q has no known kind before its first dash; kinds are extractor, recorder and line", label)
	case len(label) > maxLabelLength:
		r.add(at, "the label is longer than %d letters", maxLabelLength)
	case !labelForm.MatchString(label):
		r.add(at, "%q is no plugin label; behind the kind and a dash come lower-case letters, digits and single dashes", label)
	default:
		plugin.Name, plugin.Kind = label, sdk.PluginKind(kind)
		return true
	}
	return false
}

func isKind(kind string) bool {
	switch sdk.PluginKind(kind) {
	case sdk.KindExtractor, sdk.KindRecorder, sdk.KindLine:
		return true
	}
	return false
}

func (r *pluginsReader) sha256(attribute *hclsyntax.Attribute) string {
	text, ok := r.text(attribute)
	if !ok {
		return ""
	}
	if digest, err := hex.DecodeString(text); err != nil || len(digest) != 32 {
		r.add(attribute.Expr.Range(), "sha256 must be 64 hexadecimal digits, as sha256sum prints them")
		return ""
	}
	return strings.ToLower(text)
}

func (r *pluginsReader) limits(body *hclsyntax.Body, limits *Limits) {
	fields := map[string]*time.Duration{"idle_stop": &limits.IdleStop, "start_timeout": &limits.StartTimeout}
	r.checkNames(body, "in a limits block", []string{"idle_stop", "start_timeout"}, nil)
	for name, field := range fields {
		text, ok := r.text(body.Attributes[name])
		if !ok {
			continue
		}
		duration, err := time.ParseDuration(text)
		if err != nil || duration < time.Second || duration > 24*time.Hour {
			r.add(body.Attributes[name].Expr.Range(), `%s must be a duration from "1s" to "24h", for example "10m"`, name)
			continue
		}
		*field = duration
	}
}

// checkNames reports every attribute and block that is not allowed in a place.
func (r *pluginsReader) checkNames(body *hclsyntax.Body, place string, attributes, blocks []string) {
	allowed := append([]string{}, attributes...)
	for _, block := range blocks {
		allowed = append(allowed, block+" { }")
	}
	report := func(name string, at hcl.Range, what string) {
		names := append(append([]string{}, attributes...), blocks...)
		r.add(at, "%s %q is not known %s; allowed are %s%s", what, name, place, list(allowed), suggest(name, names))
	}
	for name, attribute := range body.Attributes {
		switch {
		case slices.Contains(attributes, name):
		case slices.Contains(blocks, name):
			r.add(attribute.NameRange, "%s is a block: write %s { } without an equals sign", name, name)
		default:
			report(name, attribute.NameRange, "attribute")
		}
	}
	for _, block := range body.Blocks {
		switch {
		case slices.Contains(blocks, block.Type):
		case slices.Contains(attributes, block.Type):
			r.add(block.TypeRange, "%s is an attribute: write %s = …", block.Type, block.Type)
		default:
			report(block.Type, block.TypeRange, "block")
		}
	}
}

// single returns the one block of a type, nil when there is none.
func (r *pluginsReader) single(body *hclsyntax.Body, blockType string) *hclsyntax.Block {
	var found *hclsyntax.Block
	for _, block := range body.Blocks {
		switch {
		case block.Type != blockType:
		case found != nil:
			r.add(block.DefRange(), "%s may occur once in a plugin block, first at %s", blockType, found.DefRange())
		default:
			found = block
			if len(block.Labels) > 0 {
				r.add(block.LabelRanges[0], "%s takes no label", blockType)
			}
		}
	}
	return found
}

// text evaluates an attribute that must be a non-empty string; ok is false when it is absent or wrong.
func (r *pluginsReader) text(attribute *hclsyntax.Attribute) (text string, ok bool) {
	if attribute == nil {
		return "", false
	}
	value, diagnostics := attribute.Expr.Value(nil)
	if diagnostics.HasErrors() {
		r.addDiagnostics(diagnostics, attribute.SrcRange)
		return "", false
	}
	if !value.IsWhollyKnown() || value.IsNull() || value.Type() != cty.String || strings.TrimSpace(value.AsString()) == "" ||
		strings.ContainsRune(value.AsString(), 0) {
		r.add(attribute.Expr.Range(), "%s must be a text in double quotes that is not empty", attribute.Name)
		return "", false
	}
	return value.AsString(), true
}

func (r *pluginsReader) resolve(path string) string {
	path = filepath.FromSlash(path)
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(r.base, path)
}
