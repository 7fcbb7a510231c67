package options_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/internal/options"
)

type all struct {
	API     string   `json:"api" default:"https://api.acme.tv" env:"LUBOD_ACME_API" en:"Base URL." zh:"接口地址。"`
	Token   string   `json:"token" secret:"true" allowed:"one,two"`
	Room    string   `json:"room,omitempty" required:"true"`
	Retries int      `json:"retries" default:"3" allowed:"1, 2, 3"`
	Small   int32    `json:"small"`
	Wait    int64    `json:"wait" default:"1500" unit:"ms"`
	Ratio   float64  `json:"ratio" default:"0.5" allowed:"0.5,1"`
	Deep    bool     `json:"deep" default:"true"`
	Codecs  []string `json:"codecs" default:"avc, hevc" allowed:"avc,hevc,av1"`
	CDN     []string `json:"cdn" room:"true" pattern:"^[a-z]+$"`
	Pause   int      `json:"pause" room:"true" min:"0" max:"60"`
	Login   string   `json:"login" room:"true" format:"login_file"`
	Skipped chan int `json:"-"`
}

// Embedded is what an author might want to share between plugins.
type Embedded struct {
	A string `json:"a"`
}

func TestSchema(t *testing.T) {
	s, err := options.Of[all]()
	if err != nil {
		t.Fatal(err)
	}
	want := []sdk.Option{
		{Name: "api", Type: sdk.TypeString, DefaultJSON: `"https://api.acme.tv"`, Env: "LUBOD_ACME_API", DocEN: "Base URL.", DocZH: "接口地址。"},
		{Name: "token", Type: sdk.TypeString, Secret: true, Allowed: []string{"one", "two"}},
		{Name: "room", Type: sdk.TypeString, Required: true},
		{Name: "retries", Type: sdk.TypeInteger, DefaultJSON: "3", Allowed: []string{"1", "2", "3"}},
		{Name: "small", Type: sdk.TypeInteger},
		{Name: "wait", Type: sdk.TypeInteger, DefaultJSON: "1500", Unit: "ms"},
		{Name: "ratio", Type: sdk.TypeNumber, DefaultJSON: "0.5", Allowed: []string{"0.5", "1"}},
		{Name: "deep", Type: sdk.TypeBoolean, DefaultJSON: "true"},
		{Name: "codecs", Type: sdk.TypeStringList, DefaultJSON: `["avc","hevc"]`, Allowed: []string{"avc", "hevc", "av1"}},
		{Name: "cdn", Type: sdk.TypeStringList, Room: true, Pattern: "^[a-z]+$"},
		{Name: "pause", Type: sdk.TypeInteger, Room: true, Minimum: "0", Maximum: "60"},
		{Name: "login", Type: sdk.TypeString, Room: true, Format: sdk.FormatLoginFile},
	}
	if diff := cmp.Diff(want, s.Options); diff != "" {
		t.Error(diff)
	}
}

func bad[C any](t *testing.T, want string) {
	t.Helper()
	if _, err := options.Of[C](); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want an error with %q", err, want)
	}
}

func TestBadTagsAreNamed(t *testing.T) {
	bad[string](t, "must be a struct")
	bad[struct{ Name string }](t, `needs a tag like json:"some_name"`)
	bad[struct {
		A string `json:"Big"`
	}](t, "lower-case letters")
	bad[struct {
		A time.Duration `json:"a"`
	}](t, "use a plain integer and the tag unit")
	bad[struct {
		A map[string]string `json:"a"`
	}](t, "is not one of string, int")
	bad[struct {
		A []int `json:"a"`
	}](t, "is not one of string, int")
	bad[struct{ Embedded }](t, "options are flat")
	bad[struct {
		A int `json:"a" default:"many"`
	}](t, "is not an integer")
	bad[struct {
		A int `json:"a" default:"1.5"`
	}](t, "must be an integer")
	bad[struct {
		A int32 `json:"a" default:"3000000000"`
	}](t, "must be an integer")
	bad[struct {
		A string `json:"a" default:"x" allowed:"y,z"`
	}](t, "allowed are: y, z")
	bad[struct {
		A string `json:"a" default:"x" required:"true"`
	}](t, "exclude each other")
	bad[struct {
		A string `json:"a" default:"x" secret:"true"`
	}](t, "a secret has no default")
	bad[struct {
		A string `json:"a" secret:"yes please"`
	}](t, `secret must be "true" or "false"`)
	bad[struct {
		A string `json:"a" min:"1"`
	}](t, "belongs to a number")
	bad[struct {
		A int `json:"a" max:"many"`
	}](t, "must be a number")
	bad[struct {
		A int `json:"a" pattern:"x"`
	}](t, "pattern belongs to")
	bad[struct {
		A string `json:"a" pattern:"("`
	}](t, "pattern: ")
	bad[struct {
		A string `json:"a" format:"login_file"`
	}](t, "belongs to a string with room")
	bad[struct {
		A string `json:"a" room:"true" format:"other"`
	}](t, "format must be")
	bad[struct {
		A string `json:"a" env:"HOME"`
	}](t, "must begin with LUBOD_")
}

