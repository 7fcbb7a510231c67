package bilibili_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lubod/lubod/sdk/simulator/bilibili"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	browserAgent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"
	appAgent     = "Mozilla/5.0 BiliDroid/7.80.0 (bbcallen@gmail.com) os/android model/MI 6 mobi_app/android build/7800300 channel/bili innerVer/7800310 osVer/13 network/2"
)

// client is a small honest uploader. Tests bend its requests to see what the simulator says.
type client struct {
	t       *testing.T
	sim     *bilibili.Server
	account bilibili.Account
	http    *http.Client
}

func setup(t *testing.T, options bilibili.Options) *client {
	t.Helper()
	if options.ChunkSize == 0 {
		options.ChunkSize = 1024
	}
	sim := bilibili.New(t, options)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &client{
		t: t, sim: sim, account: sim.AddAccount(bilibili.AccountOptions{}), http: &http.Client{Transport: transport},
	}
}

// reply is a decoded answer.
type reply struct {
	status int
	header http.Header
	text   string
	json   map[string]any
}

func (r reply) number(path string) int64 {
	n, _ := strconv.ParseInt(r.string(path), 10, 64)
	return n
}

func (r reply) string(path string) string {
	var value any = r.json
	for _, name := range strings.Split(path, ".") {
		object, ok := value.(map[string]any)
		if !ok {
			return ""
		}
		value = object[name]
	}
	if value == nil {
		return ""
	}
	return fmt.Sprint(value)
}

func (c *client) do(r *http.Request) (reply, error) {
	response, err := c.http.Do(r)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return reply{}, err
	}
	out := reply{status: response.StatusCode, header: response.Header, text: string(body)}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	_ = decoder.Decode(&out.json) // stays nil for what is not an object
	return out, nil
}

func (c *client) must(r *http.Request) reply {
	c.t.Helper()
	out, err := c.do(r)
	if err != nil {
		c.t.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	return out
}

func (c *client) request(method, base, path string, query url.Values, body io.Reader) *http.Request {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, base+path, body)
	if err != nil {
		c.t.Fatal(err)
	}
	r.URL.RawQuery = query.Encode()
	r.Header.Set("User-Agent", browserAgent)
	return r
}

// asBrowser makes a call with the account's cookies.
func (c *client) asBrowser(method, path string, query url.Values, body io.Reader) *http.Request {
	r := c.request(method, c.sim.URL(), path, query, body)
	var cookies []string
	for _, cookie := range c.account.CookieFile().CookieInfo.Cookies {
		cookies = append(cookies, cookie.Name+"="+cookie.Value)
	}
	r.Header.Set("Cookie", strings.Join(cookies, "; "))
	r.Header.Set("Referer", "https://www.bilibili.com/")
	return r
}

func (c *client) preuploadRequest(line, name string, size int64) *http.Request {
	return c.asBrowser("GET", "/preupload", url.Values{
		"zone": {"cs"}, "upcdn": {line}, "probe_version": {"20221109"}, "name": {name}, "r": {"upos"}, "profile": {"ugcupos/bup"},
		"ssl": {"0"}, "version": {"2.14.0"}, "build": {"2140000"}, "size": {strconv.FormatInt(size, 10)},
	}, nil)
}

// grant is a file that preupload allowed, as the client remembers it.
type grant struct {
	c         *client
	base      string
	path      string
	auth      string
	bizID     int64
	chunkSize int64
	name      string
	data      []byte
	uploadID  string
}

func (c *client) grant(line, name string, data []byte) *grant {
	c.t.Helper()
	return c.granted(c.must(c.preuploadRequest(line, name, int64(len(data)))), name, data)
}

func (c *client) granted(r reply, name string, data []byte) *grant {
	c.t.Helper()
	if r.status != 200 || r.number("OK") != 1 {
		c.t.Fatalf("preupload: HTTP %d %s", r.status, r.text)
	}
	return &grant{
		c: c, base: "http:" + r.string("endpoint"), path: "/" + strings.TrimPrefix(r.string("upos_uri"), "upos://"),
		auth: r.string("auth"), bizID: r.number("biz_id"), chunkSize: r.number("chunk_size"), name: name, data: data,
	}
}

func (g *grant) request(method string, query url.Values, body []byte) *http.Request {
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	r := g.c.request(method, g.base, g.path, query, reader)
	r.Header.Set("X-Upos-Auth", g.auth)
	return r
}

func (g *grant) initRequest() *http.Request {
	r := g.request("POST", nil, nil)
	r.URL.RawQuery = "uploads&output=json"
	return r
}

func (g *grant) init() {
	g.c.t.Helper()
	r := g.c.must(g.initRequest())
	g.uploadID = r.string("upload_id")
	if r.status != 200 || g.uploadID == "" {
		g.c.t.Fatalf("init: HTTP %d %s", r.status, r.text)
	}
}

func (g *grant) parts() int {
	return (len(g.data) + int(g.chunkSize) - 1) / int(g.chunkSize)
}

