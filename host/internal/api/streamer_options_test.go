package api

import (
	"fmt"
	"strings"
	"testing"

	"github.com/lubod/lubod/db/dbtest"
)

func TestStreamerOptionsAreKeptAndReset(t *testing.T) {
	h := newLoggedIn(t)
	options := `"filename_prefix":"{streamer}/{title}%Y","format":"mp4","time_range":{"start":"22:00","end":"02:00","time_zone":"Asia/Shanghai"},
		"excluded_keywords":["录播","重播"],"preprocessor":[{"webhook":"https://hooks.example/live","timeout":5}],"segment_processor":[{"remux":"mp4"}],
		"downloaded_processor":[{"mv":"done","on_error":"hold"}],"postprocessor":["rm",{"rm":true}],"publish":null`
	want := `{"id":1,"url":"https://a.example/1","template_name":null,"remark":"","split_time":3600,"split_size":2048,"override":{},` + options + `}`
	equalJSON(t, h.api(t, "POST", "/streamers", `{"url":"https://a.example/1",`+options+`}`).must(t, 200).body, want)
	equalJSON(t, h.api(t, "PUT", "/streamers", `{"id":1}`).must(t, 200).body, want)
	// What is answered can be sent back.
	equalJSON(t, h.api(t, "PUT", "/streamers", want).must(t, 200).body, want)
	none := `{"id":1,"url":"https://a.example/1","template_name":null,"remark":"","split_time":3600,"split_size":2048,"override":{}` + noOptions + `}`
	equalJSON(t, h.api(t, "PUT", "/streamers", `{"id":1`+noOptions+`}`).must(t, 200).body, none)
	equalJSON(t, h.api(t, "PUT", "/streamers", `{"id":1,"excluded_keywords":[" a ",""," "],"filename_prefix":"","format":"","template_name":"","time_range":""}`).must(t, 200).body,
		strings.Replace(none, `"excluded_keywords":[]`, `"excluded_keywords":["a"]`, 1))
	for _, empty := range []string{`""`, `[]`, `null`} {
		h.api(t, "PUT", "/streamers", `{"id":1,"time_range":[{"start":"01:00","end":"02:00"}]}`).must(t, 200)
		h.api(t, "PUT", "/streamers", `{"id":1,"time_range":`+empty+`}`).must(t, 200)
	}
	biliup := `"[\"2024-06-01T14:00:00.000Z\",\"2024-06-01T18:30:00.000Z\"]"`
	equalJSON(t, h.api(t, "PUT", "/streamers", `{"id":1,"excluded_keywords":[],"time_range":`+biliup+`}`).must(t, 200).body,
		strings.Replace(none, `"time_range":null`, `"time_range":`+biliup, 1))
	equalJSON(t, h.api(t, "PUT", "/streamers", `{"id":1,"time_range":null,"excluded_keywords":null,"preprocessor":null,"postprocessor":null}`).must(t, 200).body, none)
}

func TestStreamerOptionMistakesAreNamed(t *testing.T) {
	h := newLoggedIn(t)
	for field, want := range map[string]string{
		`"format":"avi"`:                                       "format: must be one of flv, mp4, mkv, ts",
		`"format":7`:                                           "format: must be",
		`"time_range":{"start":1e999}`:                         "time_range: start: must not be a number",
		`"time_range":[{"start":"22:00","end":"2"}]`:           "time_range: window 1: end: must be a time of the day",
		`"time_range":"22:00-02:00"`:                           "time_range: as a text it must hold a JSON list of two times",
		`"time_range":7`:                                       "time_range: must be null, a window",
		`"filename_prefix":"/etc/{title}"`:                     "filename_prefix: must not begin with a slash",
		`"filename_prefix":"{title}/../x"`:                     "filename_prefix: must not hold a folder or file name",
		`"filename_prefix":"{x}"`:                              "filename_prefix: there is no variable {x}",
		`"excluded_keywords":"x"`:                              "excluded_keywords: must be a list, not a text",
		`"excluded_keywords":[null]`:                           "excluded_keywords.0: must be a text, not null",
		`"preprocessor":{"run":"x"}`:                           "preprocessor: must be a list, not a JSON object",
		`"preprocessor":[{"webhook":"https://a"},{"rm":true}]`: "preprocessor: step 2: rm: there is no file yet",
		`"segment_processor":["rm"]`:                           "segment_processor: step 1: rm:",
		`"postprocessor":[{"remux":"exe"}]`:                    "postprocessor: step 1: remux: must be mp4",
		`"postprocessor":[{"run":"x","timeout":1e99}]`:         "postprocessor: step 1: timeout:",
	} {
		h.api(t, "POST", "/streamers", `{"url":"https://a.example/2",`+field+`}`).refused(t, 400, want)
	}
	many := `"postprocessor":["rm"` + strings.Repeat(`,"rm"`, 20) + `]`
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/2",`+many+`}`).refused(t, 400, "postprocessor: must have at most 20 entries")
	// Half a surrogate pair is no text for PostgreSQL.
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/2","postprocessor":[{"mv":"\ud800"}],"excluded_keywords":["\ud800"],"time_range":{"start":"22:00","end":"23:00","days":["mon"]}}`).must(t, 200)
}

