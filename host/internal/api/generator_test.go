package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// generator makes requests from the contract: right ones, nearly right ones and hostile ones. The same seed and number
// make the same request.
type generator struct {
	*rand.Rand
	*vocabulary
}

// vocabulary is what generators share.
type vocabulary struct {
	base string
	// values belong nowhere; bodies are no JSON objects, or hardly.
	values []any
	bodies [][]byte
}

func newVocabulary(base string) *vocabulary {
	return &vocabulary{base: base, values: hostile(), bodies: hostileBodies()}
}

func (v *vocabulary) generator(seed, number uint64) generator {
	return generator{Rand: rand.New(rand.NewPCG(seed, number)), vocabulary: v}
}

// chance is true in so many of a hundred cases.
func (g generator) chance(percent int) bool { return g.IntN(100) < percent }

func pick[T any](g generator, of []T) T { return of[g.IntN(len(of))] }

// request asks for an operation, without saying who asks.
func (g generator) request(op *operation) *http.Request {
	target := g.base + g.path(op)
	if query := g.query(op); query != "" {
		target += "?" + query
	}
	body, mediaType := g.body(op)
	request, err := http.NewRequest(op.route.Method, target, bytes.NewReader(body))
	if err != nil {
		panic(fmt.Sprintf("%s %q: %v", op.route.Method, target, err)) // made above
	}
	if mediaType != "" {
		request.Header.Set("Content-Type", mediaType)
	}
	for _, parameter := range op.route.Operation.Parameters {
		if p := parameter.Value; p.In == "header" && g.chance(60) {
			request.Header.Set(p.Name, headerValue(g.text(g.value(p.Schema, 0))))
		}
	}
	if g.chance(5) {
		request.Header.Set(pick(g, []string{"Origin", "Sec-Fetch-Site", "X-Forwarded-For", "X-HTTP-Method-Override", "Range", "If-None-Match", "Last-Event-ID", "Accept", "Expect-CT"}),
			pick(g, []string{"https://evil.example", "null", "cross-site", "same-origin", "127.0.0.1", "DELETE", "bytes=0-", "*", "text/event-stream", "18446744073709551616"}))
	}
	return request
}

// headerValue leaves out what Go's client would not send.
func headerValue(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return -1
		}
		return r
	}, text)
}

func (g generator) path(op *operation) string {
	segments := strings.Split(op.route.Path, "/")
	for i, segment := range segments {
		if !strings.HasPrefix(segment, "{") {
			continue
		}
		p := op.route.Operation.Parameters.GetByInAndName("path", strings.Trim(segment, "{}"))
		switch {
		case p != nil && p.Schema.Value.Type.Is("integer") && g.chance(70):
			segments[i] = fmt.Sprint(1 + g.IntN(6))
		case g.chance(30):
			segments[i] = pick(g, []string{"0", "-1", "9007199254740991", "9007199254740992", "9223372036854775808", "1e3", "1.0", "%00", "..", "%2e%2e%2f%2e%2e", "1%2F2", "%ff", "%E2%80%AE", "null", "true", "1;x=2", "+1", "٣", "0x1", " 1"})
			segments[i] = strings.ReplaceAll(segments[i], " ", "%20")
		case p != nil:
			segments[i] = url.PathEscape(g.text(g.value(p.Schema, 0)))
		}
		if segments[i] == "" {
			segments[i] = "1"
		}
	}
	path := strings.Join(segments, "/")
	if g.chance(1) {
		path = pick(g, []string{path + "/", "/" + path, path + "/../status", strings.ToUpper(path), path + "%00", path + "/" + strings.Repeat("a", 5000), path + "?", strings.Replace(path, "/api", "/api/.", 1)})
	}
	return path
}

func (g generator) query(op *operation) string {
	query := url.Values{}
	for _, parameter := range op.route.Operation.Parameters {
		p := parameter.Value
		if p.In != "query" || !g.chance(map[bool]int{true: 90, false: 50}[p.Required]) {
			continue
		}
		for range 1 + g.IntN(20)/19 { // sometimes twice
			query.Add(p.Name, g.text(g.value(p.Schema, 0)))
		}
	}
	if g.chance(3) {
		query.Add(pick(g, []string{"id", "", "limit", "\x00", "a[]", "__proto__", "url"}), g.text(pick(g, g.values)))
	}
	encoded := query.Encode()
	if g.chance(1) {
		encoded += pick(g, []string{"&%", "&%zz=1", ";a=b", "&=&=", "&a=%ff"})
	}
	return encoded
}

