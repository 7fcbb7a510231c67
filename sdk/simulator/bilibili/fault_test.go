package bilibili_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lubod/lubod/sdk/simulator/bilibili"
)

// uploading sends parts and wants each to be stored in the end; a part is sent again until it is.
func (g *grant) putStubbornly(attempts int) (failures int) {
	g.c.t.Helper()
	for number := 1; number <= g.parts(); number++ {
		for attempt := 1; ; attempt++ {
			out, err := g.c.do(g.partRequest(number))
			if err == nil && out.status == 200 {
				break
			}
			if failures++; attempt == attempts {
				g.c.t.Fatalf("part %d: HTTP %d, %v at attempt %d", number, out.status, err, attempt)
			}
		}
	}
	return failures
}

func TestChunkFaultsStrikeAndTheNextTryIsStored(t *testing.T) {
	for name, fault := range map[string]bilibili.Fault{
		"500":                 bilibili.PartStatus(2, 500).For(2),
		"502 page":            bilibili.HTML(bilibili.CallPart, 502).OfPart(2).For(2),
		"reset before body":   bilibili.ResetBeforeBody(2).For(2),
		"reset in the middle": bilibili.ResetMidBody(2, 100).For(2),
		"reset past the body": bilibili.ResetMidBody(2, 1<<20).For(2),
		"answer lost":         bilibili.PartAnswerLost(2).For(2),
	} {
		t.Run(name, func(t *testing.T) {
			g := storage(t, bilibili.Options{}, (*grant).init)
			id := g.c.sim.AddFault(fault)
			if failures := g.putStubbornly(3); failures != 2 {
				t.Errorf("%d failures, want 2", failures)
			}
			g.complete()
			if sum, err := g.c.sim.SHA256(g.filename()); sum != sha(g.data) {
				t.Errorf("hash %s, %v", sum, err)
			}
			if err := g.c.sim.WaitFault(within(t), id, 2); err != nil {
				t.Error(err)
			}
			puts := 1
			if name == "answer lost" {
				puts = 3
			}
			if o := g.c.sim.Objects()[0]; o.Parts[0].Puts != 1 || o.Parts[1].Puts != puts || o.Parts[2].Puts != 1 {
				t.Errorf("stored attempts: %+v", o.Parts)
			}
			g.c.sim.RequireNoViolations(t)
		})
	}
}

func TestEmptyPartAnswerIsStored(t *testing.T) {
	g := storage(t, bilibili.Options{}, (*grant).init)
	g.c.sim.AddFault(bilibili.EmptyPartAnswer().Always())
	if out := g.c.must(g.partRequest(1)); out.status != 200 || out.text != "" {
		t.Errorf("HTTP %d %q", out.status, out.text)
	}
	g.put(2)
	g.put(3)
	g.complete()
}

func TestFaultPicksAttemptPartLineAndAccount(t *testing.T) {
	c := setup(t, bilibili.Options{})
	second := bilibili.PartStatus(3, 500).Always()
	second.Match.Attempt = 2
	c.sim.AddFault(second)
	c.sim.AddFault(bilibili.Status(bilibili.CallPreupload, 503).OfLine("tx"))
	c.sim.AddFault(bilibili.RateLimited406().OfAccount(c.account.MID).After(1).Always())
	g := c.grant("bda2", "a.mp4", content(2500))
	g.init()
	g.put(3)
	if out := c.must(g.partRequest(3)); out.status != 500 {
		t.Errorf("second attempt: HTTP %d", out.status)
	}
	g.put(3)
	if out := c.must(c.preuploadRequest("tx", "b.mp4", 1)); out.status != 503 {
		t.Errorf("other line: HTTP %d", out.status)
	}
	if out := c.must(c.preuploadRequest("tx", "b.mp4", 1)); out.status != 406 || out.number("code") != 406 {
		t.Errorf("limited account: HTTP %d %s", out.status, out.text)
	}
	c.account = c.sim.AddAccount(bilibili.AccountOptions{})
	if out := c.must(c.preuploadRequest("tx", "b.mp4", 1)); out.status != 200 {
		t.Errorf("other account: HTTP %d %s", out.status, out.text)
	}
}

