package bililive

import (
	"context"
	"crypto/md5"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	infoCall   = "/xlive/web-room/v1/index/getInfoByRoom"
	playCall   = "/xlive/web-room/v2/index/getRoomPlayInfo"
	playQuery  = "room_id=77&qn=10000&platform=web&protocol=0,1&format=0,1,2&codec=0"
	statusCall = "/room/v1/Room/get_status_info_by_uids"
)

// TestSigningKeyVector uses the pair of keys of public documentation.
func TestSigningKeyVector(t *testing.T) {
	if key := signingKey("7cd084941338484aae1ad9425b84077c", "4932caff0ff746eab6f01bf08b70ac45"); key != "ea1db124af3c7062474693fa704f4ff8" {
		t.Errorf("got %s", key)
	}
}

type client struct {
	t      *testing.T
	sim    *Server
	header http.Header
}

func newClient(t *testing.T, sim *Server) *client {
	return &client{t: t, sim: sim, header: http.Header{
		"User-Agent": {"Mozilla/5.0 (X11)"}, "Referer": {"https://live.bilibili.com/77"}, "Cookie": {"buvid3=1infoc"},
	}}
}

// get returns status, code and body of an answer.
func (c *client) get(path, query string) (int, int, string) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.sim.URL()+path+"?"+query, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header = c.header
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	var e struct{ Code int }
	_ = json.Unmarshal(body, &e) // not every answer is JSON
	return resp.StatusCode, e.Code, string(body)
}

func (c *client) sign(query string, at time.Time) string {
	query += fmt.Sprintf("&wts=%d", at.Unix())
	return query + fmt.Sprintf("&w_rid=%x", md5.Sum([]byte(query+signingKey(c.sim.img, c.sim.sub))))
}

func demo() Room {
	return Room{ID: 7000001, ShortID: 77, UID: 1001, State: Live, Title: "demo", StartedAt: time.Unix(1790000000, 0)}
}

func TestGoodRequests(t *testing.T) {
	sim := New(t, Options{})
	sim.SetRoom(demo())
	c := newClient(t, sim)
	for _, call := range [][2]string{
		{infoCall, c.sign("room_id=77&web_location=444.8", time.Now())},
		{playCall, playQuery},
		{"/room/v1/Room/room_init", "id=77"},
		{statusCall, "uids[]=1001&uids[]=5"},
		{"/xlive/web-room/v1/index/getRoomBaseInfo", "req_biz=" + baseInfoBiz + "&room_ids=77"},
		{"/x/frontend/finger/spi", ""},
	} {
		if status, code, body := c.get(call[0], call[1]); status != 200 || code != 0 || (!strings.Contains(body, "7000001") && !strings.Contains(body, "b_3")) {
			t.Errorf("%s: %d, code %d: %s", call[0], status, code, body)
		}
	}
	if _, code, body := c.get("/x/web-interface/nav", ""); code != -101 || !strings.Contains(body, sim.img) {
		t.Errorf("nav: code %d: %s", code, body)
	}
	sim.RequireNoViolations(t)
}

func TestMistakesAreRefusedAndRecorded(t *testing.T) {
	sim := New(t, Options{})
	sim.SetRoom(demo())
	good := newClient(t, sim)
	signed := good.sign("room_id=77&web_location=444.8", time.Now())
	without := func(name string) *client {
		c := newClient(t, sim)
		c.header.Del(name)
		return c
	}
	program := newClient(t, sim)
	program.header.Set("User-Agent", "curl/8")
	for _, m := range []struct {
		name        string
		c           *client
		path, query string
		code        int
		detail      string
	}{
		{"no signature", good, infoCall, "room_id=77&web_location=444.8", -352, "no signature"},
		{"wrong signature", good, infoCall, signed[:len(signed)-1] + "x", -352, "wrong"},
		{"old signature", good, infoCall, good.sign("room_id=77&web_location=444.8", time.Now().Add(-time.Hour)), -352, "old"},
		{"unsorted", good, infoCall, good.sign("web_location=444.8&room_id=77", time.Now()), -352, "not sorted"},
		{"signature not last", good, infoCall, strings.Replace(signed, "&wts", "&w_rid=1&wts", 1), -400, "repeated"},
		{"missing parameter", good, playCall, "room_id=77", -400, "is missing"},
		{"unknown parameter", good, playCall, playQuery + "&x=1", -400, "does not exist"},
		{"wrong codec", good, playCall, strings.Replace(playQuery, "codec=0", "codec=avc", 1), -400, "codec"},
		{"wrong platform", good, playCall, strings.Replace(playQuery, "platform=web", "platform=tv", 1), -400, "platform"},
		{"no visitor", without("Cookie"), playCall, playQuery, -352, "buvid3"},
		{"no referer", without("Referer"), playCall, playQuery, -352, "Referer"},
		{"program", program, playCall, playQuery, -352, "program"},
		{"many owners", good, statusCall, strings.Repeat("uids[]=1&", 50) + "uids[]=1", -400, "51 uids"},
		{"unknown call", good, "/xlive/no/such", "", 0, "does not exist"},
	} {
		before := len(sim.Violations())
		_, code, body := m.c.get(m.path, m.query)
		after := sim.Violations()
		if code != m.code || len(after) != before+1 || !strings.Contains(after[before].Detail, m.detail) {
			t.Errorf("%s: code %d, %v: %s", m.name, code, after[before:], body)
		}
	}
}

