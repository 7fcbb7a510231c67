package bilibili

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	simulator "github.com/lubod/lubod/sdk/simulator/bilibili"
)

// world is a strict Bilibili with one account, and a client that is logged in.
type world struct {
	t       *testing.T
	sim     *simulator.Server
	mid     int64
	account *Account
	client  *Client
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldOf(t, simulator.Options{})
}

func newWorldOf(t *testing.T, options simulator.Options) *world {
	t.Helper()
	sim := simulator.New(t, options)
	owner := sim.AddAccount(simulator.AccountOptions{})
	account := &Account{File: "a.json", Mid: owner.MID, Cookies: owner.Cookies, AccessToken: owner.AccessToken}
	client := New(Options{MemberURL: sim.URL(), APIURL: sim.URL(), PassportURL: sim.URL()})
	t.Cleanup(client.Close)
	return &world{t: t, sim: sim, mid: owner.MID, account: account, client: client}
}

// archive is one of so many parts, whose files are stored already.
func (w *world) archive(title string, parts int) Archive {
	w.t.Helper()
	archive := Archive{Copyright: 1, TID: 171, Title: title, Desc: "recorded", Tag: "live"}
	for i := range parts {
		object, err := w.sim.Store(w.mid, "bda2", "file.flv", []byte(title))
		if err != nil {
			w.t.Fatal(err)
		}
		archive.Videos = append(archive.Videos, Part{Title: fmt.Sprintf("P%d", i+1), Filename: object.Name, CID: object.BizID})
	}
	return archive
}

func (w *world) submit(archive Archive) Accepted {
	w.t.Helper()
	accepted, err := w.client.Submit(w.t.Context(), w.account, archive)
	if err != nil {
		w.t.Fatal(err)
	}
	return accepted
}

func parts(archive Archive) []string {
	var names []string
	for _, video := range archive.Videos {
		names = append(names, video.Filename)
	}
	return names
}

func TestSubmitPleasesTheStrictSimulator(t *testing.T) {
	w := newWorld(t)
	archive := w.archive("标题", 3)
	archive.Copyright, archive.Source, archive.Desc, archive.Tag = 2, "http://room/1", "text", "a,b"
	accepted := w.submit(archive)
	made := w.sim.Archives()
	if len(made) != 1 || made[0].AID != accepted.AID || made[0].BVID != accepted.BVID || made[0].Title != "标题" || len(made[0].Videos) != 3 {
		t.Errorf("accepted %+v, made %+v", accepted, made)
	}
	w.sim.RequireNoViolations(t)
}

func TestArchiveIsFoundByItsPartsOnAnyPage(t *testing.T) {
	w := newWorld(t)
	wanted := w.archive("the one", 2)
	accepted := w.submit(wanted)
	for i := range 24 {
		w.submit(w.archive(fmt.Sprintf("newer %d", i), 1))
	}
	found, err := w.client.Find(t.Context(), w.account, parts(wanted), time.Now())
	if err != nil || found != accepted {
		t.Errorf("found %+v, %v; want %+v", found, err, accepted)
	}
	// A file is in one archive at most, so one that has more parts by now is still the one.
	if found, err := w.client.Find(t.Context(), w.account, parts(wanted)[:1], time.Now()); err != nil || found != accepted {
		t.Errorf("by its first part: found %+v, %v", found, err)
	}
	if found, err := w.client.Find(t.Context(), w.account, []string{"n1"}, time.Now()); !errors.Is(err, ErrNoArchive) {
		t.Errorf("never submitted: found %+v, %v", found, err)
	}
	w.sim.RequireNoViolations(t)
}

func TestOldArchivesAreNotComparedPartByPart(t *testing.T) {
	w := newWorld(t)
	old := w.archive("old", 1)
	w.submit(old)
	w.sim.Advance(48 * time.Hour)
	_, err := w.client.Find(t.Context(), w.account, parts(old), w.sim.Now())
	if !errors.Is(err, ErrNoArchive) {
		t.Errorf("error = %v", err)
	}
	for _, request := range w.sim.Requests() {
		if strings.Contains(request.Path, "archive/view") {
			t.Error("an archive of long ago was looked into")
		}
	}
}

