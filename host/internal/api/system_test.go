package api

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/lubod/lubod/host/internal/reason"
)

func TestConfigurationKeepsWhatItDoesNotName(t *testing.T) {
	h := newLoggedIn(t)
	equalJSON(t, h.api(t, "GET", "/configuration", "").must(t, 200).body,
		`{"lines":"AUTO","threads":3,"submit_api":null,"use_live_cover":false,"download_limit":5,"upload_limit":2,"delay":300,"event_loop_interval":30,"filtering_threshold":20,"file_size":2147483648,"segment_time":"01:00:00","filename_prefix":"{streamer}/{streamer}%Y-%m-%dT%H_%M_%S","file_mode":"","folder_mode":"","time_zone":"","downloader":"","trash_days":3}`)
	put := h.api(t, "PUT", "/configuration", `{"lines":"bda2","threads":5,"submit_api":null,"download_limit":10,"upload_limit":3}`).must(t, 200)
	want := `{"lines":"bda2","threads":5,"submit_api":null,"use_live_cover":false,"download_limit":10,"upload_limit":3,"delay":300,"event_loop_interval":30,"filtering_threshold":20,"file_size":2147483648,"segment_time":"01:00:00","filename_prefix":"{streamer}/{streamer}%Y-%m-%dT%H_%M_%S","file_mode":"","folder_mode":"","time_zone":"","downloader":"","trash_days":3}`
	equalJSON(t, put.body, want)
	if got := h.notes.take(); got != "rooms: configuration changed; uploads: configuration changed" {
		t.Errorf("announced %q", got)
	}
	equalJSON(t, h.api(t, "PUT", "/configuration", `{}`).must(t, 200).body, want)
	h.api(t, "PUT", "/configuration", `{"submit_api":"app","delay":0,"filtering_threshold":0.5}`).must(t, 200)
	equalJSON(t, h.api(t, "GET", "/configuration", "").must(t, 200).body,
		`{"lines":"bda2","threads":5,"submit_api":"app","use_live_cover":false,"download_limit":10,"upload_limit":3,"delay":0,"event_loop_interval":30,"filtering_threshold":0.5,"file_size":2147483648,"segment_time":"01:00:00","filename_prefix":"{streamer}/{streamer}%Y-%m-%dT%H_%M_%S","file_mode":"","folder_mode":"","time_zone":"","downloader":"","trash_days":3}`)
}

func TestConfigurationMistakes(t *testing.T) {
	h := newLoggedIn(t)
	before := h.api(t, "GET", "/configuration", "").body
	for body, words := range map[string][]string{
		`{"line":"bda2"}`:                  {"line: is not known here", "lines"},
		`{"lines":""}`:                     {"lines: must not be empty"},
		`{"threads":"5"}`:                  {"threads: must be a whole number, not a text"},
		`{"threads":0}`:                    {"threads: must be from 1 to 64"},
		`{"threads":5.0}`:                  {"threads", "whole number"},
		`{"download_limit":-1}`:            {"download_limit: must be from 1 to 10000"},
		`{"submit_api":"client"}`:          {"submit_api: must be null", "app", "web", "b-cut-android", "closed"},
		`{"delay":1e9}`:                    {"delay: must be from 0 to 604800"},
		`{"filename_prefix":"../{title}"}`: {"filename_prefix: must not hold a folder or file name that is empty or made of dots"},
		`{"filename_prefix":""}`:           {"filename_prefix: must not be empty"},
		`{"filename_prefix":"{x}"}`:        {"filename_prefix: there is no variable {x}; there are {streamer}"},
		`{"filtering_threshold":"20"}`:     {"filtering_threshold: must be a number, not a text"},
		`{"threads":5,"upload_limit":-3}`:  {"upload_limit: must be from 1 to 100"},
		`[]`:                               {"the body must be a JSON object, not a list"},
	} {
		t.Run(body, func(t *testing.T) {
			h.api(t, "PUT", "/configuration", body).refused(t, 400, words...)
		})
	}
	equalJSON(t, h.api(t, "GET", "/configuration", "").body, before)
	if got := h.notes.take(); got != "" {
		t.Errorf("announced %q", got)
	}
}

