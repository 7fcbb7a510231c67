package bilibili

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	simulator "github.com/lubod/lubod/sdk/simulator/bilibili"
)

// grown is what the archive of a world has after an edit.
func (w *world) grown() simulator.Archive {
	w.t.Helper()
	archives := w.sim.Archives()
	if len(archives) != 1 {
		w.t.Fatalf("%d archives, want 1", len(archives))
	}
	return archives[0]
}

func filenamesOf(archive simulator.Archive) []string {
	var names []string
	for _, video := range archive.Videos {
		names = append(names, video.Filename)
	}
	return names
}

// An archive of more parts than one call takes is made by an add and edits, in order, and nothing else of it changes.
func TestAnArchiveGrowsByEditsAndKeepsWhatItHas(t *testing.T) {
	for _, via := range []Via{ViaApp, ViaWeb, ViaBCut} {
		t.Run(string(via), func(t *testing.T) {
			w := newWorld(t)
			whole := w.archive("long", 230)
			first := whole
			first.Via, first.Videos = via, whole.Videos[:100]
			later := w.sim.Now().Add(100 * time.Hour).Unix()
			first.Dtime, first.Dynamic, first.NoReprint = &later, "watch this", 1
			accepted := w.submit(first)
			if err := w.client.Edit(t.Context(), w.account, via, accepted, whole.Videos[100:201]); err == nil {
				t.Fatal("more than 100 parts were sent at once")
			}
			over := whole
			over.Videos = whole.Videos[:101]
			if _, err := w.client.Submit(t.Context(), w.account, over); err == nil {
				t.Fatal("an archive of more than 100 parts was sent at once")
			}
			for _, more := range [][]Part{whole.Videos[100:200], whole.Videos[200:]} {
				if err := w.client.Edit(t.Context(), w.account, via, accepted, more); err != nil {
					t.Fatal(err)
				}
			}
			got := w.grown()
			if !slices.Equal(filenamesOf(got), parts(whole)) || got.Edits != 2 {
				t.Errorf("%d parts after %d edits", len(got.Videos), got.Edits)
			}
			var body map[string]json.RawMessage
			if err := json.Unmarshal(got.Body, &body); err != nil {
				t.Fatal(err)
			}
			if got.DTime != later || got.Dynamic != "watch this" || string(body["no_reprint"]) != "1" {
				t.Errorf("the archive changed: %s", got.Body)
			}
			w.sim.RequireNoViolations(t) // fields that no client knows came back, digit by digit
		})
	}
}

func TestOwnWorkWithADeclarationGoesThroughTheWebPage(t *testing.T) {
	w := newWorld(t)
	whole := w.archive("a", 2)
	first := whole
	first.Videos, first.Copyright, first.CreationStatement, first.HumanType2 = whole.Videos[:1], OtherWork, &CreationStatement{ID: 4}, 1011
	first.Tag = "1,2,3,4,5,6,7,8,9,10,11,12"
	accepted := w.submit(first)
	if err := w.client.Edit(t.Context(), w.account, ViaApp, accepted, whole.Videos[1:]); err != nil {
		t.Fatal(err)
	}
	got := w.grown()
	var body struct {
		HumanType2 int               `json:"human_type2"`
		Statement  CreationStatement `json:"creation_statement"`
	}
	if err := json.Unmarshal(got.Body, &body); err != nil {
		t.Fatal(err)
	}
	if len(got.Videos) != 2 || got.Tag != "1,2,3,4,5,6,7,8,9,10" || body.HumanType2 != 1011 || body.Statement.ID != 4 || got.TID != 171 {
		t.Errorf("archive %s", got.Body)
	}
	w.sim.RequireNoViolations(t)
}

func TestALostEditIsTriedAgainWithoutDoubling(t *testing.T) {
	w := newWorld(t)
	whole := w.archive("a", 3)
	first := whole
	first.Videos = whole.Videos[:1]
	accepted := w.submit(first)
	w.sim.AddFault(simulator.AnswerLost(simulator.CallEdit))
	if err := w.client.Edit(t.Context(), w.account, ViaApp, accepted, whole.Videos[1:]); !errors.Is(err, ErrAnswerLost) {
		t.Fatalf("error = %v, want ErrAnswerLost", err)
	}
	if err := w.client.Edit(t.Context(), w.account, ViaApp, accepted, whole.Videos[1:]); err != nil {
		t.Fatal(err)
	}
	if got := w.grown(); !slices.Equal(filenamesOf(got), parts(whole)) || got.Edits != 1 {
		t.Errorf("parts %v after %d edits", filenamesOf(got), got.Edits)
	}
	w.sim.RequireNoViolations(t)
}

