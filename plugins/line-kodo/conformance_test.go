package main

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/line"
	"github.com/lubod/lubod/sdk/plugintest"
	"github.com/lubod/lubod/sdk/simulator/bilibili"
)

func TestConformance(t *testing.T) {
	b := newBench(t)
	loggedOut := b.sim.AddAccount(bilibili.AccountOptions{Name: "logged out"})
	b.sim.Revoke(loggedOut.MID)
	build := func(_ context.Context, o options) (*kodo, error) {
		if o.MemberURL != b.sim.URL() {
			return newKodo(t.Context(), o)
		}
		return newTestKodo(t, o), nil
	}
	plugintest.Line(t, info, build, options{MemberURL: b.sim.URL()},
		plugintest.LineCase{
			Name: "three blocks", Cookies: b.account.Cookies,
			Stored:   func(t *testing.T, r line.Result) []byte { return stored(t, b.sim, r) },
			Received: func() int64 { return received(b.sim) },
		},
		plugintest.LineCase{Name: "logged out", Size: 1, Cookies: loggedOut.Cookies, WantKind: sdk.LoginRequired},
	)
	b.sim.RequireNoViolations(t)
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

// received sums the sizes of the blocks that were accepted.
func received(sim *bilibili.Server) int64 {
	var sum int64
	for _, r := range sim.Requests() {
		if r.Call != bilibili.CallBlock || r.Status != http.StatusOK {
			continue
		}
		if size, err := strconv.ParseInt(strings.TrimPrefix(r.Path, "/mkblk/"), 10, 64); err == nil {
			sum += size
		}
	}
	return sum
}

// The built file does what the code in this process does.
func TestBinary(t *testing.T) {
	b := newBench(t)
	conn := plugintest.Binary(t, plugintest.Build(t, ".", "line-kodo"))
	if err := conn.Configure(t.Context(), mustJSON(t, map[string]string{"member_url": b.sim.URL()})); err != nil {
		t.Fatal(err)
	}
	k := &keeper{t: t}
	file := b.file(writeFile(t, threeBlocks))
	result, err := conn.Line().Upload(t.Context(), file, k.report)
	if err != nil {
		t.Fatal(err)
	}
	b.mustBeStored(t, result, file.Path)
	b.sim.RequireNoViolations(t)
}
