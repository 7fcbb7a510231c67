package bilibili_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lubod/lubod/sdk/simulator/bilibili"
)

func TestSubmissionRefusesRequests(t *testing.T) {
	resign := func(query func(url.Values)) func(*http.Request) {
		return change(func(q url.Values) {
			query(q)
			key := bilibili.BiliTV
			if q.Get("appkey") == bilibili.Android.Key {
				key = bilibili.Android
			}
			signed(key, q)
		})
	}
	for name, test := range map[string]struct {
		bend func(*http.Request)
		code int64
		rule bilibili.Rule
	}{
		"wrong sign":      {set("sign", strings.Repeat("0", 32)), -3, bilibili.RuleSign},
		"changed later":   {set("build", "7800301"), -3, bilibili.RuleSign},
		"other key":       {resign(func(q url.Values) { q.Set("appkey", bilibili.Android.Key) }), -3, bilibili.RuleSign},
		"unknown key":     {set("appkey", "0123"), -3, bilibili.RuleSign},
		"no timestamp":    {resign(func(q url.Values) { q.Del("ts") }), -3, bilibili.RuleSign},
		"no statistics":   {resign(func(q url.Values) { q.Del("statistics") }), -400, bilibili.RuleSubmitRequest},
		"other platform":  {resign(func(q url.Values) { q.Set("mobi_app", "iphone") }), -400, bilibili.RuleSubmitRequest},
		"browser's agent": {header("User-Agent", browserAgent), -400, bilibili.RuleSubmitRequest},
		"cookies":         {header("Cookie", "a=b"), -400, bilibili.RuleSubmitRequest},
		"form":            {header("Content-Type", "application/x-www-form-urlencoded"), -400, bilibili.RuleContentType},
		"not JSON":        {body([]byte("x")), -400, bilibili.RuleBody},
		"wrong type":      {body([]byte(`{"tid":"171"}`)), -400, bilibili.RuleBody},
	} {
		t.Run(name, func(t *testing.T) {
			c := setup(t, bilibili.Options{})
			r := c.submitRequest(archiveBody(nil, c.upload("tx", "a.mp4", content(10))))
			test.bend(r)
			c.wantCode(c.must(r), test.code)
			c.onlyViolation(test.rule)
			if len(c.sim.Archives()) != 0 {
				t.Error("an archive was made")
			}
		})
	}
}

func TestSubmissionRefusesBodies(t *testing.T) {
	long := func(n int) string { return strings.Repeat("字", n) }
	tags := strings.TrimSuffix(strings.Repeat("tag,", 13), ",")
	for name, test := range map[string]struct {
		change map[string]any
		code   int64
	}{
		"no title":                   {map[string]any{"title": " "}, 21001},
		"long title":                 {map[string]any{"title": long(81)}, 21103},
		"long description":           {map[string]any{"desc": long(2001)}, 21160},
		"long dynamic":               {map[string]any{"dynamic": long(234)}, 21001},
		"repost, no source":          {map[string]any{"source": ""}, 21021},
		"long source":                {map[string]any{"source": long(201)}, 21001},
		"copyright":                  {map[string]any{"copyright": 3}, 21001},
		"no category of that number": {map[string]any{"human_type2": 7}, 21001},
		"statement of a repost":      {map[string]any{"creation_statement": map[string]any{"id": -1}}, 21001},
		"statement out of range":     {map[string]any{"copyright": 1, "creation_statement": map[string]any{"id": 9}}, 21001},
		"own work, no text":          {map[string]any{"copyright": 1, "desc": " "}, 21010},
		"control characters":         {map[string]any{"title": "a\u0007b"}, 21001},
		"lines in a source":          {map[string]any{"source": "https://a.example/\nb"}, 21001},
		"no category":                {map[string]any{"tid": 0}, 21001},
		"13 tags":                    {map[string]any{"tag": tags}, 21005},
		"no tag":                     {map[string]any{"tag": ""}, 21005},
		"empty tag":                  {map[string]any{"tag": "a,,b"}, 21005},
		"long tag":                   {map[string]any{"tag": long(21)}, 21005},
		"local cover":                {map[string]any{"cover": "/tmp/cover.jpg"}, 21001},
		"no parts":                   {map[string]any{"videos": []any{}}, 21011},
		"interactive":                {map[string]any{"interactive": 1}, 21001},
		"switch out of range":        {map[string]any{"dolby": 2}, 21001},
		"text and desc_v2":           {map[string]any{"desc_v2": []any{map[string]any{"type": 1, "raw_text": "other", "biz_id": ""}}}, 21001},
		"mention without id":         {map[string]any{"desc": "@a ", "desc_v2": []any{map[string]any{"type": 2, "raw_text": "a", "biz_id": ""}}}, 21001},
		"date in milliseconds":       {map[string]any{"dtime": 1767225600000}, 21006},
	} {
		t.Run(name, func(t *testing.T) {
			c := setup(t, bilibili.Options{})
			c.wantCode(c.must(c.submitRequest(archiveBody(test.change, c.upload("tx", "a.mp4", content(10))))), test.code)
			c.onlyViolation(bilibili.RuleSubmission)
			if len(c.sim.Archives()) != 0 {
				t.Error("an archive was made")
			}
			if s := c.sim.Submits(); len(s) != 1 || int64(s[0].Code) != test.code {
				t.Errorf("submits %+v", s)
			}
		})
	}
}