func TestAnEditLeavesWhatItsOwnerChanged(t *testing.T) {
	w := newWorld(t)
	whole := w.archive("a", 3)
	first := whole
	first.Videos = whole.Videos[:2]
	accepted := w.submit(first)
	view, err := w.client.view(t.Context(), w.account, ViaWeb, accepted)
	if err != nil {
		t.Fatal(err)
	}
	// Somebody removes the first part and changes the title in the creator centre.
	view.Parts = view.Parts[1:]
	body := view.edited(ViaWeb, whole.Videos[1:2])
	if body != nil {
		t.Fatal("parts that the archive has are nothing to add")
	}
	view.fields["title"] = json.RawMessage(`"by hand"`)
	byHand := view.edited(ViaWeb, []Part{w.archive("b", 1).Videos[0]})
	request, err := w.client.signedCall(w.account, ViaWeb, "", "/x/vu/web/edit")
	if err != nil {
		t.Fatal(err)
	}
	request.method, request.base, request.body = "POST", w.sim.URL(), byHand
	if err := w.client.do(t.Context(), request, nil); err != nil {
		t.Fatal(err)
	}
	if err := w.client.Edit(t.Context(), w.account, ViaApp, accepted, whole.Videos[2:]); err != nil {
		t.Fatal(err)
	}
	if got := w.grown(); len(got.Videos) != 3 || got.Title != "by hand" || slices.Contains(filenamesOf(got), parts(whole)[0]) {
		t.Errorf("%q with %v", got.Title, filenamesOf(got))
	}
}

// Two edits at the same time would lose the parts of one of them.
func TestOneEditAtATime(t *testing.T) {
	w := newWorld(t)
	whole := w.archive("a", 3)
	first := whole
	first.Videos = whole.Videos[:1]
	accepted := w.submit(first)
	hold := w.sim.AddFault(simulator.Hang(simulator.CallEdit))
	done := make(chan error)
	go func() {
		done <- w.client.Edit(t.Context(), w.account, ViaApp, accepted, whole.Videos[1:2])
	}()
	if err := w.sim.WaitFault(t.Context(), hold, 1); err != nil {
		t.Fatal(err)
	}
	hasty, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := w.client.Edit(hasty, w.account, ViaApp, accepted, whole.Videos[2:]); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the second edit ended with %v", err)
	}
	w.sim.ReleaseFault(hold)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := w.client.Edit(t.Context(), w.account, ViaApp, accepted, whole.Videos[2:]); err != nil {
		t.Error(err)
	}
	if got := w.grown(); !slices.Equal(filenamesOf(got), parts(whole)) {
		t.Errorf("parts %v", filenamesOf(got))
	}
	views := 0
	for _, request := range w.sim.Requests() {
		if request.Call == simulator.CallView {
			views++
		}
	}
	if views != 2 {
		t.Errorf("%d views, want one for each edit that was made", views)
	}
}

func TestAPartFailsByItsCodeOrItsState(t *testing.T) {
	for part, want := range map[PartView]bool{
		{}: false, {XcodeState: 6}: false, {FailCode: 9}: true, {XcodeState: 3}: true, {FailCode: 9, XcodeState: 3}: true,
	} {
		if part.Failed() != want {
			t.Errorf("%+v failed: %v", part, part.Failed())
		}
	}
}

func TestAnArchiveThatIsFullSaysSo(t *testing.T) {
	w := newWorldOf(t, simulator.Options{MaxArchiveParts: 2})
	whole := w.archive("a", 3)
	first := whole
	first.Videos = whole.Videos[:2]
	accepted := w.submit(first)
	var refused *RefusedError
	err := w.client.Edit(t.Context(), w.account, ViaApp, accepted, whole.Videos[2:])
	if !errors.As(err, &refused) || refused.Code != CodeTooManyParts {
		t.Errorf("error = %v, want code 21058", err)
	}
}

// The cookies of a browser are enough.
func TestAnAccountWithoutATokenGoesThroughTheWebPage(t *testing.T) {
	w := newWorld(t)
	whole := w.archive("a", 2)
	first := whole
	first.Videos = whole.Videos[:1]
	w.account.AccessToken = ""
	accepted := w.submit(first)
	if err := w.client.Edit(t.Context(), w.account, ViaApp, accepted, whole.Videos[1:]); err != nil {
		t.Fatal(err)
	}
	delete(w.account.Cookies, csrfCookie)
	if err := w.client.Edit(t.Context(), w.account, ViaApp, accepted, whole.Videos[1:]); !errors.Is(err, ErrNoAccount) {
		t.Errorf("error = %v, want ErrNoAccount", err)
	}
}