func TestHooksThatWouldAlwaysFailAreRefused(t *testing.T) {
	h := newLoggedIn(t)
	for _, tc := range []struct{ steps, want string }{
		{`[{"mv":"done"},{"mv":"/etc/cron.d"}]`, "segment_processor: step 2: mv: files may not be moved to /etc/cron.d"},
		{fmt.Sprintf(`[{"mv":%q}]`, h.dataDir+"/postgres"), "segment_processor: step 1: mv: files may not be moved to"},
		{`[{"webhook":"http://127.0.0.1:9000/x"}]`, "segment_processor: step 1: webhook: 127.0.0.1"},
	} {
		h.api(t, "POST", "/streamers", `{"url":"https://a.example/1","segment_processor":`+tc.steps+`}`).refused(t, 400, tc.want)
	}
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/1"}`).must(t, 200)
	// What was stored under other flags is answered, can be sent back, and goes away when it is changed.
	before := `[{"mv":"/mnt/nas/x"},{"webhook":"http://127.0.0.1:9000/x"}]`
	if _, err := h.db.Pool.Exec(t.Context(), "UPDATE streamers SET downloaded_processor = $1", before); err != nil {
		t.Fatal(err)
	}
	answer := h.api(t, "PUT", "/streamers", `{"id":1,"remark":"x"}`).must(t, 200)
	if !strings.Contains(answer.body, `"/mnt/nas/x"`) {
		t.Errorf("answered %s", answer.body)
	}
	h.api(t, "PUT", "/streamers", answer.body).must(t, 200)
	h.api(t, "PUT", "/streamers", `{"id":1,"postprocessor":`+before+`}`).refused(t, 400, "postprocessor: step 1: mv:")
	h.api(t, "PUT", "/streamers", `{"id":1,"downloaded_processor":[{"webhook":"http://127.0.0.1:9000/x"}]}`).refused(t, 400, "step 1: webhook:")
	h.api(t, "PUT", "/streamers", `{"id":1,"downloaded_processor":[]}`).must(t, 200)
}

func TestRunHooksNeedTheFlag(t *testing.T) {
	h := newHarness(t, dbtest.New(t))
	h.register(t, "admin", "password123")
	h.login(t, "admin", "password123")
	body := `{"url":"https://a.example/1","preprocessor":[{"webhook":"https://a"},{"run":"true"}]}`
	h.api(t, "POST", "/streamers", body).refused(t, 403, "preprocessor: run:", "--allow-run-hooks")

	allowed := newBrowser(t, serve(t, h.startWith(t, Deps{RunHooks: true})))
	allowed.client.Jar = h.client.Jar
	allowed.api(t, "POST", "/streamers", body).must(t, 200)
	// With the flag gone, what is there may stay, and other fields change; commands do not.
	h.api(t, "PUT", "/streamers", `{"id":1,"remark":"x","preprocessor":[{"webhook":"https://a"},{"run":"true"}]}`).must(t, 200)
	h.api(t, "PUT", "/streamers", `{"id":1,"preprocessor":[{"run":"false"}]}`).refused(t, 403, "--allow-run-hooks")
	h.api(t, "PUT", "/streamers", `{"id":1,"postprocessor":[{"run":"true"}]}`).refused(t, 403, "postprocessor: run:")
	h.api(t, "PUT", "/streamers", `{"id":1,"preprocessor":[]}`).must(t, 200)
}
