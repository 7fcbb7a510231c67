package main

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"testing"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/line"
	"github.com/lubod/lubod/sdk/plugintest"
	"github.com/lubod/lubod/sdk/simulator/bilibili"
)

func TestConformance(t *testing.T) {
	sim := bilibili.New(t, bilibili.Options{ChunkSize: mib, LineHosts: true})
	account := sim.AddAccount(bilibili.AccountOptions{Name: "tester"})
	loggedOut := sim.AddAccount(bilibili.AccountOptions{Name: "logged out"})
	sim.Revoke(loggedOut.MID)
	build := func(_ context.Context, o options) (*upos, error) {
		if o.MemberURL != sim.URL() {
			return newUpos(t.Context(), o)
		}
		return newTestUpos(t, o.MemberURL), nil
	}
	plugintest.Line(t, info, build, options{MemberURL: sim.URL()},
		plugintest.LineCase{
			Name: "ten chunks", Cookies: account.Cookies,
			Stored:   func(t *testing.T, r line.Result) []byte { return stored(t, sim, r) },
			Received: func() int64 { return received(sim) },
		},
		plugintest.LineCase{Name: "logged out", Size: 1, Cookies: loggedOut.Cookies, WantKind: sdk.LoginRequired},
	)
	sim.RequireNoViolations(t)
}

func stored(t *testing.T, sim *bilibili.Server, r line.Result) []byte {
	t.Helper()
	f, err := sim.Open(r.RemoteName)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	content, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// received sums the sizes of the chunks that were accepted.
func received(sim *bilibili.Server) int64 {
	var sum int64
	for _, r := range sim.Requests() {
		if r.Call != bilibili.CallPart || r.Status != http.StatusOK {
			continue
		}
		if size, err := strconv.ParseInt(r.Query.Get("size"), 10, 64); err == nil {
			sum += size
		}
	}
	return sum
}