// What became of an archive is told hours later, and in Bilibili's words.
func TestAViewTellsWhatBecameOfAnArchive(t *testing.T) {
	for _, test := range []struct {
		fate                       simulator.Fate
		public, scheduled, refused bool
		words                      []string
	}{
		{simulator.Fate{State: 0}, true, false, false, []string{"开放浏览"}},
		{simulator.Fate{State: -40}, false, true, false, []string{"定时发布"}},
		{simulator.Fate{State: -16, Parts: []int{2}}, false, false, true, []string{"转码失败", `P2 "P2"`, "fail_code 9", "xcode_state 3"}},
		{simulator.Fate{State: -2, Reason: "画面模糊"}, false, false, true, []string{"已退回", "画面模糊"}},
		{simulator.Fate{State: -4, Reason: "版权"}, false, false, true, []string{"已锁定", "版权"}},
		{simulator.Fate{State: -100}, false, false, true, []string{"state -100"}},
		{simulator.Fate{State: -77, Desc: "神秘"}, false, false, false, []string{"神秘", "state -77"}},
		{simulator.Fate{State: -1}, false, false, false, []string{"待审"}},
	} {
		t.Run(fmt.Sprint(test.fate.State), func(t *testing.T) {
			w := newWorld(t)
			test.fate.After = 3 * time.Hour
			if err := w.sim.AddFate(test.fate); err != nil {
				t.Fatal(err)
			}
			archive := w.archive("a", 2)
			accepted := w.submit(archive)
			view, err := w.client.View(t.Context(), w.account, accepted)
			if err != nil || !view.State.InReview() || view.State != StateInReview || view.Accepted != accepted {
				t.Fatalf("at first: %+v, %v", view, err)
			}
			w.sim.AdvanceArchives(3 * time.Hour)
			view, err = w.client.View(t.Context(), w.account, accepted)
			if err != nil {
				t.Fatal(err)
			}
			s := view.State
			if s.Public() != test.public || s.Scheduled() != test.scheduled || s.Refused() != test.refused ||
				s.InReview() != (!test.public && !test.scheduled && !test.refused) {
				t.Errorf("state %d is public %v, scheduled %v, refused %v, in review %v", s, s.Public(), s.Scheduled(), s.Refused(), s.InReview())
			}
			for _, want := range test.words {
				if !strings.Contains(view.Words(), want) {
					t.Errorf("words %q, want %q in them", view.Words(), want)
				}
			}
			if !slices.Equal(view.Filenames(), parts(archive)) || view.Parts[0].Failed() {
				t.Errorf("parts %+v", view.Parts)
			}
			w.sim.RequireNoViolations(t)
		})
	}
}

func TestAViewThatDoesNotSayTheStateIsLost(t *testing.T) {
	for _, body := range []string{`{}`, `{"archive":null}`, `{"archive":{"aid":1}}`, `{"archive":{"state":0}}`, `{"archive":[]}`} {
		client := served(t, nil, func(string) string { return body })
		if view, err := client.View(t.Context(), testAccount(), Accepted{AID: 1, BVID: "x"}); !errors.Is(err, ErrAnswerLost) {
			t.Errorf("%s: view %+v, error %v", body, view, err)
		}
	}
}

func TestAnArchiveWithSomeOfThePartsIsNotTakenForOurs(t *testing.T) {
	w := newWorld(t)
	archive := w.archive("a", 2)
	w.submit(archive)
	other := w.archive("b", 1)
	_, err := w.client.Find(t.Context(), w.account, append(parts(archive), parts(other)...), w.sim.Now())
	if err == nil || errors.Is(err, ErrNoArchive) || !strings.Contains(err.Error(), "2 of these 3 parts") {
		t.Errorf("error = %v", err)
	}
}

func TestGatewayCodesAreLostAnswers(t *testing.T) {
	for _, code := range []int{-500, -502, -503, -504} {
		w := newWorld(t)
		w.sim.AddFault(simulator.CodeButMade(code))
		archive := w.archive("a", 1)
		if _, err := w.client.Submit(t.Context(), w.account, archive); !errors.Is(err, ErrAnswerLost) {
			t.Errorf("code %d: error = %v, want ErrAnswerLost", code, err)
		}
		if _, err := w.client.Find(t.Context(), w.account, parts(archive), w.sim.Now()); err != nil {
			t.Errorf("code %d: %v", code, err)
		}
	}
	for _, code := range []int{-352, -403, -405, -509, -799, 20042, 21111, 21171, 987654} {
		w := newWorld(t)
		w.sim.AddFault(simulator.Code(code))
		var refused *RefusedError
		if _, err := w.client.Submit(t.Context(), w.account, w.archive("a", 1)); !errors.As(err, &refused) || refused.Code != code {
			t.Errorf("code %d: error = %v, want *RefusedError", code, err)
		}
	}
}
