package bilibili_test

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/png"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lubod/lubod/sdk/simulator/bilibili"
)

func TestSignVectors(t *testing.T) {
	app := url.Values{
		"access_key": {"TESTTOKEN"}, "appkey": {"4409e2ce8ffd12b8"}, "build": {"7800300"}, "c_locale": {"zh-Hans_CN"}, "channel": {"bili"},
		"disable_rcmd": {"0"}, "mobi_app": {"android"}, "platform": {"android"}, "s_locale": {"zh-Hans_CN"},
		"statistics": {`"appId":1,"platform":3,"version":"7.80.0","abtest":""`}, "ts": {"1700000000"},
	}
	bcut := url.Values{
		"access_key": {"TESTTOKEN"}, "appkey": {"5dce947fe22167f9"}, "aurora_version": {"2.39.0"}, "build": {"2800030"},
		"c_locale": {"zh-Hans_CN"}, "channel": {"master"}, "mobi_app": {"android_bbs"}, "montage_version": {"1.42.1.0"},
		"platform": {"android"}, "s_locale": {"zh-Hans_CN"}, "sdk_type": {"mon"}, "ts": {"1700000000"},
	}
	for want, test := range map[string]struct {
		key   bilibili.AppKey
		query url.Values
	}{
		"e134154ed6add881d28fbdf68653cd9c": {bilibili.BiliTV, query("appkey=4409e2ce8ffd12b8&local_id=0&ts=0")},
		"b4716bc0bd192c9e47e2bb9efbc06bcf": {bilibili.BiliTV,
			query("appkey=4409e2ce8ffd12b8&auth_code=0123456789abcdef0123456789abcdef&local_id=0&ts=1700000000")},
		"577c647f61d6168b48fb941a1dfc57cc": {bilibili.Android, query("appkey=783bbb7264451d82")},
		"8fd281caec21fe18fbc5ff6aa7d3386c": {bilibili.BiliTV,
			query("access_key=TESTTOKEN&actionKey=appkey&appkey=4409e2ce8ffd12b8&ts=1700000000")},
		"c6e6a59410eba8322d00b91c1e307242": {bilibili.BiliTV, app},
		"eb5fcac6397513ce1102743d107f43c8": {bilibili.BCutAndroid, bcut},
	} {
		test.query.Set("sign", "left out")
		if got := test.key.Sign(test.query); got != want {
			t.Errorf("%s: sign %s, want %s", test.key.Name, got, want)
		}
	}
}

func query(text string) url.Values {
	values, err := url.ParseQuery(text)
	if err != nil {
		panic(err)
	}
	return values
}

func (c *client) post(path string, form url.Values) reply {
	c.t.Helper()
	return c.must(c.postRequest(path, form))
}

