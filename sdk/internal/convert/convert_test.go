package convert_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/internal/convert"
	"github.com/lubod/lubod/sdk/internal/filltest"
	pluginv1 "github.com/lubod/lubod/sdk/internal/gen/lubod/plugin/v1"
)

func TestDescriptionForgetsNoField(t *testing.T) {
	for kind := range map[sdk.PluginKind]bool{sdk.KindExtractor: true, sdk.KindRecorder: true, sdk.KindLine: true} {
		want := filltest.Value[sdk.Description](map[string]string{"PluginKind": string(kind), "OptionType": "integer", "LineTarget": string(sdk.TargetStorage)})
		wire := convert.Description(want)
		if missing := filltest.Unset(wire); len(missing) > 0 {
			t.Errorf("not sent: %v", missing)
		}
		got, err := convert.FromDescription(wire)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("not the same on the other side (-sent +received):\n%s", diff)
		}
	}
}

// One option of a type that is not known must not take the plugin down.
func TestOptionOfANewerTypeIsKept(t *testing.T) {
	wire := convert.Description(sdk.Description{Kind: sdk.KindLine, Options: []sdk.Option{{Name: "a", Type: sdk.TypeBoolean}, {Name: "b", Type: sdk.TypeString}}})
	wire.Options[0].Type, wire.LineTarget = 99, 99
	got, err := convert.FromDescription(wire)
	if err != nil || got.Options[0].Type != sdk.TypeUnknown || got.Options[1].Type != sdk.TypeString || got.Target != sdk.TargetStorage {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestDescriptionOfAnotherKindIsRefused(t *testing.T) {
	good := convert.Description(sdk.Description{
		Kind:    sdk.KindLine,
		Options: []sdk.Option{{Name: "a", Type: sdk.TypeBoolean}},
	})
	for name, change := range map[string]func(*pluginv1.DescribeResponse){
		"kind":    func(d *pluginv1.DescribeResponse) { d.Kind = 99 },
		"no kind": func(d *pluginv1.DescribeResponse) { d.Kind = 0 },
	} {
		bad := proto.CloneOf(good)
		change(bad)
		if _, err := convert.FromDescription(bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestZeroTimeIsAbsent(t *testing.T) {
	if convert.Time(time.Time{}) != nil || !convert.FromTime(nil).IsZero() {
		t.Error("the zero time must not become 1970 or year 1")
	}
}

func TestStreamForgetsNoField(t *testing.T) {
	want := filltest.Value[sdk.Stream](nil)
	wire := convert.Streams([]sdk.Stream{want})
	if missing := filltest.Unset(wire[0]); len(missing) > 0 {
		t.Errorf("not sent: %v", missing)
	}
	if diff := cmp.Diff([]sdk.Stream{want}, convert.FromStreams(wire)); diff != "" {
		t.Errorf("not the same on the other side (-sent +received):\n%s", diff)
	}
	plain := []sdk.Stream{{URL: "http://x"}}
	if diff := cmp.Diff(plain, convert.FromStreams(convert.Streams(plain))); diff != "" {
		t.Errorf("not the same on the other side (-sent +received):\n%s", diff)
	}
}

func TestTextsAreCutByCharacters(t *testing.T) {
	for text, want := range map[string]string{
		strings.Repeat("直", 512):          strings.Repeat("直", 512),
		strings.Repeat("直", 513):          strings.Repeat("直", 511) + "…",
		strings.Repeat("直", 1<<20):        strings.Repeat("直", 511) + "…",
		strings.Repeat("a", 512):          strings.Repeat("a", 512),
		strings.Repeat("\xff", 1<<20):     strings.Repeat("\uFFFD", 1),
		strings.Repeat("𝄞", 600) + "\xf0": strings.Repeat("𝄞", 511) + "…",
	} {
		if got := convert.Name(text); got != want {
			t.Errorf("%d bytes became %d characters, ending in %q; wanted %d", len(text), utf8.RuneCountInString(got), got[max(0, len(got)-9):], utf8.RuneCountInString(want))
		}
	}
}

func TestTextIsAlwaysUTF8(t *testing.T) {
	if got := convert.Text("直播\xff"); got != "直播\uFFFD" {
		t.Errorf("got %q", got)
	}
	if got := convert.TextMap(map[string]string{"k\xff": "v\xff"}); got["k\uFFFD"] != "v\uFFFD" {
		t.Errorf("got %q", got)
	}
}
