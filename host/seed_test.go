package host_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db/dbtest"
	"github.com/lubod/lubod/host/internal/hosttest"
	"github.com/lubod/lubod/sdk/simulator/bilibili"
	"github.com/lubod/lubod/sdk/simulator/live"
	"github.com/lubod/lubod/sdk/simulator/platforms/bililive"
)

// seedFile is biliup's own description of its REST API, which scripts were written by. It lies beside this repository
// where lubod is developed; elsewhere the guide of the API takes its place, see guide_test.go beside the handlers.
const seedFile = "../../shared/seed/rest-api.md"

// seedBase is the address in all examples of the document.
const seedBase = "http://localhost:19159"

// example is one code block of the document.
type example struct {
	heading  string // of the section
	language string
	text     string
	response string // the answer that the section shows, if any
}

var codeBlock = regexp.MustCompile("(?s)```(bash|python|javascript)\n(.*?)```")
var responseBlock = regexp.MustCompile("(?s)\\*\\*响应\\*\\*.*?```json\n(.*?)```")

func seedExamples(t *testing.T) []example {
	t.Helper()
	text, err := os.ReadFile(seedFile)
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("the document is not here")
	}
	if err != nil {
		t.Fatal(err)
	}
	var examples []example
	for _, section := range strings.Split(string(text), "\n### ")[1:] {
		heading, _, _ := strings.Cut(section, "\n")
		// What follows the section's own rule belongs to the next chapter.
		section, _, _ = strings.Cut(section, "\n## ")
		response := ""
		if match := responseBlock.FindStringSubmatch(section); match != nil {
			response = match[1]
		}
		for _, match := range codeBlock.FindAllStringSubmatch(section, -1) {
			examples = append(examples, example{heading: heading, language: match[1], text: match[2], response: response})
		}
	}
	return examples
}

// seedCalls are what the commands of each section must be answered, in the order of the document.
var seedCalls = map[string][]string{
	"用户注册":       {"POST /users/register 200"},
	"用户登录":       {"POST /users/login 200"},
	"检查用户状态":     {"GET /users/biliup 200"},
	"用户登出":       {"GET /logout 303"},
	"获取所有录制任务":   {"GET /streamers 200"},
	"创建录制任务":     {"POST /streamers 200"},
	"更新录制任务":     {"PUT /streamers 200"},
	"删除录制任务":     {"DELETE /streamers/1 200"},
	"暂停/恢复录制任务":  {"POST /streamers/1/pause 200", "POST /streamers/1/pause 200"},
	"获取全局配置":     {"GET /configuration 200"},
	"更新全局配置":     {"PUT /configuration 200"},
	"获取所有上传模板":   {"GET /upload_streamers 200"},
	"获取单个上传模板":   {"GET /upload_streamers/1 200"},
	"创建或更新上传模板":  {"POST /upload_streamers 200", "POST /upload_streamers 200"},
	"删除上传模板":     {"DELETE /upload_streamers/1 200"},
	"获取视频列表":     {"GET /videos 200"},
	"上传视频":       {"POST /uploads 200"},
	"获取 B 站账号列表": {"GET /users 200"},
	"添加 B 站账号":   {"POST /users 200"},
	"删除 B 站账号":   {"DELETE /users/1 200"},
	"获取二维码登录":    {"GET /qrcode 200"},
	"二维码登录":      {"POST /login_by_qrcode 200"},
	"获取投稿预处理信息":  {"GET /archive_pre 200"},
	"获取 B 站用户信息": {"GET /myinfo 200"},
	"HTTP 代理":    {"GET /proxy "}, // example.com is another one's: any answer but ours being broken
	"获取系统状态":     {"GET /status 200"},
	"获取录制信息":     {"GET /streamer_info 200"},
	"获取录制文件列表":   {"GET /streamer_info/1/files 200"},
	"cURL 完整工作流": {
		"POST /users/login 200", "GET /status 200", "POST /streamers 200", "GET /streamers 200", "POST /streamers/1/pause 200",
		"GET /videos 200", "POST /uploads 200", "GET /logout 303",
	},
}

// seedScript runs the document's examples beside a daemon.
type seedScript struct {
	t        *testing.T
	dir      string
	daemon   *hosttest.Daemon
	room     *live.Server
	database *pgx.Conn
	examples []example
	qrKey    string
}

