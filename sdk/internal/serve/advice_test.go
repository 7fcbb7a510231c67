package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/internal/handshake"
)

func acme() *Plugin {
	return &Plugin{
		Kind: sdk.KindLine,
		Info: sdk.Info{Name: "acme", Version: "1.2.3", Lines: []string{"fast"}},
		Options: []sdk.Option{
			{Name: "threads", Type: sdk.TypeInteger, DefaultJSON: "3", DocEN: "a < b"},
			{Name: "token", Type: sdk.TypeString, Secret: true},
		},
	}
}

func run(t *testing.T, cookie string, args ...string) (code int, done bool, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	code, done = byHand(acme(), append([]string{"./line-acme"}, args...), func(string) string { return cookie }, &out, &errOut)
	return code, done, out.String(), errOut.String()
}

func TestStartByHandGivesAdvice(t *testing.T) {
	code, done, stdout, stderr := run(t, "")
	if code != 1 || !done || stdout != "" {
		t.Errorf("code %d, done %v, stdout %q", code, done, stdout)
	}
	for _, want := range []string{"line-acme 1.2.3 is a lubod plugin", `plugin "line-acme" {}`, "describe"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%q is not in %q", want, stderr)
		}
	}
	if code, done, stdout, _ := run(t, "", "-h"); code != 0 || !done || !strings.Contains(stdout, "plugins.hcl") {
		t.Errorf("-h: code %d, %q", code, stdout)
	}
}

func TestStartByAHostIsNoStartByHand(t *testing.T) {
	if code, done, stdout, stderr := run(t, handshake.CookieValue); done || code != 0 || stdout+stderr != "" {
		t.Errorf("code %d, done %v, %q %q", code, done, stdout, stderr)
	}
}

func TestDescribePrintsJSON(t *testing.T) {
	code, done, stdout, _ := run(t, "", "describe")
	if code != 0 || !done || !strings.Contains(stdout, "a < b") {
		t.Errorf("code %d, done %v, %s", code, done, stdout)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatal(err)
	}
	if got["kind"] != "line" || got["protocol"] != float64(handshake.ProtocolVersion) || len(got["options"].([]any)) != 2 {
		t.Errorf("got %v", got)
	}
}

func TestMistakesInInfoAreNamed(t *testing.T) {
	tests := map[string]struct {
		kind   sdk.PluginKind
		change func(*sdk.Info)
	}{
		"Name":           {sdk.KindLine, func(i *sdk.Info) { i.Name = "Acme TV" }},
		"Version":        {sdk.KindLine, func(i *sdk.Info) { i.Version = "" }},
		"Target":         {sdk.KindExtractor, func(i *sdk.Info) { i.Match, i.Target = []string{"^x"}, sdk.TargetStorage }},
		"OptionPrefixes": {sdk.KindLine, func(i *sdk.Info) { i.OptionPrefixes = []string{"acme"} }},
		"Lines":          {sdk.KindLine, func(i *sdk.Info) { i.Lines = nil }},
		"Match":          {sdk.KindExtractor, func(i *sdk.Info) { i.Match = []string{"("} }},
		"Examples": {sdk.KindExtractor, func(i *sdk.Info) {
			i.Match, i.Examples = []string{`^https://live\.acme\.tv/\d+$`}, []string{"https://live.acme.tv/42", "https://acme.tv/42"}
		}},
	}
	for field, tt := range tests {
		p := acme()
		p.Kind = tt.kind
		tt.change(&p.Info)
		if err := p.Check(p.Options); err == nil || !strings.Contains(err.Error(), "sdk.Info."+field) {
			t.Errorf("%s: got %v", field, err)
		}
	}
	own := sdk.Option{Name: "quality", Type: sdk.TypeString, Room: true}
	for name, want := range map[string]bool{"acme_quality": true, "user_agent": true, "quality": false, "acmequality": false} {
		p, option := acme(), own
		p.Info.OptionPrefixes, option.Name = []string{"acme_"}, name
		if err := p.Check([]sdk.Option{option}); (err == nil) != want {
			t.Errorf("room option %s: got %v", name, err)
		}
	}
	p := acme()
	if err := p.Check(p.Options); err != nil {
		t.Error(err)
	}
	p.Kind = sdk.KindExtractor
	if err := p.Check(p.Options); err == nil {
		t.Error("an extractor without a pattern was accepted")
	}
}

func TestResolveByHand(t *testing.T) {
	p := acme()
	var options string
	p.Ask = func(_ context.Context, optionsJSON []byte, url string, out io.Writer) error {
		options = string(optionsJSON)
		if url == "bad" {
			return sdk.Errorf(sdk.NotFound, "no such room")
		}
		_, err := io.WriteString(out, "asked "+url+"\n")
		return err
	}
	ask := func(args ...string) (code int, stdout, stderr string) {
		var out, errOut bytes.Buffer
		code, done := byHand(p, append([]string{"./extractor-acme", "resolve"}, args...), func(string) string { return "" }, &out, &errOut)
		if !done {
			t.Error("it went on to serve")
		}
		return code, out.String(), errOut.String()
	}
	if code, stdout, _ := ask("-options", `{"a":1}`, "https://x/1"); code != 0 || stdout != "asked https://x/1\n" || options != `{"a":1}` {
		t.Errorf("code %d, %q, options %s", code, stdout, options)
	}
	if code, stdout, stderr := ask("bad"); code != 1 || stdout != "" || stderr != "NOT_FOUND: no such room\n" {
		t.Errorf("code %d, %q, %q", code, stdout, stderr)
	}
	for _, args := range [][]string{nil, {"a", "b"}, {"-what"}} {
		if code, _, stderr := ask(args...); code != 2 || !strings.Contains(stderr, "usage: ") {
			t.Errorf("%q: code %d, %q", args, code, stderr)
		}
	}
	if text := advice(p); !strings.Contains(text, "resolve URL") {
		t.Errorf("the advice does not tell of it: %s", text)
	}
}
