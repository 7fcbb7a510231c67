package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/simulator/bilibili"
)

const tooFast = "您上传视频过快，请您稍作休息后再继续"

func TestPreuploadAnswersThatMeanNo(t *testing.T) {
	const secret = "0123456789abcdef"
	answers := []struct {
		name   string
		action bilibili.Action
		kind   sdk.Kind
		after  time.Duration
		tries  int
	}{
		{"406", bilibili.Action{Status: 406, Body: `{"code":406,"message":"` + tooFast + `"}`}, sdk.RateLimited, time.Minute, 1},
		{"406 with 601", bilibili.Action{Status: 406, Body: `{"OK":0,"code":601,"info":"x","message":"` + tooFast + `","detail":{"v_voucher":"voucher_` + secret + `"}}`}, sdk.RateLimited, time.Minute, 1},
		{"200 with 601", bilibili.Action{Status: 200, Body: `{"OK":0,"code":601,"message":"` + tooFast + `"}`}, sdk.RateLimited, time.Minute, 1},
		{"500 with 601", bilibili.Action{Status: 500, Body: `{"OK":0,"code":"601"}`}, sdk.RateLimited, time.Minute, 1},
		{"406 without a body", bilibili.Action{Status: 406}, sdk.RateLimited, time.Minute, 1},
		{"429", bilibili.Action{Status: 429}, sdk.RateLimited, time.Minute, 1},
		{"412 page", bilibili.Action{Status: 412, Body: "<!DOCTYPE html><html></html>"}, sdk.RateLimited, 30 * time.Minute, 1},
		{"-412", bilibili.Action{Status: 200, Body: `{"code":-412,"message":"request was banned"}`}, sdk.RateLimited, 30 * time.Minute, 1},
		{"200 page", bilibili.Action{Status: 200, Body: "<!DOCTYPE html><html></html>"}, sdk.RateLimited, 30 * time.Minute, 1},
		{"403", bilibili.Action{Status: 403}, sdk.LoginRequired, 0, 1},
		{"-101", bilibili.Action{Status: 200, Body: `{"code":-101,"message":"账号未登录"}`}, sdk.LoginRequired, 0, 1},
		{"500", bilibili.Action{Status: 500}, sdk.Unavailable, 0, 5},
		{"502 page", bilibili.Action{Status: 502, Body: "<html></html>"}, sdk.Unavailable, 0, 5},
		{"reset", bilibili.Action{Do: bilibili.DoReset}, sdk.Unavailable, 0, 5},
		{"302", bilibili.Action{Status: 302, Header: map[string]string{"Location": "http://127.0.0.1:1/"}}, sdk.Bug, 0, 1},
		{"no chunk_size", bilibili.Action{Do: bilibili.DoEdit, Drop: []string{"chunk_size"}, Set: map[string]any{"auth": "sign=" + secret}}, sdk.Bug, 0, 1},
		{"no auth", bilibili.Action{Do: bilibili.DoEdit, Drop: []string{"auth"}}, sdk.Bug, 0, 1},
		{"chunk_size 1 byte too small", bilibili.Action{Do: bilibili.DoEdit, Set: map[string]any{"chunk_size": -1}}, sdk.Bug, 0, 1},
		{"text for a number", bilibili.Action{Do: bilibili.DoEdit, Set: map[string]any{"chunk_size": "big"}}, sdk.Bug, 0, 1},
		{"strange upos_uri", bilibili.Action{Do: bilibili.DoEdit, Set: map[string]any{"upos_uri": "upos://ugc/../x.mp4"}}, sdk.Bug, 0, 1},
		{"strange endpoint", bilibili.Action{Do: bilibili.DoEdit, Set: map[string]any{"endpoint": "ftp://127.0.0.1"}}, sdk.Bug, 0, 1},
		{"header in auth", bilibili.Action{Do: bilibili.DoEdit, Set: map[string]any{"auth": "sign=" + secret + "\r\nX: y"}}, sdk.Bug, 0, 1},
		{"not JSON", bilibili.Action{Status: 200, Body: "sign=" + secret}, sdk.Bug, 0, 1},
		{"unknown refusal", bilibili.Action{Status: 200, Body: `{"OK":0,"code":12345,"message":"no","auth":"` + secret + `"}`}, sdk.Bug, 0, 1},
	}
	for _, a := range answers {
		t.Run(a.name, func(t *testing.T) {
			b := newBench(t, bilibili.Options{})
			if a.action.Do == "" {
				a.action.Do = bilibili.DoAnswer
			}
			b.sim.AddFault(bilibili.Fault{Match: bilibili.Match{Call: bilibili.CallPreupload}, Action: a.action})
			_, err := b.Upload(t.Context(), b.file(writeFile(t, 10)), (&keeper{t: t}).report)
			mustBeKind(t, err, a.kind)
			if got := sdk.RetryAfter(err); got != a.after {
				t.Errorf("retry after %s, want %s", got, a.after)
			}
			if n := b.count(bilibili.CallPreupload); n != a.tries {
				t.Errorf("asked %d times, want %d", n, a.tries)
			}
			for _, hidden := range []string{secret, b.account.Cookies["SESSDATA"]} {
				if strings.Contains(err.Error(), hidden) {
					t.Errorf("the error gives a secret away: %v", err)
				}
			}
		})
	}
}