// Bilibili refuses lists that are read at the same time, also by different submissions of one account.
func TestListsAreReadOneAfterTheOther(t *testing.T) {
	w := newWorld(t)
	w.submit(w.archive("some", 1))
	held := w.sim.AddFault(simulator.Fault{
		Match: simulator.Match{Path: "/x/web/archives"}, Action: simulator.Action{Do: simulator.DoStallAnswer}, Times: 1,
	})
	var searches sync.WaitGroup
	search := func() {
		if _, err := w.client.Find(t.Context(), w.account, []string{"n1"}, time.Now()); !errors.Is(err, ErrNoArchive) {
			t.Errorf("error = %v", err)
		}
	}
	searches.Go(search)
	if err := w.sim.WaitFault(t.Context(), held, 1); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		searches.Go(search)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.client.Find(ctx, w.account, nil, time.Now()); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting for another search cannot be cut: %v", err)
	}
	w.sim.ReleaseFault(held)
	searches.Wait()
	w.sim.RequireNoViolations(t)
}

func TestListThatFailsIsNotAnEmptyOne(t *testing.T) {
	for name, fault := range map[string]simulator.Fault{
		"too often":     simulator.Code(-702),
		"not logged in": simulator.Code(-101),
		"gateway":       simulator.HTML("", 502),
		"risk control":  simulator.HTML("", 412),
		"cut":           simulator.Reset(""),
	} {
		for _, path := range []string{"/x/web/archives", "/x/vupre/web/archive/view"} {
			t.Run(name+path, func(t *testing.T) {
				w := newWorld(t)
				archive := w.archive("some", 1)
				w.submit(archive)
				fault := fault
				fault.Match = simulator.Match{Path: path}
				fault.Times = 0
				w.sim.AddFault(fault)
				_, err := w.client.Find(t.Context(), w.account, []string{"n1"}, time.Now())
				if err == nil || errors.Is(err, ErrNoArchive) {
					t.Errorf("error = %v: a second archive would follow", err)
				}
				if strings.Contains(err.Error(), w.account.AccessToken) || strings.Contains(err.Error(), w.account.Cookies["SESSDATA"]) {
					t.Errorf("the error shows secrets: %v", err)
				}
			})
		}
	}
}

// served is a client of a list that a function makes.
func served(t *testing.T, page func(number string) string, view func(bvid string) string) *Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := view
		argument := r.URL.Query().Get("bvid")
		if r.URL.Path == "/x/web/archives" {
			answer, argument = page, r.URL.Query().Get("pn")
		}
		_, _ = fmt.Fprintf(w, `{"code":0,"data":%s}`, answer(argument))
	}))
	client := New(Options{MemberURL: server.URL})
	t.Cleanup(server.Close)
	t.Cleanup(client.Close)
	return client
}

func TestOldArchiveBeforeNewerOnesDoesNotEndTheSearch(t *testing.T) {
	now := time.Now()
	client := served(t, func(string) string {
		return fmt.Sprintf(`{"page":{"pn":1,"ps":10,"count":2},"arc_audits":[
			{"Archive":{"aid":1,"bvid":"old","ctime":%d}},{"Archive":{"aid":2,"bvid":"new","ctime":%d}}]}`,
			now.Add(-240*time.Hour).Unix(), now.Unix())
	}, func(string) string {
		return `{"archive":{"aid":2,"state":0},"videos":[{"filename":"n1"}]}`
	})
	if found, err := client.Find(t.Context(), testAccount(), []string{"n1"}, now); err != nil || found.BVID != "new" {
		t.Errorf("found %+v, %v", found, err)
	}
}

func TestEndlessListIsNoProofThatThereIsNoArchive(t *testing.T) {
	now := time.Now()
	pages := 0
	client := served(t, func(number string) string {
		pages++
		return fmt.Sprintf(`{"page":{"pn":%s,"ps":1,"count":1000000},"arc_audits":[{"Archive":{"aid":1,"bvid":"x","ctime":%d}}]}`, number, now.Unix())
	}, func(string) string { return `{"archive":{"aid":1,"state":0},"videos":[]}` })
	if _, err := client.Find(t.Context(), testAccount(), []string{"n1"}, now); err == nil || errors.Is(err, ErrNoArchive) || pages != maxPages {
		t.Errorf("error = %v after %d pages", err, pages)
	}
}

func TestSubmitWithoutTokenIsNotSent(t *testing.T) {
	client := New(Options{MemberURL: "http://127.0.0.1:1"})
	defer client.Close()
	_, err := client.Submit(t.Context(), &Account{File: "a.json"}, Archive{})
	if !errors.Is(err, ErrNoAccount) || !strings.Contains(err.Error(), "QR") {
		t.Errorf("error = %v", err)
	}
}

func TestServerErrorWithACodeIsLost(t *testing.T) {
	err := submitTo(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = fmt.Fprint(w, `{"code":-500,"message":"busy"}`)
	})
	var refused *RefusedError
	if !errors.Is(err, ErrAnswerLost) || errors.As(err, &refused) {
		t.Errorf("error = %v, want ErrAnswerLost", err)
	}
}
