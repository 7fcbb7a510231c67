package host_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lubod/lubod/host/internal/hosttest"
)

// page is biliup's web page, as far as the daemon sees it: a browser on its own origin that knows biliup's paths.
type page struct {
	base   string
	client *http.Client
}

func newPage(t *testing.T, base string) *page {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &page{base: base, client: &http.Client{
		Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// call sends a request and returns the answer, which must have the status. Headers come in pairs.
func (p *page) call(t *testing.T, method, path, body string, want int, headers ...string) []byte {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, p.base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Origin", p.base)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	if host := request.Header.Get("Host"); host != "" {
		request.Host = host
	}
	response, err := p.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != want {
		t.Errorf("%s %s answered %d %s, want %d", method, path, response.StatusCode, answer, want)
	}
	if want >= 400 && path != "/v1/ws/logs" && !strings.HasPrefix(path, "/bili/proxy") {
		var e struct{ Error, Code, Message string }
		if err := json.Unmarshal(answer, &e); err != nil || e.Error == "" || e.Code == "" || e.Message != e.Error {
			t.Errorf("%s %s answered the error %s", method, path, answer)
		}
	}
	return answer
}

// fields checks that an answer has these fields; behind [] each entry of a list, of which there must be one.
func fields(t *testing.T, what string, answer []byte, want string) {
	t.Helper()
	var objects []map[string]json.RawMessage
	if list, ok := strings.CutPrefix(want, "[]"); ok {
		want = list
		if err := json.Unmarshal(answer, &objects); err != nil || len(objects) == 0 {
			t.Errorf("%s: %s: %v", what, answer, err)
		}
	} else {
		var one map[string]json.RawMessage
		if err := json.Unmarshal(answer, &one); err != nil {
			t.Errorf("%s: %s: %v", what, answer, err)
		}
		objects = append(objects, one)
	}
	for _, object := range objects {
		for _, field := range strings.Fields(want) {
			if _, ok := object[field]; !ok {
				t.Errorf("%s has no %s: %s", what, field, answer)
			}
		}
	}
}

const (
	flatStreamer   = "id url remark filename_prefix time_range upload_streamers_id format override preprocessor segment_processor downloaded_processor postprocessor opt_args excluded_keywords"
	biliupTemplate = "id template_name title tid copyright copyright_source cover_path description dynamic dtime dolby hires charging_pay no_reprint is_only_self uploader user_cookie tags credits up_selection_reply up_close_reply up_close_danmu extra_fields"
)

// TestBiliupsPageAndScripts does on biliup's paths what its page and its users' scripts do, against a whole daemon.
func TestBiliupsPageAndScripts(t *testing.T) {
	t.Parallel()
	daemon := hosttest.New(t, hosttest.Options{Env: []string{"LUBOD_ALLOW_ADDRESSES=127.0.0.1"}})
	daemon.Start()
	p := newPage(t, daemon.Client.Base())
	for _, path := range []string{"/v1/streamers", "/v1/configuration", "/v1/status", "/v1/videos", "/v1/users", "/v1/upload/streamers", "/v1/streamer-info", "/bili/archive/pre", "/static/a.flv"} {
		p.call(t, "GET", path, "", 401)
	}
	p.call(t, "GET", "/v1/users/biliup", "", 404) // the page shows the form for registering
	p.call(t, "POST", "/v1/users/register", `{"username":"biliup","password":"short"}`, 400)
	p.call(t, "POST", "/v1/users/register", `{"username":"biliup","password":"password123","remember":true}`, 200)
	stranger := newPage(t, p.base)
	stranger.call(t, "GET", "/v1/users/biliup", "", 200) // and that for logging in
	stranger.call(t, "POST", "/v1/users/register", `{"username":"other","password":"password123"}`, 401)
	stranger.call(t, "POST", "/v1/users/login", `{"username":"biliup","password":"wrong"}`, 401)
	p.streamersAndTemplates(t)
	p.settingsAndAccounts(t, daemon)
	p.media(t, daemon)
	p.call(t, "PUT", "/v1/configuration", `{"threads":4}`, 403, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site")
	p.call(t, "PUT", "/v1/streamers/1/pause", "", 403, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site")
	p.call(t, "GET", "/v1/streamers", "", 403, "Host", "evil.example")
	p.call(t, "GET", "/v1/users/biliup", "", 403, "Host", "evil.example")
	p.call(t, "GET", "/static/a.flv", "", 403, "Host", "evil.example")
	p.call(t, "POST", "/v1/streamers", strings.Repeat(" ", 1<<20)+"{}", 413)
	p.call(t, "POST", "/v1/streamers", "url=1", 415, "Content-Type", "application/x-www-form-urlencoded")
	look, err := p.client.Head(p.base + "/v1/logout")
	if err != nil {
		t.Fatal(err)
	}
	_ = look.Body.Close()
	if look.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("a look at the way out is answered with %d", look.StatusCode)
	}
	p.call(t, "GET", "/v1/users", "", 200) // still logged in
	p.call(t, "GET", "/v1/logout", "", 303)
	p.call(t, "GET", "/v1/streamers", "", 401)
	p.bruteForce(t)
}

func (p *page) bruteForce(t *testing.T) {
	t.Helper()
	for range 40 {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.base+"/v1/users/login", strings.NewReader(`{"username":"biliup","password":"guess"}`))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		response, err := p.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode == http.StatusTooManyRequests && response.Header.Get("Retry-After") != "" {
			return
		}
	}
	t.Error("passwords can be guessed on biliup's path")
}

func (p *page) streamersAndTemplates(t *testing.T) {
	t.Helper()
	template := p.call(t, "POST", "/v1/upload/streamers", `{"template_name":"默认模板","user_cookie":"cookies.json","copyright":2,"copyright_source":"","tid":171,"cover_path":"","title":"{title}","description":"录像","dynamic":"",
		"tags":["游戏","直播录像"],"dolby":0,"hires":0,"up_selection_reply":0,"up_close_reply":0,"up_close_danmu":0,"charging_pay":1,"no_reprint":1,"is_only_self":0,"dtime":null,"credits":null,"uploader":"biliup-rs","extra_fields":""}`, 200)
	fields(t, "a template", template, biliupTemplate)
	if again := p.call(t, "POST", "/v1/upload/streamers", string(template), 200); !bytes.Equal(again, template) {
		t.Errorf("a template that was sent back became %s, was %s", again, template)
	}
	fields(t, "templates", p.call(t, "GET", "/v1/upload/streamers", "", 200), "[]"+biliupTemplate)
	fields(t, "a template", p.call(t, "GET", "/v1/upload/streamers/1", "", 200), biliupTemplate)
	p.call(t, "GET", "/v1/upload/streamers/99", "", 404)

	created := p.call(t, "POST", "/v1/streamers", `{"url":"http://127.0.0.1:1/a.flv","remark":"主播","upload_streamers_id":1,"postprocessor":["rm"],"format":"flv","time_range":"[\"2024-01-01T12:00:00.000Z\",\"2024-01-01T20:00:00.000Z\"]","excluded_keywords":["重播"]}`, 200)
	fields(t, "a streamer", created, flatStreamer)
	list := p.call(t, "GET", "/v1/streamers", "", 200)
	fields(t, "streamers", list, "[]status upload_status "+flatStreamer)
	var all []json.RawMessage
	if err := json.Unmarshal(list, &all); err != nil || len(all) != 1 {
		t.Fatalf("streamers: %s", list)
	}
	if same := p.call(t, "PUT", "/v1/streamers", string(all[0]), 200); !bytes.Equal(same, created) {
		t.Errorf("a streamer that was sent back became %s, was %s", same, created)
	}
	p.overrideDialog(t)
	changed := p.call(t, "PUT", "/v1/streamers", `{"id":1,"url":"http://127.0.0.1:1/a.flv","remark":"新","override":{"file_size":1073741824,"segment_time":"00:20:00","pool1_size":3}}`, 200)
	var flat struct {
		Remark   string `json:"remark"`
		Template *int64 `json:"upload_streamers_id"`
		Override struct {
			Size     int64  `json:"file_size"`
			Time     string `json:"segment_time"`
			Download int    `json:"pool1_size"`
		} `json:"override"`
	}
	if err := json.Unmarshal(changed, &flat); err != nil || flat.Remark != "新" || flat.Template != nil || flat.Override.Size != 1<<30 || flat.Override.Time != "00:20:00" || flat.Override.Download != 3 {
		t.Errorf("the streamer became %s", changed)
	}
	p.call(t, "PUT", "/v1/streamers", `{"id":1,"url":"nothing","remark":"x"}`, 400)
	p.call(t, "PUT", "/v1/streamers", `{"id":77,"url":"http://127.0.0.1:1/a.flv","remark":"x"}`, 404)
	p.call(t, "PUT", "/v1/streamers/1/pause", "", 200)
	if paused := p.call(t, "GET", "/v1/streamers", "", 200); !strings.Contains(string(paused), `"status":"Pause"`) {
		t.Errorf("after a pause: %s", paused)
	}
	p.call(t, "PUT", "/v1/streamers/1/pause", "", 200)
	fields(t, "the status", p.call(t, "GET", "/v1/status", "", 200), "version rooms download_semaphore update_semaphore config")
	fields(t, "a deleted streamer", p.call(t, "DELETE", "/v1/streamers/1", "", 200), flatStreamer)
	p.call(t, "DELETE", "/v1/streamers/1", "", 404)
}

// overrideDialog changes how long files of the room with the template get: the page puts every field into the override that
// its dialog does not know.
func (p *page) overrideDialog(t *testing.T) {
	t.Helper()
	changed := p.call(t, "PUT", "/v1/streamers", `{"id":1,"url":"http://127.0.0.1:1/a.flv","remark":"主播","postprocessor":["rm"],"format":"flv",
		"override":{"upload_streamers_id":1,"segment_time":"00:30:00","upload_status":"Idle","statusTag":{"type":"span"},"publish":null}}`, 200)
	var flat struct {
		Template *int64                     `json:"upload_streamers_id"`
		Override map[string]json.RawMessage `json:"override"`
	}
	if err := json.Unmarshal(changed, &flat); err != nil || flat.Template == nil || *flat.Template != 1 || len(flat.Override) != 1 || string(flat.Override["segment_time"]) != `"00:30:00"` {
		t.Errorf("after the override dialog the room is %s", changed)
	}
}

func (p *page) settingsAndAccounts(t *testing.T, daemon *hosttest.Daemon) {
	t.Helper()
	const keys = "lines threads submit_api pool1_size pool2_size delay event_loop_interval filtering_threshold file_size segment_time user"
	configuration := p.call(t, "GET", "/v1/configuration", "", 200)
	fields(t, "the configuration", configuration, keys)
	if same := p.call(t, "PUT", "/v1/configuration", string(configuration), 200); !bytes.Equal(same, configuration) {
		t.Errorf("the configuration that was sent back became %s, was %s", same, configuration)
	}
	changed := p.call(t, "PUT", "/v1/configuration", `{"pool1_size":9,"pool2_size":4,"threads":5,"downloader":"ffmpeg","user":{"twitch_cookie":"x"}}`, 200)
	for _, word := range []string{`"pool1_size":9`, `"pool2_size":4`, `"threads":5`} {
		if !strings.Contains(string(changed), word) {
			t.Errorf("the configuration became %s", changed)
		}
	}
	if refused := p.call(t, "PUT", "/v1/configuration", `{"pool1_size":0}`, 400); !strings.Contains(string(refused), `"pool1_size: `) {
		t.Errorf("a wrong value: %s", refused)
	}
	fields(t, "an added account", p.call(t, "POST", "/v1/users", `{"key":"bilibili-cookies","value":"cookies.json"}`, 200), "id key value")
	fields(t, "accounts", p.call(t, "GET", "/v1/users", "", 200), "[]id name value platform")
	fields(t, "an account at Bilibili", p.call(t, "GET", "/bili/space/myinfo?user=cookies.json", "", 200), "code data")
	fields(t, "what Bilibili offers", p.call(t, "GET", "/bili/archive/pre", "", 200), "code data")
	p.call(t, "GET", "/bili/space/myinfo?user=../../etc/passwd", "", 400)

	code := p.call(t, "GET", "/v1/get_qrcode", "", 200)
	if err := daemon.Sim.ConfirmQR("", 0); err != nil {
		t.Fatal(err)
	}
	var login struct{ Filename string }
	if err := json.Unmarshal(p.call(t, "POST", "/v1/login_by_qrcode", string(code), 200), &login); err != nil || login.Filename == "" {
		t.Errorf("a login by QR code: %+v, %v", login, err)
	}
	p.call(t, "DELETE", "/v1/users/1", "", 200)
	p.call(t, "GET", "/bili/proxy?url=http://127.0.0.1:1/", "", 403) // a port for something else
	p.call(t, "GET", "/bili/proxy?url=http://10.0.0.1/", "", 403)
	if portrait := p.call(t, "GET", "/bili/proxy?url="+p.base+"/healthz", "", 200); string(portrait) != `{"status":"ok"}`+"\n" {
		t.Errorf("the proxy answers %q", portrait)
	}
}

func (p *page) media(t *testing.T, daemon *hosttest.Daemon) {
	t.Helper()
	dir := filepath.Join(daemon.DataDir, "recordings", "主播")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	content := bytes.Repeat([]byte("FLV"), 100_000)
	if err := os.WriteFile(filepath.Join(dir, "录像 1.flv"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	videos := p.call(t, "GET", "/v1/videos", "", 200)
	fields(t, "videos", videos, "[]key name updateTime size")
	var names []struct{ Name string }
	if err := json.Unmarshal(videos, &names); err != nil || len(names) != 1 {
		t.Fatalf("videos: %s", videos)
	}
	// The page puts a name behind /static/ as it is.
	if got := p.call(t, "GET", "/static/"+strings.ReplaceAll(names[0].Name, " ", "%20"), "", 200); !bytes.Equal(got, content) {
		t.Errorf("a recording of %d bytes came with %d", len(content), len(got))
	}
	if got := p.call(t, "GET", "/static/"+strings.ReplaceAll(names[0].Name, " ", "%20"), "", 206, "Range", "bytes=3-8"); string(got) != "FLVFLV" {
		t.Errorf("a range came as %q", got)
	}
	p.call(t, "GET", "/static/../cookies.json", "", 404)
	p.call(t, "GET", "/static/%2e%2e/cookies.json", "", 404)
	p.call(t, "POST", "/v1/uploads", `{"files":["../cookies.json"],"params":`+string(p.call(t, "GET", "/v1/upload/streamers/1", "", 200))+`}`, 400)
	if sessions := p.call(t, "GET", "/v1/streamer-info", "", 200); string(sessions) != "[]" {
		t.Errorf("live sessions: %s", sessions)
	}
	if files := p.call(t, "GET", "/v1/streamer-info/files/1", "", 200); string(files) != "[]" {
		t.Errorf("files of no session: %s", files)
	}
}

// TestBiliupsPageOnOurOrigin serves a page as biliup's is exported, to a user of another name than the page's.
func TestBiliupsPageOnOurOrigin(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, content := range map[string]string{"index.html": "their home", "streamers.html": "their rooms", "login.html": "their login"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	daemon := hosttest.New(t, hosttest.Options{Env: []string{"LUBOD_BILIUP_PAGE=" + dir}})
	daemon.Start()
	p := newPage(t, daemon.Client.Base())
	p.call(t, "GET", "/streamers", "", 303)
	p.call(t, "POST", "/api/v1/users/register", `{"username":"owner","password":"correct horse"}`, 200)
	p.call(t, "POST", "/v1/users/login", `{"username":"biliup","password":"wrong horse"}`, 401)
	if user := p.call(t, "POST", "/v1/users/login", `{"username":"biliup","password":"correct horse"}`, 200); !strings.Contains(string(user), `"owner"`) {
		t.Errorf("logged in as %s", user)
	}
	for path, want := range map[string]string{"/": "their home", "/streamers": "their rooms", "/login": "<form", "/api/v1/docs": "<main>", "/assets/page.css": "body"} {
		if got := p.call(t, "GET", path, "", 200); !strings.Contains(string(got), want) {
			t.Errorf("%s is %.200s", path, got)
		}
	}
	if log := p.call(t, "GET", "/static/ds_update.log", "", 200); !strings.Contains(string(log), "lubod is up") {
		t.Errorf("the log: %.200s", log)
	}
	p.clientOfBiliup(t)
}

// clientOfBiliup is one that knows no other session than biliup's.
func (p *page) clientOfBiliup(t *testing.T) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.base+"/v1/users/login", strings.NewReader(`{"username":"owner","password":"correct horse"}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	sid := ""
	for _, cookie := range response.Cookies() {
		if cookie.Name == "biliup.sid" {
			sid = "biliup.sid=" + cookie.Value
		}
	}
	client := newPage(t, p.base)
	client.call(t, "GET", "/v1/streamers", "", 200, "Cookie", sid)
	client.call(t, "PUT", "/v1/streamers/1/pause", "", 404, "Cookie", sid)
	client.call(t, "GET", "/v1/logout", "", 303, "Cookie", sid)
	client.call(t, "GET", "/v1/streamers", "", 401, "Cookie", sid)
}

func TestBiliupsPathsCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	daemon := hosttest.New(t, hosttest.Options{Env: []string{"LUBOD_BILIUP_PATHS=false"}})
	daemon.Start()
	daemon.Client.Register()
	p := newPage(t, daemon.Client.Base())
	for _, path := range []string{"/v1/streamers", "/v1/users/biliup", "/v1/configuration", "/bili/proxy?url=http://x/", "/static/a.flv", "/v1/ws/logs"} {
		response, err := p.client.Get(p.base + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusNotFound {
			t.Errorf("%s answered %d", path, response.StatusCode)
		}
	}
	daemon.Client.Do(http.MethodGet, "/streamers", nil, http.StatusOK, nil)
}
