package settings

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/lubod/lubod/host/internal/config"
	"github.com/lubod/lubod/sdk"
)

// Mask is shown in place of a secret. Whoever sends it back keeps what is stored.
const Mask = "********"

// maxOptionBytes bounds one value of a plugin's option: every question about a room carries it.
const maxOptionBytes = 16 << 10

// PluginOptions is what one installed plugin says about its options.
type PluginOptions struct {
	// Plugin is the label in plugins.hcl.
	Plugin string
	Schema []sdk.Option
	// Prefixes begin the names of its room options.
	Prefixes []string
	// Base is what the plugin was configured with, one JSON object. It applies where nothing else is set.
	Base []byte
}

// Catalog knows the options that plugins let be set while they run: keys of /configuration and of a room's override
// beside those of Configuration. All other options are set in plugins.hcl.
type Catalog struct {
	entries map[string]*catalogEntry
	// silent are plugins that never came up: nobody knows their options.
	silent []string
	// refused says, by the label of a plugin, why an option of it cannot be set.
	refused map[string]string
}

type catalogEntry struct {
	declared []declaration
	// base is what applies where nothing is set; nil: nothing.
	base json.RawMessage
}

type declaration struct {
	plugin string
	option sdk.Option
}

// NewCatalog joins what plugins declare, in the order of plugins.hcl.
func NewCatalog(plugins []PluginOptions, silent []string) *Catalog {
	owned, refused := Owned(plugins)
	c := &Catalog{entries: make(map[string]*catalogEntry), silent: silent, refused: refused}
	for _, plugin := range owned {
		var base map[string]json.RawMessage
		if len(plugin.Base) > 0 && json.Unmarshal(plugin.Base, &base) != nil {
			base = nil
		}
		for _, option := range plugin.Schema {
			if option.Room {
				c.add(declaration{plugin.Plugin, option}, base[option.Name])
			}
		}
	}
	return c
}

// add joins a declaration with earlier ones of the same name, which is one that all plugins share.
func (c *Catalog) add(d declaration, base json.RawMessage) {
	entry := c.entries[d.option.Name]
	if entry == nil {
		entry = &catalogEntry{base: base}
		c.entries[d.option.Name] = entry
	}
	entry.declared = append(entry.declared, d)
}

// Conflicts says, by the label of a plugin, which of its options cannot be set and why.
func (c *Catalog) Conflicts() map[string]string { return c.refused }

// option returns how a key is declared; nil when it cannot be set.
func (c *Catalog) option(key string) *sdk.Option {
	entry := c.entries[key]
	if entry == nil {
		return nil
	}
	return &entry.declared[0].option
}

// Format is sdk.Option.Format of a key.
func (c *Catalog) Format(key string) string {
	if option := c.option(key); option != nil {
		return option.Format
	}
	return waitingFormats[key] // a plugin may take it later
}

// hidden tells whether a key's value must not be shown: it is secret, or nobody knows whether it is, because its plugin
// is away. Of biliup's own settings it is known.
func (c *Catalog) hidden(key string) bool {
	if c.waits(key) {
		return waiting[key]
	}
	option := c.option(key)
	return option == nil || option.Secret
}

// Show returns every key with the value that applies: what is stored, or what the plugin was configured with, or null.
// Secrets are masked.
func (c *Catalog) Show(stored map[string]json.RawMessage) map[string]json.RawMessage {
	shown := make(map[string]json.RawMessage, len(c.entries)+len(stored))
	for key, entry := range c.entries {
		shown[key] = c.mask(key, entry.base)
	}
	for key, value := range stored {
		shown[key] = c.mask(key, value)
	}
	return shown
}