// A line may be named whose plugin is not there (any more). What was put is what is shown.
func TestALineThatNothingServesIsTaken(t *testing.T) {
	h := newLoggedIn(t)
	for _, name := range []string{"kodo", "cos-internal", "nope"} {
		var put, got struct{ Lines string }
		var room struct{ Override struct{ Lines string } }
		body := fmt.Sprintf(`{"lines":%q}`, name)
		h.api(t, "PUT", "/configuration", body).must(t, 200).decode(t, &put)
		h.api(t, "GET", "/configuration", "").must(t, 200).decode(t, &got)
		h.api(t, "POST", "/streamers", fmt.Sprintf(`{"url":"https://a.example/%s","override":%s}`, name, body)).must(t, 200).decode(t, &room)
		if put.Lines != name || got.Lines != name || room.Override.Lines != name {
			t.Errorf("%s is answered as %q, %q and in a room %q", name, put.Lines, got.Lines, room.Override.Lines)
		}
	}
}

func TestStatusShowsEverythingThatIsUnderWay(t *testing.T) {
	h := newLoggedIn(t)
	h.api(t, "POST", "/upload_streamers", `{"template_name":"默认模板","title":"{{title}}"}`).must(t, 200)
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/1","template_name":"默认模板"}`).must(t, 200)
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/2"}`).must(t, 200)
	done, open := insertRecording(t, h.db, 1, "ended"), insertRecording(t, h.db, 1, "recording")
	insertUpload(t, h.db, done, "uploaded", "")
	insertUpload(t, h.db, open, "uploading", "")
	insertUpload(t, h.db, open, "failed", "the file is gone")
	for recording, state := range map[int64]string{done: "accepted", open: "waiting"} {
		if _, err := h.db.Pool.Exec(t.Context(), `INSERT INTO submissions (recording_id, state, title, parts, aid, bvid, submitted_at, accepted_at)
			VALUES ($1, $2, '标题', '{a,b}', 112861976201494, 'BV1xx411c7XX', '2025-01-10T14:00:00Z', '2025-01-10T14:00:01Z')`, recording, state); err != nil {
			t.Fatal(err)
		}
	}
	left := reason.New(reason.UploadLineAuto, "line", "kodo", "lines", "bda2")
	if _, err := h.db.Pool.Exec(t.Context(), "UPDATE uploads SET line_reason = $1 WHERE state = 'uploading'", left.JSON()); err != nil {
		t.Fatal(err)
	}
	got := h.api(t, "GET", "/status", "").must(t, 200)
	template := `{"id":1,"template_name":"默认模板","title":"{{title}}","tid":171,"tag":"","copyright":1,"source":"","desc":"","dynamic":"","cover":"",
		"dolby":0,"hires":0,"no_reprint":0,"open_elec":0,"user_cookie":""}`
	submission := func(id int64, state string) string {
		return fmt.Sprintf(`{"streamer_info_id":%d,"kind":"room","streamer_id":1,"state":%q,"title":"标题","parts":2,"aid":112861976201494,"bvid":"BV1xx411c7XX","number":1,"archive":"none","archive_text":"",
			"attempts":0,"error":"","submitted_at":"2025-01-10T14:00:00Z","accepted_at":"2025-01-10T14:00:01Z"}`, id, state)
	}
	equalJSON(t, got.body, `{"version":"0.0.1-test","download_semaphore":4,"update_semaphore":1,
		"config":{"lines":"AUTO","threads":3,"submit_api":null,"use_live_cover":false,"download_limit":5,"upload_limit":2,"delay":300,"event_loop_interval":30,"filtering_threshold":20,"file_size":2147483648,"segment_time":"01:00:00","filename_prefix":"{streamer}/{streamer}%Y-%m-%dT%H_%M_%S","file_mode":"","folder_mode":"","time_zone":"","downloader":"","trash_days":3},
		"rooms":[
			{"downloader_status":"Working","uploader_status":"Working","reason":"the file is gone","reason_code":"error.other","reason_args":{"text":"the file is gone"},"action":{"kind":"open"},"upload_streamer":`+template+`,
			 "live_streamer":{"id":1,"url":"https://a.example/1","template_name":"默认模板","remark":"","split_time":3600,"split_size":2048,"override":{}`+noOptions+`}},
			{"downloader_status":"Idle","uploader_status":"Idle","upload_streamer":null,
			 "live_streamer":{"id":2,"url":"https://a.example/2","template_name":null,"remark":"","split_time":3600,"split_size":2048,"override":{}`+noOptions+`}}],
		"recordings":[{"id":2,"streamer_id":1,"url":"https://a.example/1","remark":"","stream_title":"直播标题","state":"recording","start_time":"2025-01-10T12:00:00Z","segments":2,"size_bytes":2000}],
		"uploads":[
			{"segment_id":2,"streamer_info_id":2,"kind":"room","file_path":"/data/recordings/2_part1.flv","file_size":1000,"state":"uploading","line":"bda2","acknowledged_bytes":500,"attempts":2,"error":"",
			 "line_reason":{"text":"no plugin serves the line \"kodo\", which therefore means AUTO; there are bda2","code":"upload.line_auto","args":{"line":"kodo","lines":"bda2"},"action":{"kind":"edit","target":"configuration"}}},
			{"segment_id":3,"streamer_info_id":2,"kind":"room","file_path":"/data/recordings/2_part2.flv","file_size":1000,"state":"failed","line":"bda2","acknowledged_bytes":500,"attempts":2,"error":"the file is gone","reason_code":"error.other","reason_args":{"text":"the file is gone"},"action":{"kind":"open"}}],
		"submissions":[`+submission(open, "waiting")+`,`+submission(done, "accepted")+`],"hooks":[]}`)
}