func TestMissingCookiesAreLoginRequired(t *testing.T) {
	b := newBench(t, bilibili.Options{})
	file := b.file(writeFile(t, 10))
	file.Cookies = nil
	_, err := b.Upload(t.Context(), file, (&keeper{t: t}).report)
	mustBeKind(t, err, sdk.LoginRequired)
}

func TestPreuploadAnswersThatMeanYes(t *testing.T) {
	for name, action := range map[string]bilibili.Action{
		"other chunk size": {Do: bilibili.DoEdit, Set: map[string]any{"chunk_size": 4 * mib}},
		"no endpoints":     {Do: bilibili.DoEdit, Drop: []string{"endpoints"}},
		"large biz_id":     {Do: bilibili.DoEdit, Set: map[string]any{"biz_id": int64(500_000_000_000_001)}},
		"numbers with OK":  {Do: bilibili.DoEdit, Set: map[string]any{"code": 0, "OK": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, bilibili.Options{})
			b.sim.AddFault(bilibili.Fault{Match: bilibili.Match{Call: bilibili.CallPreupload}, Action: action})
			b.mustUpload(t, b.file(writeFile(t, 5*mib)))
			b.sim.RequireNoViolations(t)
		})
	}
}

func TestInitAnswersThatMeanNo(t *testing.T) {
	for name, c := range map[string]struct {
		action bilibili.Action
		kind   sdk.Kind
		tries  int
	}{
		"403":          {bilibili.Action{Do: bilibili.DoAnswer, Status: 403}, sdk.Unavailable, 1},
		"404":          {bilibili.Action{Do: bilibili.DoAnswer, Status: 404}, sdk.Unavailable, 1},
		"500":          {bilibili.Action{Do: bilibili.DoAnswer, Status: 500}, sdk.Unavailable, 5},
		"XML":          {bilibili.Action{Do: bilibili.DoAnswer, Status: 200, Body: "<?xml version=\"1.0\"?><a/>"}, sdk.Bug, 1},
		"no upload_id": {bilibili.Action{Do: bilibili.DoEdit, Drop: []string{"upload_id"}}, sdk.Bug, 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, bilibili.Options{})
			b.sim.AddFault(bilibili.Fault{Match: bilibili.Match{Call: bilibili.CallInit}, Action: c.action})
			_, err := b.Upload(t.Context(), b.file(writeFile(t, 10)), (&keeper{t: t}).report)
			mustBeKind(t, err, c.kind)
			if n := b.count(bilibili.CallInit); n != c.tries {
				t.Errorf("asked %d times, want %d", n, c.tries)
			}
		})
	}
}

func TestUploadLimitHoldsInEveryStep(t *testing.T) {
	for _, call := range []bilibili.Call{bilibili.CallInit, bilibili.CallPart, bilibili.CallComplete} {
		t.Run(string(call), func(t *testing.T) {
			b := newBench(t, bilibili.Options{})
			b.sim.AddFault(bilibili.Fault{Match: bilibili.Match{Call: call}, Action: bilibili.Action{Do: bilibili.DoAnswer, Status: 406, Body: `{"code":601}`}})
			_, err := b.Upload(t.Context(), b.file(writeFile(t, 10)), (&keeper{t: t}).report)
			mustBeKind(t, err, sdk.RateLimited)
			if n := b.count(call); n != 1 {
				t.Errorf("asked %d times, want once", n)
			}
		})
	}
}