func TestSubmissionAtTheLimitsIsRight(t *testing.T) {
	c := setup(t, bilibili.Options{})
	body := archiveBody(map[string]any{
		"title": strings.Repeat("字", 80), "desc": strings.Repeat("字", 1995) + "@ab ", "tag": "1,2,3,4,5,6,7,8,9,10,11,12",
		"desc_v2": []any{
			map[string]any{"type": 1, "raw_text": strings.Repeat("字", 1995), "biz_id": ""},
			map[string]any{"type": 2, "raw_text": "ab", "biz_id": "10001"},
		},
		"dtime": c.sim.Now().Add(5 * time.Hour).Unix(), "extra_of_the_user": map[string]any{"a": 1},
	}, c.upload("tx", "a.mp4", content(10)))
	c.wantCode(c.must(c.submitRequest(body)), 0)
	c.sim.RequireNoViolations(t)
	var kept map[string]any
	if err := json.Unmarshal(c.sim.Archives()[0].Body, &kept); err != nil || kept["extra_of_the_user"] == nil {
		t.Errorf("kept %v, %v", kept, err)
	}
}

func TestPublishTimeOutsideItsWindow(t *testing.T) {
	c := setup(t, bilibili.Options{})
	name := c.upload("tx", "a.mp4", content(10))
	for _, wait := range []time.Duration{3 * time.Hour, 16 * 24 * time.Hour} {
		c.wantCode(c.must(c.submitRequest(archiveBody(map[string]any{"dtime": c.sim.Now().Add(wait).Unix()}, name))), 21006)
	}
	c.sim.RequireNoViolations(t)
}

func TestPartsMustBeCompleteOwnAndUnused(t *testing.T) {
	c := setup(t, bilibili.Options{})
	mine := c.upload("tx", "a.mp4", content(10))
	unfinished := c.grant("tx", "b.mp4", content(10))
	unfinished.init()
	stranger := *c
	stranger.account = c.sim.AddAccount(bilibili.AccountOptions{})
	foreign := stranger.upload("tx", "c.mp4", content(10))

	for name, parts := range map[string][]string{
		"unknown": {"n000000xx"}, "unfinished": {unfinished.filename()}, "foreign": {foreign},
		"with its extension": {mine + ".mp4"},
	} {
		c.sim.ClearLog()
		c.wantCode(c.must(c.submitRequest(archiveBody(nil, parts...))), 21001)
		if v := c.sim.Violations(); len(v) != 1 || v[0].Rule != bilibili.RuleUnknownFile {
			t.Errorf("%s: violations %v", name, v)
		}
	}
	c.sim.ClearLog()
	c.wantCode(c.must(c.submitRequest(archiveBody(nil, mine))), 0)
	c.wantCode(c.must(c.submitRequest(archiveBody(map[string]any{"title": "other"}, mine))), 10009)
	c.sim.RequireNoViolations(t)
}

func TestWrongCIDIsRefused(t *testing.T) {
	c := setup(t, bilibili.Options{})
	body := archiveBody(nil, c.upload("tx", "a.mp4", content(10)))
	body["videos"].([]map[string]any)[0]["cid"] = 1
	c.wantCode(c.must(c.submitRequest(body)), 21001)
	c.onlyViolation(bilibili.RuleUnknownFile)
}