// text is a value as it stands in a URL or a header.
func (g generator) text(value any) string {
	if text, ok := value.(string); ok {
		return text
	}
	raw, err := json.Marshal(value)
	if err != nil {
		panic(err) // generated values can be written
	}
	return string(raw)
}

func (g generator) body(op *operation) (raw []byte, mediaType string) {
	body := op.route.Operation.RequestBody
	if body == nil {
		if g.chance(95) {
			return nil, ""
		}
		return pick(g, g.bodies), pick(g, []string{"", "application/json", "multipart/form-data; boundary=x"})
	}
	mediaType = "application/json"
	if g.chance(3) {
		mediaType = pick(g, []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json; charset=utf-16", "application/jsonx", "*/*", ";", "application/json;"})
	}
	content := body.Value.GetMediaType("application/json")
	switch {
	case content == nil || g.chance(4):
		return pick(g, g.bodies), mediaType
	case g.chance(35) && content.Example != nil:
		raw = g.encode(g.mutated(content.Example, content.Schema))
	default:
		raw = g.encode(g.value(content.Schema, 0))
	}
	if g.chance(4) {
		raw = g.damaged(raw)
	}
	return raw, mediaType
}

func (g generator) encode(value any) []byte { return []byte(g.text(value)) }

// mutated is an example in which some fields are others, or missing.
func (g generator) mutated(example any, schema *openapi3.SchemaRef) any {
	object, ok := example.(map[string]any)
	if !ok {
		return example
	}
	changed := make(map[string]any)
	for _, name := range slices.Sorted(mapKeys(object)) {
		switch property := property(schema, name); {
		case g.chance(80):
			changed[name] = g.mutated(object[name], property)
		case g.chance(50):
		default:
			changed[name] = g.value(property, 1)
		}
	}
	return changed
}

// damaged is JSON that somebody cut, repeated or wrote over.
func (g generator) damaged(raw []byte) []byte {
	raw = slices.Clone(raw)
	if len(raw) == 0 {
		return raw
	}
	at := g.IntN(len(raw))
	switch g.IntN(5) {
	case 0:
		return raw[:at]
	case 1:
		raw[at] = byte(g.IntN(256))
		return raw
	case 2:
		return append(raw, raw...)
	case 3:
		return slices.Insert(raw, at, []byte(pick(g, []string{"\x00", "\\u0000", "\xff", `"`, "{", "]", ",", "\\ud800", "1e999"}))...)
	}
	// The first field once more.
	if end := bytes.IndexByte(raw, ','); end > 0 {
		return slices.Insert(raw, 1, append(raw[1:end:end], ',')...)
	}
	return raw
}

// value is what a schema asks for most of the time, and what it does not else.
func (g generator) value(ref *openapi3.SchemaRef, depth int) any {
	if ref == nil || ref.Value == nil || depth > 5 || g.chance(4) {
		return pick(g, g.values)
	}
	s := ref.Value
	if s.Nullable && g.chance(8) {
		return nil
	}
	for _, choices := range []openapi3.SchemaRefs{s.OneOf, s.AnyOf, s.AllOf} {
		if len(choices) > 0 && (len(s.Properties) == 0 || g.chance(50)) {
			return g.value(pick(g, choices), depth+1)
		}
	}
	switch {
	case len(s.Enum) > 0 && g.chance(95):
		return pick(g, s.Enum)
	case s.Example != nil && g.chance(30):
		return s.Example
	case s.Type.Is("object"):
		return g.object(s, depth)
	case s.Type.Is("array"):
		list := make([]any, g.IntN(4))
		for i := range list {
			list[i] = g.value(s.Items, depth+1)
		}
		return list
	case s.Type.Is("integer"):
		return g.integer(s)
	case s.Type.Is("number"):
		return pick(g, []any{0, 0.5, 20, json.Number("1e2"), 1e-300})
	case s.Type.Is("boolean"):
		return g.chance(50)
	}
	return g.string(s)
}

func (g generator) integer(s *openapi3.Schema) any {
	choices := []any{1, 2, 3, 60, 3600}
	if s.Min != nil {
		choices = append(choices, int64(*s.Min), int64(*s.Min)-1)
	}
	if s.Max != nil {
		choices = append(choices, int64(*s.Max), int64(*s.Max)+1)
	}
	return pick(g, choices)
}

func (g generator) string(s *openapi3.Schema) any {
	if g.chance(60) {
		return pick(g, []string{
			"AUTO", "bda2", "qn", "t", "默认模板", "cookies.json", "data/cookies.json", "recording.mp4", "https://a.example/1", "https://a.example/2", "https://nobody.example",
			"https://live.bilibili.com/123456", "admin", "second", "password123", "{{title}} %Y", "10:00-26:00", "Asia/Shanghai", "2025-01-10T12:00:00Z", "1h", "flv",
			"http://127.0.0.1/", "http://[::ffff:127.0.0.1]/", "http://2130706433/", "游戏,直播",
		})
	}
	length := g.IntN(12)
	if s.MaxLength != nil && g.chance(20) {
		length = min(int(*s.MaxLength)+g.IntN(2), 3000)
	}
	var text strings.Builder
	for range length {
		text.WriteRune(pick(g, []rune{'a', 'Z', '0', ' ', '.', '/', '\\', '"', '\'', '<', '>', '&', '%', '{', '}', '\x00', '\n', '\r', '\t', '\x7f', '\u202e', '长', '\U0001F4A5', '\ufeff', '\uffff', 'e', 'é'}))
	}
	return text.String()
}

func (g generator) object(s *openapi3.Schema, depth int) any {
	object := make(map[string]any)
	for _, name := range slices.Sorted(mapKeys(s.Properties)) {
		// Fields that have to be there mostly are, so that handlers are reached.
		if g.chance(map[bool]int{true: 95, false: 40}[slices.Contains(s.Required, name)]) {
			object[name] = g.value(s.Properties[name], depth+1)
		}
	}
	if g.chance(4) {
		object[pick(g, []string{"extra", "", "URL", "Password", "\x00", "__proto__", "ID"})] = pick(g, g.values)
	}
	return object
}

// property is what a schema says about a field, also by way of allOf.
func property(ref *openapi3.SchemaRef, name string) *openapi3.SchemaRef {
	if ref == nil || ref.Value == nil {
		return nil
	}
	if p, ok := ref.Value.Properties[name]; ok {
		return p
	}
	for _, part := range ref.Value.AllOf {
		if p := property(part, name); p != nil {
			return p
		}
	}
	return nil
}

// hostile are values that belong nowhere.
func hostile() []any {
	return []any{
		nil, true, "", " ", "\x00", "a\x00b", "'; DROP TABLE streamers; --", "../../etc/passwd", "/etc/passwd", "..\\..\\x", "data/../../x", "cookies.json/..", "./././x", "C:\\x",
		"\ud7ff\ufffd💥", strings.Repeat("长", 3000), strings.Repeat("a", 70000), "1", "NaN", "<script>alert(1)</script>", "javascript:alert(1)", "//evil.example", "file:///etc/passwd",
		"%s%n%x", "{{title", "{{.}}", "%", "${jndi:ldap://x}", "\u202egnp.exe", "9999-99-99T99:99:99Z",
		json.Number("1.0"), json.Number("-1"), json.Number("1e308"), json.Number("1e400"), json.Number("-1e-400"), json.Number("99999999999999999999"), json.Number("9223372036854775808"),
		json.Number("-9223372036854775809"), json.Number("0.1"), json.Number("1E2"), json.Number("-0"), json.Number(strings.Repeat("9", 4000)),
		[]any{}, []any{nil}, []any{[]any{[]any{}}}, map[string]any{}, map[string]any{"a": []any{map[string]any{}}}, map[string]any{"": nil},
	}
}

// hostileBodies are no JSON objects, or hardly.
func hostileBodies() [][]byte {
	texts := []string{
		"", " ", "null", "[]", "{}", `"x"`, "1", "true", "{", "}", "{]", `{"a"}`, `{"a":1,}`, "{'a':1}", "\xef\xbb\xbf{}", "\xff\xfe{\x00}\x00", `{"a":"` + "\xc3\x28" + `"}`,
		`{"url":"https://a.example/9","url":"https://a.example/8"}`, `{"\u0000":1}`, `{"url":"\ud800"}`, `{}{}`, "{}\n{}", "//\n{}", `{"a":1e400}`, "-", "NaN",
		strings.Repeat("[", 100_000), strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000), strings.Repeat(`{"a":`, 50_000) + "1" + strings.Repeat("}", 50_000),
		`{"override":` + strings.Repeat(`{"a":`, 9_000) + "1" + strings.Repeat("}", 9_000) + "}", `{"files":` + strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000) + "}",
		`{"url":"` + strings.Repeat("a", maxBodyBytes) + `"}`, "username=admin&password=password123", "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n--x--\r\n",
	}
	bodies := make([][]byte, len(texts))
	for i, text := range texts {
		bodies[i] = []byte(text)
	}
	return bodies
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
