package options

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/lubod/lubod/sdk"
)

// Decode reads one JSON object into a C, with defaults for what it does not name. Every mistake is reported at once, in
// one INVALID_OPTION error that names the options; values of secrets are never repeated.
func Decode[C any](raw []byte) (C, error) {
	var out C
	s, err := Of[C]()
	if err != nil {
		return out, err
	}
	target := reflect.ValueOf(&out).Elem()
	for _, f := range s.fields {
		if f.option.DefaultJSON == "" {
			continue
		}
		v, err := decodeValue(f.option, f.typ, json.RawMessage(f.option.DefaultJSON))
		if err != nil {
			return out, fmt.Errorf("option %s: default: %w", f.option.Name, err)
		}
		target.FieldByIndex(f.index).Set(v)
	}
	set, problems := s.apply(raw, target)
	for _, f := range s.fields {
		missing := !slices.Contains(set, f.option.Name) || target.FieldByIndex(f.index).IsZero() && f.typ.Kind() == reflect.String
		if f.option.Required && missing {
			problems = append(problems, fmt.Sprintf("option %s must be set", f.option.Name))
		}
	}
	return out, invalid(problems)
}

// Over reads options of one room over those of the plugin: what raw does not name keeps its value in base.
func Over[C any](raw []byte, base C) (C, error) {
	s, err := Of[C]()
	if err != nil {
		return base, err
	}
	out := base
	_, problems := s.apply(raw, reflect.ValueOf(&out).Elem())
	if err := invalid(problems); err != nil {
		return base, err
	}
	return out, nil
}

func (s *Schema) apply(raw []byte, target reflect.Value) (set, problems []string) {
	values, err := object(raw)
	if err != nil {
		return nil, []string{err.Error()}
	}
	for _, f := range s.fields {
		value, ok := values[f.option.Name]
		delete(values, f.option.Name)
		if !ok || string(value) == "null" {
			continue
		}
		set = append(set, f.option.Name)
		v, err := decodeValue(f.option, f.typ, value)
		if err != nil {
			problems = append(problems, fmt.Sprintf("option %s: %v", f.option.Name, err))
			continue
		}
		target.FieldByIndex(f.index).Set(v)
	}
	for _, name := range sortedKeys(values) {
		problems = append(problems, fmt.Sprintf("option %s does not exist; options are: %s", name, s.names()))
	}
	return set, problems
}

func object(raw []byte) (map[string]json.RawMessage, error) {
	values := map[string]json.RawMessage{}
	if len(bytes.TrimSpace(raw)) == 0 {
		return values, nil
	}
	if err := json.Unmarshal(raw, &values); err != nil || values == nil {
		return nil, fmt.Errorf("options must be one JSON object")
	}
	return values, nil
}

// decodeValue reads one value strictly: 1 is not "1", 1.5 is not an integer. Errors do not repeat secrets.
func decodeValue(opt sdk.Option, typ reflect.Type, raw json.RawMessage) (reflect.Value, error) {
	out := reflect.New(typ)
	if string(raw) == "null" || json.Unmarshal(raw, out.Interface()) != nil || hasNull(opt.Type, raw) {
		if opt.Secret {
			return reflect.Value{}, fmt.Errorf("must be %s", article(opt.Type))
		}
		return reflect.Value{}, fmt.Errorf("must be %s, got %s", article(opt.Type), shorten(raw))
	}
	for _, text := range texts(out.Elem()) {
		if problem := restricted(opt, text); problem != "" {
			if opt.Secret {
				text = "(secret)"
			}
			return reflect.Value{}, fmt.Errorf("%s %s", text, problem)
		}
	}
	return out.Elem(), nil
}

// restricted says why one value, as text, is not possible; empty when it is.
func restricted(opt sdk.Option, text string) string {
	if len(opt.Allowed) > 0 && !slices.Contains(opt.Allowed, text) {
		return "is not allowed; allowed are: " + strings.Join(opt.Allowed, ", ")
	}
	if opt.Minimum != "" || opt.Maximum != "" {
		value, err := strconv.ParseFloat(text, 64)
		if low, lowErr := strconv.ParseFloat(opt.Minimum, 64); err == nil && lowErr == nil && value < low {
			return "is too small; the least is " + opt.Minimum
		}
		if high, highErr := strconv.ParseFloat(opt.Maximum, 64); err == nil && highErr == nil && value > high {
			return "is too large; the most is " + opt.Maximum
		}
	}
	if opt.Pattern != "" {
		if pattern, err := regexp.Compile(opt.Pattern); err == nil && !pattern.MatchString(text) {
			return "does not look like " + opt.Pattern
		}
	}
	return ""
}

// hasNull finds a null inside a list, which encoding/json would silently read as "".
func hasNull(typ sdk.OptionType, raw json.RawMessage) bool {
	if typ != sdk.TypeStringList {
		return false
	}
	var items []*string
	return json.Unmarshal(raw, &items) != nil || slices.Contains(items, nil)
}

func texts(v reflect.Value) []string {
	switch v.Kind() {
	case reflect.Slice:
		out := make([]string, v.Len())
		for i := range out {
			out[i] = v.Index(i).String()
		}
		return out
	case reflect.String:
		return []string{v.String()}
	case reflect.Float64:
		return []string{strconv.FormatFloat(v.Float(), 'g', -1, 64)}
	}
	return []string{fmt.Sprint(v.Interface())}
}

func (s *Schema) names() string {
	if len(s.Options) == 0 {
		return "(none)"
	}
	names := make([]string, len(s.Options))
	for i, o := range s.Options {
		names[i] = o.Name
	}
	return strings.Join(names, ", ")
}

func invalid(problems []string) error {
	if len(problems) == 0 {
		return nil
	}
	return sdk.Errorf(sdk.InvalidOption, "%s", strings.Join(problems, "; "))
}

func sortedKeys(m map[string]json.RawMessage) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// shorten keeps an error readable when the value is long.
func shorten(raw json.RawMessage) string {
	const longest = 60
	text := []rune(strings.Join(strings.Fields(string(raw)), " "))
	if len(text) > longest {
		return string(text[:longest]) + "…"
	}
	return string(text)
}
