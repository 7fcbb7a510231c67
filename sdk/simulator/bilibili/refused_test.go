package bilibili_test

import (
	"bytes"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/lubod/lubod/sdk/simulator/bilibili"
)

// storage is a granted file in the state that a deviation starts from.
func storage(t *testing.T, options bilibili.Options, prepare ...func(*grant)) *grant {
	t.Helper()
	g := setup(t, options).grant("bda2", "a.mp4", content(2500))
	for _, step := range prepare {
		step(g)
	}
	return g
}

func change(query func(url.Values)) func(*http.Request) {
	return func(r *http.Request) {
		values := r.URL.Query()
		query(values)
		r.URL.RawQuery = values.Encode()
	}
}

func set(name, value string) func(*http.Request) {
	return change(func(q url.Values) { q.Set(name, value) })
}

func drop(name string) func(*http.Request) { return change(func(q url.Values) { q.Del(name) }) }

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func body(data []byte) func(*http.Request) {
	return func(r *http.Request) {
		r.Body, r.ContentLength = readCloser{bytes.NewReader(data)}, int64(len(data))
		r.GetBody = nil
	}
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

func TestPreuploadRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		bend   func(*http.Request)
		status int
		rule   bilibili.Rule
	}{
		"no cookie": {func(r *http.Request) { r.Header.Del("Cookie") }, 403, bilibili.RuleCookie},
		"session cookie only": {func(r *http.Request) {
			c, _ := r.Cookie("SESSDATA")
			r.Header.Set("Cookie", "SESSDATA="+c.Value)
		}, 400, bilibili.RuleCookie},
		"program's agent":    {header("User-Agent", "Go-http-client/1.1"), 400, bilibili.RuleUserAgent},
		"unknown line":       {set("upcdn", "nowhere"), 400, bilibili.RulePreupload},
		"no zone":            {drop("zone"), 400, bilibili.RulePreupload},
		"no probe version":   {drop("probe_version"), 400, bilibili.RulePreupload},
		"no version":         {drop("version"), 400, bilibili.RulePreupload},
		"no build":           {drop("build"), 400, bilibili.RulePreupload},
		"ssl":                {set("ssl", "1"), 400, bilibili.RulePreupload},
		"other family":       {set("r", "cos"), 400, bilibili.RulePreupload},
		"unknown profile":    {set("profile", "ugcupos/none"), 400, bilibili.RulePreupload},
		"no size":            {drop("size"), 400, bilibili.RulePreupload},
		"empty file":         {set("size", "0"), 400, bilibili.RulePreupload},
		"no extension":       {set("name", "video"), 400, bilibili.RulePreupload},
		"path for a name":    {set("name", "/tmp/video.mp4"), 400, bilibili.RulePreupload},
		"name not UTF-8":     {set("name", "\xff.mp4"), 400, bilibili.RulePreupload},
		"parameter repeated": {change(func(q url.Values) { q.Add("size", "1") }), 400, bilibili.RuleRepeated},
		"POST":               {func(r *http.Request) { r.Method = "POST" }, 405, bilibili.RuleUnknownCall},
	} {
		t.Run(name, func(t *testing.T) {
			c := setup(t, bilibili.Options{})
			r := c.preuploadRequest("bda2", "a.mp4", 10)
			test.bend(r)
			if out := c.must(r); out.status != test.status {
				t.Errorf("HTTP %d %s, want %d", out.status, out.text, test.status)
			}
			c.onlyViolation(test.rule)
			if objects := c.sim.Objects(); len(objects) != 0 {
				t.Errorf("a file was granted: %+v", objects)
			}
		})
	}
}

func TestInitRefuses(t *testing.T) {
	other := func(r *http.Request) { r.URL.Path = "/ugc/n000000xx.mp4" }
	for name, test := range map[string]struct {
		bend   func(*http.Request)
		status int
		rule   bilibili.Rule
	}{
		"no authorisation":        {func(r *http.Request) { r.Header.Del("X-Upos-Auth") }, 403, bilibili.RuleAuth},
		"other authorisation":     {header("X-Upos-Auth", "ak=1"), 403, bilibili.RuleAuth},
		"unknown object":          {other, 403, bilibili.RuleAuth},
		"no uploads":              {drop("uploads"), 404, bilibili.RuleUnknownCall},
		"no json":                 {drop("output"), 400, bilibili.RuleInit},
		"body":                    {body([]byte("{}")), 400, bilibili.RuleInit},
		"wrong size":              {set("filesize", "1"), 400, bilibili.RuleInit},
		"wrong part size":         {set("partsize", "1"), 400, bilibili.RuleInit},
		"wrong biz_id":            {set("biz_id", "1"), 400, bilibili.RuleInit},
		"wrong profile":           {set("profile", "ugcfx/bup"), 400, bilibili.RuleInit},
		"host that was not named": {func(r *http.Request) { r.Host = "localhost" }, 400, bilibili.RuleHost},
	} {
		t.Run(name, func(t *testing.T) {
			g := storage(t, bilibili.Options{})
			r := g.initRequest()
			test.bend(r)
			if out := g.c.must(r); out.status != test.status {
				t.Errorf("HTTP %d %s, want %d", out.status, out.text, test.status)
			}
			g.c.onlyViolation(test.rule)
		})
	}
}

