// Package sdk is what an author of a lubod plugin imports: identity, typed errors and the option schema that all three
// kinds share. The kinds themselves live in sdk/extractor, sdk/recorder and sdk/line, HTTP in sdk/fetch and the
// conformance suites in sdk/plugintest.
//
// A plugin is one binary that serves one kind. Its main function is one line:
//
//	func main() { extractor.Serve(info, newAcme) }
package sdk

// Info says who a plugin is. Name is the part of the binary's name after its kind: "acme" for extractor-acme.
type Info struct {
	Name    string
	Version string
	// Match lists Go regular expressions over room URLs (extractors only). Named groups reach the author as Ref.Groups.
	Match []string
	// Examples are one or a few URLs that Match takes: they are shown to a person whose URL nobody takes.
	Examples []string
	// Lines lists the names an operator may put into the configuration key "lines" (lines only).
	Lines []string
	// Target is where Lines bring files to; empty: Bilibili (lines only).
	Target LineTarget
	// Containers are what the recorder takes, as Stream.Container names them; empty: whatever there is (recorders only). A
	// room goes to the first recorder in plugins.hcl that takes one of its streams.
	Containers []string
	// OptionPrefixes begin the names of all options with room:"true", for example "acme_". They are unique among the plugins
	// of a lubod.
	OptionPrefixes []string
}

// LineTarget is what a line brings files to.
type LineTarget string

// The targets of contract version 1.
const (
	TargetBilibili LineTarget = ""        // the storage behind Bilibili's archives: the result can be submitted
	TargetStorage  LineTarget = "storage" // storage of the operator: nothing is submitted
)

// PluginKind is what a plugin is for.
type PluginKind string

// The plugin kinds of contract version 1.
const (
	KindExtractor PluginKind = "extractor"
	KindRecorder  PluginKind = "recorder"
	KindLine      PluginKind = "line"
)

// Capabilities are the optional abilities of contract version 1.
const (
	CapabilityProbe        = "probe"         // a line can measure its lines
	CapabilityRecover      = "recover"       // a recorder can finish what a dead session left
	CapabilityResolveBatch = "resolve_batch" // an extractor can ask about many rooms at once
)

// Description is a plugin's answer to Describe.
type Description struct {
	Info
	Kind         PluginKind
	Capabilities []string
	Options      []Option
	// Instance echoes the id under which the host launched this process; empty outside a host.
	Instance string
	// Revision of the contract that the plugin was built with; 0: from before version 1 was final.
	Revision int
}

// OptionType is the JSON type of an option.
type OptionType string

// The option types, with the Go field types they come from.
const (
	TypeString     OptionType = "string"      // string
	TypeInteger    OptionType = "integer"     // int, int32, int64
	TypeNumber     OptionType = "number"      // float64
	TypeBoolean    OptionType = "boolean"     // bool
	TypeStringList OptionType = "string_list" // []string
	// TypeUnknown is an option of a newer plugin: it keeps its default, and cannot be set.
	TypeUnknown OptionType = "unknown"
)

// Option is one thing an operator can set for a plugin. Authors do not write it: it is read off the struct tags of
// their options type (json, default, unit, allowed, min, max, pattern, format, room, secret, required, env, en, zh).
type Option struct {
	Name string
	Type OptionType
	// DefaultJSON is the value used when nothing is set, as JSON; empty: none.
	DefaultJSON string
	Unit        string
	// Allowed values as text; empty: any.
	Allowed  []string
	Secret   bool
	Required bool
	// Env names a LUBOD_* variable of the host that supplies the value when plugins.hcl does not.
	Env   string
	DocEN string
	DocZH string
	// Room options can also be set while the plugin runs, for all rooms or for one: the plugin takes them over those of its
	// configuration from each request. All others are set in plugins.hcl only.
	Room bool
	// Minimum and Maximum of a number, as text; empty: none.
	Minimum string
	Maximum string
	// Pattern is a regular expression that a text, or each text of a list, matches; empty: any.
	Pattern string
	// Format says what a room option holds beyond its type: FormatCookies, FormatLoginFile or nothing special.
	Format string
}

// The formats of room options that the host turns into the credentials of a request.
const (
	FormatCookies   = "cookies"    // a Cookie header
	FormatLoginFile = "login_file" // the name of a login file in the host's data directory
)