func TestDecodeFillsDefaults(t *testing.T) {
	got, err := options.Decode[all]([]byte(`{"room": "5", "retries": 2, "deep": false, "codecs": [], "wait": null}`))
	if err != nil {
		t.Fatal(err)
	}
	want := all{API: "https://api.acme.tv", Room: "5", Retries: 2, Wait: 1500, Ratio: 0.5, Codecs: []string{}}
	if !reflect.DeepEqual(want, got) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestDecodeReportsAllMistakesAtOnceAndNoSecret(t *testing.T) {
	_, err := options.Decode[all]([]byte(`{"token": "hunter2", "retries": "two", "small": 5000000000, "deep": 1,
		"codecs": ["avc", null], "ratio": 0.7, "nonsense": true, "cdn": ["ok", "No"], "pause": 61}`))
	if sdk.KindOf(err) != sdk.InvalidOption {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{
		"option token: (secret) is not allowed; allowed are: one, two",
		`option retries: must be an integer, got "two"`,
		"option small: must be an integer, got 5000000000",
		"option deep: must be a boolean, got 1",
		"option codecs: must be a list of strings",
		"option ratio: 0.7 is not allowed; allowed are: 0.5, 1",
		"option nonsense does not exist; options are: api, token,",
		"option room must be set",
		"option cdn: No does not look like ^[a-z]+$",
		"option pause: 61 is too large; the most is 60",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	if _, err := options.Decode[all]([]byte(`{"room": "5", "token": {"hunter2": 1}}`)); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
	if _, err := options.Decode[all]([]byte(`{"room": ""}`)); err == nil {
		t.Error("an empty text does not set a required option")
	}
}

func TestOverKeepsWhatARoomDoesNotSet(t *testing.T) {
	base := all{API: "a", Room: "b", Retries: 1, Codecs: []string{"avc"}}
	got, err := options.Over([]byte(`{"codecs": ["av1"], "retries": 3}`), base)
	if err != nil {
		t.Fatal(err)
	}
	if got.API != "a" || got.Retries != 3 || got.Codecs[0] != "av1" || base.Codecs[0] != "avc" {
		t.Errorf("got %+v over %+v", got, base)
	}
	if got, err := options.Over(nil, base); err != nil || got.API != "a" {
		t.Errorf("no options of the room: %+v, %v", got, err)
	}
	if got, err := options.Over([]byte(`{"retries": 9}`), base); sdk.KindOf(err) != sdk.InvalidOption || got.Retries != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestFactoryThatReturnsNothing(t *testing.T) {
	_, configure := options.MustBind(
		func([]sdk.Option) error { return nil },
		func(context.Context, struct{}) (*all, error) { return nil, nil },
		func(context.Context, *all) { t.Error("must not be used") })
	if err := configure(t.Context(), nil); sdk.KindOf(err) != sdk.Bug {
		t.Errorf("got %v", err)
	}
}

func TestFactoryErrorKeepsItsKind(t *testing.T) {
	_, configure := options.MustBind(
		func([]sdk.Option) error { return nil },
		func(context.Context, struct{}) (*all, error) {
			return nil, sdk.Errorf(sdk.LoginRequired, "cookie ran out")
		},
		func(context.Context, *all) { t.Error("must not be used") })
	if err := configure(t.Context(), nil); sdk.KindOf(err) != sdk.LoginRequired {
		t.Errorf("got %v", err)
	}
}

func TestPluginThatIsBuiltWrongPanicsClearly(t *testing.T) {
	defer func() {
		if text, _ := recover().(string); !strings.Contains(text, "built wrong: no name") {
			t.Errorf("got %q", text)
		}
	}()
	options.MustBind(func([]sdk.Option) error { return errors.New("no name") },
		func(context.Context, struct{}) (*all, error) { return &all{}, nil }, func(context.Context, *all) {})
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{}`, `{"room":"5"}`, `{"codecs":[null]}`, `[`, `null`, ``, `{"room":"5","wait":1e3}`, `{"room":"长长长"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := options.Decode[all](raw)
		if err != nil {
			if sdk.KindOf(err) != sdk.InvalidOption {
				t.Fatalf("kind %s: %v", sdk.KindOf(err), err)
			}
			return
		}
		got.Skipped = nil
		if got.Room == "" || !json.Valid(raw) && len(strings.TrimSpace(string(raw))) > 0 {
			t.Fatalf("accepted %q as %+v", raw, got)
		}
	})
}