func TestPartRefuses(t *testing.T) {
	short := content(100)
	for name, test := range map[string]struct {
		bend   func(*http.Request)
		status int
		rule   bilibili.Rule
	}{
		"no authorisation":   {func(r *http.Request) { r.Header.Del("X-Upos-Auth") }, 403, bilibili.RuleAuth},
		"part 0":             {set("partNumber", "0"), 400, bilibili.RulePartNumbers},
		"part past the end":  {set("partNumber", "4"), 400, bilibili.RulePartNumbers},
		"no part number":     {drop("partNumber"), 400, bilibili.RulePartNumbers},
		"wrong chunk":        {set("chunk", "2"), 400, bilibili.RulePartNumbers},
		"no chunk":           {drop("chunk"), 400, bilibili.RulePartNumbers},
		"wrong chunks":       {set("chunks", "2"), 400, bilibili.RulePartNumbers},
		"wrong start":        {set("start", "0"), 400, bilibili.RulePartNumbers},
		"end inclusive":      {set("end", "2047"), 400, bilibili.RulePartNumbers},
		"wrong total":        {set("total", "3072"), 400, bilibili.RulePartNumbers},
		"wrong upload id":    {set("uploadId", "0123"), 404, bilibili.RuleUploadID},
		"short body":         {body(short), 400, bilibili.RulePartLength},
		"long body":          {body(content(1025)), 400, bilibili.RulePartLength},
		"no length":          {func(r *http.Request) { r.ContentLength = -1 }, 400, bilibili.RulePartLength},
		"host changed":       {func(r *http.Request) { r.Host = "localhost" }, 400, bilibili.RuleHost},
		"parameter repeated": {change(func(q url.Values) { q.Add("chunk", "1") }), 400, bilibili.RuleRepeated},
	} {
		t.Run(name, func(t *testing.T) {
			g := storage(t, bilibili.Options{}, (*grant).init)
			r := g.partRequest(2)
			test.bend(r)
			if out := g.c.must(r); out.status != test.status {
				t.Errorf("HTTP %d %s, want %d", out.status, out.text, test.status)
			}
			g.c.onlyViolation(test.rule)
			if o := g.c.sim.Objects()[0]; len(o.Parts) != 0 {
				t.Errorf("something was stored: %+v", o.Parts)
			}
		})
	}
}

func TestPartOfOwnSizeIsRefused(t *testing.T) {
	g := storage(t, bilibili.Options{}, (*grant).init)
	g.chunkSize = 512
	if out := g.c.must(g.partRequest(2)); out.status != 400 {
		t.Errorf("HTTP %d", out.status)
	}
	if len(g.c.sim.Violations()) == 0 {
		t.Error("nothing was recorded")
	}
}

func TestAuthorisationOfAnotherFileIsRefused(t *testing.T) {
	g := storage(t, bilibili.Options{}, (*grant).init)
	g.auth = g.c.grant("bda2", "b.mp4", content(10)).auth
	if out := g.c.must(g.partRequest(1)); out.status != 403 {
		t.Errorf("HTTP %d", out.status)
	}
	g.c.onlyViolation(bilibili.RuleAuth)
}

func TestPartAfterCompleteIsRefused(t *testing.T) {
	g := storage(t, bilibili.Options{}, (*grant).init, (*grant).putAll, (*grant).complete)
	if out := g.c.must(g.partRequest(1)); out.status != 400 {
		t.Errorf("HTTP %d", out.status)
	}
	g.c.onlyViolation(bilibili.RuleCompleted)
}

func TestInitAfterCompleteIsRefused(t *testing.T) {
	g := storage(t, bilibili.Options{}, (*grant).init, (*grant).putAll, (*grant).complete)
	if out := g.c.must(g.initRequest()); out.status != 400 {
		t.Errorf("HTTP %d", out.status)
	}
	g.c.onlyViolation(bilibili.RuleCompleted)
}

