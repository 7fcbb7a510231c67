package convert_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/internal/convert"
	"github.com/lubod/lubod/sdk/internal/filltest"
	pluginv1 "github.com/lubod/lubod/sdk/internal/gen/lubod/plugin/v1"
)

func TestDescriptionForgetsNoField(t *testing.T) {
	for kind := range map[sdk.PluginKind]bool{sdk.KindExtractor: true, sdk.KindRecorder: true, sdk.KindLine: true} {
		want := filltest.Value[sdk.Description](map[string]string{"PluginKind": string(kind), "OptionType": "integer"})
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

func TestDescriptionOfANewerContractIsRefused(t *testing.T) {
	good := convert.Description(sdk.Description{
		Kind:    sdk.KindLine,
		Options: []sdk.Option{{Name: "a", Type: sdk.TypeBoolean}},
	})
	for name, change := range map[string]func(*pluginv1.DescribeResponse){
		"kind":        func(d *pluginv1.DescribeResponse) { d.Kind = 99 },
		"no kind":     func(d *pluginv1.DescribeResponse) { d.Kind = 0 },
		"option type": func(d *pluginv1.DescribeResponse) { d.Options[0].Type = 99 },
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

func TestTextIsAlwaysUTF8(t *testing.T) {
	if got := convert.Text("直播\xff"); got != "直播\uFFFD" {
		t.Errorf("got %q", got)
	}
	if got := convert.TextMap(map[string]string{"k\xff": "v\xff"}); got["k\uFFFD"] != "v\uFFFD" {
		t.Errorf("got %q", got)
	}
}