func TestAnswersOfPreuploadFaults(t *testing.T) {
	for name, test := range map[string]struct {
		fault  bilibili.Fault
		status int
		code   int64
		text   string
	}{
		"406":          {bilibili.RateLimited406(), 406, 406, "视频过快"},
		"601":          {bilibili.Voucher601(), 406, 601, "v_voucher"},
		"601 with 200": {bilibili.Voucher601OK(), 200, 601, "v_voucher"},
		"-101":         {bilibili.NotLoggedIn(), 200, -101, "未登录"},
		"412":          {bilibili.RiskControl412(), 412, 0, "<html>"},
		"403":          {bilibili.Status(bilibili.CallPreupload, 403), 403, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := setup(t, bilibili.Options{})
			c.sim.AddFault(test.fault)
			out := c.must(c.preuploadRequest("tx", "a.mp4", 1))
			if out.status != test.status || out.number("code") != test.code || !strings.Contains(out.text, test.text) {
				t.Errorf("HTTP %d %s", out.status, out.text)
			}
			if out := c.must(c.preuploadRequest("tx", "a.mp4", 1)); out.status != 200 || len(c.sim.Objects()) != 1 {
				t.Errorf("after the fault: HTTP %d %s", out.status, out.text)
			}
		})
	}
}

func TestChangedOfferIsWhatTheUploadHasToKeep(t *testing.T) {
	c := setup(t, bilibili.Options{LineHosts: true})
	c.sim.AddFault(bilibili.ChunkSize(700))
	g := c.grant("tx", "a.mp4", content(1500))
	if g.chunkSize != 700 || g.parts() != 3 {
		t.Fatalf("chunk size %d", g.chunkSize)
	}
	g.init()
	g.putAll()
	g.complete()

	c.sim.AddFault(bilibili.BizID(500_000_000_000_000))
	g = c.grant("tx", "a.mp4", content(10))
	g.init()
	g.putAll()
	g.complete()
	if o, _ := c.sim.Object(g.filename()); o.BizID != 500_000_000_000_000 {
		t.Errorf("biz_id %d", o.BizID)
	}

	c.sim.AddFault(c.sim.OtherEndpoint("alia"))
	g = c.grant("tx", "a.mp4", content(10))
	if g.base != c.sim.LineURL("alia") {
		t.Errorf("endpoint %s", g.base)
	}
	g.init()

	c.sim.AddFault(bilibili.NoChunkSize())
	if out := c.must(c.preuploadRequest("tx", "a.mp4", 1)); out.string("chunk_size") != "" || out.string("auth") == "" {
		t.Errorf("offer %s", out.text)
	}
	c.sim.RequireNoViolations(t)
}

func TestHungPartIsSentAgainWithoutHarm(t *testing.T) {
	g := storage(t, bilibili.Options{}, (*grant).init)
	hang := g.c.sim.AddFault(bilibili.StallPart(2, 100))
	g.put(1)
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		_, err := g.c.do(g.partRequest(2).WithContext(ctx))
		gone <- err
	}()
	if err := g.c.sim.WaitFault(within(t), hang, 1); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("hung part: %v", err)
	}
	g.put(2)
	g.put(3)
	g.complete()
	g.c.sim.ReleaseFault(hang) // what is left of the first attempt must change nothing
	if _, err := g.c.sim.WaitRequests(within(t), bilibili.Match{Call: bilibili.CallPart}, 4); err != nil {
		t.Fatal(err)
	}
	if sum, err := g.c.sim.SHA256(g.filename()); sum != sha(g.data) {
		t.Errorf("hash %s, %v", sum, err)
	}
	g.c.sim.RequireNoViolations(t)
}

func TestCloseLetsGoOfHungRequests(t *testing.T) {
	g := storage(t, bilibili.Options{}, (*grant).init)
	hang := g.c.sim.AddFault(bilibili.Hang(bilibili.CallPart))
	gone := make(chan error)
	go func() {
		_, err := g.c.do(g.partRequest(1))
		gone <- err
	}()
	if err := g.c.sim.WaitFault(within(t), hang, 1); err != nil {
		t.Fatal(err)
	}
	if err := g.c.sim.Close(); err != nil {
		t.Error(err)
	}
	if err := <-gone; err == nil {
		t.Error("the hung request was answered")
	}
	if err := g.c.sim.Wait(within(t), func() bool { return false }); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting for a closed simulator: %v", err)
	}
}

func TestBandwidthIsLimited(t *testing.T) {
	const size, rate = 48 << 10, 64 << 10
	c := setup(t, bilibili.Options{ChunkSize: size})
	c.sim.AddFault(bilibili.Bandwidth("tx", rate))
	g := c.grant("tx", "a.mp4", content(size))
	g.init()
	begin := time.Now()
	g.put(1)
	// A quarter is let through at once; the rest cannot be faster than the limit, however slow the machine is.
	if took := time.Since(begin); took < 450*time.Millisecond {
		t.Errorf("took %v", took)
	}
	g.complete()
}