func TestMorePartsAtOnceThanAllowedAreRefused(t *testing.T) {
	g := storage(t, bilibili.Options{MaxParallel: 2}, (*grant).init)
	hold := g.c.sim.AddFault(bilibili.Fault{
		Match: bilibili.Match{Call: bilibili.CallPart}, Action: bilibili.Action{Do: bilibili.DoStall}, Times: 2,
	})
	var held sync.WaitGroup
	for number := 1; number <= 2; number++ {
		held.Go(func() {
			if out, err := g.c.do(g.partRequest(number)); err != nil || out.status != 200 {
				t.Errorf("part %d: HTTP %d, %v", number, out.status, err)
			}
		})
	}
	if err := g.c.sim.WaitFault(within(t), hold, 2); err != nil {
		t.Fatal(err)
	}
	if out := g.c.must(g.partRequest(3)); out.status != http.StatusTooManyRequests {
		t.Errorf("third part at once: HTTP %d", out.status)
	}
	g.c.sim.ReleaseFault(hold)
	held.Wait()
	g.c.onlyViolation(bilibili.RuleParallel)
}

func TestCompleteRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		bend   func(*http.Request)
		status int
		rule   bilibili.Rule
	}{
		"no authorisation":   {func(r *http.Request) { r.Header.Del("X-Upos-Auth") }, 403, bilibili.RuleAuth},
		"wrong name":         {set("name", "b.mp4"), 400, bilibili.RuleComplete},
		"wrong profile":      {set("profile", "ugcfx/bup"), 400, bilibili.RuleComplete},
		"wrong biz_id":       {set("biz_id", "1"), 400, bilibili.RuleComplete},
		"no biz_id":          {drop("biz_id"), 400, bilibili.RuleComplete},
		"no json":            {drop("output"), 400, bilibili.RuleComplete},
		"wrong upload id":    {set("uploadId", "0123"), 404, bilibili.RuleUploadID},
		"no content type":    {func(r *http.Request) { r.Header.Del("Content-Type") }, 400, bilibili.RuleContentType},
		"no charset":         {header("Content-Type", "application/json"), 400, bilibili.RuleContentType},
		"host changed":       {func(r *http.Request) { r.Host = "localhost" }, 400, bilibili.RuleHost},
		"no list":            {body([]byte(`{}`)), 400, bilibili.RuleParts},
		"not JSON":           {body([]byte(`parts`)), 400, bilibili.RuleParts},
		"list too short":     {body([]byte(`{"parts":[{"partNumber":1,"eTag":"etag"},{"partNumber":2,"eTag":"etag"}]}`)), 400, bilibili.RuleParts},
		"unsorted":           {body([]byte(`{"parts":[{"partNumber":1,"eTag":"etag"},{"partNumber":3,"eTag":"etag"},{"partNumber":2,"eTag":"etag"}]}`)), 400, bilibili.RuleParts},
		"numbers as strings": {body([]byte(`{"parts":[{"partNumber":"1","eTag":"etag"},{"partNumber":"2","eTag":"etag"},{"partNumber":"3","eTag":"etag"}]}`)), 400, bilibili.RuleParts},
		"no eTag":            {body([]byte(`{"parts":[{"partNumber":1},{"partNumber":2},{"partNumber":3}]}`)), 400, bilibili.RuleParts},
	} {
		t.Run(name, func(t *testing.T) {
			g := storage(t, bilibili.Options{}, (*grant).init, (*grant).putAll)
			r := g.completeRequest(g.partList())
			test.bend(r)
			if out := g.c.must(r); out.status != test.status {
				t.Errorf("HTTP %d %s, want %d", out.status, out.text, test.status)
			}
			g.c.onlyViolation(test.rule)
			if g.c.sim.Objects()[0].Complete {
				t.Error("the file was completed")
			}
		})
	}
}

func TestCompleteWithAMissingPartIsRefused(t *testing.T) {
	g := storage(t, bilibili.Options{}, (*grant).init)
	g.put(1)
	g.put(3)
	if out := g.c.must(g.completeRequest(g.partList())); out.status != 400 {
		t.Errorf("HTTP %d", out.status)
	}
	g.c.onlyViolation(bilibili.RuleMissingPart)
}

func TestCompleteAgainAfterALostAnswerIsRight(t *testing.T) {
	g := storage(t, bilibili.Options{}, (*grant).init, (*grant).putAll)
	g.c.sim.AddFault(bilibili.AnswerLost(bilibili.CallComplete))
	if out, err := g.c.do(g.completeRequest(g.partList())); err == nil {
		t.Errorf("the answer arrived: HTTP %d", out.status)
	}
	g.complete()
	g.c.sim.RequireNoViolations(t)
}

