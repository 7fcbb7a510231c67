package settings

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lubod/lubod/sdk"
)

var roomSchema = []sdk.Option{
	{Name: "x_qn", Type: sdk.TypeInteger, DefaultJSON: "10", Allowed: []string{"10", "20"}, Room: true},
	{Name: "x_cdn", Type: sdk.TypeStringList, Pattern: "^[a-z]+$", Room: true},
	{Name: "x_wait", Type: sdk.TypeInteger, Minimum: "0", Maximum: "60", Unit: "s", Room: true},
	{Name: "x_cookie", Type: sdk.TypeString, Secret: true, Format: sdk.FormatCookies, Room: true},
	{Name: "x_file", Type: sdk.TypeString, Format: sdk.FormatLoginFile, Room: true},
	{Name: "x_url", Type: sdk.TypeString},
}

func xCatalog(base string) *Catalog {
	return NewCatalog([]PluginOptions{{Plugin: "extractor-x", Schema: roomSchema, Prefixes: []string{"x_"}, Base: []byte(base)}}, nil)
}

func object(t *testing.T, raw string) map[string]json.RawMessage {
	t.Helper()
	var out map[string]json.RawMessage
	if err := json.Unmarshal([]byte(raw), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func wantJSON(t *testing.T, got any, want string) {
	t.Helper()
	raw, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	var a, b any
	if err := errors.Join(json.Unmarshal(raw, &a), json.Unmarshal([]byte(want), &b)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b, a); diff != "" {
		t.Error(diff)
	}
}

func TestLayersCarryKeysOfPlugins(t *testing.T) {
	got, err := Layered([]byte(`{"delay":10,"x_qn":20,"gone":{"a":1}}`), []byte(`{"x_qn":10}`))
	if err != nil || got.Delay != 10 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestCatalogShowsWhatApplies(t *testing.T) {
	c := xCatalog(`{"x_qn":10,"x_cookie":"SESSDATA=topsecret","x_url":"u"}`)
	stored := object(t, `{"x_wait":5,"gone":"hidden too","x_file":""}`)
	wantJSON(t, c.Show(stored), `{"x_qn":10,"x_cdn":null,"x_wait":5,"x_cookie":"********","x_file":"","gone":"********"}`)
	wantJSON(t, c.Masked([]byte(`{"delay":1,"x_cookie":"a=b","x_qn":20}`)), `{"delay":1,"x_cookie":"********","x_qn":20}`)
	wantJSON(t, c.Masked([]byte(`{"delay":1}`)), `{"delay":1}`)
	wantJSON(t, c.Masked(nil), `{}`)
}

func TestCatalogAccepts(t *testing.T) {
	const base = `{"x_qn":10,"x_cookie":"SESSDATA=inthefile"}`
	for _, test := range []struct{ name, sent, stored, set, remove string }{
		{"a value", `{"x_qn":20,"x_cdn":["a","b"]}`, `{}`, `{"x_qn":20,"x_cdn":["a","b"]}`, `null`},
		{"what applies anyway, in an override", `{"x_qn":10}`, `{}`, `{"x_qn":10}`, `null`},
		{"back to what applies anyway", `{"x_qn":10}`, `{"x_qn":20}`, `{"x_qn":10}`, `null`},
		{"null removes", `{"x_qn":null}`, `{"x_qn":20}`, `{}`, `["x_qn"]`},
		{"null of what is not set", `{"x_cdn":null}`, `{}`, `{}`, `["x_cdn"]`},
		{"mask of a stored secret", `{"x_cookie":"********"}`, `{"x_cookie":"a=b"}`, `{"x_cookie":"a=b"}`, `null`},
		{"another secret", `{"x_cookie":"c=d"}`, `{"x_cookie":"a=b"}`, `{"x_cookie":"c=d"}`, `null`},
		{"no login", `{"x_cookie":""}`, `{}`, `{"x_cookie":""}`, `null`},
		{"mask of a plugin that is away", `{"gone":"********"}`, `{"gone":[1]}`, `{"gone":[1]}`, `null`},
		{"the same of a plugin that is away", `{"gone":[1.0]}`, `{"gone":[1]}`, `{"gone":[1]}`, `null`},
		{"removal of what no plugin takes any more", `{"gone":null}`, `{"gone":[1]}`, `{}`, `["gone"]`},
	} {
		t.Run(test.name, func(t *testing.T) {
			set, remove, err := xCatalog(base).Accept(object(t, test.sent), object(t, test.stored))
			if err != nil {
				t.Fatal(err)
			}
			wantJSON(t, set, test.set)
			wantJSON(t, remove, test.remove)
		})
	}
}

func TestWhatAPageSendsBackIsNotStored(t *testing.T) {
	c := xCatalog(`{"x_qn":10,"x_cookie":"SESSDATA=inthefile"}`)
	stored := object(t, `{"x_wait":5}`)
	shown := c.Show(stored)
	shown["x_file"] = json.RawMessage(`"f.json"`)
	unset := c.Unset(shown, stored)
	slices.Sort(unset)
	wantJSON(t, unset, `["x_cdn","x_cookie","x_qn"]`)
	for _, key := range unset {
		delete(shown, key)
	}
	set, _, err := c.Accept(shown, stored)
	if err != nil {
		t.Fatal(err)
	}
	wantJSON(t, set, `{"x_wait":5,"x_file":"f.json"}`)
}

func TestCatalogRefuses(t *testing.T) {
	const secret = "hunter2"
	for sent, want := range map[string]string{
		`{"x_qn":"20"}`:            "x_qn: must be a whole number, one of ",
		`{"x_qn":15}`:              "x_qn: is not possible; allowed are ",
		`{"x_wait":61}`:            "x_wait: is not possible; allowed is from 0 to 60",
		`{"x_wait":1.5}`:           "x_wait: must be a whole number (s), from 0 to 60",
		`{"x_cdn":["A"]}`:          "x_cdn: is not possible; it has to look like ^[a-z]+$",
		`{"x_cdn":"a"}`:            "x_cdn: must be a list of texts",
		`{"x_cdn":[null]}`:         "x_cdn: must be a list of texts",
		`{"x_cookie":"hunter2"}`:   "x_cookie: must hold cookies",
		`{"x_cookie":["hunter2"]}`: "x_cookie: must be a text",
		`{"x_cookie":"********"}`:  "x_cookie: is how a stored secret is shown",
		`{"x_url":"u"}`:            "x_url: is not known here; allowed are delay, ",
		`{"x_qm":1}`:               "x_qm: is not known here; allowed are delay, ",
		`{"x_qm":null}`:            "x_qm: is not known here; allowed are delay, ",
		`{"gone":2}`:               "gone: belongs to no plugin",
		`{"x_cdn":["` + strings.Repeat("a", maxOptionBytes) + `"]}`: "x_cdn: must have at most",
	} {
		_, _, err := xCatalog(`{}`).Accept(object(t, sent), object(t, `{"gone":1}`))
		var key *KeyError
		if !errors.As(err, &key) || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), secret) {
			t.Errorf("%.60s: %v, want %s…", sent, err, want)
		}
	}
}

// A later plugin takes nothing of an earlier one: neither its options nor the values of them.
func TestRoomOptionsBelongToTheirPlugin(t *testing.T) {
	plugins := []PluginOptions{
		{Plugin: "extractor-a", Prefixes: []string{"a_"}, Schema: []sdk.Option{
			{Name: "a_cookie", Type: sdk.TypeString, Secret: true, Format: sdk.FormatCookies, Room: true}, {Name: "user_agent", Type: sdk.TypeString, Room: true},
		}},
		{Plugin: "extractor-b", Prefixes: []string{"a_", "b_", ""}, Schema: []sdk.Option{
			{Name: "a_cookie", Type: sdk.TypeString, Format: sdk.FormatCookies, Room: true}, // reads another's login
			{Name: "b_x", Type: sdk.TypeInteger, Room: true},
			{Name: "stray", Type: sdk.TypeInteger, Room: true},
			{Name: "b_later", Type: sdk.TypeUnknown, Room: true},
			{Name: "user_agent", Type: sdk.TypeString, Secret: true, Room: true}, // hides what others show
		}},
		{Plugin: "recorder-c", Schema: []sdk.Option{{Name: "delay", Type: sdk.TypeInteger, Room: true}, {Name: "user_agent", Type: sdk.TypeString, Pattern: "^[a-z]+$", Room: true}}},
	}
	c := NewCatalog(plugins, []string{"extractor-d"})
	for sent, want := range map[string]string{
		`{"stray":1}`:        "stray: is not known here; allowed are a_cookie, b_x, delay, ",
		`{"b_later":1}`:      "b_later: is not known here; ",
		`{"user_agent":"A"}`: "user_agent: is not possible; it has to look like ",
	} {
		if _, _, err := c.Accept(object(t, sent), nil); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s…", sent, err, want)
		}
	}
	if _, _, err := c.Accept(object(t, `{"other":1}`), nil); !strings.Contains(err.Error(), "extractor-d") {
		t.Errorf("a plugin that does not run is not named: %v", err)
	}
	set, _, err := c.Accept(object(t, `{"a_cookie":"s=1","b_x":3,"user_agent":"me","stray":"********"}`), object(t, `{"stray":"kept"}`))
	if err != nil {
		t.Fatal(err)
	}
	wantJSON(t, set, `{"a_cookie":"s=1","b_x":3,"user_agent":"me","stray":"kept"}`)
	wantJSON(t, c.Show(set), `{"a_cookie":"********","b_x":3,"user_agent":"me","stray":"********"}`)
	got := c.Conflicts()
	if len(got) != 2 || !strings.Contains(got["extractor-b"], `"a_"`) || !strings.Contains(got["recorder-c"], `"delay"`) {
		t.Errorf("conflicts: %v", got)
	}
	owned, _ := Owned(plugins)
	raw, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{`{"a_cookie":"","user_agent":"me"}`, `{"b_x":3}`, `{"user_agent":"me"}`} {
		handed, err := ForPlugin(owned[i].Schema, raw)
		if err != nil || handed.Login != nil && i > 0 {
			t.Errorf("%s: %+v, %v", owned[i].Plugin, handed, err)
		}
		wantJSON(t, handed.JSON, want)
	}
}

