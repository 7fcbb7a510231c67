// Package convert maps what all plugin kinds share between Go and protobuf. What belongs to one kind is mapped in
// convert.go of that kind's package, beside the types.
package convert

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/lubod/lubod/sdk"
	pluginv1 "github.com/lubod/lubod/sdk/internal/gen/lubod/plugin/v1"
)

// Time maps a time; the zero time is an absent one.
func Time(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// FromTime is Time backwards.
func FromTime(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

// Text makes a string fit for protobuf, which refuses a whole message for one byte that is not UTF-8. Platforms do send
// such titles.
func Text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// TextMap is Text for each key and value.
func TextMap(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[Text(k)] = Text(v)
	}
	return out
}

var kindToProto = map[sdk.PluginKind]pluginv1.Kind{
	sdk.KindExtractor: pluginv1.Kind_KIND_EXTRACTOR,
	sdk.KindRecorder:  pluginv1.Kind_KIND_RECORDER,
	sdk.KindLine:      pluginv1.Kind_KIND_LINE,
}

var typeToProto = map[sdk.OptionType]pluginv1.OptionType{
	sdk.TypeString:     pluginv1.OptionType_OPTION_TYPE_STRING,
	sdk.TypeInteger:    pluginv1.OptionType_OPTION_TYPE_INTEGER,
	sdk.TypeNumber:     pluginv1.OptionType_OPTION_TYPE_NUMBER,
	sdk.TypeBoolean:    pluginv1.OptionType_OPTION_TYPE_BOOLEAN,
	sdk.TypeStringList: pluginv1.OptionType_OPTION_TYPE_STRING_LIST,
}

// Description maps a plugin's answer to Describe.
func Description(d sdk.Description) *pluginv1.DescribeResponse {
	out := &pluginv1.DescribeResponse{
		Name:         d.Name,
		Version:      d.Version,
		Kind:         kindToProto[d.Kind],
		UrlPatterns:  d.Match,
		LineNames:    d.Lines,
		Capabilities: d.Capabilities,
		Instance:     d.Instance,
		Examples:     d.Examples,
	}
	for _, o := range d.Options {
		out.Options = append(out.Options, option(o))
	}
	return out
}

func option(o sdk.Option) *pluginv1.Option {
	return &pluginv1.Option{
		Name:        o.Name,
		Type:        typeToProto[o.Type],
		DefaultJson: o.DefaultJSON,
		Unit:        o.Unit,
		Allowed:     o.Allowed,
		Secret:      o.Secret,
		Required:    o.Required,
		Env:         o.Env,
		DocEn:       o.DocEN,
		DocZh:       o.DocZH,
		Room:        o.Room,
		Minimum:     o.Minimum,
		Maximum:     o.Maximum,
		Pattern:     o.Pattern,
		Format:      o.Format,
	}
}

// FromDescription is Description backwards. A kind or type that this version does not know is an error.
func FromDescription(in *pluginv1.DescribeResponse) (sdk.Description, error) {
	kind, ok := keyOf(kindToProto, in.GetKind())
	if !ok {
		return sdk.Description{}, fmt.Errorf("plugin %q is of a kind this version does not know: %v", in.GetName(), in.GetKind())
	}
	d := sdk.Description{
		Info: sdk.Info{
			Name:     in.GetName(),
			Version:  in.GetVersion(),
			Match:    in.GetUrlPatterns(),
			Examples: in.GetExamples(),
			Lines:    in.GetLineNames(),
		},
		Kind:         kind,
		Capabilities: in.GetCapabilities(),
		Instance:     in.GetInstance(),
	}
	for _, o := range in.GetOptions() {
		typ, ok := keyOf(typeToProto, o.GetType())
		if !ok {
			return sdk.Description{}, fmt.Errorf("option %q of plugin %q is of a type this version does not know: %v",
				o.GetName(), in.GetName(), o.GetType())
		}
		d.Options = append(d.Options, fromOption(o, typ))
	}
	return d, nil
}

func fromOption(o *pluginv1.Option, typ sdk.OptionType) sdk.Option {
	return sdk.Option{
		Name:        o.GetName(),
		Type:        typ,
		DefaultJSON: o.GetDefaultJson(),
		Unit:        o.GetUnit(),
		Allowed:     o.GetAllowed(),
		Secret:      o.GetSecret(),
		Required:    o.GetRequired(),
		Env:         o.GetEnv(),
		DocEN:       o.GetDocEn(),
		DocZH:       o.GetDocZh(),
		Room:        o.GetRoom(),
		Minimum:     o.GetMinimum(),
		Maximum:     o.GetMaximum(),
		Pattern:     o.GetPattern(),
		Format:      o.GetFormat(),
	}
}

func keyOf[K, V comparable](m map[K]V, value V) (K, bool) {
	for k, v := range m {
		if v == value {
			return k, true
		}
	}
	var zero K
	return zero, false
}
