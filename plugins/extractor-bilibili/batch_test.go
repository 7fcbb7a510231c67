package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/extractor"
	"github.com/lubod/lubod/sdk/simulator/platforms/bililive"
)

func TestBatchTellsWhichRoomsAreOffline(t *testing.T) {
	sim := bililive.New(t, bililive.Options{})
	const rooms = mostPerCall + 10
	var refs []extractor.Ref
	for i := range int64(rooms) {
		sim.SetRoom(bililive.Room{ID: 100 + i, UID: 9000 + i, State: bililive.State(i % 3), Title: "t", Streamer: "s"})
		refs = append(refs, extractor.Ref{Groups: numbered(fmt.Sprint(100 + i))})
	}
	refs = append(refs, extractor.Ref{Groups: numbered("100"), Options: []byte(`{"bili_qn": 1}`)})
	b := newTest(t, sim.URL())
	for _, when := range []string{"rooms that nobody asked for yet", "and again"} {
		answers, err := b.ResolveBatch(t.Context(), refs)
		if err != nil || len(answers) != len(refs) {
			t.Fatalf("%s: %d answers, %v", when, len(answers), err)
		}
		for i, answer := range answers {
			offline := i < rooms && bililive.State(i%3) != bililive.Live
			if answer.Known != offline || answer.Status.Live() {
				t.Errorf("%s: room %d in state %d: %+v", when, i, i%3, answer)
			}
		}
	}
	if met, asked := sim.Count(baseCall), sim.Count(statusCall); met != 2 || asked != 4 {
		t.Errorf("%d requests who owns %d rooms and %d for their states, want 2 and 4", met, rooms, asked)
	}
	sim.RemoveRoom(103) // was offline
	if answers, err := b.ResolveBatch(t.Context(), refs); err != nil || answers[3].Known {
		t.Errorf("a room that is gone: %+v, %v", answers, err)
	}
	sim.RequireNoViolations(t)
}

// What only the room itself tells stays with Resolve, also after a batch met the room.
func TestBatchLeavesToResolveWhatItCannotTell(t *testing.T) {
	sim := bililive.New(t, bililive.Options{})
	later := time.Now().Add(time.Hour)
	sim.SetRoom(bililive.Room{ID: 7000001, ShortID: 7, UID: 1, Title: "by its short number"})
	sim.SetRoom(bililive.Room{ID: 7000002, UID: 2, LockedUntil: later})
	sim.SetRoom(bililive.Room{ID: 7000003, UID: 3, State: bililive.Live, SpecialType: paidRoom, NoStream: true})
	b := newTest(t, sim.URL())
	refs := []extractor.Ref{{Groups: numbered("7")}, {Groups: numbered("7000002")}, {Groups: numbered("7000003")}, {Groups: map[string]string{"short": "x"}}}
	for range 2 {
		answers, err := b.ResolveBatch(t.Context(), refs)
		if err != nil {
			t.Fatal(err)
		}
		for i, answer := range answers {
			if answer.Known {
				t.Errorf("room %d: %+v", i, answer)
			}
		}
	}
	if _, err := ask(t, b, "7000002"); sdk.KindOf(err) != sdk.Forbidden {
		t.Errorf("a locked room: %v", err)
	}
	if _, err := ask(t, b, "7000003"); sdk.KindOf(err) != sdk.Forbidden {
		t.Errorf("a room that sells tickets: %v", err)
	}
	if got, err := ask(t, b, "7"); err != nil || got.Live() {
		t.Errorf("a room by its short number: %+v, %v", got, err)
	}
	if answers, err := b.ResolveBatch(t.Context(), refs[:1]); err != nil || !answers[0].Known {
		t.Errorf("the short number of a room that is known by now: %+v, %v", answers, err)
	}
	sim.RequireNoViolations(t)
}

