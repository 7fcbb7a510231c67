package pages

import (
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

func TestPreferred(t *testing.T) {
	for header, want := range map[string]Language{
		"": English, "*": English, "de": English, "en": English, "zh": Chinese, "zh-CN,zh;q=0.9,en;q=0.8": Chinese, "en-US,en;q=0.9,zh;q=0.8": English,
		"de,zh;q=0.1": Chinese, "en;q=0.3, zh-TW;q=0.5": Chinese, "zh;q=x": English, "zh;q=0": English, ";;,,;q=": English, "ZH": Chinese, "zh;q=NaN": English,
	} {
		if got := Preferred(header); got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
}

func FuzzPreferred(f *testing.F) {
	f.Add("zh-CN,zh;q=0.9")
	f.Fuzz(func(t *testing.T, header string) {
		if got := Preferred(header); got != English && got != Chinese {
			t.Errorf("%q: %q", header, got)
		}
	})
}

func TestProse(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "a": "<p>a</p>", "a\n\nb": "<p>a</p><p>b</p>", "set `x` to <b>": "<p>set <code>x</code> to &lt;b&gt;</p>", "`<script>`": "<p><code>&lt;script&gt;</code></p>",
		"`": "<p><code></code></p>",
	} {
		if got := string(prose(text)); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

const hostile = `"><script>alert(1)</script>`

func TestPagesEscapeWhatTheyShow(t *testing.T) {
	spec, err := openapi3.NewLoader().LoadFromData([]byte(`
openapi: 3.0.3
info: {title: x, version: "1", description: '` + hostile + `'}
tags: [{name: a, description: '` + hostile + `'}]
paths:
  /x:
    get:
      operationId: getX
      tags: [a]
      summary: '` + hostile + `'
      parameters: [{name: q, in: query, description: '` + hostile + `', schema: {type: string, enum: ['` + hostile + `']}}]
      responses:
        "200": {description: '` + hostile + `', content: {application/json: {schema: {type: string}, example: '` + hostile + `'}}}
`))
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(spec)
	if err != nil {
		t.Fatal(err)
	}
	login, err := p.Login(English, Login{Next: "/" + hostile, Host: hostile, First: true})
	if err != nil {
		t.Fatal(err)
	}
	index, err := p.Index(Chinese, hostile)
	if err != nil {
		t.Fatal(err)
	}
	for name, page := range map[string][]byte{"login": login, "index": index, "docs": p.Docs(English), "docs in Chinese": p.Docs(Chinese)} {
		if len(page) == 0 || strings.Contains(string(page), "<script>alert") {
			t.Errorf("%s: %s", name, page)
		}
	}
}

func TestAsset(t *testing.T) {
	for name, want := range map[string]bool{"login.js": true, "page.css": true, "x.js": false, "../assets/login.js": false, "login.html": false, "": false, `..\login.js`: false} {
		if _, _, ok := Asset(name); ok != want {
			t.Errorf("%q: %v", name, ok)
		}
	}
}
