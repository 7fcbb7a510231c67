package config

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/lubod/lubod/sdk"
)

// schema has one option of each type, and one of each special kind.
func schema() []sdk.Option {
	return []sdk.Option{
		{Name: "api", Type: sdk.TypeString, DefaultJSON: `"https://example.org"`},
		{Name: "buffer", Type: sdk.TypeInteger, DefaultJSON: `64`, Unit: "KiB", Env: "LUBOD_TEST_BUFFER"},
		{Name: "ratio", Type: sdk.TypeNumber, Env: "LUBOD_TEST_RATIO"},
		{Name: "repair", Type: sdk.TypeBoolean, DefaultJSON: `true`, Env: "LUBOD_TEST_REPAIR"},
		{Name: "hosts", Type: sdk.TypeStringList, Allowed: []string{"a", "b"}, Env: "LUBOD_TEST_HOSTS"},
		{Name: "zone", Type: sdk.TypeString, Allowed: []string{"cs", "jd"}},
		{Name: "pin", Type: sdk.TypeString, Secret: true, Allowed: []string{"one", "two"}},
		{Name: "cookie", Type: sdk.TypeString, Secret: true, Required: true, Env: "LUBOD_TEST_COOKIE", DocEN: "the session cookie"},
	}
}

func options(t testing.TB, body string) Plugin {
	t.Helper()
	plugins, err := ParsePlugins([]byte("plugin \"line-x\" {\n  options {\n"+body+"\n  }\n}"), "plugins.hcl")
	if err != nil {
		t.Fatal(err)
	}
	return plugins.Blocks[0]
}

func TestDecodeOptionsGolden(t *testing.T) {
	golden(t, "testdata/options/*.txt", func(source string) string {
		plugins, err := ParsePlugins([]byte(source), "plugins.hcl")
		if err != nil {
			return err.Error()
		}
		encoded, err := DecodeOptions(plugins.Blocks[0], schema(), environment(nil))
		if err != nil {
			return err.Error()
		}
		return string(encoded)
	})
}

func TestDecodeOptionsFileOverVariableOverDefault(t *testing.T) {
	variables := map[string]string{
		"LUBOD_TEST_BUFFER": "128", "LUBOD_TEST_RATIO": "0.5", "LUBOD_TEST_REPAIR": "false",
		"LUBOD_TEST_HOSTS": "b, a", "LUBOD_TEST_COOKIE": "from-variable",
	}
	got, err := DecodeOptions(options(t, `buffer = 1`), schema(), environment(variables))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"api":"https://example.org","buffer":1,"cookie":"from-variable","hosts":["b","a"],"ratio":0.5,"repair":false}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestDecodeOptionsWithoutABlock(t *testing.T) {
	plugin := Plugin{Name: "line-x"}
	got, err := DecodeOptions(plugin, []sdk.Option{{Name: "a", Type: sdk.TypeInteger, DefaultJSON: "7"}}, environment(nil))
	if err != nil || string(got) != `{"a":7}` {
		t.Errorf("got %s, %v", got, err)
	}
	if got, err := DecodeOptions(plugin, nil, environment(nil)); err != nil || string(got) != `{}` {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestDecodeOptionsNamesABadVariable(t *testing.T) {
	variables := map[string]string{"LUBOD_TEST_BUFFER": "much", "LUBOD_TEST_COOKIE": "c"}
	_, err := DecodeOptions(options(t, ""), schema(), environment(variables))
	const want = `option "buffer" (from the variable LUBOD_TEST_BUFFER) of line-x must be a whole number (KiB)`
	if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "plugins.hcl:2,") {
		t.Errorf("err = %v", err)
	}
}

func TestDecodeOptionsNeverShowsASecret(t *testing.T) {
	for _, body := range []string{`pin = "hunter2"`, `cookie = ["hunter2"]`, `cookie = { a = "hunter2" }`} {
		_, err := DecodeOptions(options(t, body), schema(), environment(map[string]string{"LUBOD_TEST_COOKIE": "c"}))
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: err = %v", body, err)
		}
	}
}

// A plugin must not be able to read the host's environment by naming a variable in its schema.
func TestDecodeOptionsKeepsForeignVariables(t *testing.T) {
	asked := false
	getenv := func(string) string { asked = true; return "secret" }
	for _, variable := range []string{"AWS_SECRET_ACCESS_KEY", "LUBOD_DATABASE_URL"} {
		got, err := DecodeOptions(Plugin{Name: "line-x"}, []sdk.Option{{Name: "a", Type: sdk.TypeString, Env: variable}}, getenv)
		if err != nil || string(got) != "{}" || asked {
			t.Errorf("%s: got %s, %v", variable, got, err)
		}
	}
}

func TestDecodeOptionsReportsAFaultyDefault(t *testing.T) {
	for _, option := range []sdk.Option{
		{Name: "a", Type: sdk.TypeInteger, DefaultJSON: `"x"`},
		{Name: "a", Type: sdk.TypeString, DefaultJSON: `{`},
		{Name: "a", Type: sdk.TypeStringList, DefaultJSON: `[1]`},
		{Name: "a", Type: "map", DefaultJSON: `{}`},
	} {
		_, err := DecodeOptions(Plugin{Name: "line-x"}, []sdk.Option{option}, environment(nil))
		if err == nil || !strings.Contains(err.Error(), "the plugin line-x is faulty") {
			t.Errorf("%+v: err = %v", option, err)
		}
	}
}

// Whatever integers an operator writes reach the plugin exactly.
func TestDecodeOptionsKeepsIntegersExact(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		want := rapid.Int64().Draw(rt, "value")
		text, _ := json.Marshal(want)
		got, err := DecodeOptions(options(t, "n = "+string(text)), []sdk.Option{{Name: "n", Type: sdk.TypeInteger}}, environment(nil))
		if err != nil || string(got) != `{"n":`+string(text)+`}` {
			rt.Fatalf("%d became %s, %v", want, got, err)
		}
	})
}

func FuzzDecodeOptions(f *testing.F) {
	f.Add(`plugin "line-x" { options { buffer = 1e400 } }`, "x")
	f.Add(`plugin "line-x" { options { hosts = ["a", null] } }`, "1")
	f.Add("plugin \"line-x\" {\n options {\n api = \"${1 + 2}\"\n zone {}\n} }", "true")
	f.Add(`plugin "line-x" { options { cookie = [for x in ["a"] : x] } }`, "")
	f.Fuzz(func(t *testing.T, source, variable string) {
		plugins, err := ParsePlugins([]byte(source), "plugins.hcl")
		if err != nil || len(plugins.Blocks) == 0 {
			return
		}
		encoded, err := DecodeOptions(plugins.Blocks[0], schema(), func(string) string { return variable })
		var mistakes *FileError
		if err != nil && !errors.As(err, &mistakes) {
			t.Fatalf("err = %v", err)
		}
		if err == nil && !json.Valid(encoded) {
			t.Fatalf("no JSON: %s", encoded)
		}
	})
}

func TestSuggest(t *testing.T) {
	got := []string{suggest("shaa256", []string{"path", "sha256"}), suggest("zzz", []string{"path"}), suggest("pth", []string{"path"})}
	if diff := cmp.Diff([]string{`; did you mean "sha256"?`, "", `; did you mean "path"?`}, got); diff != "" {
		t.Error(diff)
	}
}
