package main

import (
	"fmt"
	"testing"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/extractor"
	"github.com/lubod/lubod/sdk/simulator/platforms/bililive"
)

func TestBatchTellsWhichRoomsAreOffline(t *testing.T) {
	sim := bililive.New(t, bililive.Options{})
	const rooms = uidsPerCall + 10
	var refs []extractor.Ref
	for i := range int64(rooms) {
		sim.SetRoom(bililive.Room{ID: 100 + i, UID: 9000 + i, State: bililive.State(i % 3), Title: "t", Streamer: "s"})
		refs = append(refs, extractor.Ref{Groups: numbered(fmt.Sprint(100 + i))})
	}
	b := newTest(t, sim.URL())
	answers, err := b.ResolveBatch(t.Context(), refs)
	if err != nil || len(sim.Requests()) != 0 {
		t.Fatalf("rooms that nobody asked for yet: %v, %d requests", err, len(sim.Requests()))
	}
	for i, ref := range refs {
		if _, err := b.Resolve(t.Context(), ref); err != nil || answers[i].Known {
			t.Fatalf("room %d: %+v, %v", i, answers[i], err)
		}
	}
	sim.RemoveRoom(103) // was offline
	refs = append(refs, extractor.Ref{Groups: numbered("100"), Options: []byte(`{"bili_qn": 1}`)})
	before := sim.Count(statusCall)
	if answers, err = b.ResolveBatch(t.Context(), refs); err != nil || len(answers) != len(refs) {
		t.Fatalf("%d answers, %v", len(answers), err)
	}
	for i, answer := range answers {
		offline := i < rooms && bililive.State(i%3) != bililive.Live && i != 3
		if answer.Known != offline || answer.Status.Live {
			t.Errorf("room %d in state %d: %+v", i, i%3, answer)
		}
	}
	if n := sim.Count(statusCall) - before; n != 2 {
		t.Errorf("%d requests for %d rooms, want 2", n, rooms)
	}
	sim.RequireNoViolations(t)
}

func TestBatchThatFails(t *testing.T) {
	sim := bililive.New(t, bililive.Options{})
	sim.SetRoom(bililive.Room{ID: 100, UID: 9000, Title: "t", Streamer: "s"})
	b := newTest(t, sim.URL())
	refs := []extractor.Ref{{Groups: numbered("100")}}
	if _, err := b.Resolve(t.Context(), refs[0]); err != nil {
		t.Fatal(err)
	}
	sim.AddFault(bililive.Fault{Path: statusCall, Times: 1, Status: 500})
	if answers, err := b.ResolveBatch(t.Context(), refs); sdk.KindOf(err) != sdk.Unavailable {
		t.Errorf("%+v, %v", answers, err)
	}
	sim.AddFault(bililive.Fault{Path: statusCall, Times: 1, Code: -352})
	if answers, err := b.ResolveBatch(t.Context(), refs); err != nil || answers[0].Known {
		t.Errorf("risk control: %+v, %v", answers, err)
	}
	sim.AddFault(bililive.Fault{Path: statusCall, Times: 1, Code: -412})
	if _, err := b.ResolveBatch(t.Context(), refs); sdk.KindOf(err) != sdk.RateLimited {
		t.Errorf("a ban: %v", err)
	}
}
