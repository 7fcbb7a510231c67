// Package plugintest is the conformance suite of lubod's plugin contract. One call in a plugin's own "go test" runs what
// the host relies on, through real gRPC:
//
//	func TestConformance(t *testing.T) {
//		plugintest.Extractor(t, info, newAcme, config{API: server.URL},
//			plugintest.ExtractorCase{Name: "offline", URL: "https://live.acme.tv/1"},
//		)
//	}
//
// Options are given as the plugin's own options struct; fields with their zero value are left to their defaults.
package plugintest

import (
	"bytes"
	"context"
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/internal/inproc"
	"github.com/lubod/lubod/sdk/internal/serve"
)

const (
	// callTimeout ends a test that would hang; no check depends on how long anything takes.
	callTimeout = 30 * time.Second
	// promptly is how long an author's code may need to return once its call was cancelled.
	promptly = 5 * time.Second
)

// instance is one plugin served inside the test.
type instance struct{ *inproc.Instance }

func start(t *testing.T, p *serve.Plugin) *instance {
	t.Helper()
	return &instance{inproc.Start(t, p)}
}

// configured is start with the options that a host would send.
func configured(t *testing.T, p *serve.Plugin, options any) *instance {
	t.Helper()
	in := start(t, p)
	if err := in.Configure(deadline(t), optionsJSON(t, options)); err != nil {
		t.Fatalf("configure: %v", err)
	}
	return in
}

func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), callTimeout)
	t.Cleanup(cancel)
	return ctx
}

// optionsJSON leaves out what an author's struct does not set.
func optionsJSON(t *testing.T, options any) []byte {
	t.Helper()
	set := map[string]any{}
	v := reflect.ValueOf(options)
	for field, value := range v.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.IsExported() && name != "-" && !value.IsZero() {
			set[name] = value.Interface()
		}
	}
	return marshal(t, set)
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatalf("options to JSON: %v", err)
	}
	return raw
}

// common runs what is the same for all kinds. build makes a plugin that nothing else uses.
func common(t *testing.T, build func() *serve.Plugin, options any) {
	t.Run("describe", func(t *testing.T) { testDescribe(t, build(), options) })
	t.Run("configure", func(t *testing.T) { testConfigure(t, build(), options) })
	t.Run("before configure", func(t *testing.T) {
		in := start(t, build())
		if err := in.Health(deadline(t)); err != nil {
			t.Errorf("health must answer before the plugin is configured: %v", err)
		}
	})
}

func testDescribe(t *testing.T, p *serve.Plugin, options any) {
	in := start(t, p)
	before, err := in.Describe(deadline(t))
	if err != nil {
		t.Fatalf("describe: %v", err)
	}
	if before.Name != p.Info.Name || before.Version != p.Info.Version || before.Kind != p.Kind {
		t.Errorf("describe answers %s-%s %s, not what the plugin is", before.Kind, before.Name, before.Version)
	}
	checkPatterns(t, before.Match)
	for _, o := range before.Options {
		if o.DocEN == "" || o.DocZH == "" {
			t.Errorf(`option %s needs both tags en:"…" and zh:"…": an operator has nothing else to go by`, o.Name)
		}
	}
	if err := in.Configure(deadline(t), optionsJSON(t, options)); err != nil {
		t.Fatalf("configure: %v", err)
	}
	after, err := in.Describe(deadline(t))
	if err != nil {
		t.Fatalf("describe once configured: %v", err)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("describe answers something else once configured; let the factory return its concrete type, so that "+
			"optional abilities are known before (-before +after):\n%s", diff)
	}
}

func checkPatterns(t *testing.T, patterns []string) {
	t.Helper()
	for _, pattern := range patterns {
		re, err := regexp.Compile(pattern)
		if err != nil {
			t.Errorf("URL pattern: %v", err)
			continue
		}
		if re.MatchString("https://example.invalid/") || re.MatchString("") {
			t.Errorf("URL pattern %q takes any URL away from other plugins", pattern)
		}
		if !strings.HasPrefix(pattern, "^") {
			t.Errorf("URL pattern %q must begin with ^: it would take URLs that only contain such a one", pattern)
		}
	}
}

func testConfigure(t *testing.T, p *serve.Plugin, options any) {
	in := start(t, p)
	good := optionsJSON(t, options)
	refuse := func(what, name string, bad []byte) {
		t.Helper()
		err := in.Configure(deadline(t), bad)
		if sdk.KindOf(err) != sdk.InvalidOption || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v, want %s naming %q", what, err, sdk.InvalidOption, name)
		}
	}
	refuse("unknown option", "no_such_option", with(t, good, "no_such_option", 1))
	for _, o := range p.Options {
		refuse("option of a wrong type", o.Name, with(t, good, o.Name, map[string]any{}))
		if len(o.Allowed) > 0 && o.Type == sdk.TypeString {
			refuse("value that is not allowed", o.Name, with(t, good, o.Name, "no such value"))
		}
		if o.Required {
			refuse("required option that is not set", o.Name, with(t, good, o.Name, nil))
		}
	}
	refuse("options that are no object", "object", []byte(`[1]`))

	if err := in.Configure(deadline(t), good); err != nil {
		t.Fatalf("good options after bad ones: %v", err)
	}
	if err := in.Configure(deadline(t), good); err != nil {
		t.Errorf("the same options again: %v", err)
	}
	if err := in.Health(deadline(t)); err != nil {
		t.Errorf("health: %v", err)
	}
	if err := in.Drain(deadline(t)); err != nil {
		t.Errorf("drain: %v", err)
	}
}

// with returns options with one value replaced.
func with(t *testing.T, options []byte, name string, value any) []byte {
	t.Helper()
	m := map[string]any{}
	dec := json.NewDecoder(bytes.NewReader(options))
	dec.UseNumber()
	if err := dec.Decode(&m); err != nil {
		t.Fatalf("options: %v", err)
	}
	m[name] = value
	return marshal(t, m)
}

// wantError compares an error with what a case expects and reports whether it expected one.
func wantError(t *testing.T, err error, kind sdk.Kind, retryAfter time.Duration) bool {
	t.Helper()
	if kind == "" {
		if err != nil {
			t.Fatalf("got error %v (%s)", err, sdk.KindOf(err))
		}
		return false
	}
	if got := sdk.KindOf(err); got != kind {
		t.Fatalf("got kind %q (%v), want %s", got, err, kind)
	}
	if got := sdk.RetryAfter(err); retryAfter != 0 && got != retryAfter {
		t.Errorf("retry after %s, want %s", got, retryAfter)
	}
	return true
}

// returnsPromptly checks that the author's code ends once its caller is gone.
func (in *instance) returnsPromptly(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), promptly)
	defer cancel()
	if err := in.Server.WaitIdle(ctx); err != nil {
		t.Errorf("the call was cancelled and the plugin still works on it after %s: pass ctx to whatever it waits for", promptly)
	}
}

func has(d sdk.Description, capability string) bool {
	return slices.Contains(d.Capabilities, capability)
}