func TestForPluginTakesTheLaterLayer(t *testing.T) {
	for _, test := range []struct {
		name, global, override string
		want                   string // options, cookies, file, ignored
	}{
		{"nothing", ``, `{"delay":3}`, `[null,null,"",null]`},
		{"later wins", `{"x_qn":10,"x_wait":3,"delay":4}`, `{"x_qn":20}`, `[{"x_qn":20,"x_wait":3},null,"",null]`},
		{"others stay out", `{"y_qn":1,"x_url":"http://evil"}`, ``, `[null,null,"",null]`},
		{"null of a room is nothing", `{"x_qn":20}`, `{"x_qn":null}`, `[{"x_qn":20},null,"",null]`},
		{"what the plugin does not take any more", `{"x_qn":99,"x_wait":3}`, ``, `[{"x_wait":3},null,"",["x_qn"]]`},
		{"cookies before file", `{"x_file":"f.json","x_cookie":"a=b; c=d"}`, ``, `[{"x_cookie":"","x_file":""},{"a":"b","c":"d"},"",null]`},
		{"file of the room before cookies of all", `{"x_cookie":"a=b"}`, `{"x_file":"f.json"}`, `[{"x_cookie":"","x_file":""},null,"f.json",null]`},
		{"cookies of the room before a file of all", `{"x_file":"f.json"}`, `{"x_cookie":"a=b"}`, `[{"x_cookie":"","x_file":""},{"a":"b"},"",null]`},
		{"a room without login", `{"x_file":"f.json"}`, `{"x_cookie":""}`, `[{"x_cookie":"","x_file":""},null,"",null]`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := ForPlugin(roomSchema, []byte(test.global), []byte(test.override))
			if err != nil {
				t.Fatal(err)
			}
			login := Login{}
			if got.Login != nil {
				login = *got.Login
			}
			wantJSON(t, []any{got.JSON, login.Cookies, login.File, got.Ignored}, test.want)
		})
	}
	if _, err := ForPlugin(roomSchema, []byte(`[`)); err == nil {
		t.Error("no object was accepted")
	}
}

func FuzzCatalog(f *testing.F) {
	for _, seed := range []string{`{"x_qn":20}`, `{"x_cookie":"********"}`, `{"gone":null}`, `{"x_cdn":["a"]}`, `{"x_wait":1e3}`} {
		f.Add([]byte(seed), []byte(`{"x_cookie":"a=b"}`))
	}
	f.Fuzz(func(t *testing.T, sent, stored []byte) {
		_, s, err := Split(sent)
		_, old, oldErr := Split(stored)
		if err != nil || oldErr != nil {
			return
		}
		c := xCatalog(`{"x_qn":10}`)
		set, _, err := c.Accept(s, old)
		var key *KeyError
		if err != nil && !errors.As(err, &key) {
			t.Fatalf("%v is no *KeyError", err)
		}
		raw, err := json.Marshal(set)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ForPlugin(roomSchema, raw); err != nil {
			t.Fatalf("what was accepted cannot be used: %v", err)
		}
		if text := string(c.Show(set)["x_cookie"]); text != "null" && text != `""` && text != `"`+Mask+`"` {
			t.Fatalf("a secret is shown: %s", text)
		}
	})
}