// A redirect of a storage call would hand the authorisation to whoever it names.
func TestRedirectsAreNotFollowed(t *testing.T) {
	var visits atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visits.Add(1) }))
	defer elsewhere.Close()
	for _, call := range []bilibili.Call{bilibili.CallPreupload, bilibili.CallInit, bilibili.CallPart, bilibili.CallComplete} {
		b := newBench(t, bilibili.Options{})
		b.sim.AddFault(bilibili.Fault{Match: bilibili.Match{Call: call}, Action: bilibili.Action{
			Do: bilibili.DoAnswer, Status: 307, Header: map[string]string{"Location": elsewhere.URL},
		}})
		if _, err := b.Upload(t.Context(), b.file(writeFile(t, 10)), (&keeper{t: t}).report); err == nil {
			t.Errorf("%s: a redirect was taken for success", call)
		}
	}
	if n := visits.Load(); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

func TestEndpointChoice(t *testing.T) {
	bda2, _ := lineNamed("bda2")
	for _, c := range []struct {
		endpoint  string
		endpoints []string
		want      string
	}{
		{"//a.example", nil, "//a.example"},
		{"//a.example", []string{"//b.example"}, "//a.example"},
		{"//a.example", []string{"//b.example", "//upos-cs-upcdnbda2.bilivideo.com"}, "//upos-cs-upcdnbda2.bilivideo.com"},
		{"//a.example", []string{"//upos-cs-upcdnbda2.bilivideo.com.evil.example", "://"}, "//a.example"},
	} {
		if got := (preuploadAnswer{Endpoint: c.endpoint, Endpoints: c.endpoints}).endpointFor(bda2); got != c.want {
			t.Errorf("%q of %q: got %q, want %q", c.endpoint, c.endpoints, got, c.want)
		}
	}
}

func TestEndpointsNeverLoseTheirEncryption(t *testing.T) {
	for _, c := range []struct{ endpoint, member, want string }{
		{"//a.example", "https", "https://a.example"},
		{"//a.example:8443/", "https", "https://a.example:8443/"},
		{"http://a.example", "https", "https://a.example"},
		{"https://a.example", "http", "https://a.example"},
		{"//a.example", "http", "http://a.example"},
		{"a.example", "https", ""},
		{"//user@a.example", "https", ""},
		{"//:80", "https", ""},
		{"file:///etc/passwd", "https", ""},
		{"", "https", ""},
	} {
		got := ""
		if u, err := serverURL(c.endpoint, c.member); err == nil {
			got = u.String()
		}
		if got != c.want {
			t.Errorf("%q with a member URL of %s: got %q, want %q", c.endpoint, c.member, got, c.want)
		}
	}
}

func TestMemberURLIsChecked(t *testing.T) {
	for _, good := range []string{"https://member.bilibili.com", "https://member.bilibili.com/", "http://127.0.0.1:8080"} {
		u, err := newUpos(t.Context(), options{MemberURL: good})
		if err != nil || strings.HasSuffix(u.member.String(), "/") {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "member.bilibili.com", "ftp://a", "https://", "https://u:p@a", "https://a?b=c", "::"} {
		_, err := newUpos(t.Context(), options{MemberURL: bad})
		mustBeKind(t, err, sdk.InvalidOption)
	}
}

func TestPausesGrowUpToTheirLimit(t *testing.T) {
	pauses := patience{first: 2 * time.Second, most: 64 * time.Second}.pauses()
	pauses.Reset()
	for _, want := range []time.Duration{2, 4, 8, 16, 32, 64, 64, 64} {
		want *= time.Second
		if got := pauses.NextBackOff(); float64(got) < (1-jitter)*float64(want)-1 || float64(got) > (1+jitter)*float64(want)+1 {
			t.Errorf("a pause is %s, want about %s", got, want)
		}
	}
}
