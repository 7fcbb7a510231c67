package bilibili_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/lubod/lubod/sdk/simulator/bilibili"
)

// submitted makes an archive of as many parts, and tells its number and the names of its files.
func (c *client) submitted(parts int) (aid int64, names []string) {
	c.t.Helper()
	for i := range parts {
		names = append(names, c.upload("tx", fmt.Sprintf("%d.mp4", i), []byte{byte(i)}))
	}
	added := c.must(c.submitRequest(archiveBody(nil, names...)))
	c.wantCode(added, 0)
	return added.number("data.aid"), names
}

// view is what the owner of an archive sees in the app, and fetches to edit it.
func (c *client) view(aid int64) reply {
	c.t.Helper()
	query := url.Values{"access_key": {c.account.AccessToken}, "aid": {fmt.Sprint(aid)}}
	out := c.must(c.request("GET", c.sim.URL(), "/x/client/archive/view", query, nil))
	c.wantCode(out, 0)
	return out
}

// edited is the body of an edit as an honest client sends it: all that the view showed, and the new parts.
func (c *client) edited(aid int64, files ...string) map[string]any {
	c.t.Helper()
	body := c.view(aid).json["data"].(map[string]any)["archive"].(map[string]any)
	delete(body, "limited_free")
	body["videos"] = archiveBody(nil, files...)["videos"]
	return body
}

func (c *client) edit(body map[string]any) reply {
	c.t.Helper()
	return c.must(c.appRequest("/x/vu/app/edit/full", body))
}

func (c *client) listed() int64 {
	c.t.Helper()
	list := c.must(c.asBrowser("GET", "/x/web/archives", url.Values{"status": {"is_pubing,pubed,not_pubed"}, "pn": {"1"}}, nil))
	c.wantCode(list, 0)
	return list.number("data.page.count")
}

func TestListLags(t *testing.T) {
	c := setup(t, bilibili.Options{ListLag: 20 * time.Minute})
	aid, names := c.submitted(1)
	if n := c.listed(); n != 0 {
		t.Errorf("%d archives are listed at once", n)
	}
	c.view(aid) // by its number it is seen at once
	c.wantCode(c.must(c.submitRequest(archiveBody(nil, names...))), 10009)
	c.sim.AdvanceArchives(20*time.Minute - time.Second)
	if n := c.listed(); n != 0 {
		t.Errorf("%d archives are listed a second too early", n)
	}
	c.admin("POST", "archives/clock", `{"advance":"2s"}`, 200, nil)
	if n := c.listed(); n != 1 {
		t.Errorf("%d archives are listed after the lag", n)
	}
	c.admin("POST", "archives/lag", `{"lag":0}`, 200, nil)
	c.submitted(1)
	if n := c.listed(); n != 2 {
		t.Errorf("%d archives are listed without a lag", n)
	}
	c.sim.RequireNoViolations(t)
}

func TestArchivesHaveTheirOwnClock(t *testing.T) {
	now := time.Now()
	c := setup(t, bilibili.Options{Now: func() time.Time { return now }, ArchiveSpeed: 600})
	start := c.sim.ArchiveNow()
	now = now.Add(time.Second)
	if d := c.sim.ArchiveNow().Sub(start); d != 10*time.Minute {
		t.Errorf("at 600 times the speed a second is %v", d)
	}
	c.admin("POST", "archives/clock", `{"speed":1}`, 200, nil)
	now = now.Add(time.Second)
	if d := c.sim.ArchiveNow().Sub(start); d != 10*time.Minute+time.Second {
		t.Errorf("after a change of speed it is %v later", d)
	}
	if d := c.sim.Now().Sub(now); d != 0 {
		t.Errorf("the clock of the simulator went %v ahead", d)
	}
}

func TestArchivesFailHoursAfterTheyWereAccepted(t *testing.T) {
	for _, test := range []struct {
		name, fate string
		want       int
		desc       string
	}{
		{"transcoding", `{"after":"3h","state":-16,"parts":[2],"times":1}`, bilibili.StateTranscodeFailed, "转码失败"},
		{"returned", `{"after":"3h","state":-2,"reason":"画面模糊"}`, bilibili.StateReturned, "已退回"},
		{"locked after it was public", `{"after":"3h","state":-4,"reason":"版权","public_until":true}`, bilibili.StateLocked, "已锁定"},
		{"scheduled", `{"after":"3h","state":-40}`, bilibili.StateScheduled, "定时发布"},
		{"in words of its own", `{"after":"3h","state":-77,"desc":"神秘"}`, -77, "神秘"},
		{"long review", `{"after":"3h","state":0}`, bilibili.StatePublic, "开放浏览"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := setup(t, bilibili.Options{})
			c.admin("POST", "fates", test.fate, 200, nil)
			aid, names := c.submitted(2)
			c.sim.AdvanceArchives(3*time.Hour - time.Second)
			before := bilibili.StateInReview
			if strings.Contains(test.fate, "public_until") {
				before = bilibili.StatePublic
			}
			if got := c.view(aid); got.number("data.archive.state") != int64(before) || strings.Contains(got.text, `"fail_code":9`) {
				t.Errorf("a second before: %s", got.text)
			}
			c.sim.AdvanceArchives(2 * time.Second)
			after := c.view(aid)
			if after.number("data.archive.state") != int64(test.want) || after.string("data.archive.state_desc") != test.desc {
				t.Errorf("afterwards: %s", after.text)
			}
			if i := strings.Index(test.fate, `"reason":"`); i > 0 && !strings.Contains(test.fate, after.string("data.archive.reject_reason")) {
				t.Errorf("reason %q", after.string("data.archive.reject_reason"))
			}
			var failed []string
			for _, part := range after.json["data"].(map[string]any)["videos"].([]any) {
				if p := part.(map[string]any); p["fail_code"] == json.Number("9") && p["xcode_state"] == json.Number("3") {
					failed = append(failed, p["filename"].(string))
				}
			}
			if transcoding := test.want == bilibili.StateTranscodeFailed; transcoding != (len(failed) == 1 && failed[0] == names[1]) {
				t.Errorf("failed parts %v of %v", failed, names)
			}
			if test.want == bilibili.StateLocked {
				return
			}
			c.wantCode(c.edit(c.edited(aid, names...)), 0)
			if state := c.sim.Archives()[0].State; state != bilibili.StateEditAwaiting {
				t.Errorf("after an edit: state %d", state)
			}
			c.sim.RequireNoViolations(t)
		})
	}
}