func TestStatusNeverCountsFreeSlotsBelowZero(t *testing.T) {
	h := newLoggedIn(t)
	for i := range 3 {
		h.api(t, "POST", "/streamers", fmt.Sprintf(`{"url":"https://a.example/%d"}`, i)).must(t, 200)
		insertUpload(t, h.db, insertRecording(t, h.db, int64(i+1), "recording"), "uploading", "")
	}
	h.api(t, "PUT", "/configuration", `{"download_limit":1,"upload_limit":1}`).must(t, 200)
	var status Status
	h.api(t, "GET", "/status", "").must(t, 200).decode(t, &status)
	if status.DownloadSemaphore != 0 || status.UpdateSemaphore != 0 {
		t.Errorf("free slots %d and %d", status.DownloadSemaphore, status.UpdateSemaphore)
	}
}

func TestRecordingsAndTheirFiles(t *testing.T) {
	h := newLoggedIn(t)
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/1","template_name":"默认模板"}`).must(t, 200)
	for range 3 {
		insertRecording(t, h.db, 1, "ended")
	}
	insertUpload(t, h.db, 1, "pending", "no account yet")
	insertSegment(t, h.db, 1, "filtered", "smaller than filtering_threshold")
	if _, err := h.db.Pool.Exec(t.Context(), "INSERT INTO submissions (recording_id, error) VALUES (1, 'waits for uploads')"); err != nil {
		t.Fatal(err)
	}
	entry := func(id int, path, submission string) string {
		return fmt.Sprintf(`{"id":%d,"template_name":"默认模板","stream_title":"直播标题","streamer_name":"主播名称","remark":"","start_time":"2025-01-10T12:00:00Z","video_path":%q,
			"end_time":"2025-01-10T13:00:00Z","state":"ended","streamer_id":1,"url":"https://a.example/1","submission":%s}`, id, path, submission)
	}
	first := entry(1, "/data/recordings/1_part1.flv", `{"state":"waiting","title":"","aid":0,"bvid":"","attempts":0,"error":"waits for uploads","filtered_files":1,"filtered_bytes":1000,"reason_code":"error.other","reason_args":{"text":"waits for uploads"},"action":{"kind":"open"}}`)
	equalJSON(t, h.api(t, "GET", "/streamer_info", "").must(t, 200).body, `[`+entry(3, "", "null")+`,`+entry(2, "", "null")+`,`+first+`]`)
	equalJSON(t, h.api(t, "GET", "/streamer_info?limit=1", "").must(t, 200).body, `[`+entry(3, "", "null")+`]`)
	equalJSON(t, h.api(t, "GET", "/streamer_info?before=2&limit=5", "").must(t, 200).body, `[`+first+`]`)
	equalJSON(t, h.api(t, "GET", "/streamer_info/1/files", "").must(t, 200).body, `[
		{"id":1,"streamer_info_id":1,"file_path":"/data/recordings/1_part1.flv","file_size":1000,"duration":3600.5,"index":1,"start_time":"2025-01-10T12:00:00Z",
		 "end_time":"2025-01-10T13:00:00.5Z","publish":"wanted","reason":"","upload":{"state":"pending","line":"bda2","acknowledged_bytes":500,"attempts":2,"error":"no account yet","reason_code":"error.other","reason_args":{"text":"no account yet"},"action":{"kind":"open"}}},
		{"id":2,"streamer_info_id":1,"file_path":"/data/recordings/1_part2.flv","file_size":1000,"duration":3600.5,"index":2,"start_time":"2025-01-10T12:00:00Z",
		 "end_time":"2025-01-10T13:00:00.5Z","publish":"filtered","reason":"smaller than filtering_threshold","reason_code":"error.other","reason_args":{"text":"smaller than filtering_threshold"},"action":{"kind":"open"},"upload":null}]`)
	if _, err := h.db.Pool.Exec(t.Context(), `UPDATE recordings SET reason = '{"code": "recording.vanished", "args": {"files": "x_002.flv.part"}}' WHERE id = 3`); err != nil {
		t.Fatal(err)
	}
	vanished := strings.Replace(entry(3, "", "null"), `"state"`, `"reason":"x_002.flv.part disappeared before it was taken over","reason_code":"recording.vanished",
		"reason_args":{"files":"x_002.flv.part"},"action":{"kind":"open","target":"recording"},"state"`, 1)
	equalJSON(t, h.api(t, "GET", "/streamer_info?limit=1", "").must(t, 200).body, `[`+vanished+`]`)
	equalJSON(t, h.api(t, "GET", "/streamer_info/2/files", "").must(t, 200).body, `[]`)
	h.api(t, "GET", "/streamer_info/9/files", "").refused(t, 404, "no recording with the id 9")
	for query, word := range map[string]string{"limit=0": "limit: must be from 1 to 1000", "limit=x": "limit: must be a whole number", "before=-1": "before: must be from 1", "limit=": "limit"} {
		h.api(t, "GET", "/streamer_info?"+query, "").refused(t, 400, word)
	}
}

func TestPluginsAndTheirReload(t *testing.T) {
	h := newLoggedIn(t)
	equalJSON(t, h.api(t, "GET", "/plugins", "").must(t, 200).body, `[]`)
	h.plugins.status = func() []PluginStatus {
		return []PluginStatus{{Name: "line-upos", Kind: "line", Version: "0.1.0", State: "ready", Lines: []string{"bda2"}, Processes: 1}}
	}
	want := `[{"name":"line-upos","kind":"line","version":"0.1.0","state":"ready","error":"","match":[],"lines":["bda2"],"processes":1,"restarts":0}]`
	equalJSON(t, h.api(t, "POST", "/plugins/reload", "").must(t, 200).body, want)
	if got := h.notes.take(); got != "rooms: configuration changed; uploads: configuration changed" {
		t.Errorf("announced %q", got)
	}
	h.plugins.reload = func(context.Context) error { return errors.New(`plugins.hcl:3,5: there is no option "x"`) }
	h.api(t, "POST", "/plugins/reload", "").refused(t, 422, "nothing was changed", "plugins.hcl:3,5")
}