func (g *grant) partRequest(number int) *http.Request {
	start := (number - 1) * int(g.chunkSize)
	end := min(start+int(g.chunkSize), len(g.data))
	return g.request("PUT", url.Values{
		"partNumber": {strconv.Itoa(number)}, "uploadId": {g.uploadID}, "chunk": {strconv.Itoa(number - 1)},
		"chunks": {strconv.Itoa(g.parts())}, "size": {strconv.Itoa(end - start)}, "start": {strconv.Itoa(start)},
		"end": {strconv.Itoa(end)}, "total": {strconv.Itoa(len(g.data))},
	}, g.data[start:end])
}

func (g *grant) put(number int) {
	g.c.t.Helper()
	if r := g.c.must(g.partRequest(number)); r.status != 200 {
		g.c.t.Fatalf("part %d: HTTP %d %s", number, r.status, r.text)
	}
}

func (g *grant) putAll() {
	g.c.t.Helper()
	for number := g.parts(); number >= 1; number-- { // any order is right
		g.put(number)
	}
}

func (g *grant) partList() string {
	var entries []string
	for number := 1; number <= g.parts(); number++ {
		entries = append(entries, fmt.Sprintf(`{"partNumber":%d,"eTag":"etag"}`, number))
	}
	return `{"parts":[` + strings.Join(entries, ",") + `]}`
}

func (g *grant) completeRequest(body string) *http.Request {
	r := g.request("POST", url.Values{
		"output": {"json"}, "name": {g.name}, "profile": {"ugcupos/bup"}, "uploadId": {g.uploadID},
		"biz_id": {strconv.FormatInt(g.bizID, 10)},
	}, []byte(body))
	r.Header.Set("Content-Type", "application/json; charset=UTF-8")
	return r
}

func (g *grant) complete() {
	g.c.t.Helper()
	if r := g.c.must(g.completeRequest(g.partList())); r.status != 200 || r.number("OK") != 1 {
		g.c.t.Fatalf("complete: HTTP %d %s", r.status, r.text)
	}
}

func (g *grant) filename() string { return strings.TrimSuffix(path.Base(g.path), path.Ext(g.path)) }

// upload sends a whole file and returns what a submission calls it.
func (c *client) upload(line, name string, data []byte) string {
	c.t.Helper()
	g := c.grant(line, name, data)
	g.init()
	g.putAll()
	g.complete()
	return g.filename()
}

func (c *client) appQuery() url.Values {
	return url.Values{
		"access_key": {c.account.AccessToken}, "appkey": {bilibili.BiliTV.Key}, "build": {"7800300"}, "c_locale": {"zh-Hans_CN"},
		"channel": {"bili"}, "disable_rcmd": {"0"}, "mobi_app": {"android"}, "platform": {"android"}, "s_locale": {"zh-Hans_CN"},
		"statistics": {`"appId":1,"platform":3,"version":"7.80.0","abtest":""`}, "ts": {strconv.FormatInt(c.sim.Now().Unix(), 10)},
	}
}

func signed(key bilibili.AppKey, query url.Values) url.Values {
	query.Set("sign", key.Sign(query))
	return query
}

func archiveBody(change map[string]any, filenames ...string) map[string]any {
	videos := []map[string]any{}
	for i, name := range filenames {
		videos = append(videos, map[string]any{"title": fmt.Sprintf("P%d", i+1), "filename": name, "desc": ""})
	}
	body := map[string]any{
		"copyright": 2, "source": "https://live.example/room/1", "tid": 171, "cover": "", "title": "an evening",
		"desc_format_id": 0, "desc": "Recorded live.", "desc_v2": nil, "dynamic": "", "subtitle": map[string]any{"open": 0, "lan": ""},
		"tag": "live,recording", "videos": videos, "dtime": nil, "open_subtitle": false, "interactive": 0, "mission_id": nil,
		"dolby": 0, "lossless_music": 0, "no_reprint": 0, "is_only_self": 0, "charging_pay": 0, "up_selection_reply": false,
		"up_close_reply": false, "up_close_danmu": false,
	}
	for name, value := range change {
		body[name] = value
	}
	return body
}

func (c *client) submitRequest(body map[string]any) *http.Request {
	return c.appRequest("/x/vu/app/add", body)
}

func (c *client) appRequest(path string, body map[string]any) *http.Request {
	c.t.Helper()
	encoded, err := json.Marshal(body)
	if err != nil {
		c.t.Fatal(err)
	}
	r := c.request("POST", c.sim.URL(), path, signed(bilibili.BiliTV, c.appQuery()), bytes.NewReader(encoded))
	r.Header.Set("User-Agent", appAgent)
	r.Header.Set("Content-Type", "application/json")
	return r
}

func (c *client) wantCode(r reply, code int64) {
	c.t.Helper()
	if r.json == nil || r.string("code") == "" || r.number("code") != code {
		c.t.Errorf("got HTTP %d %s, want code %d", r.status, r.text, code)
	}
}

// onlyViolation wants exactly one rule to be broken so far.
func (c *client) onlyViolation(rule bilibili.Rule) {
	c.t.Helper()
	violations := c.sim.Violations()
	if len(violations) == 0 {
		c.t.Errorf("nothing was recorded, want %s", rule)
	}
	for _, v := range violations {
		if v.Rule != rule {
			c.t.Errorf("recorded %v, want only %s", v, rule)
		}
	}
}

// content is reproducible noise.
func content(n int) []byte {
	data := make([]byte, n)
	random := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = random.Read(data) // never fails
	return data
}

func sha(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}
