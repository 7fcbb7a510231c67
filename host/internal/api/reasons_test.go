package api

import (
	"fmt"
	"strings"
	"testing"
	"unicode"

	"github.com/lubod/lubod/host/internal/reason"
	"github.com/lubod/lubod/sdk"
)

func TestLanguageIsTheOneAskedFor(t *testing.T) {
	h := newLoggedIn(t)
	const english, chinese = "url: must be a complete URL", "url: 必须是以 http://"
	for header, want := range map[string]string{
		"": english, "en": english, "zh-CN,zh;q=0.9,en;q=0.8": chinese, "zh": chinese, "zh-TW": chinese, "en-US,en;q=0.9,zh;q=0.1": english,
		"fr": english, "fr, zh;q=0.5": chinese, "*": english, "nonsense;;": english,
	} {
		h.api(t, "POST", "/streamers", `{"url":"ftp://x"}`, "Accept-Language", header).refused(t, 400, want)
	}
}

// TestRefusalsHaveACodeArgumentsAndAnAction sends mistakes of many kinds and reads them in both languages.
func TestRefusalsHaveACodeArgumentsAndAnAction(t *testing.T) {
	h := newLoggedIn(t)
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/1"}`).must(t, 200)
	writeVideo(t, h, "a.flv", "123", 1704873600)
	for _, c := range []struct {
		method, path, body, code string
		args                     ReasonArgs
	}{
		{"POST", "/streamers", `{"url":1}`, reason.APIType, ReasonArgs{"expected": "word.text", "got": "word.number"}},
		{"POST", "/streamers", `{}`, reason.APIMissing, nil},
		{"POST", "/streamers", `{"url":"https://a.example/2","colour":1}`, reason.APIUnknownField, nil},
		{"POST", "/streamers", `{"url":"https://a.example/2","url":"x"}`, reason.APITwice, nil},
		{"POST", "/streamers", `{"url":"https://a.example/2","split_time":-1}`, reason.APIBetween, nil},
		{"POST", "/streamers", `{"url":"https://a.example/2","format":"avi"}`, reason.APIChoice, nil},
		{"POST", "/streamers", `{"url":"https://nobody.example/2"}`, reason.APIURLNotTaken, nil},
		{"POST", "/streamers", `{"url":"https://a.example/2","time_range":"25:00-26:00"}`, reason.APIRefused, nil},
		{"POST", "/streamers", `nonsense`, reason.APIBodyJSON, nil},
		{"POST", "/streamers", `{"url":"https://a.example/1","remark":"other"}`, reason.APIStreamerDiffers, ReasonArgs{"id": "1", "field": "remark"}},
		{"DELETE", "/streamers/9", "", reason.APINoStreamer, ReasonArgs{"id": "9"}},
		{"DELETE", "/upload_streamers/9", "", reason.APINoTemplate, ReasonArgs{"id": "9"}},
		{"DELETE", "/users/9", "", reason.APINoAccount, ReasonArgs{"id": "9"}},
		{"DELETE", "/tokens/9", "", reason.APINoToken, ReasonArgs{"id": "9"}},
		{"POST", "/hooks/9/retry", "", reason.APINoHook, ReasonArgs{"id": "9"}},
		{"POST", "/streamer_info/9/retry", "", reason.APINoRecording, ReasonArgs{"id": "9"}},
		{"POST", "/segments/9/waive", "", reason.APINoSegment, ReasonArgs{"id": "9"}},
		{"PUT", "/streamers", `{"id":1,"override":{"threads":0}}`, reason.APIBetween, ReasonArgs{"min": "1", "max": "64"}},
		{"PUT", "/users/password", `{"current_password":"wrong","new_password":"password456"}`, reason.APIWrongPassword, nil},
		{"POST", "/uploads", order([]string{"no\nfile.flv"}), reason.APIFileUnknown, ReasonArgs{"file": `no\nfile.flv`}},
		{"GET", "/nothing", "", reason.APINoPath, ReasonArgs{"path": "/api/v1/nothing"}},
		{"PATCH", "/streamers", "", reason.APIMethod, nil},
	} {
		var english, chinese Error
		h.api(t, c.method, c.path, c.body).decode(t, &english)
		h.api(t, c.method, c.path, c.body, "Accept-Language", "zh").decode(t, &chinese)
		if english.ReasonCode == nil || *english.ReasonCode != c.code || english.Action == nil || english.Action.Kind == "" {
			t.Errorf("%s %s %s: %+v, want the code %s", c.method, c.path, c.body, english, c.code)
			continue
		}
		for name, value := range c.args {
			if english.ReasonArgs == nil || (*english.ReasonArgs)[name] != value {
				t.Errorf("%s %s %s: arguments %+v, want %s=%s", c.method, c.path, c.body, english.ReasonArgs, name, value)
			}
		}
		if chinese.Code != english.Code || *chinese.ReasonCode != c.code || !strings.ContainsFunc(chinese.Error, han) {
			t.Errorf("%s %s %s: in Chinese %+v", c.method, c.path, c.body, chinese)
		}
		for _, text := range []string{english.Error, chinese.Error} {
			if strings.ContainsAny(text, "{}") && !strings.Contains(c.body, "}") || strings.Contains(text, "word.") {
				t.Errorf("%s %s %s: the text has holes: %s", c.method, c.path, c.body, text)
			}
		}
		if strings.ContainsFunc(english.Error, han) {
			t.Errorf("%s %s %s: in English %s", c.method, c.path, c.body, english.Error)
		}
	}
}

