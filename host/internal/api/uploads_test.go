package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/folders"
	sim "github.com/lubod/lubod/sdk/simulator/bilibili"
)

// order is the body of a request to upload files, with what params cannot do without.
func order(files []string, params ...string) string {
	encoded, _ := json.Marshal(files)
	for _, needed := range []string{`"tag":"测试"`, `"user_cookie":"cookies.json"`} {
		name, _, _ := strings.Cut(needed, ":")
		if !strings.Contains(strings.Join(params, ","), name) {
			params = append(params, needed)
		}
	}
	return fmt.Sprintf(`{"files":%s,"params":{%s}}`, encoded, strings.Join(params, ","))
}

// manual returns what was ordered: the parameters, and the paths below the recordings folder, of each recording.
func (h *harness) manual(t *testing.T) (params []db.Template, files []string) {
	t.Helper()
	rows, err := h.db.Pool.Query(t.Context(), `SELECT r.params, string_agg(g.path, ' ' ORDER BY g.index) FROM recordings r JOIN segments g ON g.recording_id = r.id
		WHERE r.kind = 'manual' GROUP BY r.id ORDER BY r.id`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var encoded []byte
		var paths string
		if err := rows.Scan(&encoded, &paths); err != nil {
			t.Fatal(err)
		}
		one, err := db.DecodeParams(encoded)
		if err != nil {
			t.Fatal(err)
		}
		params, files = append(params, one), append(files, strings.ReplaceAll(paths, filepath.Join(h.dataDir, recordingsDir)+"/", ""))
	}
	return params, files
}

func TestUploadTakesEveryNameThatAnAnswerGives(t *testing.T) {
	h := newLoggedIn(t)
	folder := filepath.Join(h.dataDir, recordingsDir)
	for _, name := range []string{"recording.mp4", "房间/2025/a b.FLV", "recordings/twin.mp4", "recordings/recordings/deep.ts", "%41.flv", `back\slash.flv`} {
		writeVideo(t, h, name, "1", 1704873600)
	}
	for _, tc := range []struct{ name, want string }{
		{"recording.mp4", "recording.mp4"},
		{"./recording.mp4", "recording.mp4"},
		{"房间/../recording.mp4", "recording.mp4"},
		{filepath.Join(folder, "recording.mp4"), "recording.mp4"},
		{"recordings/recording.mp4", "recording.mp4"},
		{"房间/2025/a b.FLV", "房间/2025/a b.FLV"},
		{filepath.Join(folder, "房间/2025/a b.FLV"), "房间/2025/a b.FLV"},
		{"recordings/房间/2025/a b.FLV", "房间/2025/a b.FLV"},
		{"recordings/twin.mp4", "recordings/twin.mp4"},
		{"twin.mp4", ""},
		{"recordings/recordings/twin.mp4", "recordings/twin.mp4"},
		{"recordings/recordings/deep.ts", "recordings/recordings/deep.ts"},
		{"recordings/deep.ts", ""},
		{"%41.flv", "%41.flv"},
		{`back\slash.flv`, `back\slash.flv`},
	} {
		_, before := h.manual(t)
		a := h.api(t, "POST", "/uploads", order([]string{tc.name}))
		if tc.want == "" {
			a.refused(t, 404, "files.0", tc.name)
			continue
		}
		equalJSON(t, a.must(t, 200).body, `{}`)
		_, after := h.manual(t)
		if known := slices.Contains(before, tc.want); known != (len(before) == len(after)) || !slices.Contains(after, tc.want) {
			t.Errorf("%q was taken as one of %q, want %q", tc.name, after, tc.want)
		}
	}
	// And everything that /videos lists.
	var videos []Video
	h.api(t, "GET", "/videos", "").must(t, 200).decode(t, &videos)
	names := make([]string, 0, len(videos))
	for _, video := range videos {
		names = append(names, video.Name)
	}
	h.api(t, "POST", "/uploads", order(names)).must(t, 200)
	if _, files := h.manual(t); files[len(files)-1] != strings.Join(names, " ") {
		t.Errorf("listed %q, ordered %q", names, files[len(files)-1])
	}
}

