package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/lubod/lubod/sdk"
)

// DecodeOptions checks a plugin's options block against the schema that the plugin published and returns what
// Configure gets: one JSON object, defaults filled in. A value in the file wins over the option's environment variable,
// the variable over the default. Errors are *FileError and never show the value of a secret option.
func DecodeOptions(plugin Plugin, schema []sdk.Option, getenv func(name string) string) ([]byte, error) {
	decoder := optionsDecoder{plugin: plugin, at: plugin.Range, getenv: getenv, values: map[string]any{}}
	attributes := decoder.attributes(schema)
	for _, option := range schema {
		decoder.decode(option, attributes[option.Name])
	}
	if err := decoder.err(); err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(decoder.values) // sorted by name: equal options are equal bytes
	if err != nil {
		return nil, fmt.Errorf("encode the options of %s: %w", plugin.Name, err)
	}
	return encoded, nil
}

type optionsDecoder struct {
	problems
	plugin Plugin
	// at is the place to point to when an option is missing.
	at     hcl.Range
	getenv func(string) string
	values map[string]any
}

// attributes returns what the options block says, and reports what is not in the schema.
func (d *optionsDecoder) attributes(schema []sdk.Option) map[string]*hclsyntax.Attribute {
	body, ok := d.plugin.Options.(*hclsyntax.Body)
	if !ok || body == nil {
		return nil
	}
	d.at = body.SrcRange
	names := make([]string, len(schema))
	for i, option := range schema {
		names[i] = option.Name
	}
	for name, attribute := range body.Attributes {
		if !slices.Contains(names, name) {
			d.add(attribute.NameRange, "%s has no option %q; its options are %s%s", d.plugin.Name, name, list(names), suggest(name, names))
		}
	}
	for _, block := range body.Blocks {
		d.add(block.TypeRange, "options are written name = value; a block %q is not allowed here", block.Type)
	}
	return body.Attributes
}

func (d *optionsDecoder) decode(option sdk.Option, attribute *hclsyntax.Attribute) {
	if option.Type == sdk.TypeUnknown {
		d.decodeUnknown(option, attribute)
		return
	}
	if attribute != nil {
		value, diagnostics := attribute.Expr.Value(nil)
		if diagnostics.HasErrors() {
			d.addDiagnostics(diagnostics, attribute.SrcRange)
			return
		}
		if !value.IsWhollyKnown() || !value.IsNull() {
			d.keep(option, attribute.Expr.Range(), "option "+strconv.Quote(option.Name), func() (any, bool) {
				return fromCty(option.Type, value)
			})
			return
		}
	}
	if text := d.environment(option); text != "" {
		source := fmt.Sprintf("option %q (from the variable %s)", option.Name, option.Env)
		d.keep(option, d.at, source, func() (any, bool) { return fromText(option.Type, text) })
		return
	}
	switch {
	case option.DefaultJSON != "":
		d.keepDefault(option)
	case option.Required:
		d.add(d.at, "%s", missing(d.plugin, option))
	}
}

// decodeUnknown passes on the default of an option whose type came with a newer contract. The rest of the plugin works.
func (d *optionsDecoder) decodeUnknown(option sdk.Option, attribute *hclsyntax.Attribute) {
	switch {
	case attribute != nil:
		d.add(attribute.NameRange, "the option %q of %s is of a type that this lubod does not know; it needs a newer one", option.Name, d.plugin.Name)
	case json.Valid([]byte(option.DefaultJSON)):
		d.values[option.Name] = json.RawMessage(option.DefaultJSON)
	}
}

// keep converts a value, checks it and stores it, or reports what it has to look like.
func (d *optionsDecoder) keep(option sdk.Option, at hcl.Range, source string, convert func() (any, bool)) {
	value, ok := convert()
	if !ok {
		d.add(at, "%s of %s must be %s", source, d.plugin.Name, DescribeOption(option))
		return
	}
	for _, text := range texts(value) {
		problem := restriction(option, text)
		if problem == "" {
			continue
		}
		shown := strconv.Quote(text)
		if option.Secret {
			shown = "the given value"
		}
		d.add(at, "%s of %s cannot be %s; %s", source, d.plugin.Name, shown, problem)
		return
	}
	d.values[option.Name] = value
}

// OptionProblem says what a value of an option, as JSON, has to be when it is not; empty when it is. It never repeats the value.
func OptionProblem(option sdk.Option, raw json.RawMessage) string {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return "must be " + DescribeOption(option)
	}
	converted, ok := fromJSON(option.Type, value)
	if !ok {
		return "must be " + DescribeOption(option)
	}
	for _, text := range texts(converted) {
		if problem := restriction(option, text); problem != "" && (text != "" || option.Format == "") {
			return "is not possible; " + problem
		}
	}
	return ""
}

// restriction says what is allowed when one value, as text, is not; empty when it is.
func restriction(option sdk.Option, text string) string {
	if len(option.Allowed) > 0 && !slices.Contains(option.Allowed, text) {
		return "allowed are " + list(option.Allowed)
	}
	value, err := strconv.ParseFloat(text, 64)
	number := err == nil && (option.Type == sdk.TypeInteger || option.Type == sdk.TypeNumber)
	if least, err := strconv.ParseFloat(option.Minimum, 64); err == nil && number && value < least {
		return "allowed is " + span(option)
	}
	if most, err := strconv.ParseFloat(option.Maximum, 64); err == nil && number && value > most {
		return "allowed is " + span(option)
	}
	if option.Pattern == "" {
		return ""
	}
	if pattern, err := regexp.Compile(option.Pattern); err == nil && !pattern.MatchString(text) {
		return "it has to look like " + option.Pattern
	}
	return ""
}