// TestReasonsOfRowsAreToldInTheLanguageAskedFor reads what workers wrote: by code where there is one, else as it is.
func TestReasonsOfRowsAreToldInTheLanguageAskedFor(t *testing.T) {
	h := newLoggedIn(t)
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/1"}`).must(t, 200)
	recording := insertRecording(t, h.db, 1, "ended")
	segment := insertUpload(t, h.db, recording, "failed", "as a worker said")
	write := func(statement string, args ...any) {
		t.Helper()
		if _, err := h.db.Pool.Exec(t.Context(), statement, args...); err != nil {
			t.Fatal(err)
		}
	}
	write(`INSERT INTO submissions (recording_id, state, error) VALUES ($1, 'waiting', 'as a worker said')`, recording)
	write(`INSERT INTO hook_runs (recording_id, stage, steps, state, error) VALUES ($1, 'postprocessor', '["rm"]', 'pending', 'as a worker said')`, recording)
	write(`UPDATE segments SET reason = 'as a worker said'`)
	write(`UPDATE streamers SET last_error = 'as a worker said'`)
	texts := func(language string) (all []string) {
		t.Helper()
		var states []StreamerState
		h.api(t, "GET", "/streamers", "", "Accept-Language", language).must(t, 200).decode(t, &states)
		var status Status
		h.api(t, "GET", "/status", "", "Accept-Language", language).must(t, 200).decode(t, &status)
		var segments []Segment
		h.api(t, "GET", fmt.Sprintf("/streamer_info/%d/files", recording), "", "Accept-Language", language).must(t, 200).decode(t, &segments)
		var recordings []Recording
		h.api(t, "GET", "/streamer_info", "", "Accept-Language", language).must(t, 200).decode(t, &recordings)
		upload, submission := segments[0].Upload.MustGet(), recordings[0].Submission.MustGet()
		for _, shown := range []struct {
			text string
			code *string
		}{
			{*states[0].Reason, states[0].ReasonCode}, {*status.Rooms[0].Reason, status.Rooms[0].ReasonCode},
			{status.Uploads[0].Error, status.Uploads[0].ReasonCode}, {status.Submissions[0].Error, status.Submissions[0].ReasonCode},
			{status.Hooks[0].Error, status.Hooks[0].ReasonCode}, {segments[0].Reason, segments[0].ReasonCode},
			{upload.Error, upload.ReasonCode}, {submission.Error, submission.ReasonCode},
		} {
			if shown.code == nil {
				t.Fatalf("%q has no code", shown.text)
			}
			all = append(all, *shown.code+": "+shown.text)
		}
		return all
	}
	same := func(language, want string) {
		t.Helper()
		for i, got := range texts(language) {
			if got != want {
				t.Errorf("place %d in %s: %q, want %q", i, language, got, want)
			}
		}
	}
	same("en", "error.other: as a worker said")
	same("zh", "error.other: 出错：as a worker said")
	why := reason.New(sdk.CodeDNS, "where", "a.example").JSON()
	for _, table := range []string{"uploads", "submissions", "hook_runs", "streamers"} {
		write("UPDATE "+table+" SET reason = $1", why)
	}
	write("UPDATE segments SET reason_data = $1", why)
	same("en", "net.dns: a.example: the host name is not known")
	same("zh", "net.dns: a.example：无法解析主机名")
	for _, path := range []string{fmt.Sprintf("/segments/%d/retry", segment)} {
		h.api(t, "POST", path, "").must(t, 200)
	}
}