// TestSeedExamples runs everything that biliup's document shows, in its order, as a script that was written by it would.
// Where the document goes on with what it has just removed, the test makes it again.
func TestSeedExamples(t *testing.T) {
	t.Parallel()
	s := newSeedScript(t, seedExamples(t))
	for _, e := range s.examples {
		ok := t.Run(strings.ReplaceAll(e.heading, "/", "／")+"_"+e.language, func(t *testing.T) {
			s.t = t
			s.before(e)
			switch e.language {
			case "bash":
				s.bash(e)
			case "python":
				s.python(e)
			case "javascript":
				s.javascript(e)
			}
			s.after(e)
		})
		if !ok {
			t.Log(s.daemon.Log().Tail())
			t.FailNow() // what follows builds on it
		}
	}
	s.t = t
	s.published()
}

func newSeedScript(t *testing.T, examples []example) *seedScript {
	clip, err := live.Load(hosttest.EncodeClip(t, 24).Path)
	if err != nil {
		t.Fatal(err)
	}
	room, err := live.Handler(live.Options{Clip: clip, Speed: 1, Loop: true, Clients: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = room.Close() })
	platform := bililive.New(t, bililive.Options{Media: room})
	platform.SetRoom(bililive.Room{ID: 123456, UID: 7, State: bililive.Live, Title: "直播标题", Streamer: "主播名称"})
	t.Cleanup(func() { platform.RequireNoViolations(t) })
	url := dbtest.EmptyURL(t)
	database, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = database.Close(context.WithoutCancel(t.Context())) })
	s := &seedScript{t: t, dir: t.TempDir(), room: room, database: database, examples: examples}
	s.daemon = hosttest.New(t, hosttest.Options{
		DatabaseURL: url, Plugins: "plugin_dir = %q\nplugin \"extractor-bilibili\" {\n  options {\n    request_interval = 1\n  }\n}\nplugin \"recorder-native\" {}\nplugin \"line-upos\" {}\n",
		Sim: bilibili.Options{QRScript: []bilibili.QRState{bilibili.QRPending, bilibili.QRScanned, bilibili.QRConfirmed}},
		Env: []string{"LUBOD_BILIBILI_LIVE_URL=" + platform.URL(), "LUBOD_BILIBILI_LIVE_API_URL=" + platform.URL(), "LUBOD_BILIBILI_SHORT_URL=" + platform.URL()},
	})
	s.daemon.Start()
	return s
}

// prepare gives the examples what their user has before they begin: an account, its template, a recorded file.
func (s *seedScript) prepare() {
	client := s.daemon.Client
	client.Do(http.MethodPost, "/users/login", map[string]string{"username": "admin", "password": "password123"}, http.StatusOK, nil)
	client.Do(http.MethodPut, "/configuration", map[string]any{"event_loop_interval": 1, "filtering_threshold": 0, "delay": 2}, http.StatusOK, nil)
	s.account()
	s.template()
	clip := hosttest.EncodeClip(s.t, 24).Path
	content, err := os.ReadFile(clip)
	if err != nil {
		s.t.Fatal(err)
	}
	// Another file of the same name is not what is uploaded.
	path := filepath.Join(s.daemon.DataDir, "recordings", "recording.mp4")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		s.t.Fatal(err)
	}
	hosttest.Settle(s.t, path)
}

func (s *seedScript) account() {
	s.daemon.Client.Do(http.MethodPost, "/users", map[string]string{"key": "bilibili-cookies", "value": "cookies.json"}, http.StatusOK, nil)
}

func (s *seedScript) template() {
	s.daemon.Client.Do(http.MethodPost, "/upload_streamers", map[string]any{
		"template_name": "默认模板", "title": "{{title}}", "tid": 171, "tag": "游戏,直播录像", "user_cookie": "cookies.json",
	}, http.StatusOK, nil)
}

