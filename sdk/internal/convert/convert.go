// Package convert maps what all plugin kinds share between Go and protobuf. What belongs to one kind is mapped in
// convert.go of that kind's package, beside the types.
package convert

import (
	"fmt"
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

var kinds = NewEnum(map[sdk.PluginKind]pluginv1.Kind{
	sdk.KindExtractor: pluginv1.Kind_KIND_EXTRACTOR,
	sdk.KindRecorder:  pluginv1.Kind_KIND_RECORDER,
	sdk.KindLine:      pluginv1.Kind_KIND_LINE,
})

var types = NewEnum(map[sdk.OptionType]pluginv1.OptionType{
	sdk.TypeUnknown:    pluginv1.OptionType_OPTION_TYPE_UNSPECIFIED,
	sdk.TypeString:     pluginv1.OptionType_OPTION_TYPE_STRING,
	sdk.TypeInteger:    pluginv1.OptionType_OPTION_TYPE_INTEGER,
	sdk.TypeNumber:     pluginv1.OptionType_OPTION_TYPE_NUMBER,
	sdk.TypeBoolean:    pluginv1.OptionType_OPTION_TYPE_BOOLEAN,
	sdk.TypeStringList: pluginv1.OptionType_OPTION_TYPE_STRING_LIST,
})

// fromTarget never takes a target that it does not know for Bilibili: what is stored elsewhere cannot be submitted.
func fromTarget(in pluginv1.LineTarget) sdk.LineTarget {
	switch in {
	case pluginv1.LineTarget_LINE_TARGET_UNSPECIFIED, pluginv1.LineTarget_LINE_TARGET_BILIBILI:
		return sdk.TargetBilibili
	}
	return sdk.TargetStorage
}

func toTarget(kind sdk.PluginKind, target sdk.LineTarget) pluginv1.LineTarget {
	switch {
	case target == sdk.TargetStorage:
		return pluginv1.LineTarget_LINE_TARGET_STORAGE
	case kind == sdk.KindLine:
		return pluginv1.LineTarget_LINE_TARGET_BILIBILI
	}
	return pluginv1.LineTarget_LINE_TARGET_UNSPECIFIED
}

// Description maps a plugin's answer to Describe.
func Description(d sdk.Description) *pluginv1.DescribeResponse {
	out := &pluginv1.DescribeResponse{
		Name:         d.Name,
		Version:      d.Version,
		Kind:         kinds.To(d.Kind, pluginv1.Kind_KIND_UNSPECIFIED),
		UrlPatterns:  d.Match,
		LineNames:    d.Lines,
		Capabilities: d.Capabilities,
		Instance:     d.Instance,
		Examples:     d.Examples,

		Containers:     d.Containers,
		OptionPrefixes: d.OptionPrefixes,
		LineTarget:     toTarget(d.Kind, d.Target),
		Revision:       int32(d.Revision),
	}
	for _, o := range d.Options {
		out.Options = append(out.Options, option(o))
	}
	return out
}

func option(o sdk.Option) *pluginv1.Option {
	return &pluginv1.Option{
		Name:        o.Name,
		Type:        types.To(o.Type, pluginv1.OptionType_OPTION_TYPE_UNSPECIFIED),
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

// The most of what one plugin says about itself. Lists that are longer are cut.
const (
	maxPatterns = 256
	maxOptions  = 512
	maxListed   = 64
)

// FromDescription is Description backwards. A kind that this version does not know is an error, since there is nothing to
// call such a plugin for. An option of a type that it does not know stays, as sdk.TypeUnknown.
func FromDescription(in *pluginv1.DescribeResponse) (sdk.Description, error) {
	kind, ok := kinds.Known(in.GetKind())
	if !ok {
		return sdk.Description{}, fmt.Errorf("plugin %q is of a kind this version does not know: %v", Name(in.GetName()), in.GetKind())
	}
	d := sdk.Description{
		Info: sdk.Info{
			Name:           Name(in.GetName()),
			Version:        Name(in.GetVersion()),
			Match:          first(in.GetUrlPatterns(), maxPatterns),
			Examples:       names(in.GetExamples()),
			Lines:          names(in.GetLineNames()),
			Target:         fromTarget(in.GetLineTarget()),
			Containers:     names(in.GetContainers()),
			OptionPrefixes: names(in.GetOptionPrefixes()),
		},
		Kind:         kind,
		Capabilities: names(in.GetCapabilities()),
		Instance:     in.GetInstance(),
		Revision:     int(in.GetRevision()),
	}
	for _, o := range first(in.GetOptions(), maxOptions) {
		d.Options = append(d.Options, fromOption(o, types.From(o.GetType(), sdk.TypeUnknown)))
	}
	return d, nil
}

func first[T any](list []T, most int) []T { return list[:min(len(list), most)] }

func names(list []string) []string {
	var out []string
	for _, one := range first(list, maxListed) {
		out = append(out, Name(one))
	}
	return out
}

func fromOption(o *pluginv1.Option, typ sdk.OptionType) sdk.Option {
	return sdk.Option{
		Name:        o.GetName(),
		Type:        typ,
		DefaultJSON: o.GetDefaultJson(),
		Unit:        Name(o.GetUnit()),
		Allowed:     first(o.GetAllowed(), maxPatterns),
		Secret:      o.GetSecret(),
		Required:    o.GetRequired(),
		Env:         o.GetEnv(),
		DocEN:       Text(o.GetDocEn()),
		DocZH:       Text(o.GetDocZh()),
		Room:        o.GetRoom(),
		Minimum:     o.GetMinimum(),
		Maximum:     o.GetMaximum(),
		Pattern:     o.GetPattern(),
		Format:      o.GetFormat(),
	}
}
