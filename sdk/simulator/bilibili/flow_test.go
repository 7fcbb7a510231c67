package bilibili_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lubod/lubod/sdk/simulator/bilibili"
)

func TestGoodFlowEndsInAnArchive(t *testing.T) {
	for name, options := range map[string]bilibili.Options{
		"one port":              {},
		"a host for every line": {LineHosts: true, ProbeLines: []string{"bda2", "tx"}},
		"lenient":               {Mode: bilibili.Lenient},
		"bytes discarded":       {DiscardBytes: true},
	} {
		t.Run(name, func(t *testing.T) { goodFlow(t, setup(t, options)) })
	}
}

func goodFlow(t *testing.T, c *client) {
	probe := c.must(c.request("GET", c.sim.URL(), "/preupload", url.Values{"r": {"probe"}}, nil))
	lines := probe.json["lines"].([]any)
	for _, line := range lines {
		probeURL := "http:" + line.(map[string]any)["probe_url"].(string)
		r := c.request("POST", probeURL, "", nil, bytes.NewReader(make([]byte, 104857)))
		r.URL.RawQuery = probeURL[strings.Index(probeURL+"?", "?"):]
		r.URL.RawQuery = strings.TrimPrefix(r.URL.RawQuery, "?")
		if out := c.must(r); out.status != 200 {
			t.Errorf("%s: HTTP %d %s", probeURL, out.status, out.text)
		}
	}

	data := content(2500)
	filename := c.upload("tx", "part 01.mp4", data)
	sum, err := c.sim.SHA256(filename)
	if err != nil || sum != sha(data) {
		t.Errorf("stored hash %s %v, want %s", sum, err, sha(data))
	}
	object, _ := c.sim.Object(filename)
	if !object.Complete || object.Line != "tx" || len(object.Parts) != 3 || object.StoredBytes() != 2500 || object.BizID <= 1<<32 {
		t.Errorf("object is %+v", object)
	}

	added := c.must(c.submitRequest(archiveBody(nil, filename)))
	c.wantCode(added, 0)
	list := c.must(c.asBrowser("GET", "/x/web/archives", url.Values{"status": {"is_pubing,pubed,not_pubed"}, "pn": {"1"}}, nil))
	c.wantCode(list, 0)
	if list.number("data.page.count") != 1 || !strings.Contains(list.text, added.string("data.bvid")) {
		t.Errorf("list: %s", list.text)
	}
	for _, view := range []reply{
		c.must(c.asBrowser("GET", "/x/vupre/web/archive/view", url.Values{"topic_grey": {"1"}, "bvid": {added.string("data.bvid")}}, nil)),
		c.must(c.request("GET", c.sim.URL(), "/x/client/archive/view", url.Values{
			"access_key": {c.account.AccessToken}, "aid": {added.string("data.aid")},
		}, nil)),
	} {
		if view.string("data.archive.title") != "an evening" || view.number("data.archive.state") != bilibili.StateInReview {
			t.Errorf("view: %s", view.text)
		}
	}
	archives, err := c.sim.WaitArchives(within(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	if a := archives[0]; a.Videos[0].Filename != filename || a.Videos[0].CID != object.BizID || a.AID != added.number("data.aid") {
		t.Errorf("archive is %+v", a)
	}
	c.sim.RequireNoViolations(t)
}

func TestStoredFileCanBeSeenByItsUploader(t *testing.T) {
	c := setup(t, bilibili.Options{})
	data := content(1500)
	g := c.grant("bda2", "a.flv", data)
	g.init()
	if r := c.must(g.request("HEAD", nil, nil)); r.status != 404 {
		t.Errorf("HEAD before complete: HTTP %d", r.status)
	}
	g.putAll()
	g.complete()
	if r := c.must(g.request("HEAD", nil, nil)); r.status != 200 || r.header.Get("Content-Length") != "1500" {
		t.Errorf("HEAD: HTTP %d, %v", r.status, r.header)
	}
	if r := c.must(g.request("GET", nil, nil)); r.status != 200 || r.text != string(data) {
		t.Errorf("GET: HTTP %d, %d bytes", r.status, len(r.text))
	}
	opened, err := c.sim.Open(g.filename())
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	if got, err := io.ReadAll(opened); err != nil || !bytes.Equal(got, data) {
		t.Errorf("Open: %d bytes, %v", len(got), err)
	}
	c.sim.RequireNoViolations(t)
}

func TestPartSizesAtTheEdges(t *testing.T) {
	c := setup(t, bilibili.Options{})
	for size, parts := range map[int]int{1: 1, 1023: 1, 1024: 1, 1025: 2, 2048: 2} {
		data := content(size)
		name := c.upload("bda2", "edge.mp4", data)
		object, _ := c.sim.Object(name)
		if sum, err := c.sim.SHA256(name); len(object.Parts) != parts || sum != sha(data) {
			t.Errorf("%d bytes: %d parts, hash %s %v", size, len(object.Parts), sum, err)
		}
	}
	c.sim.RequireNoViolations(t)
}

func TestCookieFileHasTheSharedShapeAndIsPrivate(t *testing.T) {
	c := setup(t, bilibili.Options{})
	path := filepath.Join(t.TempDir(), "cookies.json")
	if err := c.account.CookieFile().WriteFile(path); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file bilibili.CookieFile
	if err := json.Unmarshal(body, &file); err != nil {
		t.Fatal(err)
	}
	if file.TokenInfo.MID != c.account.MID || len(file.CookieInfo.Cookies) != 5 || file.Platform != "BiliTV" {
		t.Errorf("file is %+v", file)
	}
}
