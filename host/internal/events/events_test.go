package events

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestPositionsSurviveTheirText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.Int64Range(0, 1<<63-1)
		want := Position{number.Draw(t, "epoch"), number.Draw(t, "xid"), number.Draw(t, "id")}
		if got, err := ParsePosition(want.String()); err != nil || got != want {
			t.Fatalf("%v became %v, %v", want, got, err)
		}
	})
}

func FuzzParsePosition(f *testing.F) {
	for _, text := range []string{"", "1-2-3", "a-b-c", "--", "1-2-3-4", "-1-0-0", "zzzzzzzzzzzzzzz-1-1", "1-2-\x00"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		position, err := ParsePosition(text)
		if err != nil {
			return
		}
		if again, err := ParsePosition(position.String()); err != nil || again != position {
			t.Errorf("%q: %v, then %v, %v", text, position, again, err)
		}
	})
}

func TestParseTypes(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "recording": "recording", " recording.ended , upload ,": "recording.ended upload", "streamer,template.changed": "streamer template.changed",
	} {
		if got, err := ParseTypes(text); err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"nothing", "recording.", "recording.ended;upload", "Recording", "ready"} {
		if got, err := ParseTypes(text); err == nil || !strings.Contains(err.Error(), "recording.ended") {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func TestFilters(t *testing.T) {
	event := Event{Kind: "upload.state", StreamerID: 3}
	for _, tc := range []struct {
		filter Filter
		takes  bool
	}{
		{Filter{}, true},
		{Filter{Types: []string{"upload"}}, true},
		{Filter{Types: []string{"recording", "upload.state"}}, true},
		{Filter{Types: []string{"up"}}, false},
		{Filter{StreamerID: 3}, true},
		{Filter{StreamerID: 4}, false},
		{Filter{StreamerID: 3, Types: []string{"recording"}}, false},
	} {
		if got := tc.filter.Takes(event); got != tc.takes {
			t.Errorf("%+v takes it: %v", tc.filter, got)
		}
		if !tc.filter.Takes(bare(KindReset, Position{})) {
			t.Errorf("%+v keeps a reset back", tc.filter)
		}
	}
}

func TestJSONIsOneObjectOnOneLine(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
	for data, want := range map[string]string{
		"":                       `{"type":"k","version":1,"time":"2026-01-02T02:04:05Z"}`,
		"{}":                     `{"type":"k","version":1,"time":"2026-01-02T02:04:05Z"}`,
		`{"a": "line\nbreak 长"}`: `{"type":"k","version":1,"time":"2026-01-02T02:04:05Z","a": "line\nbreak 长"}`,
	} {
		got, err := Event{Kind: "k", Time: at, Data: json.RawMessage(data)}.JSON()
		if err != nil || string(got) != want || !json.Valid(got) {
			t.Errorf("%q: %s, %v", data, got, err)
		}
	}
}
