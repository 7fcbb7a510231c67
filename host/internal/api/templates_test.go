package api

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTemplateFromCreationToDeletion(t *testing.T) {
	h := newLoggedIn(t)
	full := `{"template_name":"新模板","title":"{{title}}","tid":171,"tag":"游戏,直播","copyright":1,"source":"","desc":"直播录像",
		"dynamic":"","cover":"","dolby":0,"hires":0,"no_reprint":1,"open_elec":1,"user_cookie":"cookies.json"`
	created := h.api(t, "POST", "/upload_streamers", full+`,"id":null}`).must(t, 200)
	equalJSON(t, created.body, full+`,"id":1}`)
	equalJSON(t, h.api(t, "GET", "/upload_streamers/1", "").must(t, 200).body, created.body)
	equalJSON(t, h.api(t, "GET", "/upload_streamers", "").must(t, 200).body, `[`+created.body+`]`)

	updated := h.api(t, "POST", "/upload_streamers", `{"id":1,"template_name":"更新的模板","title":"新标题"}`).must(t, 200)
	want := strings.NewReplacer(`"新模板"`, `"更新的模板"`, `"{{title}}"`, `"新标题"`).Replace(created.body)
	equalJSON(t, updated.body, want)
	// What GET answers can be sent back as it is.
	equalJSON(t, h.api(t, "POST", "/upload_streamers", updated.body).must(t, 200).body, want)

	equalJSON(t, h.api(t, "DELETE", "/upload_streamers/1", "").must(t, 200).body, want)
	h.api(t, "GET", "/upload_streamers/1", "").refused(t, 404, "no template with the id 1")
	h.api(t, "DELETE", "/upload_streamers/1", "").must(t, 404)
	h.api(t, "POST", "/upload_streamers", `{"id":1,"title":"x"}`).must(t, 404)
	if got := strings.Count(h.notes.take(), "publishing changed"); got != 4 {
		t.Errorf("announced %d times", got)
	}
}

func TestTemplateDefaults(t *testing.T) {
	h := newLoggedIn(t)
	want := `{"id":1,"template_name":"t","title":"","tid":171,"tag":"","copyright":1,"source":"","desc":"","dynamic":"","cover":"",
		"dolby":0,"hires":0,"no_reprint":0,"open_elec":0,"user_cookie":""}`
	equalJSON(t, h.api(t, "POST", "/upload_streamers", `{"template_name":"t"}`).must(t, 200).body, want)
	h.api(t, "POST", "/upload_streamers", `{"id":1,"title":"x","tid":17,"tag":"a","copyright":2,"source":"s","dolby":1,"user_cookie":"data/7.json"}`).must(t, 200)
	equalJSON(t, h.api(t, "POST", "/upload_streamers", `{"id":1,"title":null,"tid":null,"tag":null,"copyright":null,"source":null,"desc":null,
		"dynamic":null,"cover":null,"dolby":null,"hires":null,"no_reprint":null,"open_elec":null,"user_cookie":null}`).must(t, 200).body, want)
}