func TestPartAgainReplacesIt(t *testing.T) {
	g := storage(t, bilibili.Options{}, (*grant).init, (*grant).putAll)
	right := g.data
	g.data = append(content(1024), right[1024:]...)
	g.put(1)
	g.data = right
	g.put(1)
	g.complete()
	sum, err := g.c.sim.SHA256(g.filename())
	if err != nil || sum != sha(right) {
		t.Errorf("hash %s, %v", sum, err)
	}
	if o := g.c.sim.Objects()[0]; o.Parts[0].Puts != 3 || o.Parts[1].Puts != 1 {
		t.Errorf("parts %+v", o.Parts)
	}
	g.c.sim.RequireNoViolations(t)
}

func TestLenientForgivesWhatTheServiceForgives(t *testing.T) {
	g := storage(t, bilibili.Options{Mode: bilibili.Lenient}, (*grant).init)
	g.put(1)
	for name, request := range map[string]*http.Request{
		"declared size":     func() *http.Request { r := g.partRequest(3); set("total", "4096")(r); return r }(),
		"empty part list":   g.completeRequest(`{}`),
		"part after that":   g.partRequest(2),
		"complete, no type": func() *http.Request { r := g.completeRequest(`{}`); r.Header.Del("Content-Type"); return r }(),
	} {
		if out := g.c.must(request); out.status != 200 {
			t.Errorf("%s: HTTP %d %s", name, out.status, out.text)
		}
	}
	g.c.sim.RequireNoViolations(t)
	g.auth = "wrong"
	if out := g.c.must(g.partRequest(1)); out.status != 403 {
		t.Errorf("wrong authorisation: HTTP %d", out.status)
	}
	g.c.onlyViolation(bilibili.RuleAuth)
}

func TestAuthorisationLivesForFiveDays(t *testing.T) {
	g := storage(t, bilibili.Options{}, (*grant).init)
	g.c.sim.Advance(5*24*time.Hour - time.Minute)
	g.put(1)
	g.c.sim.Advance(2 * time.Minute)
	out := g.c.must(g.partRequest(2))
	if out.status != 403 || out.text != "" || out.header.Get("X-Upos-Auth") == "" {
		t.Errorf("HTTP %d %q %v", out.status, out.text, out.header)
	}
	g.c.sim.RequireNoViolations(t)
}

func TestForgottenUploadIsNotTheClientsFault(t *testing.T) {
	g := storage(t, bilibili.Options{}, (*grant).init)
	g.put(1)
	g.c.sim.ExpireUploads()
	if out := g.c.must(g.partRequest(2)); out.status != 404 {
		t.Errorf("HTTP %d", out.status)
	}
	g.c.sim.RequireNoViolations(t)
}

func TestLineHostsDoNotServeEachOthersFiles(t *testing.T) {
	c := setup(t, bilibili.Options{LineHosts: true, ProbeLines: []string{"tx"}})
	g := c.grant("bda2", "a.mp4", content(100))
	if g.base != c.sim.LineURL("bda2") {
		t.Fatalf("endpoint is %s, the line's host %s", g.base, c.sim.LineURL("bda2"))
	}
	g.base = c.sim.LineURL("alia")
	if out := c.must(g.initRequest()); out.status != 400 {
		t.Errorf("init on a host that was not offered: HTTP %d", out.status)
	}
	g.base = c.sim.LineURL("tx") // offered as the alternative
	g.init()
	g.base = c.sim.LineURL("bda2")
	if out := c.must(g.partRequest(1)); out.status != 400 {
		t.Errorf("part on another host than init: HTTP %d", out.status)
	}
	c.onlyViolation(bilibili.RuleHost)
}

func TestProbeBodyOfTheWrongSizeIsRefused(t *testing.T) {
	c := setup(t, bilibili.Options{})
	r := c.request("POST", c.sim.LineURL("tx"), "/OK", url.Values{"line": {"tx"}}, bytes.NewReader(make([]byte, 10<<20)))
	if out := c.must(r); out.status != 400 {
		t.Errorf("HTTP %d", out.status)
	}
	c.onlyViolation(bilibili.RuleProbeBody)
}

func TestUnknownPathIsRecorded(t *testing.T) {
	c := setup(t, bilibili.Options{})
	if out := c.must(c.request("GET", c.sim.URL(), "/x/nothing", nil, nil)); out.status != 404 {
		t.Errorf("HTTP %d", out.status)
	}
	c.onlyViolation(bilibili.RuleUnknownCall)
}
