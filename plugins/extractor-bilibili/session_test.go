package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/extractor"
	"github.com/lubod/lubod/sdk/simulator/platforms/bililive"
)

const (
	infoCall   = "/xlive/web-room/v1/index/getInfoByRoom"
	playCall   = "/xlive/web-room/v2/index/getRoomPlayInfo"
	statusCall = "/room/v1/Room/get_status_info_by_uids"
	baseCall   = "/xlive/web-room/v1/index/getRoomBaseInfo"
	navCall    = "/x/web-interface/nav"
)

// clock is a time that a test moves.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func TestLaterPollsNeedNoSignature(t *testing.T) {
	sim := bililive.New(t, bililive.Options{})
	sim.SetRoom(bililive.Room{ID: 7000001, UID: 1001})
	b := newTest(t, sim.URL())
	for range 5 {
		if got, err := ask(t, b, "7000001"); err != nil || got.Live() {
			t.Fatalf("got %+v, %v", got, err)
		}
	}
	if info, polls, keys := sim.Count(infoCall), sim.Count(statusCall), sim.Count(navCall); info != 1 || polls != 4 || keys != 1 {
		t.Errorf("asked %d times for the room, %d times for the status, %d times for keys", info, polls, keys)
	}
	sim.SetRoom(liveRoom())
	got, err := ask(t, b, "7000001")
	if err != nil {
		t.Fatal(err)
	}
	checkDemo(t, got)
	sim.RemoveRoom(7000001)
	if _, err := ask(t, b, "7000001"); sdk.KindOf(err) != sdk.NotFound {
		t.Errorf("a room that is gone: %v", err)
	}
	sim.RequireNoViolations(t)
}