func span(option sdk.Option) string {
	switch {
	case option.Maximum == "":
		return "at least " + option.Minimum
	case option.Minimum == "":
		return "at most " + option.Maximum
	}
	return "from " + option.Minimum + " to " + option.Maximum
}

// keepDefault trusts a default as little as any other value: it comes from another process.
func (d *optionsDecoder) keepDefault(option sdk.Option) {
	decoder := json.NewDecoder(strings.NewReader(option.DefaultJSON))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err == nil {
		if converted, ok := fromJSON(option.Type, value); ok {
			d.values[option.Name] = converted
			return
		}
	}
	d.add(d.at, "the plugin %s is faulty: the default of its option %q is not %s", d.plugin.Name, option.Name, DescribeOption(option))
}

// environment looks the option's variable up. A plugin may name only variables of ours, and not the one that holds the
// host's own password: what else is in the host's environment is none of its business.
func (d *optionsDecoder) environment(option sdk.Option) string {
	if !strings.HasPrefix(option.Env, "LUBOD_") || option.Env == DatabaseURLVariable {
		return ""
	}
	return d.getenv(option.Env)
}

func missing(plugin Plugin, option sdk.Option) string {
	text := fmt.Sprintf("%s needs the option %q (%s): write it into the options { } block", plugin.Name, option.Name, DescribeOption(option))
	if option.Env != "" {
		text += " or set the variable " + option.Env
	}
	if option.DocEN != "" {
		text += "; it is: " + option.DocEN
	}
	return text
}

// DescribeOption says in words what a value of an option has to be.
func DescribeOption(option sdk.Option) string {
	words := map[sdk.OptionType]string{
		sdk.TypeString: "a text", sdk.TypeInteger: "a whole number", sdk.TypeNumber: "a number",
		sdk.TypeBoolean: "true or false", sdk.TypeStringList: "a list of texts",
	}
	text, known := words[option.Type]
	if !known {
		text = "of a type this lubod does not know (" + string(option.Type) + ")"
	}
	if option.Unit != "" {
		text += " (" + option.Unit + ")"
	}
	if len(option.Allowed) > 0 {
		text += ", one of " + list(option.Allowed)
	}
	if option.Minimum != "" || option.Maximum != "" {
		text += ", " + span(option)
	}
	return text
}

// fromCty takes a value of exactly the wanted type: "5" is no number and 5 is no text, so that a slip is noticed.
func fromCty(want sdk.OptionType, value cty.Value) (any, bool) {
	if !value.IsWhollyKnown() || value.IsNull() {
		return nil, false
	}
	switch {
	case want == sdk.TypeString && value.Type() == cty.String:
		return value.AsString(), true
	case want == sdk.TypeBoolean && value.Type() == cty.Bool:
		return value.True(), true
	case want == sdk.TypeInteger && value.Type() == cty.Number:
		number, accuracy := value.AsBigFloat().Int64()
		return number, accuracy == big.Exact
	case want == sdk.TypeNumber && value.Type() == cty.Number:
		number, _ := value.AsBigFloat().Float64()
		return number, !math.IsInf(number, 0)
	case want == sdk.TypeStringList && (value.Type().IsTupleType() || value.Type().IsListType()):
		return textList(value)
	}
	return nil, false
}

func textList(value cty.Value) (any, bool) {
	texts := []string{}
	for _, element := range value.Elements() {
		if element.IsNull() || element.Type() != cty.String {
			return nil, false
		}
		texts = append(texts, element.AsString())
	}
	return texts, true
}

// fromText reads an environment variable; a list is separated by commas.
func fromText(want sdk.OptionType, text string) (any, bool) {
	switch want {
	case sdk.TypeString:
		return text, true
	case sdk.TypeBoolean:
		value, err := strconv.ParseBool(text)
		return value, err == nil
	case sdk.TypeInteger:
		value, err := strconv.ParseInt(text, 10, 64)
		return value, err == nil
	case sdk.TypeNumber:
		value, err := strconv.ParseFloat(text, 64)
		return value, err == nil && !math.IsInf(value, 0) && !math.IsNaN(value)
	case sdk.TypeStringList:
		texts := strings.Split(text, ",")
		for i := range texts {
			texts[i] = strings.TrimSpace(texts[i])
		}
		return texts, true
	}
	return nil, false
}

func fromJSON(want sdk.OptionType, value any) (any, bool) {
	switch value := value.(type) {
	case string:
		return value, want == sdk.TypeString
	case bool:
		return value, want == sdk.TypeBoolean
	case json.Number:
		if want != sdk.TypeInteger && want != sdk.TypeNumber {
			return nil, false
		}
		return fromText(want, value.String())
	case []any:
		texts := make([]string, len(value))
		for i, element := range value {
			text, ok := element.(string)
			if !ok {
				return nil, false
			}
			texts[i] = text
		}
		return texts, want == sdk.TypeStringList
	}
	return nil, false
}

// texts returns the words that are compared with Option.Allowed.
func texts(value any) []string {
	switch value := value.(type) {
	case []string:
		return value
	case float64:
		return []string{strconv.FormatFloat(value, 'f', -1, 64)}
	}
	return []string{fmt.Sprint(value)}
}