func TestPartTitleTooLongIsRefused(t *testing.T) {
	c := setup(t, bilibili.Options{})
	body := archiveBody(nil, c.upload("tx", "a.mp4", content(10)))
	body["videos"].([]map[string]any)[0]["title"] = strings.Repeat("a", 81)
	c.wantCode(c.must(c.submitRequest(body)), 21104)
	c.onlyViolation(bilibili.RuleSubmission)
}

func TestUnknownTokenAndRevokedAccountAreNotLoggedIn(t *testing.T) {
	c := setup(t, bilibili.Options{})
	g := c.grant("tx", "a.mp4", content(2500))
	g.init()
	c.sim.Revoke(c.account.MID)
	g.putAll() // what was granted can still be sent
	g.complete()
	c.wantCode(c.must(c.submitRequest(archiveBody(nil, g.filename()))), -101)
	if out := c.must(c.preuploadRequest("tx", "b.mp4", 1)); out.status != 403 || out.number("code") != -101 {
		t.Errorf("preupload: HTTP %d %s", out.status, out.text)
	}
	c.account.AccessToken = "unknown"
	c.wantCode(c.must(c.submitRequest(archiveBody(nil, g.filename()))), -101)
	c.sim.RequireNoViolations(t)
}

func TestClockSkewIsRefused(t *testing.T) {
	c := setup(t, bilibili.Options{})
	r := c.submitRequest(archiveBody(nil, c.upload("tx", "a.mp4", content(10))))
	c.sim.Advance(11 * time.Minute)
	c.wantCode(c.must(r), -3)
}

func TestLostAnswerOfASubmissionLeavesOneArchive(t *testing.T) {
	c := setup(t, bilibili.Options{})
	name := c.upload("tx", "a.mp4", content(10))
	c.sim.AddFault(bilibili.SubmitAnswerLost())
	if out, err := c.do(c.submitRequest(archiveBody(nil, name))); err == nil {
		t.Errorf("the answer arrived: %s", out.text)
	}
	c.wantCode(c.must(c.submitRequest(archiveBody(nil, name))), 10009)
	if a := c.sim.Archives(); len(a) != 1 {
		t.Errorf("%d archives", len(a))
	}
	c.sim.AddFault(bilibili.Code(21070))
	c.wantCode(c.must(c.submitRequest(archiveBody(nil, name))), 21070)
	if s := c.sim.Submits(); len(s) != 2 { // the last one never reached the service
		t.Errorf("submits %+v", s)
	}
}

func TestSubmitLimits(t *testing.T) {
	c := setup(t, bilibili.Options{SubmitLimits: true})
	submit := func() reply {
		return c.must(c.submitRequest(archiveBody(nil, c.upload("tx", "a.mp4", content(10)))))
	}
	c.wantCode(submit(), 0)
	c.wantCode(submit(), 21070)
	for range 9 {
		c.sim.Advance(time.Minute)
		c.wantCode(submit(), 0)
	}
	c.sim.Advance(time.Minute)
	out := submit()
	c.wantCode(out, 601)
	if out.string("data.v_voucher") == "" {
		t.Errorf("no voucher: %s", out.text)
	}
	c.sim.Advance(25 * time.Hour)
	c.wantCode(submit(), 0)
}

func TestSameTitleWithinItsWindow(t *testing.T) {
	c := setup(t, bilibili.Options{DuplicateTitleWindow: time.Hour})
	c.wantCode(c.must(c.submitRequest(archiveBody(nil, c.upload("tx", "a.mp4", content(10))))), 0)
	again := c.upload("tx", "b.mp4", content(10))
	c.wantCode(c.must(c.submitRequest(archiveBody(nil, again))), 21012)
	c.sim.Advance(time.Hour)
	c.wantCode(c.must(c.submitRequest(archiveBody(nil, again))), 0)
}

