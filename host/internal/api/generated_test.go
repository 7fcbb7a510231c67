package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"pgregory.net/rapid"
)

// TestGeneratedRequests sends valid, nearly valid and hostile requests made from the contract. No answer may be a
// server error, and each has to match the contract, which the browser checks.
func TestGeneratedRequests(t *testing.T) {
	h := newLoggedIn(t)
	session := sessionCookie + "=" + h.sessionToken(t)
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/1"}`).must(t, 200)
	h.api(t, "POST", "/upload_streamers", `{"template_name":"t"}`).must(t, 200)
	writeVideo(t, h, "a.flv", "1", 1704873600)
	writeVideo(t, h, "b.flv.part", "1", 1704873600)
	insertUpload(t, h.db, insertRecording(t, h.db, 1, "ended"), "failed", "")
	var operations []*operation
	for _, key := range slices.Sorted(mapKeys(h.server.operations)) {
		// Logging in is slow on purpose.
		if op := h.server.operations[key]; !strings.HasSuffix(op.route.Path, "/login") && !strings.HasSuffix(op.route.Path, "/logout") && !strings.HasSuffix(op.route.Path, "/register") {
			operations = append(operations, op)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		for range 10 {
			request := generated(t, rt, h.base, rapid.SampledFrom(operations).Draw(rt, "operation"))
			request.Header.Set("Cookie", session)
			if a := h.send(t, request); a.status >= 500 && (a.status != 503 || request.URL.Path != "/api/v1/proxy") { // what the proxy is to fetch is not there
				rt.Fatalf("%s %s answered %d %s", request.Method, request.URL, a.status, a.body)
			}
		}
	})
}

func generated(t *testing.T, rt *rapid.T, base string, op *operation) *http.Request {
	ids := []string{"1", "2", "0", "-1", "99999999999999999999", "x", "1.5", "%00", "..", "%2e%2e%2f"}
	target := base + strings.ReplaceAll(op.route.Path, "{id}", rapid.SampledFrom(ids).Draw(rt, "id"))
	query := url.Values{}
	if rapid.Bool().Draw(rt, "query") {
		query.Set("limit", rapid.SampledFrom([]string{"1", "0", "x", "", "1e3", "\x00"}).Draw(rt, "limit"))
	}
	for _, parameter := range op.route.Operation.Parameters {
		if p := parameter.Value; p.In == "query" && p.Schema.Value.Type.Is("string") && rapid.IntRange(0, 9).Draw(rt, "has "+p.Name) > 0 {
			query.Set(p.Name, fmt.Sprint(value(p.Schema.Value, 0).Draw(rt, p.Name)))
		}
	}
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	var raw []byte
	if body := op.route.Operation.RequestBody; body != nil {
		var err error
		if raw, err = json.Marshal(value(body.Value.Content["application/json"].Schema.Value, 0).Draw(rt, "body")); err != nil {
			t.Fatal(err)
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), op.route.Method, target, bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	return request
}

func mapKeys[V any](m map[string]V) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for key := range m {
			if !yield(key) {
				return
			}
		}
	}
}

// hostile are values that belong nowhere.
var hostile = []any{
	nil, true, "", "\x00", "'; DROP TABLE streamers; --", "../../etc/passwd", "\ud7ff\ufffd💥", strings.Repeat("长", 3000), "1", json.Number("1.0"), json.Number("-1"), json.Number("1e308"),
	json.Number("99999999999999999999"), json.Number("0.1"), []any{}, map[string]any{"a": []any{map[string]any{}}},
}

// value generates what a schema asks for most of the time, and what it does not else.
func value(s *openapi3.Schema, depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		if rapid.IntRange(0, 15).Draw(t, "hostile") == 0 {
			return rapid.SampledFrom(hostile).Draw(t, "value")
		}
		switch {
		case len(s.Enum) > 0:
			return rapid.SampledFrom(s.Enum).Draw(t, "enum")
		case s.Type.Is("object"):
			return object(t, s, depth)
		case s.Type.Is("integer"):
			return rapid.SampledFrom([]any{1, 2, 0, 3600, json.Number("2147483648"), json.Number("9007199254740991")}).Draw(t, "integer")
		case s.Type.Is("number"):
			return rapid.SampledFrom([]any{0, 0.5, 20}).Draw(t, "number")
		case s.Type.Is("array"):
			return rapid.SliceOfN(value(s.Items.Value, depth+1), 0, 4).Draw(t, "array")
		case s.Type.Is("boolean"):
			return rapid.Bool().Draw(t, "boolean")
		}
		return rapid.OneOf(
			rapid.SampledFrom([]string{"AUTO", "bda2", "t", "a.flv", "b.flv.part", "recordings/a.flv", "a.flv/../../x.flv", "/etc/passwd", "cookies.json", "https://a.example/1", "https://a.example/2", "https://nobody.example"}),
			rapid.String(), rapid.StringMatching(`https?://[a-z.]{1,20}/.{0,20}`),
		).Draw(t, "text")
	})
}

func object(t *rapid.T, s *openapi3.Schema, depth int) map[string]any {
	object := make(map[string]any)
	if depth > 3 {
		return object
	}
	for _, name := range slices.Sorted(mapKeys(s.Properties)) {
		// Fields that have to be there mostly are, so that handlers are reached.
		chance := rapid.IntRange(0, 9).Draw(t, fmt.Sprint("has ", name))
		if chance < 4 || slices.Contains(s.Required, name) && chance < 9 {
			object[name] = value(s.Properties[name].Value, depth+1).Draw(t, name)
		}
	}
	if rapid.IntRange(0, 19).Draw(t, "extra") == 0 {
		object[rapid.SampledFrom([]string{"extra", "", "URL", "\x00", "__proto__"}).Draw(t, "name")] = 1
	}
	return object
}