// One request of many that fails costs the rooms of that request, not all.
func TestBatchThatFailsInTheMiddle(t *testing.T) {
	sim := bililive.New(t, bililive.Options{})
	const rooms = 2*mostPerCall + 10
	var refs []extractor.Ref
	for i := range int64(rooms) {
		sim.SetRoom(bililive.Room{ID: 100 + i, UID: 9000 + i})
		refs = append(refs, extractor.Ref{Groups: numbered(fmt.Sprint(100 + i))})
	}
	b := newTest(t, sim.URL())
	known := func() (first, all int) {
		t.Helper()
		answers, err := b.ResolveBatch(t.Context(), refs)
		if err != nil {
			t.Fatal(err)
		}
		for i, answer := range answers {
			if answer.Known {
				all++
				if i < mostPerCall {
					first++
				}
			}
		}
		return first, all
	}
	sim.AddFault(bililive.Fault{Path: baseCall, After: 1, Times: 1, Status: 500})
	if first, all := known(); first != mostPerCall || all != rooms-mostPerCall {
		t.Errorf("owners of the second part are not to be learned: %d of the first part and %d in all are known", first, all)
	}
	sim.AddFault(bililive.Fault{Path: statusCall, Times: 1, Status: 500})
	if first, all := known(); first != 0 || all != rooms-mostPerCall {
		t.Errorf("the first part fails: %d of it and %d in all are known", first, all)
	}
	sim.AddFault(bililive.Fault{Path: statusCall, Times: 1, Body: `{"code":0,"data":{"9000":{"room_id":0,"uid":9000},"9001":null,"9002":{"room_id":102,"uid":9002,"live_status":0}}}`})
	if first, all := known(); first != 1 || all != rooms-mostPerCall+1 {
		t.Errorf("odd entries: %d of the first part and %d in all are known", first, all)
	}
	sim.AddFault(bililive.Fault{Path: statusCall, After: 1, Times: 1, Code: -412})
	before := sim.Count(statusCall)
	if _, err := b.ResolveBatch(t.Context(), refs); sdk.KindOf(err) != sdk.RateLimited || sim.Count(statusCall) != before+2 {
		t.Errorf("banned at the second part: %v after %d requests", err, sim.Count(statusCall)-before)
	}
}

// A batch that its time does not suffice for tells what it learned, and what it met is known to the next one.
func TestBatchWithTooLittleTime(t *testing.T) {
	sim := bililive.New(t, bililive.Options{})
	var refs []extractor.Ref
	for i := range int64(5 * mostPerCall) {
		sim.SetRoom(bililive.Room{ID: 100 + i, UID: 9000 + i})
		refs = append(refs, extractor.Ref{Groups: numbered(fmt.Sprint(100 + i))})
	}
	b := newTest(t, sim.URL(), `"request_interval": 60000`)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	answers, err := b.ResolveBatch(ctx, refs)
	if ctx.Err() != nil || sdk.KindOf(err) != sdk.Unavailable {
		t.Fatalf("%d answers, %v", len(answers), err)
	}
	if o, known := b.rooms.owner("100"); !known || o.uid != 9000 {
		t.Errorf("a room that was met is not known: %+v", o)
	}
}

func TestBatchCanBeSwitchedOff(t *testing.T) {
	sim := bililive.New(t, bililive.Options{})
	sim.SetRoom(bililive.Room{ID: 100, UID: 9000})
	b := newTest(t, sim.URL(), `"bili_batch": false`)
	answers, err := b.ResolveBatch(t.Context(), []extractor.Ref{{Groups: numbered("100")}})
	if err != nil || len(answers) != 1 || answers[0].Known || len(sim.Requests()) != 0 {
		t.Errorf("%+v, %v, %d requests", answers, err, len(sim.Requests()))
	}
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
	if answers, err := b.ResolveBatch(t.Context(), refs); sdk.KindOf(err) != sdk.Challenged {
		t.Errorf("risk control: %+v, %v", answers, err)
	}
	sim.AddFault(bililive.Fault{Path: statusCall, Times: 1, Code: -412})
	if _, err := b.ResolveBatch(t.Context(), refs); sdk.KindOf(err) != sdk.RateLimited {
		t.Errorf("a ban: %v", err)
	}
}