// TestAnArchiveThatWasRefusedAfterItWasAcceptedIsShown holds that nobody believes it to be public.
func TestAnArchiveThatWasRefusedAfterItWasAcceptedIsShown(t *testing.T) {
	h := newLoggedIn(t)
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/1"}`).must(t, 200)
	for range 25 { // later ones do not push it out
		recording := insertRecording(t, h.db, 1, "ended")
		if _, err := h.db.Pool.Exec(t.Context(), `INSERT INTO submissions (recording_id, state, bvid, accepted_at, archive, archive_text)
			VALUES ($1::bigint, 'accepted', 'BV' || $1::bigint, now(), CASE WHEN $1::bigint = 1 THEN 'rejected' ELSE 'public' END, CASE WHEN $1::bigint = 1 THEN '转码失败' ELSE '' END)`, recording); err != nil {
			t.Fatal(err)
		}
	}
	const want = "Bilibili did not publish BV1: 转码失败"
	var states []StreamerState
	h.api(t, "GET", "/streamers", "").must(t, 200).decode(t, &states)
	if states[0].Reason == nil || *states[0].Reason != want || *states[0].ReasonCode != reason.SubmissionArchive {
		t.Errorf("%+v", states[0])
	}
	var status Status
	h.api(t, "GET", "/status", "").must(t, 200).decode(t, &status)
	if first := status.Submissions[0]; len(status.Submissions) != 21 || first.Bvid != "BV1" || first.Error != want || first.ReasonCode == nil {
		t.Errorf("%d submissions, first %+v", len(status.Submissions), first)
	}
}

// TestWhatTheThresholdLeftOutIsSaidOnTheSubmission holds that nobody looks in an archive for what was never sent.
func TestWhatTheThresholdLeftOutIsSaidOnTheSubmission(t *testing.T) {
	h := newLoggedIn(t)
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/1"}`).must(t, 200)
	for publish, count := range map[string]int{"filtered": 2, "wanted": 3} {
		recording := insertRecording(t, h.db, 1, "ended")
		if _, err := h.db.Pool.Exec(t.Context(), `WITH s AS (INSERT INTO submissions (recording_id, state) VALUES ($1, 'waiting'))
			INSERT INTO segments (recording_id, index, path, size_bytes, duration_ms, started_at, ended_at, publish)
			SELECT $1, n, '/' || $1 || '/' || n, 1000, 1, now(), now(), $2 FROM generate_series(1, $3) n`, recording, publish, count); err != nil {
			t.Fatal(err)
		}
	}
	var status Status
	h.api(t, "GET", "/status", "").must(t, 200).decode(t, &status)
	said := 0
	for _, s := range status.Submissions {
		if s.FilteredFiles != nil {
			said++
			if *s.FilteredFiles != 2 || *s.FilteredBytes != 2000 {
				t.Errorf("%d files with %d bytes", *s.FilteredFiles, *s.FilteredBytes)
			}
		}
	}
	var recordings []Recording
	h.api(t, "GET", "/streamer_info", "").must(t, 200).decode(t, &recordings)
	for _, r := range recordings {
		if s, err := r.Submission.Get(); err != nil {
			t.Error(err)
		} else if s.FilteredFiles != nil {
			said++
			if *s.FilteredFiles != 2 || *s.FilteredBytes != 2000 {
				t.Errorf("%d files with %d bytes", *s.FilteredFiles, *s.FilteredBytes)
			}
		}
	}
	if said != 2 {
		t.Errorf("it is said in %d places, want in the status and in the list of recordings", said)
	}
}

func han(r rune) bool { return unicode.Is(unicode.Han, r) }