func TestFateOfOneArchiveAndOfSomeToCome(t *testing.T) {
	c := setup(t, bilibili.Options{Review: -1, Transcode: -1})
	first, _ := c.submitted(1)
	if err := c.sim.AddFate(bilibili.Fate{AID: first, State: bilibili.StateReturned}); err != nil {
		t.Fatal(err)
	}
	if err := c.sim.AddFate(bilibili.Fate{State: bilibili.StateLocked, Times: 2}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		c.submitted(1)
	}
	var states []int
	for _, a := range c.sim.Archives() {
		states = append(states, a.State)
	}
	if fmt.Sprint(states) != "[-2 -4 -4 0]" || len(c.sim.Fates()) != 0 {
		t.Errorf("states %v, fates left %v", states, c.sim.Fates())
	}
	if c.sim.AddFate(bilibili.Fate{AID: 7}) == nil || c.sim.AddFate(bilibili.Fate{After: -1}) == nil {
		t.Error("a fate that makes no sense was taken")
	}
	c.admin("POST", "fates", `{"state":-2}`, 200, nil)
	c.admin("DELETE", "fates", "", 200, nil)
	if len(c.sim.Fates()) != 0 {
		t.Error("a fate is left")
	}
	c.admin("POST", "fates", `{"after":"soon"}`, 400, nil)
	c.admin("POST", "archives/clock", `{"speed":-1}`, 400, nil)
	c.admin("POST", "archives/lag", `{"lag":"x"}`, 400, nil)
}

func TestEditHasToSendBackWhatTheViewShowed(t *testing.T) {
	c := setup(t, bilibili.Options{})
	aid, names := c.submitted(1)
	for _, spoil := range []func(map[string]any){
		func(body map[string]any) { delete(body, "desc_format_id") },
		func(body map[string]any) { delete(body, "field_of_a_later_year") },
		func(body map[string]any) {
			body["field_of_a_later_year"].(map[string]any)["kept"] = float64(9007199254740992)
		},
		func(body map[string]any) { body["limited_free"] = false },
	} {
		body := c.edited(aid, names...)
		spoil(body)
		c.wantCode(c.edit(body), -400)
		c.onlyViolation(bilibili.RuleEdit)
		c.sim.ClearLog()
	}
	if a := c.sim.Archives()[0]; a.Edits != 0 {
		t.Errorf("%d spoilt edits were accepted", a.Edits)
	}
}

func TestArchiveTakesOnlySoManyParts(t *testing.T) {
	c := setup(t, bilibili.Options{MaxArchiveParts: 3})
	aid, names := c.submitted(2)
	names = append(names, c.upload("tx", "a.mp4", content(1)), c.upload("tx", "b.mp4", content(1)))
	c.wantCode(c.edit(c.edited(aid, names...)), 21058)
	c.wantCode(c.edit(c.edited(aid, names[:3]...)), 0)
	c.sim.RequireNoViolations(t) // no client can know the limit
	if a := c.sim.Archives()[0]; len(a.Videos) != 3 {
		t.Errorf("%d parts", len(a.Videos))
	}
}

func TestPartTwiceInOneArchiveIsRefused(t *testing.T) {
	c := setup(t, bilibili.Options{})
	name := c.upload("tx", "a.mp4", content(1))
	c.wantCode(c.must(c.submitRequest(archiveBody(nil, name, name))), 10009)
	c.onlyViolation(bilibili.RuleUnknownFile)
	c.sim.ClearLog()
	aid, names := c.submitted(1)
	c.wantCode(c.edit(c.edited(aid, names[0], names[0])), 10009)
}

func TestSubmissionIsAnsweredWithAnyCode(t *testing.T) {
	c := setup(t, bilibili.Options{})
	name := c.upload("tx", "a.mp4", content(1))
	for _, code := range []int64{-352, -509, -799, -403, -405, -502, 20042, 21111, 21171, 987654} {
		c.admin("POST", "faults", fmt.Sprintf(`{"code":%d}`, code), 200, nil)
		c.wantCode(c.must(c.submitRequest(archiveBody(nil, name))), code)
	}
	if n := len(c.sim.Archives()); n != 0 {
		t.Fatalf("%d archives were made", n)
	}
	c.admin("POST", "faults", `{"code":-502,"made":true}`, 200, nil)
	c.wantCode(c.must(c.submitRequest(archiveBody(nil, name))), -502)
	if n := len(c.sim.Archives()); n != 1 {
		t.Fatalf("%d archives, want the one that was made although the answer said no", n)
	}
}
