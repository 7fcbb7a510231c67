package reason

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lubod/lubod/sdk"
)

// placeholders are those of a text, each once.
func placeholders(text string) []string {
	found := placeholder.FindAllString(text, -1)
	slices.Sort(found)
	return slices.Compact(found)
}

func TestEveryCodeIsComplete(t *testing.T) {
	seen := make(map[string]bool)
	actions := []Kind{Wait, Retry, Edit, Login, FreeSpace, Open}
	for _, area := range areas {
		for code, one := range area {
			if seen[code] {
				t.Errorf("%s is in two areas", code)
			}
			seen[code] = true
			if !strings.Contains(code, ".") || strings.ToLower(code) != code || strings.ContainsAny(code, " -") {
				t.Errorf("%s is not of the form area.what_happened", code)
			}
			if one.en == "" || one.zh == "" {
				t.Errorf("%s has not both texts", code)
			}
			if one.en == one.zh {
				t.Errorf("%s says the same in both languages", code)
			}
			if diff := cmp.Diff(placeholders(one.en), placeholders(one.zh)); diff != "" {
				t.Errorf("%s has other placeholders in Chinese (-English +Chinese):\n%s", code, diff)
			}
			if !slices.Contains(actions, one.action.Kind) {
				t.Errorf("%s has no action", code)
			}
			for _, name := range placeholders(one.action.Target) {
				if !slices.Contains(placeholders(one.en), name) {
					t.Errorf("the action of %s needs %s, which its text does not have", code, name)
				}
			}
		}
	}
	for kind, code := range kinds {
		if !seen[code] {
			t.Errorf("%s, for %s, is not in the catalogue", code, kind)
		}
	}
}

func TestTextsAreFilled(t *testing.T) {
	given := New(RoomWindow, "until", "15:04")
	if got, want := given.Text(English), "outside its time window until 15:04"; got != want {
		t.Errorf("English: %q, want %q", got, want)
	}
	if got, want := given.Text(Chinese), "不在录制时间段内，15:04 起恢复"; got != want {
		t.Errorf("Chinese: %q, want %q", got, want)
	}
	if got := (Reason{}).Text(English); got != "" {
		t.Errorf("no reason reads %q", got)
	}
	if got, want := New("later.code", "text", "its own words").Text(Chinese), "its own words"; got != want {
		t.Errorf("a code of a newer version: %q, want %q", got, want)
	}
}

func TestReasonOfAnError(t *testing.T) {
	lost := errors.New("connection reset")
	tests := []struct {
		name string
		err  error
		want Reason
		text string
	}{
		{"none", nil, Reason{}, ""},
		{"carried", fmt.Errorf("ask: %w", New(RoomBroke).Wrap(lost)), New(RoomBroke, "cause", "connection reset"), "recording broke: connection reset"},
		{"by kind", fmt.Errorf("ask: %w", sdk.Errorf(sdk.LoginRequired, "cookie expired")),
			New(ErrorLoginRequired, "text", "ask: cookie expired"), "ask: cookie expired"},
		{"by code", &sdk.Error{Kind: sdk.Forbidden, Code: sdk.CodeStatus, Args: map[string]string{"where": "cdn", "status": "403"}, Message: "no"},
			New(sdk.CodeStatus, "where", "cdn", "status", "403", "text", "no"), "cdn answered 403"},
		{"by cause", &sdk.Error{Kind: sdk.Forbidden, Cause: sdk.CausePaid, Message: "members only"}, New(ErrorPaid, "text", "members only"), "members only"},
		{"of no kind", lost, New(ErrorOther, "text", "connection reset"), "connection reset"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Of(tt.err)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("reason (-want +got):\n%s", diff)
			}
			if got.Text(English) != tt.text {
				t.Errorf("text %q, want %q", got.Text(English), tt.text)
			}
		})
	}
	if err := New(RoomBroke).Wrap(lost); !errors.Is(err, lost) {
		t.Error("the cause is not in the chain")
	}
}

func TestColumnHoldsAReason(t *testing.T) {
	given := New(RoomKeyword, "word", "re\x00run\xff")
	want := New(RoomKeyword, "word", "rerun�")
	if diff := cmp.Diff(want, Parse(given.JSON())); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	if got := (Reason{}).JSON(); got != nil {
		t.Errorf("no reason is %s, want NULL", got)
	}
	if got := Parse(nil); !got.IsZero() {
		t.Errorf("NULL reads %v", got)
	}
}