// fresh lets the next streamer have the number 1, which the examples go by.
func (s *seedScript) fresh() {
	var all []struct{ Inner struct{ ID int64 } }
	s.daemon.Client.Do(http.MethodGet, "/streamers", nil, http.StatusOK, &all)
	for _, streamer := range all {
		s.daemon.Client.Do(http.MethodDelete, fmt.Sprintf("/streamers/%d", streamer.Inner.ID), nil, http.StatusOK, nil)
	}
	if _, err := s.database.Exec(s.t.Context(), "ALTER SEQUENCE streamers_id_seq RESTART"); err != nil {
		s.t.Fatal(err)
	}
}

func (s *seedScript) before(e example) {
	switch e.heading {
	case "获取所有录制任务": // the example before it logged out
		s.bash(s.example("用户登录"))
	case "暂停/恢复录制任务": // the example before it deleted the streamer
		s.fresh()
		s.bash(s.example("创建录制任务"))
	case "获取投稿预处理信息": // the account was deleted
		s.account()
	case "获取系统状态": // the template was renamed and deleted
		s.template()
		s.bash(s.example("创建录制任务"))
	}
}

func (s *seedScript) after(e example) {
	switch e.heading {
	case "用户登录":
		if e.language == "bash" {
			s.prepare()
		}
	case "创建录制任务":
		s.recorded(1)
		s.bash(s.example("获取所有录制任务")) // now that there is one
	case "删除录制任务":
		s.daemon.Log().Wait(1, "segment closed")
	case "暂停/恢复录制任务":
		s.fresh()
	case "获取录制文件列表":
		s.fresh()
	}
}

// recorded waits until media of the room is on its way to a file.
func (s *seedScript) recorded(connections int) {
	err := s.room.Wait(s.t.Context(), func(all []live.Connection) bool {
		return len(all) >= connections && len(all[connections-1].Tags) > 150
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *seedScript) example(heading string) example {
	i := slices.IndexFunc(s.examples, func(e example) bool { return e.heading == heading })
	if i < 0 {
		s.t.Fatalf("the document has no section %s", heading)
	}
	return s.examples[i]
}

// bash types one block into a shell, and checks the status and the shape of what came.
func (s *seedScript) bash(e example) {
	s.t.Helper()
	text := strings.ReplaceAll(e.text, seedBase, s.daemon.Client.Base())
	if e.heading == "二维码登录" {
		text = strings.Replace(text, `"qrcode_key": "..."`, fmt.Sprintf(`"qrcode_key": %q`, s.qrKey), 1)
	}
	calls := typeCurl(s.t, s.dir, text)
	want, known := seedCalls[e.heading]
	if !known {
		s.t.Fatalf("the test does not know the section %s", e.heading)
	}
	for i, call := range calls {
		if line := call.line(s.daemon.Client.Base()); i >= len(want) || !strings.HasPrefix(line, want[i]) {
			s.t.Errorf("%s: command %d: %s, want %s: %s", e.heading, i+1, line, want[min(i, len(want)-1)], call.answer)
			continue
		}
		s.shape(e, call.answer, len(calls) == 1)
	}
	if len(calls) != len(want) {
		s.t.Errorf("%s: %d commands, want %d", e.heading, len(calls), len(want))
	}
}

// shape compares an answer with the one that the document shows for it, if it does.
func (s *seedScript) shape(e example, answer []byte, only bool) {
	s.t.Helper()
	shown := strings.TrimSpace(e.response)
	if e.heading == "获取二维码登录" {
		var code struct {
			Key string `json:"qrcode_key"`
		}
		if err := json.Unmarshal(answer, &code); err != nil {
			s.t.Fatal(err)
		}
		s.qrKey = code.Key
	}
	if shown == "" || !only {
		return
	}
	// The document leaves things out with three dots.
	shown = strings.NewReplacer("[...]", "[]", ",\n  ...", "").Replace(shown)
	var want, got any
	if err := json.Unmarshal([]byte(shown), &want); err != nil {
		s.t.Fatalf("%s shows no JSON: %v\n%s", e.heading, err, shown)
	}
	if err := json.Unmarshal(answer, &got); err != nil {
		s.t.Errorf("%s: the answer is no JSON: %s", e.heading, answer)
	}
	for _, difference := range misshapen(e.heading, want, got) {
		s.t.Errorf("%s: %s", difference, answer)
	}
}

// misshapen lists what of the wanted shape is missing or of another type. More is allowed; so is null for a text.
func misshapen(at string, want, got any) []string {
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok {
			return []string{fmt.Sprintf("%s is %T, want an object", at, got)}
		}
		var all []string
		for key, value := range want {
			has, ok := object[key]
			if !ok {
				all = append(all, fmt.Sprintf("%s.%s is missing", at, key))
				continue
			}
			all = append(all, misshapen(at+"."+key, value, has)...)
		}
		return all
	case []any:
		list, ok := got.([]any)
		if !ok {
			return []string{fmt.Sprintf("%s is %T, want a list", at, got)}
		}
		if len(want) == 0 || len(list) == 0 {
			return nil
		}
		return misshapen(at+"[0]", want[0], list[0])
	case nil:
		return nil
	}
	if fmt.Sprintf("%T", want) != fmt.Sprintf("%T", got) {
		return []string{fmt.Sprintf("%s is %T, want %T", at, got, want)}
	}
	return nil
}

func (s *seedScript) python(e example) {
	python := pythonWithRequests(s.t)
	output := s.run(e, python, "-c")
	for _, line := range []string{"登录状态: 200", "录制任务数量: ", "创建任务 ID: 1", "暂停任务: 200", "系统版本: ", "运行中的任务: 1"} {
		if !strings.Contains(output, line) {
			s.t.Errorf("the script does not print %q:\n%s", line, output)
		}
	}
}

// pythonWithRequests finds an interpreter with the library that the example uses.
func pythonWithRequests(t *testing.T) string {
	t.Helper()
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		if exec.CommandContext(t.Context(), python, "-c", "import requests").Run() == nil {
			return python
		}
	}
	t.Skip("there is no Python with requests here")
	return ""
}

