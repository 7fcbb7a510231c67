// Package options turns an author's options struct into the schema that Describe answers, and JSON into that struct.
//
// The struct is flat. Each exported field is one option, described by its tags:
//
//	json:"name"             its name in plugins.hcl (required; "-" leaves the field out)
//	default:"10"            value when nothing is set; lists are written with commas
//	unit:"ms"               unit of a number
//	allowed:"avc,hevc"      allowed values
//	min:"0" max:"86400"     bounds of a number
//	pattern:"^[a-z]+$"      what a text, or each text of a list, looks like
//	room:"true"             can also be set while the plugin runs, in /configuration and for one room
//	format:"login_file"     a room option that the host turns into credentials: cookies or login_file
//	secret:"true"           never logged, never returned by the API
//	required:"true"         must be set; excludes default
//	env:"LUBOD_ACME_TOKEN"  variable of the host that supplies the value when plugins.hcl does not
//	en:"…" zh:"…"           one sentence for the operator
package options

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/lubod/lubod/sdk"
)

// Schema describes options of one struct type.
type Schema struct {
	Options []sdk.Option
	fields  []field
}

type field struct {
	option sdk.Option
	index  []int
	typ    reflect.Type
}

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// Of reads the tags of C. A mistake in them is the author's and comes back as an error that names the field.
func Of[C any]() (*Schema, error) {
	typ := reflect.TypeFor[C]()
	if typ.Kind() != reflect.Struct {
		return nil, fmt.Errorf("options must be a struct, not %s", typ)
	}
	s := &Schema{}
	for sf := range typ.Fields() {
		name, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
		if !sf.IsExported() || name == "-" {
			continue
		}
		if sf.Anonymous {
			return nil, fmt.Errorf("field %s.%s: embedded structs are not supported: options are flat", typ, sf.Name)
		}
		opt, err := readTags(name, sf)
		if err != nil {
			return nil, fmt.Errorf("field %s.%s: %w", typ, sf.Name, err)
		}
		if slices.ContainsFunc(s.fields, func(f field) bool { return f.option.Name == opt.Name }) {
			return nil, fmt.Errorf("field %s.%s: option %q exists already", typ, sf.Name, opt.Name)
		}
		s.Options = append(s.Options, opt)
		s.fields = append(s.fields, field{option: opt, index: sf.Index, typ: sf.Type})
	}
	return s, nil
}

func readTags(name string, sf reflect.StructField) (sdk.Option, error) {
	opt := sdk.Option{
		Name:  name,
		Unit:  sf.Tag.Get("unit"),
		Env:   sf.Tag.Get("env"),
		DocEN: sf.Tag.Get("en"),
		DocZH: sf.Tag.Get("zh"),
	}
	if !namePattern.MatchString(name) {
		return opt, fmt.Errorf(`needs a tag like json:"some_name": lower-case letters, digits and _, got %q`, name)
	}
	if opt.Env != "" && !strings.HasPrefix(opt.Env, "LUBOD_") {
		return opt, fmt.Errorf("env must begin with LUBOD_, got %q", opt.Env)
	}
	var err error
	if opt.Type, err = typeOf(sf.Type); err != nil {
		return opt, err
	}
	if opt.Secret, err = flag(sf, "secret"); err != nil {
		return opt, err
	}
	if opt.Required, err = flag(sf, "required"); err != nil {
		return opt, err
	}
	if opt.Room, err = flag(sf, "room"); err != nil {
		return opt, err
	}
	if allowed, ok := sf.Tag.Lookup("allowed"); ok {
		opt.Allowed = splitList(allowed)
	}
	if err := readLimits(&opt, sf); err != nil {
		return opt, err
	}
	return opt, readDefault(&opt, sf)
}

func readLimits(opt *sdk.Option, sf reflect.StructField) error {
	opt.Minimum, opt.Maximum, opt.Pattern, opt.Format = sf.Tag.Get("min"), sf.Tag.Get("max"), sf.Tag.Get("pattern"), sf.Tag.Get("format")
	for tag, limit := range map[string]string{"min": opt.Minimum, "max": opt.Maximum} {
		if _, err := strconv.ParseFloat(limit, 64); limit != "" && (err != nil || opt.Type != sdk.TypeInteger && opt.Type != sdk.TypeNumber) {
			return fmt.Errorf("%s must be a number and belongs to a number", tag)
		}
	}
	if opt.Pattern != "" {
		if opt.Type != sdk.TypeString && opt.Type != sdk.TypeStringList {
			return fmt.Errorf("pattern belongs to a string or a list of strings")
		}
		if _, err := regexp.Compile(opt.Pattern); err != nil {
			return fmt.Errorf("pattern: %w", err)
		}
	}
	switch opt.Format {
	case "":
		return nil
	case sdk.FormatCookies, sdk.FormatLoginFile:
		if opt.Type != sdk.TypeString || !opt.Room {
			return fmt.Errorf("format %s belongs to a string with room:\"true\"", opt.Format)
		}
		return nil
	}
	return fmt.Errorf("format must be %s or %s, got %q", sdk.FormatCookies, sdk.FormatLoginFile, opt.Format)
}

func readDefault(opt *sdk.Option, sf reflect.StructField) error {
	text, ok := sf.Tag.Lookup("default")
	if !ok {
		return nil
	}
	if opt.Required {
		return fmt.Errorf("required and default exclude each other")
	}
	if opt.Secret {
		return fmt.Errorf("a secret has no default: it would be in every binary")
	}
	raw, err := defaultJSON(opt.Type, text)
	if err != nil {
		return fmt.Errorf("default: %w", err)
	}
	if _, err := decodeValue(*opt, sf.Type, raw); err != nil {
		return fmt.Errorf("default: %w", err)
	}
	opt.DefaultJSON = string(raw)
	return nil
}

func defaultJSON(typ sdk.OptionType, text string) (json.RawMessage, error) {
	switch typ {
	case sdk.TypeString:
		return json.Marshal(text)
	case sdk.TypeStringList:
		return json.Marshal(splitList(text))
	}
	if !json.Valid([]byte(text)) {
		return nil, fmt.Errorf("%q is not %s", text, article(typ))
	}
	return json.RawMessage(text), nil
}

func typeOf(t reflect.Type) (sdk.OptionType, error) {
	switch t.Kind() {
	case reflect.String:
		return sdk.TypeString, nil
	case reflect.Int, reflect.Int32, reflect.Int64:
		if t.PkgPath() != "" {
			return "", fmt.Errorf("type %s has a meaning that JSON does not carry; use a plain integer and the tag unit", t)
		}
		return sdk.TypeInteger, nil
	case reflect.Float64:
		return sdk.TypeNumber, nil
	case reflect.Bool:
		return sdk.TypeBoolean, nil
	case reflect.Slice:
		if t.Elem().Kind() == reflect.String {
			return sdk.TypeStringList, nil
		}
	}
	return "", fmt.Errorf("type %s is not one of string, int, int32, int64, float64, bool, []string", t)
}

func flag(sf reflect.StructField, tag string) (bool, error) {
	text, ok := sf.Tag.Lookup(tag)
	if !ok {
		return false, nil
	}
	v, err := strconv.ParseBool(text)
	if err != nil {
		return false, fmt.Errorf(`%s must be "true" or "false", got %q`, tag, text)
	}
	return v, nil
}

// splitList reads "a, b" as two values and "" as none.
func splitList(text string) []string {
	out := []string{}
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

func article(typ sdk.OptionType) string {
	switch typ {
	case sdk.TypeInteger:
		return "an integer"
	case sdk.TypeStringList:
		return "a list of strings"
	}
	return "a " + string(typ)
}