func TestStatusesOfManyRooms(t *testing.T) {
	sim := bililive.New(t, bililive.Options{})
	var uids []int64
	for i := range int64(mostPerCall - 1) {
		sim.SetRoom(bililive.Room{ID: 100 + i, UID: 9000 + i, State: bililive.State(i % 3)})
		uids = append(uids, 9000+i)
	}
	b := newTest(t, sim.URL())
	s, err := b.newSession(b.base, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := map[int64]polled{}
	if err := s.statusPart(t.Context(), append(uids, 123456), got); err != nil || len(got) != len(uids) {
		t.Fatalf("got %d rooms of %d, %v", len(got), len(uids), err)
	}
	for i, uid := range uids {
		if r := got[uid]; r.err != nil || r.id != int64(100+i) || r.state != state(i%3) {
			t.Errorf("owner %d: %+v", uid, r)
		}
	}
	if n := sim.Count(statusCall); n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
	sim.RequireNoViolations(t)
}

func TestRiskControlOnceIsRetriedOnce(t *testing.T) {
	for _, call := range []string{infoCall, playCall} {
		sim := bililive.New(t, bililive.Options{})
		sim.SetRoom(liveRoom())
		b := newTest(t, sim.URL())
		at := &clock{time.Now()}
		b.now = at.now
		sim.AddFault(bililive.Fault{Path: statusCall, Code: -352})
		if _, err := ask(t, b, "7000001"); err != nil {
			t.Fatal(err)
		}
		at.at = at.at.Add(2 * keyPause)
		sim.AddFault(bililive.Fault{Path: call, Code: -352, Times: 1})
		before := sim.Count(navCall)
		if got, err := ask(t, b, "7000001"); err != nil || !got.Live() {
			t.Errorf("%s: got %+v, %v", call, got, err)
		}
		if n := sim.Count(navCall) - before; n != 1 {
			t.Errorf("%s: keys were renewed %d times", call, n)
		}
		sim.RequireNoViolations(t)
	}
}

func TestRiskControlForGoodIsNotHammered(t *testing.T) {
	sim := bililive.New(t, bililive.Options{})
	sim.AddFault(bililive.Fault{Path: infoCall, Code: -352})
	b := newTest(t, sim.URL())
	for range 5 {
		if _, err := ask(t, b, "7000001"); sdk.KindOf(err) != sdk.Challenged {
			t.Errorf("got %v", err)
		}
	}
	if n := sim.Count(navCall); n != 1 {
		t.Errorf("renewed keys %d times within a minute", n)
	}
	if n := sim.Count(infoCall); n != 5 {
		t.Errorf("asked %d times for 5 questions", n)
	}
}

func TestKeysThatChangedAreRenewed(t *testing.T) {
	sim := bililive.New(t, bililive.Options{})
	sim.SetRoom(bililive.Room{ID: 7000001, UID: 1001})
	sim.SetRoom(bililive.Room{ID: 7000002, UID: 1002})
	b := newTest(t, sim.URL())
	at := &clock{time.Now()}
	b.now = at.now
	if _, err := ask(t, b, "7000001"); err != nil {
		t.Fatal(err)
	}
	sim.SetKeys(strings.Repeat("9876543210fedcba", 2), strings.Repeat("0123456789abcdef", 2))
	at.at = at.at.Add(2 * keyPause)
	if _, err := ask(t, b, "7000002"); err != nil {
		t.Errorf("signature by an old key: %v", err)
	}
	if n := sim.Count(navCall); n != 2 {
		t.Errorf("asked %d times for keys", n)
	}
}

func TestWrongClockIsCorrected(t *testing.T) {
	at := &clock{time.Now()}
	sim := bililive.New(t, bililive.Options{SignatureAge: time.Minute, Now: at.now})
	sim.SetRoom(bililive.Room{ID: 7000001, UID: 1001})
	for _, off := range []time.Duration{-5 * time.Minute, 5 * time.Minute} {
		b := newTest(t, sim.URL())
		wrong := &clock{at.at.Add(off)}
		b.now = wrong.now
		if _, err := ask(t, b, "7000001"); err != nil {
			t.Errorf("clock off by %s: %v", off, err)
		}
	}
	sim.RequireNoViolations(t)
}

func TestSignedEverywhereOrNowhere(t *testing.T) {
	sim := bililive.New(t, bililive.Options{SignedPlay: true})
	sim.SetRoom(liveRoom())
	if got, err := ask(t, newTest(t, sim.URL(), `"bili_use_wbi":"always"`), "77"); err != nil || !got.Live() {
		t.Errorf("always: %+v, %v", got, err)
	}
	sim.RequireNoViolations(t)

	// Where a signature turns out to be needed, the first refusal is the way to learn it.
	if got, err := ask(t, newTest(t, sim.URL()), "77"); err != nil || !got.Live() {
		t.Errorf("auto: %+v, %v", got, err)
	}

	plain := bililive.New(t, bililive.Options{})
	plain.SetRoom(liveRoom())
	got, err := ask(t, newTest(t, plain.URL(), `"bili_use_wbi":"never"`), "77")
	if err != nil {
		t.Fatal(err)
	}
	checkDemo(t, got)
	if plain.Count(navCall) != 0 {
		t.Error("never: asked for keys")
	}
	plain.RequireNoViolations(t)
}

func TestBannedAddressRests(t *testing.T) {
	sim := bililive.New(t, bililive.Options{})
	sim.SetRoom(bililive.Room{ID: 7000001, UID: 1001})
	sim.AddFault(bililive.Fault{Path: infoCall, Status: 412, Body: "<html>", Times: 1})
	b := newTest(t, sim.URL())
	at := &clock{time.Now()}
	b.now = at.now
	if _, err := ask(t, b, "7000001"); sdk.KindOf(err) != sdk.RateLimited || sdk.RetryAfter(err) != banPause {
		t.Errorf("got %v", err)
	}
	at.at = at.at.Add(4 * time.Minute)
	before := len(sim.Requests())
	if _, err := ask(t, b, "7000002"); sdk.KindOf(err) != sdk.RateLimited || sdk.RetryAfter(err) != banPause-4*time.Minute {
		t.Errorf("another room meanwhile: %v, retry after %s", err, sdk.RetryAfter(err))
	}
	if n := len(sim.Requests()) - before; n != 0 {
		t.Errorf("asked %d times meanwhile", n)
	}
	at.at = at.at.Add(banPause)
	if _, err := ask(t, b, "7000001"); err != nil {
		t.Errorf("after the rest: %v", err)
	}
}

func TestLoginGetsTheOrigin(t *testing.T) {
	sim := bililive.New(t, bililive.Options{})
	sim.SetRoom(liveRoom())
	sim.AddLogin("sess-1")
	file := filepath.Join(t.TempDir(), "cookies.json")
	if err := os.WriteFile(file, []byte(`{"cookie_info":{"cookies":[{"name":"SESSDATA","value":"sess-1"},{"name":"bad","value":"a;b"}]}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, more := range map[string]string{"option": `"bili_cookie":"SESSDATA=sess-1; x=y"`, "file": `"bili_cookie_file":"` + file + `"`} {
		got, err := ask(t, newTest(t, sim.URL(), more), "77")
		if err != nil || got.Streams[0].Quality != "原画" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if got.Streams[0].Headers["Cookie"] != "" {
			t.Errorf("%s: the media servers get the login", name)
		}
	}
	got, err := newTest(t, sim.URL()).Resolve(t.Context(), extractor.Ref{
		Groups: numbered("77"), Credentials: &extractor.Credentials{Cookies: map[string]string{"SESSDATA": "sess-1"}},
	})
	if err != nil || got.Streams[0].Quality != "原画" {
		t.Errorf("credentials: %+v, %v", got, err)
	}
	sim.RequireNoViolations(t)
}

// A login that ended costs its qualities, not the recording. What cannot be had without one says what is wrong with it.
func TestLoginThatEnded(t *testing.T) {
	sim := bililive.New(t, bililive.Options{})
	sim.SetRoom(liveRoom())
	const ended = `"bili_cookie":"SESSDATA=very-secret"`
	if got, err := ask(t, newTest(t, sim.URL(), ended), "77"); err != nil || got.Streams[0].Quality != "超清" {
		t.Errorf("got %+v, %v", got, err)
	}
	room := liveRoom()
	room.NoStream = true // for members
	sim.SetRoom(room)
	if _, err := ask(t, newTest(t, sim.URL(), ended), "77"); sdk.KindOf(err) != sdk.LoginRequired || strings.Contains(err.Error(), "very-secret") {
		t.Errorf("got %v", err)
	}
	b := newTest(t, sim.URL(), ended)
	sim.SetRoom(bililive.Room{ID: 7000009, UID: 1009})
	if got, err := ask(t, b, "7000009"); err != nil || got.Live() {
		t.Errorf("an offline room: %+v, %v", got, err)
	}
	before := len(sim.Requests())
	if got, err := ask(t, b, "7000009"); err != nil || got.Live() {
		t.Errorf("an offline room: %+v, %v", got, err)
	}
	for _, request := range sim.Requests()[before:] {
		if request.Login {
			t.Errorf("the login is shown for %s", request.Path)
		}
	}
}

func TestLoginFilesThatCannotBeRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cookies.json")
	if err := os.WriteFile(file, []byte(`SESSDATA=very-secret`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, more := range []string{`"bili_cookie_file":"` + file + `"`, `"bili_cookie_file":"/no/such/file"`, `"bili_cookie":"very-secret"`} {
		_, err := ask(t, newTest(t, "http://127.0.0.1:1", more), "77")
		if sdk.KindOf(err) != sdk.InvalidOption || !strings.Contains(err.Error(), "bili_cookie") || strings.Contains(err.Error(), "very-secret") {
			t.Errorf("%s: got %v", more, err)
		}
	}
}

func TestMirrorGetsNoLogin(t *testing.T) {
	sim := bililive.New(t, bililive.Options{})
	sim.SetRoom(liveRoom())
	sim.AddLogin("sess-1")
	mirror := bililive.New(t, bililive.Options{})
	mirror.SetRoom(liveRoom())
	b := newTest(t, sim.URL(), `"bili_cookie":"SESSDATA=sess-1","bili_liveapi":"`+strings.TrimPrefix(mirror.URL(), "http://")+`"`)
	if got, err := ask(t, b, "77"); err != nil || !strings.HasPrefix(got.Streams[0].URL, mirror.URL()) {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, r := range mirror.Requests() {
		if r.Login {
			t.Errorf("the mirror got the login with %s", r.Path)
		}
	}
	mirror.AddFault(bililive.Fault{Path: playCall, Status: 502})
	if got, err := ask(t, b, "77"); err != nil || !strings.HasPrefix(got.Streams[0].URL, sim.URL()) {
		t.Errorf("after the mirror failed: %+v, %v", got, err)
	}
}

func TestNoVisitorIDIsNoObstacle(t *testing.T) {
	sim := bililive.New(t, bililive.Options{})
	sim.SetRoom(liveRoom())
	sim.AddFault(bililive.Fault{Path: "/x/frontend/finger/spi", Status: 500})
	if got, err := ask(t, newTest(t, sim.URL()), "77"); err != nil || !got.Live() {
		t.Errorf("got %+v, %v", got, err)
	}
	sim.RequireNoViolations(t)
}

func TestOneServerIsNotAskedFasterThanAllowed(t *testing.T) {
	g := newGate(time.Hour, time.Now)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range burst {
		if err := g.wait(ctx, "a"); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.wait(ctx, "a"); sdk.KindOf(err) != sdk.Unavailable {
		t.Errorf("one more than allowed: %v", err)
	}
	if err := g.wait(ctx, "b"); err != nil {
		t.Errorf("another server: %v", err)
	}
}

func TestHugeAnswerIsRefused(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(`{"code":0,"data":{"x":"` + strings.Repeat("a", answerBytes) + `"}}`))
	}))
	defer server.Close()
	if _, err := ask(t, newTest(t, server.URL, `"bili_use_wbi":"never"`), "77"); sdk.KindOf(err) != sdk.Bug {
		t.Errorf("got %v", err)
	}
}
