package api

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/lubod/lubod/host/internal/settings"
	"github.com/lubod/lubod/sdk"
)

var xOptions = settings.PluginOptions{
	Prefixes: []string{"x_"},
	Plugin:   "extractor-x", Base: []byte(`{"x_qn":10,"x_api":"http://x"}`),
	Schema: []sdk.Option{
		{Name: "x_qn", Type: sdk.TypeInteger, Allowed: []string{"10", "20"}, Room: true},
		{Name: "x_cookie", Type: sdk.TypeString, Secret: true, Format: sdk.FormatCookies, Room: true},
		{Name: "x_file", Type: sdk.TypeString, Format: sdk.FormatLoginFile, Room: true},
		{Name: "x_api", Type: sdk.TypeString},
	},
}

// ownDefaults are the members of an object: what lubod's own settings are when nobody set any.
var ownDefaults = func() string {
	raw, err := json.Marshal(settings.DefaultConfiguration())
	if err != nil {
		panic(err)
	}
	return strings.TrimSuffix(strings.TrimPrefix(string(raw), "{"), "}")
}()

func newWithOptions(t *testing.T) *harness {
	t.Helper()
	h := newLoggedIn(t)
	h.install(xOptions)
	return h
}

func (h *harness) install(plugins ...settings.PluginOptions) {
	h.plugins.options = func() *settings.Catalog { return settings.NewCatalog(plugins, nil) }
}

