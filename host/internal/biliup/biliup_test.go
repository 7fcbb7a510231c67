package biliup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// stub is the API: it notes what it is asked and answers what a test wants.
type stub struct {
	t *testing.T
	// answers are by "METHOD /path?query", or the same and the body that comes: a body, or a status, a space and a body.
	answers map[string]string
	asked   []string
	last    *http.Request
}

func (s *stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Error(err)
	}
	s.last = r
	line := strings.TrimSpace(r.Method + " " + r.URL.RequestURI() + " " + string(body))
	s.asked = append(s.asked, line)
	answer, ok := s.answers[line]
	if !ok {
		answer, ok = s.answers[r.Method+" "+r.URL.RequestURI()]
	}
	if !ok {
		answer = `404 {"error":"there is nothing","code":"not_found"}`
	}
	status := http.StatusOK
	if n, err := fmt.Sscanf(answer, "%3d ", &status); err == nil && n == 1 && answer[0] != '{' && answer[0] != '[' {
		answer = answer[4:]
	} else {
		status = http.StatusOK
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Add("Set-Cookie", "lubod_session=x")
	if status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "7")
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, answer)
}

const (
	configuration = `{"lines":"AUTO","threads":3,"submit_api":null,"download_limit":5,"upload_limit":2,"delay":300,"event_loop_interval":30,"filtering_threshold":20,"file_size":2147483648,"segment_time":"01:00:00","time_zone":"","bili_qn":10000,"bili_cookie":"********"}`
	template      = `{"id":7,"template_name":"默认模板","title":"{{title}}","tid":171,"tag":"游戏,直播录像","copyright":2,"source":"room","desc":"d","dynamic":"","cover":"c.jpg","dolby":0,"hires":1,"no_reprint":1,"open_elec":1,"user_cookie":"cookies.json"}`
	room          = `{"id":1,"url":"https://live.bilibili.com/1","template_name":"默认模板","remark":"r","split_time":3600,"split_size":2048,"override":{},"filename_prefix":null,"format":null,"time_range":null,"excluded_keywords":[],"preprocessor":[],"segment_processor":[],"downloaded_processor":[],"postprocessor":["rm"],"publish":null}`
)

func newStub(t *testing.T) *stub {
	t.Helper()
	return &stub{t: t, answers: map[string]string{
		"GET /api/v1/configuration":    configuration,
		"GET /api/v1/upload_streamers": "[" + template + "]",
		"GET /api/v1/streamers":        `[{"status":"Working","upload_status":"Working","reason":"slow","inner":` + room + `}]`,
		"GET /api/v1/users/biliup":     `{"username":"biliup"}`,
	}}
}

func (s *stub) handler(t *testing.T, recordings string) *Handler {
	t.Helper()
	return New(Options{
		API: s, SessionCookie: "lubod_session", UserExists: func(context.Context) (bool, error) { return true, nil }, Recordings: recordings,
		Recorded: func(_ context.Context, path string) (bool, error) {
			return strings.HasPrefix(filepath.Base(path), "recorded"), nil
		}, Logger: slog.New(slog.DiscardHandler),
	})
}

