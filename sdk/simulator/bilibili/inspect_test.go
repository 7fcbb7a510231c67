package bilibili_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/lubod/lubod/sdk/simulator/bilibili"
)

// admin makes a call below /_sim/ and decodes the answer.
func (c *client) admin(method, path, body string, status int, into any) {
	c.t.Helper()
	target, err := url.Parse("/_sim/" + path)
	if err != nil {
		c.t.Fatal(err)
	}
	r := c.request(method, c.sim.URL(), target.Path, target.Query(), strings.NewReader(body))
	out := c.must(r)
	if out.status != status {
		c.t.Fatalf("%s %s: HTTP %d %s, want %d", method, path, out.status, out.text, status)
	}
	if into != nil {
		if err := json.Unmarshal([]byte(out.text), into); err != nil {
			c.t.Fatalf("%s %s: %v in %s", method, path, err, out.text)
		}
	}
}

func TestAnotherProcessCanDoTheWholeFlow(t *testing.T) {
	c := setup(t, bilibili.Options{})
	var made struct {
		Account    bilibili.Account    `json:"account"`
		CookieFile bilibili.CookieFile `json:"cookie_file"`
	}
	c.admin("POST", "accounts", `{"name":"zoe","mid":4294967297}`, 200, &made)
	if made.Account.Name != "zoe" || made.CookieFile.TokenInfo.MID != 4294967297 {
		t.Errorf("made %+v", made)
	}
	c.account = made.Account
	var file bilibili.CookieFile
	c.admin("GET", "accounts/4294967297/cookies", "", 200, &file)
	if file.TokenInfo != made.CookieFile.TokenInfo {
		t.Errorf("cookie file %+v", file)
	}

	var fault bilibili.ActiveFault
	c.admin("POST", "faults", `{"name":"voucher_601","times":2,"match":{"mid":4294967297}}`, 200, &fault)
	if fault.Times != 2 || fault.Match.Call != bilibili.CallPreupload || fault.Match.MID != 4294967297 {
		t.Errorf("fault %+v", fault)
	}
	for range 2 {
		if out := c.must(c.preuploadRequest("tx", "a.mp4", 1)); out.status != 406 {
			t.Errorf("HTTP %d", out.status)
		}
	}
	c.admin("POST", "faults", `{"code":21070}`, 200, nil)
	c.admin("POST", "faults", `{"match":{"call":"part","part":2},"action":{"do":"answer","status":500},"times":1}`, 200, nil)
	var faults []bilibili.ActiveFault
	c.admin("GET", "faults", "", 200, &faults)
	if len(faults) != 3 || faults[0].Hits != 2 || faults[1].Match.Call != bilibili.CallSubmit {
		t.Errorf("faults %+v", faults)
	}

	g := c.grant("tx", "a.mp4", content(2500))
	g.init()
	if failures := g.putStubbornly(2); failures != 1 {
		t.Errorf("%d failures", failures)
	}
	g.complete()
	c.wantCode(c.must(c.submitRequest(archiveBody(nil, g.filename()))), 21070)
	c.wantCode(c.must(c.submitRequest(archiveBody(nil, g.filename()))), 0)

	var objects []struct {
		bilibili.Object
		SHA256 string `json:"sha256"`
	}
	c.admin("GET", "objects?wait=1", "", 200, &objects)
	if len(objects) != 1 || objects[0].SHA256 != sha(g.data) || !objects[0].Complete {
		t.Errorf("objects %+v", objects)
	}
	if out := c.must(c.request("GET", c.sim.URL(), "/_sim/objects/"+g.filename()+"/data", nil, nil)); out.text != string(g.data) {
		t.Errorf("data: %d bytes", len(out.text))
	}
	var archives []bilibili.Archive
	c.admin("GET", "archives?wait=1&timeout=10s", "", 200, &archives)
	if len(archives) != 1 || archives[0].MID != 4294967297 {
		t.Errorf("archives %+v", archives)
	}
	var violations []bilibili.Violation
	c.admin("GET", "violations", "", 200, &violations)
	if violations == nil || len(violations) != 0 {
		t.Errorf("violations %v", violations)
	}
	var requests []bilibili.Request
	c.admin("GET", "requests", "", 200, &requests)
	var parts int
	for _, r := range requests {
		if strings.HasPrefix(r.Path, "/_sim/") {
			t.Errorf("logged %s", r.Path)
		}
		if r.Call == bilibili.CallPart {
			parts++
		}
	}
	if parts != 4 {
		t.Errorf("%d chunks logged, want 4", parts)
	}
}

