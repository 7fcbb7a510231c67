package bilibili

import (
	"errors"
	"strings"
	"testing"

	simulator "github.com/lubod/lubod/sdk/simulator/bilibili"
)

func TestEveryInterfacePleasesTheStrictSimulator(t *testing.T) {
	for via, path := range map[Via]string{"": "/x/vu/app/add", ViaApp: "/x/vu/app/add", ViaWeb: "/x/vu/web/add/v3", ViaBCut: "/x/vu/mvp/add"} {
		t.Run(string(via), func(t *testing.T) {
			w := newWorld(t)
			archive := w.archive("标题", 2)
			archive.Via = via
			accepted := w.submit(archive)
			made := w.sim.Archives()
			if len(made) != 1 || made[0].AID != accepted.AID || len(made[0].Videos) != 2 {
				t.Errorf("accepted %+v, made %+v", accepted, made)
			}
			requests := w.sim.Requests()
			if last := requests[len(requests)-1]; last.Path != path {
				t.Errorf("asked %s", last.Path)
			}
			w.sim.RequireNoViolations(t)
			// What is no login is told from what is no answer, whatever the interface.
			w.sim.Revoke(w.mid)
			other := w.archive("another", 1)
			other.Via = via
			var refused *RefusedError
			if _, err := w.client.Submit(t.Context(), w.account, other); !errors.As(err, &refused) || refused.Code != CodeNotLoggedIn {
				t.Errorf("with a void login: %v", err)
			}
			w.sim.AddFault(simulator.SubmitAnswerLost())
			if _, err := w.client.Submit(t.Context(), w.account, other); !errors.Is(err, ErrAnswerLost) {
				t.Errorf("without an answer: %v", err)
			}
		})
	}
}

func TestAnInterfaceSaysWhatItNeeds(t *testing.T) {
	w := newWorld(t)
	for via, want := range map[Via]string{ViaApp: "access_token", ViaBCut: "access_token", ViaWeb: "bili_jct", "client": "no interface"} {
		bare := &Account{File: "a.json", Cookies: map[string]string{"SESSDATA": "s"}}
		if via == "client" {
			bare = w.account
		}
		_, err := w.client.Submit(t.Context(), bare, Archive{Via: via})
		if !errors.Is(err, ErrNoAccount) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", via, err)
		}
	}
	if requests := w.sim.Requests(); len(requests) > 0 {
		t.Errorf("Bilibili was asked: %v", requests)
	}
}