func TestTemplateMistakes(t *testing.T) {
	h := newLoggedIn(t)
	h.api(t, "POST", "/upload_streamers", `{"template_name":"taken"}`).must(t, 200)
	h.api(t, "POST", "/upload_streamers", `{"template_name":"other"}`).must(t, 200)
	tags := func(n int) string { return strings.TrimSuffix(strings.Repeat("游戏,", n), ",") }
	for file, content := range map[string]string{
		"page.png": "<html>", "small.png": "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x00\x00\x00\x00:~\x9bU",
	} {
		if err := os.WriteFile(filepath.Join(h.dataDir, file), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		body   string
		status int
		words  []string
	}{
		"no name":               {`{"title":"x"}`, 400, []string{"template_name: is missing"}},
		"name null":             {`{"template_name":null}`, 400, []string{"template_name: must be a text, not null"}},
		"name of spaces":        {`{"template_name":"  "}`, 400, []string{"template_name: must be a text that neither begins nor ends with a space"}},
		"name taken":            {`{"template_name":"taken"}`, 409, []string{`"taken"`}},
		"other's name":          {`{"id":2,"template_name":"taken"}`, 409, []string{`"taken"`}},
		"switch":                {`{"template_name":"t","dolby":2}`, 400, []string{"dolby: must be 0 or 1"}},
		"switch true":           {`{"template_name":"t","dolby":true}`, 400, []string{"dolby: must be a whole number, not true or false"}},
		"copyright":             {`{"template_name":"t","copyright":4}`, 400, []string{"copyright: must be from 1 to 3"}},
		"statement of a repost": {`{"template_name":"t","copyright":2,"creation_statement":1}`, 400, []string{"creation_statement: is for own work"}},
		"statement":             {`{"template_name":"t","creation_statement":5}`, 400, []string{"creation_statement: must be"}},
		"tid a text":            {`{"template_name":"t","tid":"171"}`, 400, []string{"tid: must be a whole number, not a text"}},
		"tag a list":            {`{"template_name":"t","tag":["a"]}`, 400, []string{"tag: must be a text, not a list"}},
		"too many tags":         {`{"template_name":"t","tag":"` + tags(13) + `"}`, 400, []string{"tag: must hold at most 12 tags, not 13"}},
		"tag too long":          {`{"template_name":"t","tag":"ok,` + strings.Repeat("长", 21) + `"}`, 400, []string{"tag:", "20 characters"}},
		"title too long":        {`{"template_name":"t","title":"` + strings.Repeat("长", 81) + `"}`, 400, []string{"title: must have at most 80 characters"}},
		"description":           {`{"template_name":"t","desc":"` + strings.Repeat("长", 2001) + `"}`, 400, []string{"desc: must have at most 2000 characters"}},
		"cover no picture":      {`{"template_name":"t","cover":"page.png"}`, 400, []string{"cover: it cannot be a cover", "JPEG", "is text/html"}},
		"cover too small":       {`{"template_name":"t","cover":"small.png"}`, 400, []string{"cover: it cannot be a cover", "960×600"}},
		"cookie outside":        {`{"template_name":"t","user_cookie":"../x.json"}`, 400, []string{"user_cookie: must be a file inside the data directory"}},
		"cookie far outside":    {`{"template_name":"t","user_cookie":"/etc/passwd"}`, 400, []string{"user_cookie: must be a file inside the data directory"}},
		"a field of biliup's":   {`{"template_name":"t","credits":[]}`, 400, []string{"credits: is not known here"}},
	} {
		t.Run(name, func(t *testing.T) {
			h.api(t, "POST", "/upload_streamers", tc.body).refused(t, tc.status, tc.words...)
		})
	}
	h.api(t, "POST", "/upload_streamers", `{"template_name":"long but not yet","title":"{{title}} `+strings.Repeat("长", 81)+`","tag":"`+tags(12)+`"}`).must(t, 200)
}

func TestNewNameOfATemplateIsCarriedAlong(t *testing.T) {
	h := newLoggedIn(t)
	h.api(t, "POST", "/upload_streamers", `{"template_name":"old"}`).must(t, 200)
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/1","template_name":"old"}`).must(t, 200)
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/2","template_name":"other"}`).must(t, 200)
	published, open := insertRecording(t, h.db, 1, "ended"), insertRecording(t, h.db, 1, "recording")
	if _, err := h.db.Pool.Exec(t.Context(), "INSERT INTO submissions (recording_id, state) VALUES ($1, 'accepted')", published); err != nil {
		t.Fatal(err)
	}
	h.notes.take()
	h.api(t, "POST", "/upload_streamers", `{"id":1,"template_name":"new"}`).must(t, 200)
	if got := h.notes.take(); got != "room 1 changed; publishing changed" {
		t.Errorf("announced %q", got)
	}
	var states []StreamerState
	h.api(t, "GET", "/streamers", "").decode(t, &states)
	if first, second := states[0].Inner.TemplateName.MustGet(), states[1].Inner.TemplateName.MustGet(); first != "new" || second != "other" {
		t.Errorf("streamers name %q and %q", first, second)
	}
	for id, want := range map[int64]string{published: "old", open: "new"} {
		if row, err := h.db.GetRecording(t.Context(), id); err != nil || text(row.TemplateName) != want {
			t.Errorf("recording %d names %q, want %q (%v)", id, text(row.TemplateName), want, err)
		}
	}
}