func TestStates(t *testing.T) {
	sim := New(t, Options{})
	sim.AddLogin("good")
	c := newClient(t, sim)
	login := newClient(t, sim)
	login.header.Set("Cookie", "buvid3=1infoc; SESSDATA=good")
	stranger := newClient(t, sim)
	stranger.header.Set("Cookie", "buvid3=1infoc; SESSDATA=bad")
	for name, m := range map[string]struct {
		c      *client
		change func(*Room)
		want   string
	}{
		"anonymous":   {c, func(*Room) {}, `"current_qn":250`},
		"login":       {login, func(*Room) {}, `"current_qn":10000`},
		"login ended": {stranger, func(*Room) {}, `"code":-101`},
		"offline":     {c, func(r *Room) { r.State = Offline }, `"playurl_info":null`},
		"password":    {c, func(r *Room) { r.Encrypted = true }, `"pwd_verified":false`},
		"members":     {c, func(r *Room) { r.NoStream = true }, `"playurl_info":null`},
		"drm":         {c, func(r *Room) { r.DRM = true }, `"drm":true`},
		"locked":      {c, func(r *Room) { r.LockedUntil = time.Now().Add(time.Hour) }, `"is_locked":true`},
	} {
		r := demo()
		m.change(&r)
		sim.SetRoom(r)
		if _, _, body := m.c.get(playCall, playQuery); !strings.Contains(body, m.want) {
			t.Errorf("%s: no %s in %s", name, m.want, body)
		}
	}
	sim.RemoveRoom(7000001)
	if _, code, _ := c.get(playCall, playQuery); code != 19002000 {
		t.Errorf("no room: code %d", code)
	}
	sim.RequireNoViolations(t)
}

func TestMediaIsChecked(t *testing.T) {
	now := time.Now()
	sim := New(t, Options{Now: func() time.Time { return now }})
	r := demo()
	r.DownCDNs = []string{"down"}
	sim.SetRoom(r)
	viewer := newClient(t, sim)
	viewer.header.Del("Cookie")
	path, fresh := "/live-bvc/7000001/live_1001_avc.flv", fmt.Sprintf("expires=%d", now.Unix()+10)
	for name, m := range map[string]struct {
		c      *client
		query  string
		status int
		noted  int
	}{
		"good":    {viewer, fresh, 200, 0},
		"expired": {viewer, fmt.Sprintf("expires=%d", now.Unix()-1), 403, 0},
		"down":    {viewer, fresh + "&cdn=down", 404, 0},
		"cookies": {newClient(t, sim), fresh, 403, 1},
		"program": {&client{t: t, sim: sim, header: http.Header{"User-Agent": {"curl/8"}}}, fresh, 403, 1},
	} {
		before := len(sim.Violations())
		if status, _, _ := m.c.get(path, m.query); status != m.status || len(sim.Violations())-before != m.noted {
			t.Errorf("%s: status %d, noted %v", name, status, sim.Violations()[before:])
		}
	}
}

func TestFaultsEnd(t *testing.T) {
	sim := New(t, Options{})
	sim.SetRoom(demo())
	c := newClient(t, sim)
	sim.AddFault(Fault{Path: playCall, Code: -412, Times: 1})
	sim.AddFault(Fault{Path: playCall, Status: 502, Times: 1})
	if _, code, _ := c.get(playCall, playQuery); code != -412 {
		t.Errorf("first: code %d", code)
	}
	if status, _, _ := c.get(playCall, playQuery); status != 502 {
		t.Errorf("second: status %d", status)
	}
	if status, code, _ := c.get(playCall, playQuery); status != 200 || code != 0 {
		t.Errorf("third: %d, code %d", status, code)
	}
	if n := sim.Count(playCall); n != 3 {
		t.Errorf("%d requests are logged", n)
	}
}

func TestControlledFromOutside(t *testing.T) {
	sim := New(t, Options{})
	post := func(path, body string) int {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, sim.URL()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for path, body := range map[string]string{"/_sim/rooms": `{"id":7000001,"uid":1001,"state":1}`, "/_sim/faults": `{"path":"/nothing","code":-1}`} {
		if status := post(path, body); status != 200 {
			t.Errorf("%s: %d", path, status)
		}
		if status := post(path, `{"nonsense":1}`); status != 400 {
			t.Errorf("%s with nonsense: %d", path, status)
		}
	}
	c := newClient(t, sim)
	if _, code, body := c.get(playCall, strings.Replace(playQuery, "77", "7000001", 1)); code != 0 || !strings.Contains(body, "live-bvc") {
		t.Errorf("code %d: %s", code, body)
	}
	for _, path := range []string{"/_sim/requests", "/_sim/violations"} {
		if status, _, _ := c.get(path, ""); status != 200 {
			t.Errorf("%s: %d", path, status)
		}
	}
}
