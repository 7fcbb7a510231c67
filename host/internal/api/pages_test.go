package api

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/lubod/lubod/db/dbtest"
	"github.com/lubod/lubod/host/internal/pages"
)

func TestANewcomerLandsAtTheLogin(t *testing.T) {
	h := newHarness(t, dbtest.New(t))
	if landed := h.call(t, "GET", "/", "").must(t, 303); landed.header.Get("Location") != "/login" {
		t.Errorf("it leads to %q", landed.header.Get("Location"))
	}
	first := h.call(t, "GET", "/login", "").must(t, 200)
	for _, words := range []string{"Create the first user", "/api/v1/users/register", `data-first="true"`, "curl -X POST " + h.base} {
		if !strings.Contains(first.body, words) {
			t.Errorf("the page does not say %q", words)
		}
	}
	if strings.Contains(first.body, "setup_token") || strings.Contains(first.body, h.server.setupToken) {
		t.Error("the page asks this machine for the set-up token, or tells it")
	}
	remote := h.call(t, "GET", "/login", "", "X-Forwarded-For", "203.0.113.7").must(t, 200)
	if !strings.Contains(remote.body, `name="setup_token"`) || strings.Contains(remote.body, h.server.setupToken) {
		t.Error("the page does not ask another machine for the set-up token, or tells it")
	}
	if chinese := h.call(t, "GET", "/login", "", "Accept-Language", "zh-CN,zh;q=0.9,en;q=0.8").must(t, 200); !strings.Contains(chinese.body, "创建首个用户") || !strings.Contains(chinese.body, `lang="zh"`) {
		t.Error("the page is not in Chinese")
	}

	h.register(t, "admin", "password123")
	if page := h.call(t, "GET", "/login", "").must(t, 200); strings.Contains(page.body, "first user") || !strings.Contains(page.body, `data-first="false"`) {
		t.Error("the page creates users after the first one")
	}
	h.login(t, "admin", "password123")
	index := h.call(t, "GET", "/", "").must(t, 200)
	for _, words := range []string{"<strong>admin</strong>", `href="/api/v1/docs"`, `href="/api/v1/logout"`} {
		if !strings.Contains(index.body, words) {
			t.Errorf("the index does not say %q", words)
		}
	}
}

// Whatever a page names exists, and is a path of this server.
func TestPagesLoadOnlyWhatIsThere(t *testing.T) {
	h := newLoggedIn(t)
	link := regexp.MustCompile(`(?:href|src)="([^"]*)"`)
	inline := regexp.MustCompile(`(?i)<script(?: defer)?>|<style|\son\w+=|\sstyle=|javascript:`)
	for _, path := range []string{"/", "/login", "/api/v1/docs"} {
		page := h.call(t, "GET", path, "").must(t, 200)
		if page.header.Get("Content-Security-Policy") != pages.Policy {
			t.Errorf("%s: Content-Security-Policy %q", path, page.header.Get("Content-Security-Policy"))
		}
		if found := inline.FindString(page.body); found != "" {
			t.Errorf("%s holds %s, which its policy forbids", path, found)
		}
		for _, match := range link.FindAllStringSubmatch(page.body, -1) {
			if strings.HasPrefix(match[1], "#") || strings.HasSuffix(match[1], "/logout") {
				continue
			}
			if a := h.call(t, "GET", match[1], ""); a.status != http.StatusOK {
				t.Errorf("%s names %s, which answers %d", path, match[1], a.status)
			}
		}
	}
	for name, mediaType := range map[string]string{"login.js": "text/javascript", "page.css": "text/css"} {
		if a := h.call(t, "GET", "/assets/"+name, "").must(t, 200); !strings.HasPrefix(a.header.Get("Content-Type"), mediaType) || a.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s has the type %q", name, a.header.Get("Content-Type"))
		}
	}
	for _, name := range []string{"nothing.js", "..%2ftemplates%2flogin.html", "login.html", "%00.js", "..%2f..%2fapi.go", ".js", "a%2Fb.css"} {
		h.call(t, "GET", "/assets/"+name, "").must(t, 404)
	}
}

func TestTheContractIsServed(t *testing.T) {
	h := newHarness(t, dbtest.New(t))
	if served := h.call(t, "GET", "/api/v1/openapi.yaml", "").must(t, 200); served.body != string(contract) || served.header.Get("Content-Type") != "application/yaml" {
		t.Errorf("the contract is %d bytes of %s", len(served.body), served.header.Get("Content-Type"))
	}
	docs := h.call(t, "GET", "/api/v1/docs", "", "Accept-Language", "zh").must(t, 200)
	if !strings.Contains(docs.body, "lubod 接口文档") {
		t.Error("the documentation is not in Chinese")
	}
	for key, op := range h.server.operations {
		if !strings.Contains(docs.body, `id="`+op.route.Operation.OperationID+`"`) {
			t.Errorf("the documentation leaves out %s", key)
		}
	}
}

// notLocal are places that a browser, or a proxy that decodes them, takes for another server or a script.
var notLocal = []string{
	"//evil.example", "///evil.example", `/\evil.example`, `\\evil.example`, "/%5cevil.example", "/%5Cevil.example", "/%2fevil.example", "/%2F%2Fevil.example",
	"javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,x", "https://evil.example", "http:evil.example", "/\t/evil.example", "/\n/evil.example",
	"/\r\nSet-Cookie: a=b", "/%09/evil.example", "/%0d%0aLocation:x", "/\x00", "/\u0085/x", "\x01//evil.example", " //evil.example", "evil.example", "", "/%zz",
}

func TestAttackOpenRedirectAtTheLoginPage(t *testing.T) {
	h := newHarness(t, dbtest.New(t))
	h.register(t, "admin", "password123")
	for _, next := range notLocal {
		page := h.call(t, "GET", "/login?next="+url.QueryEscape(next), "").must(t, 200)
		if !strings.Contains(page.body, `data-next="/"`) {
			t.Errorf("%q: the page leads to %s", next, regexp.MustCompile(`data-next="[^"]*"`).FindString(page.body))
		}
	}
	if page := h.call(t, "GET", "/login?next=/api/v1/docs%23getDocs", "").must(t, 200); !strings.Contains(page.body, `data-next="/api/v1/docs#getDocs"`) {
		t.Error("a path of this server is not followed")
	}
}