func TestHundredAndThirtyParts(t *testing.T) {
	c := setup(t, bilibili.Options{})
	names := make([]string, 130)
	for i := range names {
		names[i] = c.upload("tx", fmt.Sprintf("%d.mp4", i), []byte{byte(i)})
	}
	c.wantCode(c.must(c.submitRequest(archiveBody(nil, names[:101]...))), 21058)
	c.onlyViolation(bilibili.RuleSubmission)
	c.sim.ClearLog()
	added := c.must(c.submitRequest(archiveBody(nil, names[:100]...)))
	c.wantCode(added, 0)
	aid := added.number("data.aid")
	c.wantCode(c.edit(c.edited(aid, names...)), 0)
	a := c.sim.Archives()[0]
	if len(a.Videos) != 130 || a.Edits != 1 || a.State != bilibili.StateEditAwaiting {
		t.Fatalf("%d parts, %d edits, state %d", len(a.Videos), a.Edits, a.State)
	}
	for i, v := range a.Videos {
		if v.Filename != names[i] {
			t.Fatalf("part %d is %s", i+1, v.Filename)
		}
	}
	c.sim.RequireNoViolations(t)
}

func TestEditIsForTheOwnerAndDropsWhatIsLeftOut(t *testing.T) {
	c := setup(t, bilibili.Options{})
	one, two := c.upload("tx", "a.mp4", content(10)), c.upload("tx", "b.mp4", content(10))
	aid := c.must(c.submitRequest(archiveBody(nil, one, two))).number("data.aid")
	body := c.edited(aid, two)
	body["title"] = "shorter"
	c.wantCode(c.edit(body), 0)
	if a := c.sim.Archives()[0]; a.Title != "shorter" || len(a.Videos) != 1 || a.Videos[0].Filename != two {
		t.Errorf("archive %+v", a)
	}
	if err := c.sim.SetArchiveState(aid, bilibili.StateLocked, "locked"); err != nil {
		t.Fatal(err)
	}
	c.wantCode(c.edit(body), -400)
	c.account = c.sim.AddAccount(bilibili.AccountOptions{})
	c.wantCode(c.edit(body), -404)
}

func TestOtherWaysToSubmit(t *testing.T) {
	c := setup(t, bilibili.Options{})
	web := func(path, csrf string, body map[string]any) reply {
		encoded, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		r := c.asBrowser("POST", path, url.Values{"t": {"1767225600000"}, "csrf": {csrf}}, bytes.NewReader(encoded))
		r.Header.Set("Content-Type", "application/json;charset=UTF-8")
		return c.must(r)
	}
	csrf := c.account.Cookies["bili_jct"]
	upload := func() string { return c.upload("tx", "a.mp4", content(10)) }
	c.wantCode(web("/x/vu/web/add", csrf, archiveBody(nil, upload())), 0)
	body := archiveBody(nil, upload())
	body["videos"].([]map[string]any)[0]["cid"] = c.sim.Objects()[1].BizID
	added := web("/x/vu/web/add/v3", csrf, body)
	c.wantCode(added, 0)
	edit := c.edited(added.number("data.aid"), c.sim.Objects()[1].Name)
	c.wantCode(web("/x/vu/web/edit", csrf, edit), 21001) // the web page names the cid of each part
	c.onlyViolation(bilibili.RuleSubmission)
	c.sim.ClearLog()
	edit["videos"], edit["title"] = body["videos"], "edited"
	c.wantCode(web("/x/vu/web/edit", csrf, edit), 0)

	query := url.Values{
		"access_key": {c.account.AccessToken}, "appkey": {bilibili.BCutAndroid.Key}, "aurora_version": {"2.39.0"}, "build": {"2800030"},
		"c_locale": {"zh-Hans_CN"}, "channel": {"master"}, "mobi_app": {"android_bbs"}, "montage_version": {"1.42.1.0"},
		"platform": {"android"}, "s_locale": {"zh-Hans_CN"}, "sdk_type": {"mon"}, "ts": {strconv.FormatInt(c.sim.Now().Unix(), 10)},
	}
	bcut := c.appRequest("/x/vu/mvp/add", archiveBody(nil, upload()))
	bcut.URL.RawQuery = signed(bilibili.BCutAndroid, query).Encode()
	c.wantCode(c.must(bcut), 0)
	c.wantCode(web("/x/vu/client/add", csrf, body), 21590)
	c.sim.RequireNoViolations(t)
	c.wantCode(web("/x/vu/web/add/v3", csrf, archiveBody(nil, upload())), 21001)
	c.wantCode(web("/x/vu/web/add/v3", "wrong", body), -111)
}