// Masked returns an override as it may be shown.
func (c *Catalog) Masked(override []byte) json.RawMessage {
	_, options, err := Split(override)
	if err != nil || len(override) == 0 {
		return json.RawMessage("{}")
	}
	if len(options) == 0 {
		return override
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(override, &all); err != nil {
		return json.RawMessage("{}")
	}
	for key, value := range options {
		all[key] = c.mask(key, value)
	}
	masked, err := json.Marshal(all)
	if err != nil {
		return json.RawMessage("{}")
	}
	return masked
}

func (c *Catalog) mask(key string, value json.RawMessage) json.RawMessage {
	switch {
	case len(value) == 0 || string(value) == "null":
		return json.RawMessage("null")
	case !c.hidden(key) || string(value) == `""` || string(value) == "[]":
		return value
	}
	return json.RawMessage(`"` + Mask + `"`)
}

// Accept checks keys of plugins that somebody sent against what is stored. It returns the values to store and the keys
// to remove. The error is a *KeyError.
//
// null removes a key. A mask, and the value of a plugin that is away, keep what is stored.
func (c *Catalog) Accept(sent, stored map[string]json.RawMessage) (set map[string]json.RawMessage, remove []string, err error) {
	set = make(map[string]json.RawMessage)
	for _, key := range slices.Sorted(maps.Keys(sent)) {
		value, old := sent[key], stored[key]
		if string(value) == "null" {
			if old == nil && c.option(key) == nil && !c.waits(key) {
				return nil, nil, c.unknown(key)
			}
			remove = append(remove, key)
			continue
		}
		if set[key], err = c.accept(key, value, old); err != nil {
			return nil, nil, err
		}
	}
	return set, remove, nil
}

// Unset returns which of the sent keys only say what applies anyway: not stored, and what Show answered. A page sends
// everything back that it was shown, and plugins.hcl shall still decide afterwards.
func (c *Catalog) Unset(sent, stored map[string]json.RawMessage) []string {
	var unset []string
	for key, value := range sent {
		if entry := c.entries[key]; entry != nil && stored[key] == nil && same(value, c.mask(key, entry.base)) {
			unset = append(unset, key)
		}
	}
	return unset
}

// accept returns what to store for one key.
func (c *Catalog) accept(key string, value, old json.RawMessage) (json.RawMessage, error) {
	masked := c.hidden(key) && string(value) == `"`+Mask+`"`
	switch {
	case old != nil && (masked || same(value, old)):
		return old, nil
	case c.waits(key) && !masked:
		if len(value) > maxOptionBytes {
			return nil, tooLong(key)
		}
		return value, nil
	case c.option(key) == nil && !c.waits(key):
		if old != nil {
			return nil, &KeyError{key, "belongs to no plugin that is installed and running: it can be left as it is, or removed with null"}
		}
		return nil, c.unknown(key)
	}
	if masked {
		return nil, &KeyError{key, "is how a stored secret is shown, and none is stored here: write the secret itself"}
	}
	return value, c.check(key, value)
}

// check holds a value against every plugin that declares the key.
func (c *Catalog) check(key string, value json.RawMessage) error {
	if len(value) > maxOptionBytes {
		return tooLong(key)
	}
	for _, d := range c.entries[key].declared {
		if problem := mistake(d.option, value); problem != "" {
			return &KeyError{key, problem}
		}
	}
	return nil
}

func tooLong(key string) error {
	return &KeyError{key, fmt.Sprintf("must have at most %d bytes", maxOptionBytes)}
}

// mistake says what a value of an option has to be when it is not; empty when it is. Values are never repeated.
func mistake(option sdk.Option, raw json.RawMessage) string {
	if problem := config.OptionProblem(option, raw); problem != "" {
		return problem
	}
	var text string
	if option.Format == sdk.FormatCookies && json.Unmarshal(raw, &text) == nil && text != "" && len(parseCookies(text)) == 0 {
		return "must hold cookies as a browser sends them: name=value; name=value"
	}
	return ""
}

func (c *Catalog) unknown(key string) error {
	known := slices.Clone(keys())
	for name := range c.entries {
		known = append(known, name)
	}
	slices.Sort(known)
	text := "is not known here; allowed are " + strings.Join(known, ", ")
	if len(c.silent) > 0 {
		text += "; the options of " + strings.Join(c.silent, ", ") + " are not known, because it does not run"
	}
	return &KeyError{key, text}
}

// same compares JSON by meaning; a nil one is like nothing.
func same(a, b json.RawMessage) bool {
	var x, y any
	if a == nil || b == nil || json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	return reflect.DeepEqual(x, y)
}