func (c *client) postRequest(path string, form url.Values) *http.Request {
	r := c.request("POST", c.sim.URL(), path, nil, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

func (c *client) ts() []string { return []string{strconv.FormatInt(c.sim.Now().Unix(), 10)} }

func (c *client) tokenInfo(key bilibili.AppKey) reply {
	c.t.Helper()
	return c.must(c.request("GET", c.sim.URL(), "/x/passport-login/oauth2/info", signed(key, url.Values{
		"access_key": {c.account.AccessToken}, "actionKey": {"appkey"}, "appkey": {key.Key}, "ts": c.ts(),
	}), nil))
}

func (c *client) refresh(key bilibili.AppKey) reply {
	c.t.Helper()
	return c.post("/x/passport-login/oauth2/refresh_token", signed(key, url.Values{
		"access_key": {c.account.AccessToken}, "actionKey": {"appkey"}, "appkey": {key.Key},
		"refresh_token": {c.account.RefreshToken}, "ts": c.ts(),
	}))
}

func TestTokenIsCheckedAndRefreshed(t *testing.T) {
	c := setup(t, bilibili.Options{})
	info := c.tokenInfo(bilibili.BiliTV)
	c.wantCode(info, 0)
	if info.number("data.mid") != c.account.MID || info.string("data.refresh") != "false" {
		t.Errorf("info: %s", info.text)
	}
	c.sim.Advance(151 * 24 * time.Hour)
	if out := c.tokenInfo(bilibili.BiliTV); out.string("data.refresh") != "true" {
		t.Errorf("old token: %s", out.text)
	}
	refreshed := c.refresh(bilibili.BiliTV)
	c.wantCode(refreshed, 0)
	if refreshed.string("data.token_info.access_token") == c.account.AccessToken || refreshed.string("data.cookie_info.cookies") == "" {
		t.Errorf("refreshed: %s", refreshed.text)
	}
	c.wantCode(c.tokenInfo(bilibili.BiliTV), -101) // the old one is void
	c.wantCode(c.must(c.asBrowser("GET", "/x/space/myinfo", nil, nil)), -101)
	c.account, _ = c.sim.Account(c.account.MID)
	if c.account.Refreshes != 1 || c.account.AccessToken != refreshed.string("data.access_token") {
		t.Errorf("account %+v", c.account)
	}
	c.wantCode(c.tokenInfo(bilibili.BiliTV), 0)
	c.sim.Advance(181 * 24 * time.Hour)
	c.wantCode(c.tokenInfo(bilibili.BiliTV), -101)
	c.sim.RequireNoViolations(t)
}

func TestRefreshCanBeAskedForAndGoWrong(t *testing.T) {
	c := setup(t, bilibili.Options{})
	c.sim.RequireRefresh(c.account.MID)
	if out := c.tokenInfo(bilibili.BiliTV); out.string("data.refresh") != "true" {
		t.Errorf("info: %s", out.text)
	}
	c.sim.AddFault(bilibili.Code(-101).On(bilibili.CallRefresh))
	c.wantCode(c.refresh(bilibili.BiliTV), -101)
	right := c.account.RefreshToken
	c.account.RefreshToken = "wrong"
	c.wantCode(c.refresh(bilibili.BiliTV), -400)
	c.account.RefreshToken = right
	c.sim.AddFault(bilibili.RefreshWithoutCookies())
	if out := c.refresh(bilibili.BiliTV); out.number("code") != 0 || out.string("data.cookie_info") != "" || out.string("data.token_info") == "" {
		t.Errorf("refresh: %s", out.text)
	}
	c.sim.RequireNoViolations(t)
}

func TestKeyPairMustBeThatOfTheLogin(t *testing.T) {
	c := setup(t, bilibili.Options{})
	c.wantCode(c.tokenInfo(bilibili.Android), -101)
	c.wantCode(c.refresh(bilibili.Android), -101)
	c.onlyViolation(bilibili.RulePlatformKey)
	c.sim.ClearLog()
	c.account = c.sim.AddAccount(bilibili.AccountOptions{Platform: "Android"})
	c.wantCode(c.tokenInfo(bilibili.Android), 0)
	c.sim.RequireNoViolations(t)
}

func (c *client) qrCode() reply {
	c.t.Helper()
	return c.post("/x/passport-tv-login/qrcode/auth_code", signed(bilibili.BiliTV, url.Values{
		"appkey": {bilibili.BiliTV.Key}, "local_id": {"0"}, "ts": c.ts(),
	}))
}

func (c *client) qrPoll(code string) reply {
	c.t.Helper()
	return c.post("/x/passport-tv-login/qrcode/poll", signed(bilibili.BiliTV, url.Values{
		"appkey": {bilibili.BiliTV.Key}, "auth_code": {code}, "local_id": {"0"}, "ts": c.ts(),
	}))
}

func TestQRLoginByHand(t *testing.T) {
	c := setup(t, bilibili.Options{})
	code := c.qrCode().string("data.auth_code")
	c.wantCode(c.qrPoll(code), 86039)
	if err := c.sim.ScanQR(code); err != nil {
		t.Fatal(err)
	}
	c.wantCode(c.qrPoll(code), 86090)
	if err := c.sim.ConfirmQR("", c.account.MID); err != nil {
		t.Fatal(err)
	}
	done := c.qrPoll(code)
	c.wantCode(done, 0)
	if done.number("data.mid") != c.account.MID || done.number("data.token_info.mid") != c.account.MID {
		t.Errorf("login: %s", done.text)
	}
	c.wantCode(c.qrPoll(code), 86038)
	c.account, _ = c.sim.Account(c.account.MID)
	if c.account.AccessToken != done.string("data.access_token") {
		t.Error("the login's token is not the account's")
	}
	c.wantCode(c.must(c.asBrowser("GET", "/x/web-interface/nav", nil, nil)), 0)

	if err := c.sim.ConfirmQR("unknown", 0); err == nil {
		t.Error("an unknown code was confirmed")
	}
	if err := c.sim.ConfirmQR("", 1); err == nil {
		t.Error("an unknown account confirmed")
	}
	c.sim.RequireNoViolations(t)
}

func TestQRLoginByScriptAndByTime(t *testing.T) {
	c := setup(t, bilibili.Options{QRScript: []bilibili.QRState{bilibili.QRPending, bilibili.QRScanned, bilibili.QRConfirmed}})
	code := c.qrCode().string("data.auth_code")
	for _, want := range []int64{86039, 86090, 0} {
		c.wantCode(c.qrPoll(code), want)
	}
	if n := len(c.sim.Accounts()); n != 2 {
		t.Errorf("%d accounts, want a second one", n)
	}
	c.sim.ScriptQR()
	code = c.qrCode().string("data.auth_code")
	c.sim.Advance(181 * time.Second)
	c.wantCode(c.qrPoll(code), 86038)
	code = c.qrCode().string("data.auth_code")
	if err := c.sim.ExpireQR(code); err != nil {
		t.Error(err)
	}
	c.wantCode(c.qrPoll(code), 86038)
	c.wantCode(c.qrPoll("unknown"), -404)
	c.sim.RequireNoViolations(t)
}

func TestQRLoginConfirmedByAWebSession(t *testing.T) {
	c := setup(t, bilibili.Options{})
	code := c.qrCode().string("data.auth_code")
	form := url.Values{"auth_code": {code}, "csrf": {c.account.Cookies["bili_jct"]}, "scanning_type": {"3"}}
	r := c.asBrowser("POST", "/x/passport-tv-login/h5/qrcode/confirm", nil, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	c.wantCode(c.must(r), 0)
	if out := c.qrPoll(code); out.number("data.mid") != c.account.MID {
		t.Errorf("poll: %s", out.text)
	}
	c.sim.RequireNoViolations(t)
}

func TestUnsignedLoginIsRefused(t *testing.T) {
	c := setup(t, bilibili.Options{})
	c.wantCode(c.post("/x/passport-tv-login/qrcode/auth_code", url.Values{"appkey": {bilibili.BiliTV.Key}, "local_id": {"0"}, "ts": c.ts()}), -3)
	c.onlyViolation(bilibili.RuleSign)
}

func TestCover(t *testing.T) {
	png := func(width, height int) string {
		var out bytes.Buffer
		if err := png.Encode(&out, image.NewGray(image.Rect(0, 0, width, height))); err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(out.Bytes())
	}
	pixel := png(960, 600)
	c := setup(t, bilibili.Options{})
	send := func(cover, csrf string) reply {
		r := c.asBrowser("POST", "/x/vu/web/cover/up", nil, strings.NewReader(url.Values{"cover": {cover}, "csrf": {csrf}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return c.must(r)
	}
	csrf := c.account.Cookies["bili_jct"]
	good := send("data:image/jpeg;base64,"+pixel, csrf)
	c.wantCode(good, 0)
	if covers := c.sim.Covers(); len(covers) != 1 || covers[0].URL != good.string("data.url") || covers[0].Format != "png" {
		t.Errorf("covers %+v, answer %s", covers, good.text)
	}
	c.sim.AddFault(bilibili.CoverNull())
	if out := send("data:image/jpeg;base64,"+pixel, csrf); out.number("code") != 0 || out.string("data") != "" {
		t.Errorf("null: %s", out.text)
	}
	c.sim.AddFault(bilibili.CoverHTTP())
	if out := send("data:image/jpeg;base64,"+pixel, csrf); !strings.HasPrefix(out.string("data.url"), "http:") {
		t.Errorf("http: %s", out.text)
	}
	c.sim.RequireNoViolations(t)
	c.wantCode(send("data:image/jpeg;base64,"+pixel, "wrong"), -111)
	for _, cover := range []string{pixel, "data:image/jpeg;base64," + png(959, 600), "data:image/jpeg;base64," + png(960, 599), "data:image/jpeg;base64,%%", "data:image/jpeg;base64," + base64.StdEncoding.EncodeToString([]byte("no picture"))} {
		c.wantCode(send(cover, csrf), -400)
	}
}

func TestHelpers(t *testing.T) {
	c := setup(t, bilibili.Options{})
	for path, want := range map[string]string{
		"/x/space/myinfo": c.account.Name, "/x/web-interface/nav": `"isLogin":true`, "/x/vupre/web/archive/pre": `"id":171`,
		"/x/geetest/pre/add": `"result"`,
	} {
		out := c.must(c.asBrowser("GET", path, nil, nil))
		c.wantCode(out, 0)
		if !strings.Contains(out.text, want) {
			t.Errorf("%s: %s", path, out.text)
		}
	}
	c.wantCode(c.must(c.asBrowser("GET", "/x/vupre/web/topic/tag/check", url.Values{"tag": {"live"}}, nil)), 0)
	if out := c.must(c.request("GET", c.sim.URL(), "/bfs/face/tester.png", nil, nil)); out.status != 200 {
		t.Errorf("face: HTTP %d", out.status)
	}
	c.wantCode(c.must(c.request("GET", c.sim.URL(), "/x/web-interface/nav", nil, nil)), -101)
	c.sim.RequireNoViolations(t)
}