func TestFaultsOfOtherCalls(t *testing.T) {
	c := setup(t, bilibili.Options{})
	for _, test := range []struct {
		fault bilibili.Fault
		call  func(*grant) *http.Request
		check func(reply) bool
	}{
		{bilibili.InitXML(), (*grant).initRequest, func(r reply) bool { return strings.HasPrefix(r.text, "<?xml") }},
		{bilibili.NoUploadID(), (*grant).initRequest, func(r reply) bool { return r.number("OK") == 1 && r.string("upload_id") == "" }},
		{bilibili.CompleteNotOK(), func(g *grant) *http.Request { return g.completeRequest(g.partList()) },
			func(r reply) bool { return r.status == 200 && r.string("OK") == "0" }},
		{bilibili.CompleteXML(), func(g *grant) *http.Request { return g.completeRequest(g.partList()) },
			func(r reply) bool { return r.status == 400 && strings.HasPrefix(r.text, "<?xml") }},
		{bilibili.Auth5Day(), func(g *grant) *http.Request { return g.partRequest(1) },
			func(r reply) bool {
				return r.status == 403 && r.text == "" && strings.HasPrefix(r.header.Get("X-Upos-Auth"), "AUTH_TS_GT_5DAY")
			}},
		{bilibili.HeadLength(7), func(g *grant) *http.Request { return g.request("HEAD", nil, nil) },
			func(r reply) bool { return r.status == 200 && r.header.Get("Content-Length") == "7" }},
		{bilibili.GetForbidden(), func(g *grant) *http.Request { return g.request("GET", nil, nil) },
			func(r reply) bool { return r.status == 403 }},
	} {
		g := c.grant("tx", "a.mp4", content(10))
		g.init()
		c.sim.AddFault(test.fault)
		if out := c.must(test.call(g)); !test.check(out) {
			t.Errorf("%+v: HTTP %d %q %v", test.fault.Match, out.status, out.text, out.header)
		}
	}
	c.sim.RequireNoViolations(t)
}

func TestFaultsOfTheProbe(t *testing.T) {
	c := setup(t, bilibili.Options{})
	probe := func() reply {
		return c.must(c.request("GET", c.sim.URL(), "/preupload", map[string][]string{"r": {"probe"}}, nil))
	}
	c.sim.AddFault(bilibili.EmptyProbe())
	if out := probe(); len(out.json["lines"].([]any)) != 0 {
		t.Errorf("lines: %s", out.text)
	}
	c.sim.AddFault(bilibili.ProbeByGet())
	if out := probe(); out.string("probe.get") != "1" || out.string("probe.post") != "0.1" {
		t.Errorf("probe: %s", out.text)
	}
	c.sim.AddFault(bilibili.Status(bilibili.CallLineProbe, 404).OfLine("tx"))
	for line, want := range map[string]int{"tx": 404, "bda2": 200} {
		if out := c.must(c.request("GET", c.sim.LineURL(line), "/OK", map[string][]string{"line": {line}}, nil)); out.status != want {
			t.Errorf("%s: HTTP %d", line, out.status)
		}
	}
}

func TestFaultsCanBeTakenAway(t *testing.T) {
	c := setup(t, bilibili.Options{})
	id := c.sim.AddFault(bilibili.RateLimited406().Always())
	c.must(c.preuploadRequest("tx", "a.mp4", 1))
	if f := c.sim.Faults(); len(f) != 1 || f[0].Hits != 1 {
		t.Errorf("faults %+v", f)
	}
	c.sim.RemoveFault(id)
	c.sim.AddFault(bilibili.Voucher601().Always())
	c.sim.ClearFaults()
	if out := c.must(c.preuploadRequest("tx", "a.mp4", 1)); out.status != 200 {
		t.Errorf("HTTP %d", out.status)
	}
}

func TestFaultThatMakesNoSenseIsAMistakeOfTheTest(t *testing.T) {
	c := setup(t, bilibili.Options{})
	for _, action := range []bilibili.Action{{Do: "sing"}, {Do: bilibili.DoAnswer}, {Do: bilibili.DoThrottle}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v was accepted", action)
				}
			}()
			c.sim.AddFault(bilibili.Fault{Action: action})
		}()
	}
}