func TestInspectSteersTheSimulator(t *testing.T) {
	c := setup(t, bilibili.Options{})
	before := c.sim.Now()
	c.admin("POST", "clock", `{"advance":"144h"}`, 200, nil)
	if moved := c.sim.Now().Sub(before).Hours(); moved < 144 {
		t.Errorf("clock moved %v hours", moved)
	}
	c.admin("POST", "accounts/10001/require_refresh", "", 200, nil)
	if out := c.tokenInfo(bilibili.BiliTV); out.string("data.refresh") != "true" {
		t.Errorf("info: %s", out.text)
	}
	c.admin("POST", "accounts/10001/revoke", "", 200, nil)
	c.wantCode(c.tokenInfo(bilibili.BiliTV), -101)

	c.qrCode()
	c.admin("POST", "qr", `{"state":"confirmed","mid":10001}`, 200, nil)
	var logins []bilibili.QRLogin
	c.admin("GET", "qr", "", 200, &logins)
	if len(logins) != 1 || logins[0].State != bilibili.QRConfirmed {
		t.Errorf("logins %+v", logins)
	}
	hang := c.sim.AddFault(bilibili.Hang(bilibili.CallNav).Always())
	answered := make(chan reply)
	go func() {
		out, _ := c.do(c.request("GET", c.sim.URL(), "/x/web-interface/nav", nil, nil))
		answered <- out
	}()
	if err := c.sim.WaitFault(within(t), hang, 1); err != nil {
		t.Fatal(err)
	}
	c.admin("POST", "faults/1/release", "", 200, nil)
	c.wantCode(<-answered, -101)
	c.admin("DELETE", "faults/1", "", 200, nil)
	c.admin("DELETE", "faults", "", 200, nil)
	c.admin("DELETE", "violations", "", 200, nil)
	c.admin("POST", "uploads/expire", "", 200, nil)
	c.admin("POST", "reset", "", 200, nil)
	if n := len(c.sim.Accounts()); n != 0 {
		t.Errorf("%d accounts after a reset", n)
	}
	for _, path := range []string{"", "submits", "covers", "clock", "accounts", "archives"} {
		c.admin("GET", path, "", 200, nil)
	}
}

func TestInspectSaysWhatIsWrong(t *testing.T) {
	c := setup(t, bilibili.Options{})
	for _, test := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "nothing", "", 404},
		{"GET", "accounts/7/cookies", "", 404},
		{"GET", "accounts/x/cookies", "", 400},
		{"POST", "accounts", `{"nmae":"a"}`, 400},
		{"POST", "accounts/10001/praise", "", 404},
		{"POST", "archives/1/state", `{"state":0}`, 404},
		{"POST", "archives/x/state", `{"state":0}`, 400},
		{"POST", "faults", `{"name":"nope"}`, 400},
		{"POST", "faults", `{"action":{"do":"sing"}}`, 400},
		{"POST", "faults", `{`, 400},
		{"POST", "faults/x/release", "", 400},
		{"POST", "clock", `{"advance":"soon"}`, 400},
		{"POST", "qr", `{"state":"lost"}`, 400},
		{"POST", "qr", `{"state":"scanned"}`, 404},
		{"GET", "archives?wait=x", "", 400},
		{"GET", "archives?wait=1&timeout=x", "", 400},
		{"GET", "archives?wait=1&timeout=1ms", "", 408},
		{"GET", "objects/none/data", "", 404},
	} {
		c.admin(test.method, test.path, test.body, test.status, nil)
	}
}

func TestEveryNamedFaultIsValid(t *testing.T) {
	_, err := bilibili.NamedFault("?")
	if err == nil {
		t.Fatal("a fault without a name")
	}
	_, list, _ := strings.Cut(err.Error(), "use one of ")
	c := setup(t, bilibili.Options{})
	for name := range strings.SplitSeq(list, ", ") {
		fault, err := bilibili.NamedFault(name)
		if err != nil {
			t.Error(err)
			continue
		}
		c.sim.AddFault(fault) // panics when it is not valid
	}
}