func send(t *testing.T, h http.Handler, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// sameJSON compares by meaning.
func sameJSON(t *testing.T, what, want, got string) {
	t.Helper()
	var x, y any
	if err := json.Unmarshal([]byte(want), &x); err != nil {
		t.Fatalf("%s: wanted %s: %v", what, want, err)
	}
	if err := json.Unmarshal([]byte(got), &y); err != nil {
		t.Errorf("%s: %s: %v", what, got, err)
		return
	}
	if diff := cmp.Diff(x, y); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

const (
	flatRoom  = `{"id":1,"url":"https://live.bilibili.com/1","remark":"r","filename_prefix":null,"time_range":null,"upload_streamers_id":7,"format":null,"override":null,"preprocessor":null,"segment_processor":null,"downloaded_processor":null,"postprocessor":["rm"],"opt_args":null,"excluded_keywords":null,"publish":null}`
	flatState = `{"status":"Working","upload_status":"Pending","reason":"slow",` + flatRoom2
	flatRoom2 = `"id":1,"url":"https://live.bilibili.com/1","remark":"r","filename_prefix":null,"time_range":null,"upload_streamers_id":7,"format":null,"override":null,"preprocessor":null,"segment_processor":null,"downloaded_processor":null,"postprocessor":["rm"],"opt_args":null,"excluded_keywords":null,"publish":null}`

	unpublished     = `{"id":1,"url":"https://live.bilibili.com/1","template_name":null,"remark":"r","split_time":3600,"split_size":2048,"override":{},"filename_prefix":null,"format":null,"time_range":null,"excluded_keywords":[],"preprocessor":[],"segment_processor":[],"downloaded_processor":[],"postprocessor":["rm"],"publish":"never"}`
	flatUnpublished = `{"id":1,"url":"https://live.bilibili.com/1","remark":"r","filename_prefix":null,"time_range":null,"upload_streamers_id":null,"format":null,"override":null,"preprocessor":null,"segment_processor":null,"downloaded_processor":null,"postprocessor":["rm"],"opt_args":null,"excluded_keywords":null,"publish":"never"}`

	extendedTemplate    = `{"id":7,"template_name":"默认模板","title":"{{title}}","tid":171,"tag":"游戏,直播录像","copyright":2,"source":"room","desc":"d","dynamic":"","cover":"c.jpg","dolby":0,"hires":1,"no_reprint":1,"open_elec":1,"user_cookie":"cookies.json","human_type2":1011,"creation_statement":-1}`
	biliupTemplate      = `{"id":7,"template_name":"默认模板","title":"{{title}}","tid":171,"copyright":2,"copyright_source":"room","cover_path":"c.jpg","description":"d","dynamic":"","dtime":null,"dolby":0,"hires":1,"charging_pay":1,"no_reprint":1,"is_only_self":null,"uploader":"biliup-rs","user_cookie":"cookies.json","tags":["游戏","直播录像"],"credits":null,"up_selection_reply":null,"up_close_reply":null,"up_close_danmu":null,"extra_fields":null}`
	biliupConfiguration = `{"lines":"AUTO","threads":3,"submit_api":null,"pool1_size":5,"pool2_size":2,"delay":300,"event_loop_interval":30,"filtering_threshold":20,"time_zone":"","bili_qn":10000,"user":{"bili_cookie":"********"},"file_size":2147483648,"segment_time":"01:00:00","streamers":{}}`
)

// TestTranslation has every path: what comes, what the API is asked for, and what is answered.
func TestTranslation(t *testing.T) {
	missing := table()
	for _, c := range []struct {
		name, method, path, body string
		// answers of the API beside those of every stub.
		answers map[string]string
		// asked of the API last; empty: only the answer counts.
		asked, askedBody string
		want             string
		ignored          string
	}{
		{name: "streamers", method: "GET", path: "/v1/streamers", want: "[" + flatState + "]"},
		{
			name: "create a streamer", method: "POST", path: "/v1/streamers",
			body:    `{"url":"https://live.bilibili.com/1","remark":"r","upload_streamers_id":7,"postprocessor":["rm"],"filename_prefix":"","format":"","override":{"file_size":1048577,"segment_time":"00:30:00","pool1_size":9,"bili_qn":250,"douyu_rate":4,"huya_cdn":null},"new_field":1}`,
			answers: map[string]string{"POST /api/v1/streamers": room}, asked: "POST /api/v1/streamers",
			askedBody: `{"url":"https://live.bilibili.com/1","remark":"r","template_name":"默认模板","split_size":null,"split_time":null,"override":{"download_limit":9,"bili_qn":250,"file_size":1048577,"segment_time":"00:30:00","douyu_rate":4},"filename_prefix":null,"format":null,"time_range":null,"excluded_keywords":null,"preprocessor":null,"segment_processor":null,"downloaded_processor":null,"postprocessor":["rm"],"publish":null}`,
			want:      flatRoom, ignored: "new_field",
		},
		{
			name: "update a streamer with what its page sends back", method: "PUT", path: "/v1/streamers", body: flatState,
			answers: map[string]string{"PUT /api/v1/streamers": room}, asked: "PUT /api/v1/streamers",
			askedBody: `{"id":1,"url":"https://live.bilibili.com/1","remark":"r","template_name":"默认模板","split_size":null,"split_time":null,"override":null,"filename_prefix":null,"format":null,"time_range":null,"excluded_keywords":null,"preprocessor":null,"segment_processor":null,"downloaded_processor":null,"postprocessor":["rm"],"publish":null}`,
			want:      flatRoom,
		},
		{
			name: "update a streamer, with fields emptied", method: "PUT", path: "/v1/streamers", body: `{"id":1,"url":"https://live.bilibili.com/1","remark":"r","override":{"file_size":null,"segment_time":""}}`,
			answers: map[string]string{"PUT /api/v1/streamers": room}, asked: "PUT /api/v1/streamers",
			askedBody: `{"id":1,"url":"https://live.bilibili.com/1","remark":"r","template_name":null,"split_size":null,"split_time":null,"override":{"file_size":null,"segment_time":null},"filename_prefix":null,"format":null,"time_range":null,"excluded_keywords":null,"preprocessor":null,"segment_processor":null,"downloaded_processor":null,"postprocessor":null,"publish":null}`,
			want:      flatRoom,
		},
		{
			name: "update a streamer whose template is yet to be made", method: "PUT", path: "/v1/streamers", body: `{"id":1,"url":"https://a.example/1","remark":"x","upload_streamers_id":null}`,
			answers: map[string]string{
				"PUT /api/v1/streamers": room, "GET /api/v1/streamers": `[{"status":"Idle","upload_status":"Idle","inner":` + strings.Replace(room, "默认模板", "later", 1) + `}]`,
			},
			asked:     "PUT /api/v1/streamers",
			askedBody: `{"id":1,"url":"https://a.example/1","remark":"x","template_name":"later","split_size":null,"split_time":null,"override":null,"filename_prefix":null,"format":null,"time_range":null,"excluded_keywords":null,"preprocessor":null,"segment_processor":null,"downloaded_processor":null,"postprocessor":null,"publish":null}`,
			want:      flatRoom,
		},
		{
			name: "update a streamer whose template comes in its override", method: "PUT", path: "/v1/streamers",
			body:    `{"id":1,"url":"https://live.bilibili.com/1","remark":"r","override":{"upload_streamers_id":7,"segment_time":"00:30:00","upload_status":"Pending","status":"Working","statusTag":{},"reason":"slow","publish":null,"postprocessor":["rm"],"excluded_keywords":["x"],"filename_prefix":"{title}","bili_qn":250}}`,
			answers: map[string]string{"PUT /api/v1/streamers": room}, asked: "PUT /api/v1/streamers",
			askedBody: `{"id":1,"url":"https://live.bilibili.com/1","remark":"r","template_name":"默认模板","split_size":null,"split_time":null,"override":{"bili_qn":250,"segment_time":"00:30:00"},"filename_prefix":null,"format":null,"time_range":null,"excluded_keywords":["x"],"preprocessor":null,"segment_processor":null,"downloaded_processor":null,"postprocessor":["rm"],"publish":null}`,
			want:      flatRoom, ignored: "override.filename_prefix",
		},
		{
			name: "what is sent beside the override counts more", method: "PUT", path: "/v1/streamers",
			body:    `{"id":1,"url":"https://live.bilibili.com/1","remark":"r","upload_streamers_id":null,"postprocessor":null,"override":{"upload_id":7,"template_name":"默认模板","postprocessor":["rm"]}}`,
			answers: map[string]string{"PUT /api/v1/streamers": room}, asked: "PUT /api/v1/streamers",
			askedBody: `{"id":1,"url":"https://live.bilibili.com/1","remark":"r","template_name":null,"split_size":null,"split_time":null,"override":{},"filename_prefix":null,"format":null,"time_range":null,"excluded_keywords":null,"preprocessor":null,"segment_processor":null,"downloaded_processor":null,"postprocessor":null,"publish":null}`,
			want:      flatRoom,
		},
		{
			name: "a room that is never published stays so", method: "PUT", path: "/v1/streamers", body: `{"id":1,"url":"https://live.bilibili.com/1","remark":"r"}`,
			answers: map[string]string{
				"PUT /api/v1/streamers": unpublished, "GET /api/v1/streamers": `[{"status":"Idle","upload_status":"Idle","inner":` + unpublished + `}]`,
			},
			asked:     "PUT /api/v1/streamers",
			askedBody: `{"id":1,"url":"https://live.bilibili.com/1","remark":"r","template_name":null,"split_size":null,"split_time":null,"override":null,"filename_prefix":null,"format":null,"time_range":null,"excluded_keywords":null,"preprocessor":null,"segment_processor":null,"downloaded_processor":null,"postprocessor":null,"publish":"never"}`,
			want:      flatUnpublished,
		},
		{
			name: "a room that was never published is given a template", method: "PUT", path: "/v1/streamers", body: strings.Replace(flatUnpublished, `"upload_streamers_id":null`, `"upload_streamers_id":7`, 1),
			answers: map[string]string{
				"PUT /api/v1/streamers": room, "GET /api/v1/streamers": `[{"status":"Idle","upload_status":"Idle","inner":` + unpublished + `}]`,
			},
			asked:     "PUT /api/v1/streamers",
			askedBody: `{"id":1,"url":"https://live.bilibili.com/1","remark":"r","template_name":"默认模板","split_size":null,"split_time":null,"override":null,"filename_prefix":null,"format":null,"time_range":null,"excluded_keywords":null,"preprocessor":null,"segment_processor":null,"downloaded_processor":null,"postprocessor":["rm"],"publish":null}`,
			want:      flatRoom,
		},
		{
			name: "create a streamer that is never published", method: "POST", path: "/v1/streamers", body: `{"url":"https://live.bilibili.com/1","remark":"r","publish":"never"}`,
			answers: map[string]string{"POST /api/v1/streamers": unpublished}, asked: "POST /api/v1/streamers",
			askedBody: `{"url":"https://live.bilibili.com/1","remark":"r","template_name":null,"split_size":null,"split_time":null,"override":null,"filename_prefix":null,"format":null,"time_range":null,"excluded_keywords":null,"preprocessor":null,"segment_processor":null,"downloaded_processor":null,"postprocessor":null,"publish":"never"}`,
			want:      flatUnpublished,
		},
		{
			name: "delete a streamer", method: "DELETE", path: "/v1/streamers/1", answers: map[string]string{"DELETE /api/v1/streamers/1": strings.Replace(room, "3600", "10", 1)},
			asked: "DELETE /api/v1/streamers/1", want: strings.Replace(flatRoom, `"override":null`, `"override":{"segment_time":"00:00:10"}`, 1),
		},
		{name: "pause", method: "PUT", path: "/v1/streamers/1/pause", answers: map[string]string{"POST /api/v1/streamers/1/pause": "{}"}, asked: "POST /api/v1/streamers/1/pause", want: "null"},
		{name: "configuration", method: "GET", path: "/v1/configuration", want: biliupConfiguration},
		{
			name: "update the configuration, with fields emptied and left out", method: "PUT", path: "/v1/configuration",
			body:    `{"lines":"bda2","threads":3,"submit_api":null,"pool1_size":10,"pool2_size":"","file_size":null,"segment_time":"","filtering_threshold":20,"event_loop_interval":30,"user":{"bili_cookie":"SESSDATA=1","twitch_cookie":"x"},"streamers":{},"douyu_cdn":"ws","huya_cdn":"","unknown":1,"without_effect":["x"]}`,
			answers: map[string]string{"PUT /api/v1/configuration": strings.Replace(configuration, "}", `,"douyu_cdn":"ws","twitch_cookie":"********","without_effect":["douyu_cdn","twitch_cookie"]}`, 1)}, asked: "PUT /api/v1/configuration",
			askedBody: `{"lines":"bda2","download_limit":10,"upload_limit":null,"file_size":null,"segment_time":null,"delay":null,"bili_qn":null,"bili_cookie":"SESSDATA=1","twitch_cookie":"x","douyu_cdn":"ws"}`,
			want:      strings.Replace(biliupConfiguration, `"bili_qn":10000,"user":{"bili_cookie":"********"}`, `"bili_qn":10000,"douyu_cdn":"ws","user":{"bili_cookie":"********","twitch_cookie":"********"}`, 1), ignored: "douyu_cdn, unknown, user.twitch_cookie",
		},
		{
			name: "what the page was shown is no choice", method: "PUT", path: "/v1/configuration", body: biliupConfiguration,
			answers: map[string]string{"PUT /api/v1/configuration": configuration}, asked: "PUT /api/v1/configuration", askedBody: `{}`, want: biliupConfiguration,
		},
		{
			name: "the configuration of one that knows no logins", method: "PUT", path: "/v1/configuration", body: `{"lines":"AUTO","threads":3,"submit_api":null,"pool1_size":5,"pool2_size":2,"delay":300,"event_loop_interval":30,"filtering_threshold":20,"bili_qn":10000}`,
			answers: map[string]string{"PUT /api/v1/configuration": configuration}, asked: "PUT /api/v1/configuration", askedBody: `{}`, want: biliupConfiguration,
		},
		{
			name: "submit_api is cleared by a page that leaves it out", method: "PUT", path: "/v1/configuration", body: `{"lines":"AUTO","threads":3,"pool1_size":5,"pool2_size":2,"delay":300,"event_loop_interval":30,"filtering_threshold":20,"bili_qn":10000}`,
			answers: map[string]string{"GET /api/v1/configuration": strings.Replace(configuration, `"submit_api":null`, `"submit_api":"web"`, 1), "PUT /api/v1/configuration": configuration},
			asked:   "PUT /api/v1/configuration", askedBody: `{"submit_api":null}`, want: biliupConfiguration,
		},
		{
			name: "a line that is none here", method: "PUT", path: "/v1/configuration", body: `{"lines":"fast","threads":3,"pool1_size":5,"pool2_size":2,"delay":300,"event_loop_interval":30,"filtering_threshold":20,"bili_qn":10000}`,
			answers: map[string]string{
				`PUT /api/v1/configuration {"lines":"fast"}`: `400 {"error":"lines: there is no upload line \"fast\"","code":"invalid_request"}`,
				"PUT /api/v1/configuration":                  configuration,
			},
			asked: "PUT /api/v1/configuration", askedBody: `{"lines":"AUTO"}`, want: biliupConfiguration, ignored: "lines",
		},
		{
			name: "a line that is none here in an override", method: "POST", path: "/v1/streamers", body: `{"url":"u","override":{"lines":"fast"}}`,
			answers: map[string]string{
				`POST /api/v1/streamers {"downloaded_processor":null,"excluded_keywords":null,"filename_prefix":null,"format":null,"override":{"lines":"fast"},"postprocessor":null,"preprocessor":null,"publish":null,"segment_processor":null,"split_size":null,"split_time":null,"template_name":null,"time_range":null,"url":"u"}`: `400 {"error":"override.lines: there is no upload line \"fast\"","code":"invalid_request"}`,
				"POST /api/v1/streamers": room,
			},
			asked: "POST /api/v1/streamers", want: flatRoom, ignored: "override.lines",
			askedBody: `{"url":"u","template_name":null,"split_size":null,"split_time":null,"override":{"lines":"AUTO"},"filename_prefix":null,"format":null,"time_range":null,"excluded_keywords":null,"preprocessor":null,"segment_processor":null,"downloaded_processor":null,"postprocessor":null,"publish":null}`,
		},
		{name: "templates", method: "GET", path: "/v1/upload/streamers", want: "[" + biliupTemplate + "]"},
		{name: "a template", method: "GET", path: "/v1/upload/streamers/7", answers: map[string]string{"GET /api/v1/upload_streamers/7": template}, want: biliupTemplate},
		{
			name: "create a template", method: "POST", path: "/v1/upload/streamers",
			body:    `{"id":null,"template_name":"默认模板","title":"t","tid":171,"copyright":2,"copyright_source":"","tags":["a","b"],"uploader":"biliup-rs","dtime":null,"credits":[],"extra_fields":"","is_only_self":0,"up_close_reply":false,"charging_pay":1}`,
			answers: map[string]string{"POST /api/v1/upload_streamers": template}, asked: "POST /api/v1/upload_streamers",
			askedBody: `{"template_name":"默认模板","title":"t","tid":171,"copyright":2,"source":"","tag":"a,b","desc":null,"cover":null,"dynamic":null,"dolby":null,"hires":null,"no_reprint":null,"open_elec":1,"user_cookie":null,"human_type2":null,"creation_statement":null}`,
			want:      biliupTemplate,
		},
		{
			name: "update a template with what was answered", method: "POST", path: "/v1/upload/streamers", body: biliupTemplate,
			answers: map[string]string{"POST /api/v1/upload_streamers": template}, asked: "POST /api/v1/upload_streamers", askedBody: template, want: biliupTemplate,
		},
		{
			name: "a template with fields that biliup has no names for", method: "POST", path: "/v1/upload/streamers",
			body:    strings.Replace(biliupTemplate, `"extra_fields":null`, `"extra_fields":"{\"creation_statement\":{\"id\":-1},\"human_type2\":1011}"`, 1),
			answers: map[string]string{"POST /api/v1/upload_streamers": extendedTemplate}, asked: "POST /api/v1/upload_streamers", askedBody: extendedTemplate,
			want: strings.Replace(biliupTemplate, `"extra_fields":null`, `"extra_fields":"{\"creation_statement\":{\"id\":-1},\"human_type2\":1011}"`, 1),
		},
		{name: "delete a template", method: "DELETE", path: "/v1/upload/streamers/7", answers: map[string]string{"DELETE /api/v1/upload_streamers/7": template}, asked: "DELETE /api/v1/upload_streamers/7", want: "null"},
		{
			name: "accounts", method: "GET", path: "/v1/users", answers: map[string]string{"GET /api/v1/users": `[{"id":1,"name":"cookies.json","value":"cookies.json","platform":"bilibili-cookies","valid":true}]`},
			want: `[{"id":1,"name":"cookies.json","value":"cookies.json","platform":"bilibili-cookies"}]`,
		},
		{
			name: "add an account", method: "POST", path: "/v1/users", body: `{"key":"bilibili-cookies","value":"data/1.json"}`,
			answers: map[string]string{"POST /api/v1/users": `{"id":2,"name":"data/1.json","value":"data/1.json","platform":"bilibili-cookies"}`},
			asked:   "POST /api/v1/users", askedBody: `{"key":"bilibili-cookies","value":"data/1.json"}`, want: `{"id":2,"key":"bilibili-cookies","value":"data/1.json"}`,
		},
		{name: "delete an account", method: "DELETE", path: "/v1/users/2", answers: map[string]string{"DELETE /api/v1/users/2": "{}"}, asked: "DELETE /api/v1/users/2", want: "null"},
		{
			name: "QR code", method: "GET", path: "/v1/get_qrcode", answers: map[string]string{"GET /api/v1/qrcode": `{"url":"https://passport.bilibili.com/x","qrcode_key":"K"}`},
			want: `{"code":0,"message":"0","ttl":1,"data":{"url":"https://passport.bilibili.com/x","auth_code":"K"}}`,
		},
		{
			name: "login by QR code", method: "POST", path: "/v1/login_by_qrcode", body: `{"code":0,"message":"0","ttl":1,"data":{"url":"u","auth_code":"K"}}`,
			answers: map[string]string{"POST /api/v1/login_by_qrcode": `{"filename":"data/1.json"}`}, asked: "POST /api/v1/login_by_qrcode", askedBody: `{"qrcode_key":"K"}`, want: `{"filename":"data/1.json"}`,
		},
		{
			name: "sessions, the oldest first, by their room's remark", method: "GET", path: "/v1/streamer-info",
			answers: map[string]string{"GET /api/v1/streamer_info": `[{"id":2,"streamer_name":"n","remark":"r","stream_title":"t","url":"u","start_time":"2025-01-10T12:00:00Z"},{"id":1,"streamer_name":"n","stream_title":"t","url":"u","start_time":"2025-01-09T12:00:00.5Z"}]`},
			want:    `[{"id":1,"name":"n","url":"u","title":"t","date":1736424000,"live_cover_path":""},{"id":2,"name":"r","url":"u","title":"t","date":1736510400,"live_cover_path":""}]`,
		},
		{
			name: "files of a session", method: "GET", path: "/v1/streamer-info/files/2", answers: map[string]string{"GET /api/v1/streamer_info/2/files": `[{"id":5,"streamer_info_id":2,"file_path":"r/a.flv","file_size":1}]`},
			want: `[{"id":5,"file":"r/a.flv","streamer_info_id":2}]`,
		},
		{name: "files of no session", method: "GET", path: "/v1/streamer-info/files/3", want: "[]"},
		{name: "videos", method: "GET", path: "/v1/videos", answers: map[string]string{"GET /api/v1/videos": `[{"key":1,"name":"r/a.flv","updateTime":1,"size":2,"growing":true}]`}, want: `[{"key":1,"name":"r/a.flv","updateTime":1,"size":2,"growing":true}]`},
		{
			name: "upload by hand", method: "POST", path: "/v1/uploads", body: `{"files":["a.flv"],"params":` + biliupTemplate + `}`, answers: map[string]string{"POST /api/v1/uploads": "{}"},
			asked: "POST /api/v1/uploads", askedBody: `{"files":["a.flv"],"params":` + strings.Replace(template, `"id":7,`, "", 1) + `}`, want: "{}",
		},
		{
			name: "status", method: "GET", path: "/v1/status",
			answers: map[string]string{"GET /api/v1/status": `{"version":"1","rooms":[{"downloader_status":"Idle","uploader_status":"Working","live_streamer":` + room + `,"upload_streamer":` + template + `},{"downloader_status":"Idle","uploader_status":"Idle","live_streamer":` + room + `,"upload_streamer":null}],"download_semaphore":5,"update_semaphore":2,"config":` + configuration + `}`},
			want: `{"version":"1","rooms":[{"downloader_status":"Idle","uploader_status":"Pending","live_streamer":` + flatRoom + `,"upload_streamer":` + biliupTemplate + `},{"downloader_status":"Idle","uploader_status":"Idle","live_streamer":` +
				flatRoom + `,"upload_streamer":null}],"download_semaphore":5,"update_semaphore":2,"config":` + biliupConfiguration + `}`,
		},
		{name: "what there is to choose", method: "GET", path: "/bili/archive/pre", answers: map[string]string{"GET /api/v1/archive_pre": `{"typelist":[]}`}, want: `{"code":0,"message":"0","ttl":1,"data":{"typelist":[]}}`},
		{name: "an account at Bilibili", method: "GET", path: "/bili/space/myinfo?user=data/1.json", answers: map[string]string{"GET /api/v1/myinfo?user=data/1.json": `{"mid":1,"name":"n"}`}, want: `{"code":0,"message":"0","ttl":1,"data":{"mid":1,"name":"n"}}`},
		{name: "the proxy", method: "GET", path: "/bili/proxy?url=https://i0.hdslb.com/a.jpg", answers: map[string]string{"GET /api/v1/proxy?url=https://i0.hdslb.com/a.jpg": `"jpg"`}, want: `"jpg"`},
		{name: "the log", method: "GET", path: "/v1/ws/logs?file=download.log", answers: map[string]string{"GET /api/v1/ws/logs?file=download.log": `"line"`}, want: `"line"`},
		{name: "logout", method: "GET", path: "/v1/logout", answers: map[string]string{"GET /api/v1/logout": "{}"}, want: "{}"},
		{name: "is anybody registered", method: "GET", path: "/v1/users/biliup", want: "{}"},
		{
			name: "login", method: "POST", path: "/v1/users/login", body: `{"username":"biliup","password":"p","remember":true}`, answers: map[string]string{"POST /api/v1/users/login": `{"username":"biliup"}`},
			asked: "POST /api/v1/users/login", askedBody: `{"username":"biliup","password":"p"}`, want: `{"username":"biliup"}`,
		},
		{
			name: "register, and be logged in", method: "POST", path: "/v1/users/register", body: `{"username":"biliup","password":"p"}`,
			answers: map[string]string{"POST /api/v1/users/register": `{"username":"biliup"}`, "POST /api/v1/users/login": `{"username":"biliup"}`},
			asked:   "POST /api/v1/users/login", askedBody: `{"username":"biliup","password":"p"}`, want: `{"username":"biliup"}`,
		},
	} {
		missing = slices.DeleteFunc(missing, func(one route) bool {
			path, _, _ := strings.Cut(c.path, "?")
			_, ok := match(one.path, path)
			return ok && one.method == c.method
		})
		t.Run(c.name, func(t *testing.T) {
			api := newStub(t)
			for key, body := range c.answers {
				api.answers[key] = body
			}
			w := send(t, api.handler(t, ""), c.method, c.path, c.body)
			if w.Code != http.StatusOK {
				t.Fatalf("status %d: %s", w.Code, w.Body)
			}
			sameJSON(t, "answer", c.want, w.Body.String())
			if c.asked != "" {
				last := api.asked[len(api.asked)-1]
				if !strings.HasPrefix(last, c.asked) {
					t.Fatalf("asked %q, want %q", last, c.asked)
				}
				if c.askedBody != "" {
					sameJSON(t, "asked", c.askedBody, strings.TrimPrefix(last, c.asked+" "))
				}
			}
			if ignored := strings.Join(w.Header().Values(headerIgnored), "; "); ignored != c.ignored {
				t.Errorf("ignored %q, want %q", ignored, c.ignored)
			}
		})
	}
	for _, one := range missing {
		if !strings.HasPrefix(one.path, "/static/") { // see TestStaticServesRecordings
			t.Errorf("%s %s is not in the table", one.method, one.path)
		}
	}
}

func TestEveryRouteHasTheSafetyHeaders(t *testing.T) {
	api := newStub(t)
	h := api.handler(t, t.TempDir())
	for _, one := range table() {
		w := send(t, h, one.method, strings.NewReplacer("{id}", "1", "{file...}", "a.flv").Replace(one.path), "")
		if w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("Content-Security-Policy") == "" {
			t.Errorf("%s %s: headers %v", one.method, one.path, w.Header())
		}
	}
}

func TestErrorsHaveOneShape(t *testing.T) {
	for _, c := range []struct {
		name, method, path, body string
		answers                  map[string]string
		status                   int
		code, text               string
	}{
		{name: "no such path", method: "GET", path: "/v1/nothing", status: 404, code: "not_found", text: "/v1/nothing"},
		{name: "another method", method: "PATCH", path: "/v1/streamers", status: 405, code: "method_not_allowed", text: "GET, POST, PUT"},
		{name: "no number", method: "DELETE", path: "/v1/streamers/x", status: 400, code: "invalid_request", text: "id:"},
		{name: "no login", method: "GET", path: "/v1/videos", answers: map[string]string{"GET /api/v1/videos": `401 {"error":"log in first","code":"unauthenticated"}`}, status: 401, code: "unauthenticated", text: "log in"},
		{name: "too many attempts", method: "POST", path: "/v1/users/login", body: `{}`, answers: map[string]string{"POST /api/v1/users/login": `429 {"error":"too many","code":"too_many_attempts"}`}, status: 429, code: "too_many_attempts", text: "too many"},
		{name: "no JSON", method: "PUT", path: "/v1/configuration", body: `{`, answers: map[string]string{"PUT /api/v1/configuration": `400 {"error":"the body is not JSON","code":"invalid_request"}`}, status: 400, code: "invalid_request", text: "not JSON"},
		{name: "no object", method: "PUT", path: "/v1/configuration", body: `[]`, answers: map[string]string{"PUT /api/v1/configuration": "{}"}, status: 400, code: "invalid_request", text: "object"},
		{
			name: "a key by biliup's name", method: "PUT", path: "/v1/configuration", body: `{"pool1_size":0}`,
			answers: map[string]string{"PUT /api/v1/configuration": `400 {"error":"download_limit: must be from 1 to 10000, not 0","code":"invalid_request"}`}, status: 400, code: "invalid_request", text: "pool1_size: must be from 1",
		},
		{
			name: "a key of an override by biliup's name", method: "POST", path: "/v1/streamers", body: `{"url":"u","override":{"pool1_size":0}}`,
			answers: map[string]string{"POST /api/v1/streamers": `400 {"error":"override.download_limit: must be from 1","code":"invalid_request"}`}, status: 400, code: "invalid_request", text: "override.pool1_size: must be",
		},
		{name: "no such streamer", method: "PUT", path: "/v1/streamers", body: `{"id":9}`, status: 404, code: "not_found", text: "9"},
		{name: "no such template", method: "POST", path: "/v1/streamers", body: `{"url":"u","upload_streamers_id":9}`, status: 400, code: "invalid_request", text: "upload_streamers_id: there is no template"},
		{name: "a template of another type", method: "POST", path: "/v1/streamers", body: `{"url":"u","upload_id":"x"}`, status: 400, code: "invalid_request", text: "upload_id: must be"},
		{name: "arguments of ffmpeg", method: "POST", path: "/v1/streamers", body: `{"url":"u","opt_args":["-ss"]}`, status: 400, code: "invalid_request", text: "opt_args"},
		{name: "no override", method: "POST", path: "/v1/streamers", body: `{"url":"u","override":[]}`, status: 400, code: "invalid_request", text: "override"},
		{name: "publishing later", method: "POST", path: "/v1/upload/streamers", body: `{"template_name":"t","dtime":14400}`, status: 400, code: "invalid_request", text: "dtime"},
		{name: "publishing for nobody", method: "POST", path: "/v1/upload/streamers", body: `{"template_name":"t","is_only_self":1}`, status: 400, code: "invalid_request", text: "is_only_self"},
		{name: "publishing nothing", method: "POST", path: "/v1/upload/streamers", body: `{"template_name":"t","uploader":" noop "}`, status: 400, code: "invalid_request", text: "uploader"},
		{name: "tags of another type", method: "POST", path: "/v1/upload/streamers", body: `{"template_name":"t","tags":[1]}`, status: 400, code: "invalid_request", text: "tags"},
		{
			name: "a field of a template by biliup's name", method: "POST", path: "/v1/uploads", body: `{"files":[],"params":{}}`,
			answers: map[string]string{"POST /api/v1/uploads": `400 {"error":"params.tag: is missing","code":"invalid_request"}`}, status: 400, code: "invalid_request", text: "params.tags: is missing",
		},
		{name: "an answer that cannot be read", method: "GET", path: "/v1/videos", answers: map[string]string{"GET /api/v1/videos": `"x"`}, status: 500, code: "internal", text: "mistake"},
		{name: "an error that cannot be read", method: "GET", path: "/v1/videos", answers: map[string]string{"GET /api/v1/videos": `502 bad`}, status: 500, code: "internal", text: "mistake"},
	} {
		t.Run(c.name, func(t *testing.T) {
			api := newStub(t)
			for key, body := range c.answers {
				api.answers[key] = body
			}
			w := send(t, api.handler(t, ""), c.method, c.path, c.body, "Accept-Language", "en")
			var e map[string]string
			if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil {
				t.Fatalf("%s: %v", w.Body, err)
			}
			if w.Code != c.status || e["code"] != c.code || !strings.Contains(e["error"], c.text) || e["message"] != e["error"] || len(e) != 3 {
				t.Errorf("%d %s, want %d %s with %q", w.Code, w.Body, c.status, c.code, c.text)
			}
			if (w.Header().Get("Retry-After") != "") != (c.status == 429) {
				t.Errorf("Retry-After: %q", w.Header().Get("Retry-After"))
			}
		})
	}
}

// TestTheCallerStaysTheSame makes sure that the API sees who asks, from where and by what page.
// TestTextsAreChineseUnlessAskedOtherwise holds the language of a page that has no other one.
func TestTextsAreChineseUnlessAskedOtherwise(t *testing.T) {
	for header, want := range map[string]string{"": "opt_args: 是 ffmpeg 的参数", "zh-CN": "opt_args: 是 ffmpeg 的参数", "en-US,en;q=0.9": "opt_args: are arguments of ffmpeg"} {
		api := newStub(t)
		var headers []string
		if header != "" {
			headers = []string{"Accept-Language", header}
		}
		w := send(t, api.handler(t, ""), "POST", "/v1/streamers", `{"url":"u","opt_args":["-ss"]}`, headers...)
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("asked for %q: %s", header, w.Body)
		}
		asked := header
		if asked == "" {
			asked = "zh"
		}
		if got := api.last.Header.Get("Accept-Language"); got != asked {
			t.Errorf("asked for %q, the API is asked for %q", header, got)
		}
	}
}

func TestTheCallerStaysTheSame(t *testing.T) {
	api := newStub(t)
	api.answers["POST /api/v1/streamers/1/pause"] = "{}"
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "https://lubod.example/v1/streamers/1/pause", nil)
	r.RemoteAddr = "203.0.113.9:1234"
	for name, value := range map[string]string{"Cookie": "lubod_session=a", "Authorization": "Bearer t", "Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "X-Forwarded-For": "1.2.3.4", "Accept-Language": "de"} {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	api.handler(t, "").ServeHTTP(w, r)
	got := api.last
	if got.RemoteAddr != r.RemoteAddr || got.Host != r.Host || got.TLS == nil || got.Method != http.MethodPost {
		t.Errorf("the API is asked by %s at %s", got.RemoteAddr, got.Host)
	}
	if diff := cmp.Diff(r.Header, got.Header); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if w.Header().Get("Set-Cookie") == "" {
		t.Error("the session that the API began is lost")
	}
}

// TestNoUnsafeMethodBecomesASafeOne matters for pages of other sites: what changes something is refused by its method.
func TestNoUnsafeMethodBecomesASafeOne(t *testing.T) {
	api := newStub(t)
	h := api.handler(t, "")
	for _, one := range table() {
		api.asked = nil
		send(t, h, one.method, strings.NewReplacer("{id}", "1", "{file...}", "a.flv").Replace(one.path), `{"id":1,"url":"u","template_name":"t"}`)
		for _, asked := range api.asked {
			if method, _, _ := strings.Cut(asked, " "); one.method == http.MethodGet && method != http.MethodGet {
				t.Errorf("%s %s asks %s", one.method, one.path, asked)
			}
		}
	}
}

func TestOtherPathsGoToTheAPI(t *testing.T) {
	api := newStub(t)
	api.answers["GET /api/v1/streamers?x=1"] = `{"a":1}`
	if w := send(t, api.handler(t, ""), "GET", "/api/v1/streamers?x=1", ""); w.Body.String() != `{"a":1}` {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestNobodyIsRegistered(t *testing.T) {
	api := newStub(t)
	h := api.handler(t, "")
	h.userExists = func(context.Context) (bool, error) { return false, nil }
	if w := send(t, h, "GET", "/v1/users/biliup", ""); w.Code != 404 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	api.answers["GET /api/v1/users/biliup"] = `403 {"error":"this server does not go by that name","code":"unknown_host"}`
	if w := send(t, h, "GET", "/v1/users/biliup", ""); w.Code != 403 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	delete(api.answers, "GET /api/v1/users/biliup")
	h.userExists = func(context.Context) (bool, error) { return false, errors.New("password=secret") }
	if w := send(t, h, "GET", "/v1/users/biliup", ""); w.Code != 503 || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// Who is not logged in does not learn what is wrong with a body, on any path.
func TestStrangersLearnNothingOfBodies(t *testing.T) {
	api := newStub(t)
	api.answers = map[string]string{"GET /api/v1/users/biliup": `404 {"error":"nobody is logged in","code":"not_logged_in"}`}
	for _, path := range []string{"POST /api/v1/streamers", "PUT /api/v1/streamers", "PUT /api/v1/configuration", "POST /api/v1/upload_streamers", "POST /api/v1/uploads", "POST /api/v1/users"} {
		api.answers[path] = `401 {"error":"log in first","code":"unauthenticated"}`
	}
	for _, read := range []string{"streamers", "configuration", "upload_streamers", "status", "videos", "users", "streamer_info"} {
		api.answers["GET /api/v1/"+read] = `401 {"error":"log in first","code":"unauthenticated"}`
	}
	for _, one := range table() {
		if one.method != http.MethodPost && one.method != http.MethodPut || slices.Contains(public, one.path) {
			continue
		}
		path := strings.ReplaceAll(one.path, "{id}", "x")
		for _, body := range []string{`{"x":1}`, `[]`, `{"files":1}`, `{"files":["a"]}`, `{"files":["a"],"params":1}`, `{"data":1}`, `{"override":{"file_size":1e99}}`, `{"user":[]}`, `{"id":"x"}`} {
			if w := send(t, api.handler(t, ""), one.method, path, body); w.Code != http.StatusUnauthorized && w.Code != http.StatusNotFound {
				t.Errorf("%s %s with %s answered %d %s", one.method, path, body, w.Code, w.Body)
			}
		}
	}
}

func TestAPanicStaysInItsRequest(t *testing.T) {
	h := newStub(t).handler(t, "")
	h.api = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("secret") })
	if w := send(t, h, "GET", "/v1/videos", ""); w.Code != 500 || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// FuzzBodies sends anything: the answer is always JSON, and nothing panics.
func FuzzBodies(f *testing.F) {
	for _, seed := range []string{flatState, biliupTemplate, biliupConfiguration, `{"override":{"file_size":1e99}}`, `{"user":[]}`, `{"data":{"auth_code":1}}`, "null", "[", `{"id":"\u0000"}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		api := newStub(t)
		for _, path := range []string{"POST /api/v1/streamers", "PUT /api/v1/streamers", "PUT /api/v1/configuration", "POST /api/v1/upload_streamers", "POST /api/v1/uploads", "POST /api/v1/users", "POST /api/v1/login_by_qrcode"} {
			api.answers[path] = "{}"
		}
		h := api.handler(t, "")
		for _, one := range table() {
			if one.method != http.MethodPost && one.method != http.MethodPut || strings.Contains(one.path, "{") {
				continue
			}
			w := send(t, h, one.method, one.path, body)
			if !json.Valid(w.Body.Bytes()) || w.Code >= 500 {
				t.Errorf("%s %s: %d %s", one.method, one.path, w.Code, w.Body)
			}
			for _, asked := range api.asked {
				if _, sent, ok := strings.Cut(asked, " {"); ok && !json.Valid([]byte("{"+sent)) && json.Valid([]byte(body)) {
					t.Errorf("%s %s sent %s", one.method, one.path, asked)
				}
			}
			api.asked = nil
		}
	})
}