func (h *harness) stored(t *testing.T, query string) string {
	t.Helper()
	var raw string
	if err := h.db.Pool.QueryRow(t.Context(), query).Scan(&raw); err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestOptionsOfPluginsAreKeysOfTheConfiguration(t *testing.T) {
	h := newWithOptions(t)
	unset := `{` + ownDefaults + `,"x_qn":10,"x_cookie":null,"x_file":null}`
	equalJSON(t, h.api(t, "GET", "/configuration", "").must(t, 200).body, unset)
	want := `{` + ownDefaults + `,"x_qn":20,"x_cookie":"********","x_file":"in/1.json"}`
	put := h.api(t, "PUT", "/configuration", `{"x_qn":20,"x_cookie":"SESSDATA=topsecret","x_file":"data/in/1.json"}`).must(t, 200)
	equalJSON(t, put.body, want)
	equalJSON(t, h.api(t, "PUT", "/configuration", want).must(t, 200).body, want)
	if got := h.stored(t, "SELECT value->>'x_cookie' FROM configuration"); got != "SESSDATA=topsecret" {
		t.Errorf("the mask replaced the secret: %q", got)
	}
	status := h.api(t, "GET", "/status", "").must(t, 200)
	if body := status.body; strings.Contains(body, "topsecret") || !strings.Contains(body, `"x_qn":20`) {
		t.Errorf("status: %s", body)
	}
	equalJSON(t, h.api(t, "PUT", "/configuration", `{"x_qn":null,"x_cookie":null,"x_file":null}`).must(t, 200).body, unset)
	equalJSON(t, h.api(t, "PUT", "/configuration", unset).must(t, 200).body, unset)
	if got := h.stored(t, "SELECT coalesce(value->>'x_qn', 'nothing') FROM configuration"); got != "nothing" {
		t.Errorf("what plugins.hcl says was stored when a page sent it back: %q", got)
	}
	if got := h.log.take(); strings.Contains(got, "topsecret") {
		t.Error("the log holds a secret")
	}
}

func TestMistakesInOptionsOfPlugins(t *testing.T) {
	h := newWithOptions(t)
	for body, words := range map[string][]string{
		`{"x_qn":"20"}`:             {"x_qn: must be a whole number"},
		`{"x_qn":11,"threads":4}`:   {"x_qn: is not possible", "10", "20"},
		`{"x_cookie":"hunter2"}`:    {"x_cookie: must hold cookies"},
		`{"x_cookie":"********"}`:   {"x_cookie: is how a stored secret is shown"},
		`{"x_file":"../../shadow"}`: {"x_file: must be a file inside the data directory"},
		`{"x_file":"/etc/shadow"}`:  {"x_file: must be a file inside the data directory"},
		`{"x_api":"http://evil"}`:   {"x_api: is not known here", "delay", "x_cookie"},
	} {
		h.api(t, "PUT", "/configuration", body).refused(t, 400, words...)
		h.api(t, "POST", "/streamers", `{"url":"https://a.example/1","override":`+body+`}`).refused(t, 400, "override."+words[0])
	}
	if got := h.stored(t, "SELECT coalesce((SELECT value FROM configuration), '{}')::text"); got != "{}" {
		t.Errorf("stored %s", got)
	}
	if got := h.log.take(); strings.Contains(got, "hunter2") {
		t.Error("the log holds a secret")
	}
}

func TestOptionsOfPluginsForOneRoom(t *testing.T) {
	h := newWithOptions(t)
	override := func(a answer) string {
		t.Helper()
		var shown Streamer
		a.must(t, 200).decode(t, &shown)
		return string(shown.Override)
	}
	const shown = `{"delay":5,"x_qn":10,"x_cookie":"********"}`
	made := h.api(t, "POST", "/streamers", `{"url":"https://a.example/1","override":{"delay":5,"x_qn":10,"x_cookie":"SESSDATA=topsecret","x_file":null}}`)
	equalJSON(t, override(made), shown)
	// All of it goes back as it came: the secret stays.
	equalJSON(t, override(h.api(t, "PUT", "/streamers", made.body)), shown)
	if got := h.stored(t, "SELECT override->>'x_cookie' FROM streamers"); got != "SESSDATA=topsecret" {
		t.Errorf("the mask replaced the secret: %q", got)
	}
	for _, path := range []string{"/streamers", "/status"} {
		if body := h.api(t, "GET", path, "").must(t, 200).body; strings.Contains(body, "topsecret") || !strings.Contains(body, `********`) {
			t.Errorf("%s: %s", path, body)
		}
	}

	// The plugin is taken away: what is stored stays, is not shown, and nothing else is accepted for it.
	h.install()
	if body := h.api(t, "GET", "/streamers", "").must(t, 200).body; strings.Contains(body, "topsecret") || !strings.Contains(body, `"x_qn":"********"`) {
		t.Errorf("streamers: %s", body)
	}
	h.api(t, "PUT", "/streamers", `{"id":1,"override":{"x_qn":"********","x_cookie":"********"}}`).must(t, 200)
	h.api(t, "PUT", "/streamers", `{"id":1,"override":{"x_qn":10,"x_cookie":"********"}}`).must(t, 200)
	h.api(t, "PUT", "/streamers", `{"id":1,"override":{"x_qn":20}}`).refused(t, 400, "override.x_qn: belongs to no plugin")
	h.install(xOptions)
	equalJSON(t, override(h.api(t, "PUT", "/streamers", `{"id":1,"override":{"x_qn":20,"x_cookie":"********"}}`)), `{"x_qn":20,"x_cookie":"********"}`)
	deleted := h.api(t, "DELETE", "/streamers/1", "").must(t, 200)
	if strings.Contains(deleted.body, "topsecret") {
		t.Errorf("deleted: %s", deleted.body)
	}
}

func TestConfigurationOfAPluginThatIsAway(t *testing.T) {
	h := newWithOptions(t)
	h.api(t, "PUT", "/configuration", `{"x_qn":20,"x_cookie":"a=b"}`).must(t, 200)
	h.install()
	away := `{` + ownDefaults + `,"x_qn":"********","x_cookie":"********","without_effect":["x_cookie","x_qn"]}`
	equalJSON(t, h.api(t, "GET", "/configuration", "").must(t, 200).body, away)
	equalJSON(t, h.api(t, "PUT", "/configuration", away).must(t, 200).body, away)
	h.install(xOptions)
	equalJSON(t, h.api(t, "GET", "/configuration", "").must(t, 200).body, `{`+ownDefaults+`,"x_qn":20,"x_cookie":"********","x_file":null}`)
}

func TestNullClearsASetting(t *testing.T) {
	h := newLoggedIn(t)
	h.api(t, "PUT", "/configuration", `{"submit_api":"web","delay":5,"file_size":1000000001,"segment_time":"00:30:00"}`).must(t, 200)
	var shown map[string]any
	h.api(t, "PUT", "/configuration", `{"submit_api":null,"delay":null,"file_size":null}`).must(t, 200).decode(t, &shown)
	if shown["submit_api"] != nil || shown["delay"] != 300.0 || shown["file_size"] != nil || shown["segment_time"] != "00:30:00" {
		t.Errorf("cleared to %v", shown)
	}
	if stored := h.stored(t, "SELECT value::text FROM configuration"); stored != `{"file_size": null, "segment_time": "00:30:00"}` {
		t.Errorf("stored is %s", stored)
	}
	h.api(t, "PUT", "/configuration", `{"segment_time":"half an hour"}`).refused(t, 400, "segment_time: ", "HH:MM:SS")
}

func TestRoomsInheritHowLongFilesGet(t *testing.T) {
	h := newLoggedIn(t)
	limits := func(body string) (got [2]int64) {
		t.Helper()
		var room Streamer
		h.api(t, "PUT", "/streamers", body).must(t, 200).decode(t, &room)
		return [2]int64{room.SplitTime, room.SplitSize}
	}
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/1"}`).must(t, 200)
	h.api(t, "PUT", "/configuration", `{"file_size":1000000001,"segment_time":"00:30:00"}`).must(t, 200)
	if got := limits(`{"id":1,"remark":"x"}`); got != [2]int64{1800, 954} {
		t.Errorf("inherited: %v", got)
	}
	if got := limits(`{"id":1,"split_time":1800,"split_size":10}`); got != [2]int64{1800, 10} {
		t.Errorf("one of its own: %v", got)
	}
	// What was shown and came back is no choice.
	h.api(t, "PUT", "/configuration", `{"file_size":null,"segment_time":"00:10:00"}`).must(t, 200)
	if got := limits(`{"id":1}`); got != [2]int64{600, 10} {
		t.Errorf("after the configuration changed: %v", got)
	}
	if got := limits(`{"id":1,"split_size":null,"override":{"segment_time":"00:00:05"}}`); got != [2]int64{5, 0} {
		t.Errorf("an override: %v", got)
	}
	if got := limits(`{"id":1,"split_time":0}`); got != [2]int64{0, 0} {
		t.Errorf("no limit of its own: %v", got)
	}
}

func TestSettingsTellWhereTheyComeFrom(t *testing.T) {
	h := newLoggedIn(t)
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/1","split_time":60,"override":{"threads":5}}`).must(t, 200)
	h.api(t, "PUT", "/configuration", `{"delay":5,"douyu_cdn":"ws","without_effect":["delay"]}`).must(t, 200)
	var shown map[string]any
	h.api(t, "GET", "/configuration", "").must(t, 200).decode(t, &shown)
	if idle, ok := shown["without_effect"].([]any); !ok || len(idle) != 1 || idle[0] != "douyu_cdn" || shown["douyu_cdn"] != "ws" {
		t.Errorf("the configuration is %v", shown)
	}
	var all, one map[string]EffectiveSetting
	h.api(t, "GET", "/settings", "").must(t, 200).decode(t, &all)
	h.api(t, "GET", "/settings?streamer=1", "").must(t, 200).decode(t, &one)
	for key, want := range map[string][2]EffectiveSettingSource{
		"lines": {SourceDefault, SourceDefault}, "delay": {SourceConfiguration, SourceConfiguration}, "threads": {SourceDefault, SourceOverride},
		"segment_time": {SourceDefault, SourceStreamer}, "douyu_cdn": {SourceConfiguration, SourceConfiguration},
	} {
		if got := [2]EffectiveSettingSource{all[key].Source, one[key].Source}; got != want || all[key].Works != (key != "douyu_cdn") {
			t.Errorf("%s: %v, works %t", key, got, all[key].Works)
		}
	}
	h.api(t, "GET", "/settings?streamer=9", "").refused(t, 404, "no streamer with the id 9")
}