// A hook may have moved the file of a recording anywhere, and a recording of old may be in a linked folder.
func TestUploadTakesThePathOfARecordedFileWhereverItIs(t *testing.T) {
	h := newLoggedIn(t)
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/1"}`).must(t, 200)
	recording := insertRecording(t, h.db, 1, "ended")
	elsewhere := t.TempDir()
	if err := os.MkdirAll(filepath.Join(h.dataDir, recordingsDir), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, filepath.Join(h.dataDir, recordingsDir, "linked")); err != nil {
		t.Fatal(err)
	}
	paths := []string{filepath.Join(elsewhere, "a_001.flv"), filepath.Join(h.dataDir, recordingsDir, "linked/b_002.flv"), filepath.Join(elsewhere, "gone_003.flv")}
	for _, path := range paths {
		segment := insertSegment(t, h.db, recording, "never", "")
		if _, err := h.db.Pool.Exec(t.Context(), "UPDATE segments SET path = $2 WHERE id = $1", segment, path); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"a_001.flv", "b_002.flv", "beside.flv"} { // just written: they are finished all the same
		if err := os.WriteFile(filepath.Join(elsewhere, name), []byte("1"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var listed []Segment
	h.api(t, "GET", fmt.Sprintf("/streamer_info/%d/files", recording), "").must(t, 200).decode(t, &listed)
	if len(listed) != len(paths) || listed[0].FilePath != paths[0] || listed[1].FilePath != paths[1] {
		t.Fatalf("listed %+v", listed)
	}
	h.api(t, "POST", "/uploads", order(paths[:2])).must(t, 200)
	if _, files := h.manual(t); len(files) != 1 || files[0] != paths[0]+" linked/b_002.flv" {
		t.Errorf("ordered %q", files)
	}
	h.api(t, "POST", "/uploads", order(paths[2:])).refused(t, 404, "files.0", "gone_003.flv", "put it back")
	h.api(t, "POST", "/uploads", order([]string{filepath.Join(elsewhere, "beside.flv")})).refused(t, 400, "files.0", "not in the recordings folder")
	if err := errors.Join(os.Remove(paths[0]), os.Symlink("beside.flv", paths[0])); err != nil {
		t.Fatal(err)
	}
	h.api(t, "POST", "/uploads", order(paths[:1])).refused(t, 422, "files.0")
}

// A script orders the upload of what it has just finished; only what changes under the eyes of the server is refused.
func TestUploadTakesAFileThatNobodyWritesAnyMore(t *testing.T) {
	h := newLoggedIn(t)
	h.server.watchFiles = 50 * time.Millisecond
	h.server.writersOf = func(string) folders.Writers { return folders.WritersUnknown } // as on a network disk
	now := time.Now().Unix()
	for name, changed := range map[string]int64{
		"now.mp4": now, "ahead.mp4": now + 5, "before.mp4": now - int64(settledAfter/time.Second) - 1, "wrong clock.mp4": now + 3600,
	} {
		writeVideo(t, h, name, "1", changed)
	}
	var videos []Video
	h.api(t, "GET", "/videos", "").must(t, 200).decode(t, &videos)
	for _, video := range videos {
		if growing := video.Name == "now.mp4" || video.Name == "ahead.mp4"; video.Growing != growing {
			t.Errorf("%s: growing %v", video.Name, video.Growing)
		}
		h.api(t, "POST", "/uploads", order([]string{video.Name})).must(t, 200)
	}

	path := filepath.Join(h.dataDir, recordingsDir, "live.mp4")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	stop, stopped, begun := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for begin := sync.OnceFunc(func() { close(begun) }); ; begin() {
			select {
			case <-stop:
				return
			default:
				_, _ = file.WriteString("media")
			}
		}
	}()
	<-begun
	h.api(t, "POST", "/uploads", order([]string{"before.mp4", "live.mp4"})).refused(t, 409, "files.1", "live.mp4", "still being written")
	close(stop)
	<-stopped
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	h.api(t, "POST", "/uploads", order([]string{"live.mp4"})).must(t, 200)
}

// Where the system knows who has a file open, nobody waits to find out.
func TestUploadOfAFileThatWasJustFinishedDoesNotWait(t *testing.T) {
	h := newLoggedIn(t)
	h.server.watchFiles = time.Hour
	writeVideo(t, h, "now.mp4", "1", time.Now().Unix())
	path := filepath.Join(h.dataDir, recordingsDir, "now.mp4")
	if folders.WritersOf(path) == folders.WritersUnknown {
		t.Skip("the temporary folder is on a file system that does not tell")
	}
	writer, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	h.api(t, "POST", "/uploads", order([]string{"now.mp4"})).refused(t, 409, "files.0", "now.mp4", "still being written")
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	h.api(t, "POST", "/uploads", order([]string{"now.mp4"})).must(t, 200)
}

func TestUploadTakesNothingWhenOneFileIsWrong(t *testing.T) {
	h := newLoggedIn(t)
	writeVideo(t, h, "good.flv", "1", 1704873600)
	writeVideo(t, h, "empty.flv", "", 1704873600)
	writeVideo(t, h, "now.flv.part", "1", 1704873600)
	writeVideo(t, h, "chat.xml", "1", 1704873600)
	writeVideo(t, h, "noending", "1", 1704873600)
	writeVideo(t, h, "room/live.flv", "1", 1704873600)
	writeVideo(t, h, "huge.flv", "1", 1704873600)
	folder := filepath.Join(h.dataDir, recordingsDir)
	if err := os.Truncate(filepath.Join(folder, "huge.flv"), maxFileBytes+1); err != nil {
		t.Fatal(err)
	}
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret.flv"), []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(h.dataDir, "private.flv"), []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{
		"link.flv": filepath.Join(outside, "secret.flv"), "twin.flv": "good.flv", "linked": outside, "inner": "room", "up": "..", "loop.flv": "loop.flv", "dangling.flv": "nothing.flv",
	} {
		if err := os.Symlink(target, filepath.Join(folder, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(folder, "pipe.flv"), 0o600); err != nil {
		t.Fatal(err)
	}
	// A recorder that writes its files under their final names.
	if _, err := h.db.Pool.Exec(t.Context(), `INSERT INTO recorder_sessions (id, host_id, plugin, instance, path_prefix, first_index, room)
		VALUES (gen_random_uuid(), gen_random_uuid(), 'r', '1', $1, 1, '{}')`, filepath.Join(folder, "room/live")); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		file   string
		status int
		words  []string
	}{
		"missing":                     {"nope.flv", 404, []string{"files.1", "nope.flv", "/api/v1/videos"}},
		"below a file":                {"good.flv/a.flv", 404, []string{"files.1"}},
		"name that no file can have":  {strings.Repeat("a", 300) + ".flv", 404, []string{"files.1"}},
		"growing":                     {"now.flv.part", 409, []string{"files.1", "still being written"}},
		"growing, by its later name":  {"now.flv", 409, []string{"files.1", "still being written"}},
		"growing, without a mark":     {"room/live.flv", 409, []string{"files.1", "room/live.flv", "still being written"}},
		"empty":                       {"empty.flv", 422, []string{"files.1", "is empty"}},
		"too large":                   {"huge.flv", 422, []string{"files.1", "32 GB"}},
		"no video":                    {"chat.xml", 422, []string{"files.1", ".flv .mp4"}},
		"no ending":                   {"noending", 422, []string{"files.1", "is no video"}},
		"a folder":                    {"room", 422, []string{"files.1", "is a folder"}},
		"a pipe":                      {"pipe.flv", 422, []string{"files.1", "is no file"}},
		"link to outside":             {"link.flv", 422, []string{"files.1", "is a link"}},
		"link to inside":              {"twin.flv", 422, []string{"files.1", "is a link"}},
		"linked folder outside":       {"linked/secret.flv", 422, []string{"files.1", "linked folder"}},
		"linked folder inside":        {"inner/live.flv", 422, []string{"files.1", "linked folder"}},
		"linked parent":               {"up/private.flv", 422, []string{"files.1", "linked folder"}},
		"link to itself":              {"loop.flv", 422, []string{"files.1", "is a link"}},
		"link to nothing":             {"dangling.flv", 422, []string{"files.1", "is a link"}},
		"above":                       {"../private.flv", 400, []string{"files.1", "not in the recordings folder"}},
		"above, hidden":               {"room/../../private.flv", 400, []string{"files.1", "not in the recordings folder"}},
		"above, data directory":       {"recordings/../../x.flv", 400, []string{"files.1", "not in the recordings folder"}},
		"absolute, outside":           {filepath.Join(outside, "secret.flv"), 400, []string{"files.1", "not in the recordings folder"}},
		"absolute, data directory":    {filepath.Join(h.dataDir, "private.flv"), 400, []string{"files.1", "not in the recordings folder"}},
		"absolute, hidden":            {folder + "/../private.flv", 400, []string{"files.1", "not in the recordings folder"}},
		"absolute, a name like ours":  {folder + "2/a.flv", 400, []string{"files.1", "not in the recordings folder"}},
		"the folder":                  {folder, 400, []string{"files.1", "not in the recordings folder"}},
		"the folder itself":           {".", 400, []string{"files.1", "not in the recordings folder"}},
		"NUL":                         {"a\x00.flv", 400, []string{"NUL"}},
		"the same twice":              {"recordings/good.flv", 400, []string{"files.1", "same file as files.0"}},
		"nothing":                     {"", 400, []string{"files.1", "must not be empty"}},
		"longer than any path can be": {strings.Repeat("a/", 3000) + "b.flv", 400, []string{"files.1", "4096 characters"}},
	} {
		t.Run(name, func(t *testing.T) {
			h.api(t, "POST", "/uploads", order([]string{"good.flv", tc.file})).refused(t, tc.status, tc.words...)
		})
	}
	if _, files := h.manual(t); len(files) > 0 {
		t.Errorf("ordered %q", files)
	}
}

func TestUploadMistakesInParams(t *testing.T) {
	h := newLoggedIn(t)
	writeVideo(t, h, "a.flv", "1", 1704873600)
	h.api(t, "POST", "/upload_streamers", `{"template_name":"no account","tag":"a"}`).must(t, 200)
	many := make([]string, 1001)
	for i := range many {
		many[i] = fmt.Sprintf("%d.flv", i)
	}
	for name, tc := range map[string]struct {
		body  string
		words []string
	}{
		"no account":             {`{"files":["a.flv"],"params":{"tag":"a"}}`, []string{"params.user_cookie: is missing", "template"}},
		"unknown template":       {`{"files":["a.flv"],"params":{"tag":"a","template_name":"later"}}`, []string{"params.user_cookie: is missing"}},
		"template names none":    {`{"files":["a.flv"],"params":{"template_name":"no account"}}`, []string{"params.user_cookie: is missing"}},
		"account taken away":     {order([]string{"a.flv"}, `"user_cookie":null`), []string{"params.user_cookie: is missing"}},
		"account outside":        {order([]string{"a.flv"}, `"user_cookie":"../x.json"`), []string{"params.user_cookie: must be a file inside the data directory"}},
		"no tag":                 {`{"files":["a.flv"],"params":{"user_cookie":"cookies.json","tag":" ,，"}}`, []string{"params.tag: is missing"}},
		"long tag":               {order([]string{"a.flv"}, `"tag":"`+strings.Repeat("长", 21)+`"`), []string{"params.tag:", "20 characters"}},
		"long title":             {order([]string{"a.flv"}, `"title":"`+strings.Repeat("长", 81)+`"`), []string{"params.title:", "80 characters"}},
		"repost without source":  {order([]string{"a.flv"}, `"copyright":2`), []string{"params.source: is missing"}},
		"tid a text":             {order([]string{"a.flv"}, `"tid":"171"`), []string{"params.tid: must be a whole number, not a text"}},
		"unknown field":          {order([]string{"a.flv"}, `"credits":[]`), []string{"params.credits: is not known here"}},
		"no files":               {order([]string{}), []string{"files: must have at least one entry"}},
		"more than Bilibili can": {order(many), []string{"files: must have at most 1000 entries"}},
		"files missing":          {`{"params":{}}`, []string{"files: is missing"}},
		"files a text":           {`{"files":"a.flv","params":{}}`, []string{"files: must be a list, not a text"}},
		"params missing":         {`{"files":["a.flv"]}`, []string{"params: is missing"}},
		"misspelt":               {`{"file":["a.flv"],"files":["a.flv"],"params":{}}`, []string{"file: is not known here"}},
	} {
		t.Run(name, func(t *testing.T) {
			h.api(t, "POST", "/uploads", tc.body).refused(t, 400, tc.words...)
		})
	}
	if _, files := h.manual(t); len(files) > 0 {
		t.Errorf("ordered %q", files)
	}
	h.api(t, "GET", "/logout", "").must(t, 303)
	h.api(t, "POST", "/uploads", order([]string{"a.flv"})).refused(t, 401)
}

func TestUploadParamsComeFromTheRequestTheTemplateAndTheDefaults(t *testing.T) {
	h := newLoggedIn(t)
	for _, name := range []string{"a.flv", "b.flv", "c.flv"} {
		writeVideo(t, h, name, "1", 1704873600)
	}
	h.api(t, "POST", "/upload_streamers", `{"template_name":"默认模板","title":"{{title}}","tid":17,"tag":"游戏","copyright":2,"source":"here","desc":"d","dynamic":"y",
		"cover":"c","dolby":1,"hires":1,"no_reprint":1,"open_elec":1,"user_cookie":"cookies.json"}`).must(t, 200)
	h.api(t, "POST", "/uploads", `{"files":["a.flv"],"params":{"template_name":"later","tag":"x","user_cookie":"data/1.json"}}`).must(t, 200)
	h.api(t, "POST", "/uploads", `{"files":["b.flv"],"params":{"template_name":"默认模板"}}`).must(t, 200)
	h.api(t, "POST", "/uploads", `{"files":["c.flv"],"params":{"id":9,"template_name":"默认模板","title":"t","tid":null,"copyright":1,"hires":0,"dolby":null,"source":""}}`).must(t, 200)
	full := db.Template{
		TemplateName: "默认模板", Title: "{{title}}", TID: 17, Tag: "游戏", Copyright: 2, Source: "here", Description: "d", Dynamic: "y",
		Cover: "c", Dolby: 1, Hires: 1, NoReprint: 1, OpenElec: 1, UserCookie: "cookies.json",
	}
	bare := defaultTemplate()
	bare.TemplateName, bare.Tag, bare.UserCookie = "later", "x", "1.json"
	mixed := full
	mixed.Title, mixed.TID, mixed.Copyright, mixed.Hires, mixed.Dolby, mixed.Source = "t", 171, 1, 0, 0, ""
	params, _ := h.manual(t)
	if want := []db.Template{bare, full, mixed}; !slices.Equal(params, want) {
		t.Errorf("ordered with %+v, want %+v", params, want)
	}
}

// Who names no account means cookies.json, as for biliup, or the only account that there is. The order keeps which one it was.
func TestUploadWithoutAnAccountTakesTheDefaultOne(t *testing.T) {
	h := newLoggedIn(t)
	for _, name := range []string{"a.flv", "b.flv"} {
		writeVideo(t, h, name, "1", 1704873600)
	}
	h.api(t, "POST", "/users", `{"key":"bilibili-cookies","value":"7.json"}`).must(t, 200)
	h.api(t, "POST", "/uploads", `{"files":["a.flv"],"params":{"tag":"a"}}`).must(t, 200)
	h.addAccount(t, "cookies.json", sim.AccountOptions{})
	h.api(t, "POST", "/uploads", `{"files":["b.flv"],"params":{"tag":"a","user_cookie":""}}`).must(t, 200)
	params, _ := h.manual(t)
	if len(params) != 2 || params[0].UserCookie != "7.json" || params[1].UserCookie != "cookies.json" {
		t.Errorf("ordered with %+v", params)
	}
}

// A request that is sent again because its answer was lost must not make a second archive.
func TestUploadSentAgainIsOneOrder(t *testing.T) {
	h := newLoggedIn(t)
	for _, name := range []string{"a.flv", "b.flv"} {
		writeVideo(t, h, name, "1", 1704873600)
	}
	body := order([]string{"a.flv", "b.flv"}, `"title":"x"`)
	orders := func(want int, why string) {
		t.Helper()
		if _, files := h.manual(t); len(files) != want {
			t.Errorf("%s: %d orders, want %d", why, len(files), want)
		}
	}
	done := make(chan answer)
	for range 4 {
		go func() { done <- h.api(t, "POST", "/uploads", body) }()
	}
	for range 4 {
		(<-done).must(t, 200)
	}
	orders(1, "four at once")
	h.api(t, "POST", "/uploads", order([]string{"recordings/a.flv", filepath.Join(h.dataDir, recordingsDir, "b.flv")}, `"title":"x"`)).must(t, 200)
	orders(1, "the same files by other names")
	h.api(t, "POST", "/uploads", order([]string{"b.flv", "a.flv"}, `"title":"x"`)).must(t, 200)
	orders(2, "another order of the files")
	h.api(t, "POST", "/uploads", order([]string{"a.flv", "b.flv"}, `"title":"y"`)).must(t, 200)
	orders(3, "other parameters")
	writeVideo(t, h, "b.flv", "2", 1704873601)
	h.api(t, "POST", "/uploads", body).must(t, 200)
	orders(4, "a file that changed")

	if _, err := h.db.Pool.Exec(t.Context(), "INSERT INTO submissions (recording_id, state) SELECT id, 'accepted' FROM recordings"); err != nil {
		t.Fatal(err)
	}
	h.api(t, "POST", "/uploads", body).must(t, 200)
	orders(5, "after the archive was accepted")
}

func TestManualUploadsAreInStatusAndNotAmongRecordings(t *testing.T) {
	h := newLoggedIn(t)
	writeVideo(t, h, "a.flv", "123", 1704873600)
	h.api(t, "POST", "/uploads", order([]string{"a.flv"})).must(t, 200)
	if _, err := h.db.Pool.Exec(t.Context(), "INSERT INTO submissions (recording_id) SELECT id FROM recordings"); err != nil {
		t.Fatal(err)
	}
	equalJSON(t, h.api(t, "GET", "/streamer_info", "").must(t, 200).body, `[]`)
	var status Status
	h.api(t, "GET", "/status", "").must(t, 200).decode(t, &status)
	if len(status.Uploads) != 1 || status.Uploads[0].Kind != "manual" || status.Uploads[0].FilePath != filepath.Join(h.dataDir, "recordings/a.flv") || status.Uploads[0].FileSize != 3 {
		t.Errorf("uploads: %+v", status.Uploads)
	}
	if len(status.Submissions) != 1 || status.Submissions[0].Kind != "manual" || !status.Submissions[0].StreamerID.IsNull() {
		t.Errorf("submissions: %+v", status.Submissions)
	}
	if len(status.Recordings) != 0 {
		t.Errorf("recordings: %+v", status.Recordings)
	}
	var files []Segment
	h.api(t, "GET", fmt.Sprintf("/streamer_info/%d/files", status.Uploads[0].StreamerInfoID), "").must(t, 200).decode(t, &files)
	if len(files) != 1 || files[0].ID != status.Uploads[0].SegmentID {
		t.Errorf("files: %+v", files)
	}
}

func TestRetryAndWaive(t *testing.T) {
	h := newLoggedIn(t)
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/1"}`).must(t, 200)
	recording := insertRecording(t, h.db, 1, "ended")
	failed, other := insertUpload(t, h.db, recording, "failed", "no such file"), insertUpload(t, h.db, recording, "failed", "no such file")
	unwanted := insertSegment(t, h.db, recording, "filtered", "small")
	done := insertUpload(t, h.db, recording, "uploaded", "")

	var after Segment
	h.api(t, "POST", fmt.Sprintf("/segments/%d/retry", failed), "").must(t, 200).decode(t, &after)
	if upload := after.Upload.MustGet(); upload.State != "pending" || upload.Attempts != 0 || upload.Error != "" {
		t.Errorf("after the retry: %+v", upload)
	}
	equalJSON(t, h.api(t, "POST", fmt.Sprintf("/streamer_info/%d/retry", recording), "").must(t, 200).body, `{"uploads":1,"submission":false}`)
	equalJSON(t, h.api(t, "POST", fmt.Sprintf("/streamer_info/%d/retry", recording), "").must(t, 200).body, `{"uploads":0,"submission":false}`)
	h.api(t, "POST", fmt.Sprintf("/segments/%d/retry", done), "").refused(t, 409, "uploaded")
	for _, action := range []string{"retry", "waive"} {
		h.api(t, "POST", fmt.Sprintf("/segments/%d/%s", unwanted, action), "").refused(t, 409, "filtered", "small", "/api/v1/uploads")
		h.api(t, "POST", "/segments/999/"+action, "").refused(t, 404, "segment", "999")
		h.api(t, "POST", "/segments/0/"+action, "").refused(t, 400, "id")
	}
	h.api(t, "POST", "/streamer_info/999/retry", "").refused(t, 404, "recording", "999")

	h.api(t, "POST", fmt.Sprintf("/segments/%d/waive", other), "").must(t, 200).decode(t, &after)
	if after.Publish != "waived" || after.Reason == "" {
		t.Errorf("after it was given up: %+v", after)
	}
	h.api(t, "POST", fmt.Sprintf("/segments/%d/waive", other), "").must(t, 200)
	// What is in an archive cannot be given up any more; what is in none can.
	for _, statement := range []string{
		"UPDATE uploads SET remote_name = 'n1' WHERE state = 'uploaded'",
		"INSERT INTO submissions (recording_id, state, bvid, aid, parts) SELECT id, 'accepted', 'BV1xx', 1, '{n1}' FROM recordings",
	} {
		if _, err := h.db.Pool.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	h.api(t, "POST", fmt.Sprintf("/segments/%d/waive", done), "").refused(t, 409, "BV1xx")
	h.api(t, "POST", fmt.Sprintf("/segments/%d/retry", other), "").refused(t, 409, "BV1xx")
	h.api(t, "POST", fmt.Sprintf("/segments/%d/waive", failed), "").must(t, 200)
}
