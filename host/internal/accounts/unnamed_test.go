package accounts

import (
	"errors"
	"testing"

	"github.com/lubod/lubod/host/internal/bilibili"
	sim "github.com/lubod/lubod/sdk/simulator/bilibili"
)

func TestTheAccountThatIsTakenWhereNoneIsNamed(t *testing.T) {
	h := newKeeperHarness(t)
	add := func(file string) {
		h.exec("INSERT INTO accounts (platform, file) VALUES ('bilibili-cookies', $1)", file)
	}
	wantNone := func(when string) {
		t.Helper()
		if name, err := h.Default(t.Context()); !errors.Is(err, ErrNoDefault) {
			t.Errorf("%s: %q, %v", when, name, err)
		}
		if _, err := h.Account(t.Context(), ""); !errors.Is(err, ErrNoDefault) || !errors.Is(err, bilibili.ErrNoAccount) {
			t.Errorf("%s: %v", when, err)
		}
	}
	wantNone("nothing is known")
	if _, err := h.Any(t.Context()); !errors.Is(err, bilibili.ErrNoAccount) {
		t.Errorf("any: %v", err)
	}
	add("missing.json")
	h.refused("", "missing.json") // the only one is meant, and cannot be used
	add("7.json")
	wantNone("there are two")
	if account, err := h.Any(t.Context()); err != nil || account.File != "7.json" {
		t.Errorf("any: %+v, %v", account, err)
	}
	h.exec("DELETE FROM accounts WHERE file = 'missing.json'")
	if account := h.must(""); account.File != "7.json" || account.Mid != 7 {
		t.Errorf("the only one: %+v", account)
	}
	h.write("cookies.json", h.sim.AddAccount(sim.AccountOptions{MID: 8}))
	if account := h.must(""); account.File != "cookies.json" || account.Mid != 8 {
		t.Errorf("cookies.json: %+v", account)
	}
}

// A template that names no account publishes with the default one, which is therefore kept usable like any other.
func TestTheDefaultAccountIsCheckedWhileATemplateNeedsIt(t *testing.T) {
	h := newKeeperHarness(t)
	h.write("cookies.json", h.sim.AddAccount(sim.AccountOptions{MID: 8}))
	checked := func() bool {
		states, err := h.States(t.Context(), "cookies.json")
		if err != nil {
			t.Fatal(err)
		}
		return !states[0].Checked.IsZero()
	}
	h.round(t.Context())
	if checked() {
		t.Error("an account that nobody needs was checked")
	}
	h.exec("INSERT INTO templates (template_name, title) VALUES ('t', 'x')")
	h.round(t.Context())
	if !checked() {
		t.Error("it was not checked")
	}
}