// The example is meant for a page of the same site: a browser keeps the session's cookie for it, Node.js does not.
const browserCookies = `
const plain = globalThis.fetch;
let cookie = '';
globalThis.fetch = async (url, options = {}) => {
  const headers = { ...options.headers };
  if (cookie && options.credentials === 'include') headers.Cookie = cookie;
  const response = await plain(url, { ...options, headers });
  for (const set of response.headers.getSetCookie()) cookie = set.split(';')[0];
  return response;
};
`

func (s *seedScript) javascript(e example) {
	node, err := exec.LookPath("node")
	if err != nil {
		s.t.Skip("there is no Node.js here")
	}
	e.text = browserCookies + e.text
	output := s.run(e, node, "-e")
	for _, line := range []string{"录制任务: [", "新任务 ID: 1"} {
		if !strings.Contains(output, line) {
			s.t.Errorf("the script does not print %q:\n%s", line, output)
		}
	}
}

func (s *seedScript) run(e example, program, flag string) string {
	s.t.Helper()
	text := strings.ReplaceAll(e.text, seedBase, s.daemon.Client.Base())
	output, err := exec.CommandContext(s.t.Context(), program, flag, text).CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s: %v: %s", e.heading, err, output)
	}
	return string(output)
}

var manualUpload = regexp.MustCompile(`"manual upload ordered" part=upload (recording=\d+)`)

// published waits for the archives of the two uploads that the document orders.
func (s *seedScript) published() {
	s.daemon.Log().Wait(2, "manual upload ordered")
	for _, order := range manualUpload.FindAllStringSubmatch(s.daemon.Log().Text(), -1) {
		s.daemon.Log().Wait(1, "archive accepted", order[1]+" ")
	}
	var titles []string
	for _, archive := range s.daemon.Sim.Archives() {
		titles = append(titles, archive.Title)
	}
	uploads := slices.DeleteFunc(titles, func(title string) bool { return title != "测试视频" })
	if diff := cmp.Diff([]string{"测试视频", "测试视频"}, uploads); diff != "" {
		s.t.Errorf("archives (-want +got):\n%s", diff)
	}
}

// Otherwise a new section of the document would go untested.
func TestEverySectionOfTheSeedIsTested(t *testing.T) {
	examples := seedExamples(t)
	for heading := range seedCalls {
		if !slices.ContainsFunc(examples, func(e example) bool { return e.heading == heading }) {
			t.Errorf("the document has no section %s", heading)
		}
	}
	for _, e := range examples {
		if _, known := seedCalls[e.heading]; !known && e.language == "bash" {
			t.Errorf("the section %s is not tested", e.heading)
		}
	}
}