func TestListHasPagesAndStates(t *testing.T) {
	c := setup(t, bilibili.Options{})
	for i := range 3 {
		c.wantCode(c.must(c.submitRequest(archiveBody(map[string]any{"title": fmt.Sprint("nr ", i)}, c.upload("tx", "a.mp4", content(10))))), 0)
	}
	list := func(status, page string) reply {
		return c.must(c.asBrowser("GET", "/x/web/archives", url.Values{"status": {status}, "pn": {page}, "ps": {"2"}}, nil))
	}
	first, second := list("is_pubing", "1"), list("is_pubing", "2")
	if n := len(first.json["data"].(map[string]any)["arc_audits"].([]any)); n != 2 || first.number("data.page.count") != 3 {
		t.Errorf("first page: %s", first.text)
	}
	if !strings.Contains(first.text, "nr 2") || !strings.Contains(second.text, "nr 0") {
		t.Error("the newest archive does not come first")
	}
	if out := list("pubed", "1"); out.number("data.page.count") != 0 {
		t.Errorf("published too early: %s", out.text)
	}
	c.sim.Advance(2 * time.Minute)
	if out := list("pubed", "1"); out.number("data.page.count") != 3 {
		t.Errorf("published: %s", out.text)
	}
	c.wantCode(list("all", "1"), -400)
}

func TestListsAtOnceAreTooFrequent(t *testing.T) {
	c := setup(t, bilibili.Options{})
	request := func() *http.Request {
		return c.asBrowser("GET", "/x/web/archives", url.Values{"status": {"pubed"}}, nil)
	}
	hold := c.sim.AddFault(bilibili.Hang(bilibili.CallList))
	first := make(chan reply)
	go func() {
		out, _ := c.do(request())
		first <- out
	}()
	if err := c.sim.WaitFault(within(t), hold, 1); err != nil {
		t.Fatal(err)
	}
	c.wantCode(c.must(request()), -702)
	c.sim.ReleaseFault(hold)
	c.wantCode(<-first, 0)
	c.wantCode(c.must(request()), 0)
}

func TestArchiveLife(t *testing.T) {
	c := setup(t, bilibili.Options{})
	good, bad := c.upload("tx", "a.mp4", content(10)), c.upload("tx", "b.mp4", content(10))
	c.must(c.submitRequest(archiveBody(nil, good)))
	broken := c.must(c.submitRequest(archiveBody(nil, bad))).string("data.aid")
	later := c.sim.Now().Add(5 * time.Hour)
	c.must(c.submitRequest(archiveBody(map[string]any{"dtime": later.Unix()}, c.upload("tx", "c.mp4", content(10)))))
	c.sim.FailTranscode(bad)
	states := func() (out []int) {
		for _, a := range c.sim.Archives() {
			out = append(out, a.State)
		}
		return out
	}
	want := func(states []int, a, b, c int) {
		t.Helper()
		if fmt.Sprint(states) != fmt.Sprint([]int{a, b, c}) {
			t.Errorf("states %v, want %v", states, []int{a, b, c})
		}
	}
	want(states(), bilibili.StateInReview, bilibili.StateInReview, bilibili.StateInReview)
	c.sim.Advance(time.Minute)
	want(states(), bilibili.StateInReview, bilibili.StateTranscodeFailed, bilibili.StateInReview)
	view := c.must(c.asBrowser("GET", "/x/vupre/web/archive/view", url.Values{"aid": {broken}}, nil))
	if !strings.Contains(view.text, `"fail_code":9`) || !strings.Contains(view.text, `"xcode_state":3`) {
		t.Errorf("view: %s", view.text)
	}
	c.sim.Advance(time.Minute)
	want(states(), bilibili.StatePublic, bilibili.StateTranscodeFailed, bilibili.StateScheduled)
	c.sim.Advance(5 * time.Hour)
	want(states(), bilibili.StatePublic, bilibili.StateTranscodeFailed, bilibili.StatePublic)
	if err := c.sim.SetArchiveState(c.sim.Archives()[0].AID, bilibili.StateReturned, "no"); err != nil {
		t.Error(err)
	}
	want(states(), bilibili.StateReturned, bilibili.StateTranscodeFailed, bilibili.StatePublic)
	if a := c.sim.Archives()[0]; a.RejectReason != "no" {
		t.Errorf("reason %q", a.RejectReason)
	}
	if err := c.sim.SetArchiveState(1, 0, ""); err == nil {
		t.Error("an unknown archive got a state")
	}
}
