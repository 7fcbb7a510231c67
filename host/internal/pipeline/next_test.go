package pipeline

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

const megabyte = 1_000_000

// stored is a segment that is stored as a part of an archive, n1, n2, …
func stored(id int64) segment {
	return segment{ID: id, Size: 100 * megabyte, Publish: Wanted, Ready: true, Upload: UploadUploaded, Remote: fmt.Sprint("n", id)}
}

func with(g segment, change func(*segment)) segment {
	change(&g)
	return g
}

func accepted(number int32, parts ...string) submission {
	return submission{ID: int64(number) * 10, Number: number, State: SubmissionAccepted, Parts: parts}
}

func TestNextOfEverySituation(t *testing.T) {
	t.Parallel()
	all := map[Stage]bool{SegmentProcessor: true, DownloadedProcessor: true, Postprocessor: true}
	after := map[Stage]bool{DownloadedProcessor: true, Postprocessor: true}
	post := map[Stage]bool{Postprocessor: true}
	fresh := segment{ID: 1, Size: 100 * megabyte, Publish: Wanted}
	tests := map[string]struct {
		have snapshot
		want plan
	}{
		"nothing":                            {snapshot{}, plan{}},
		"ended without a file":               {snapshot{Ended: true, Steps: all}, plan{}},
		"a closed segment":                   {snapshot{Segments: []segment{fresh}}, plan{Ready: []int64{1}, Uploads: []int64{1}}},
		"a piece of a live recording":        {snapshot{Segments: []segment{with(fresh, func(g *segment) { g.Publish = Undecided })}}, plan{}},
		"with a segment_processor":           {snapshot{Steps: all, Segments: []segment{fresh}}, plan{SegmentHooks: []int64{1}}},
		"ended before its segment_processor": {snapshot{Ended: true, Steps: all, Segments: []segment{fresh}}, plan{SegmentHooks: []int64{1}}},
		"nothing is done to what is left out": {
			snapshot{Ended: true, Steps: map[Stage]bool{SegmentProcessor: true}, Segments: []segment{stored(1), with(fresh, func(g *segment) { g.ID, g.Publish, g.Size = 2, Filtered, megabyte })}, Submissions: []submission{accepted(1, "n1")}},
			plan{},
		},
		"segment_processor at work":      {snapshot{Steps: all, Segments: []segment{with(fresh, func(g *segment) { g.Hook = RunRunning })}}, plan{}},
		"segment_processor held":         {snapshot{Ended: true, Steps: all, Segments: []segment{with(fresh, func(g *segment) { g.Hook = RunHeld })}}, plan{}},
		"segment_processor over":         {snapshot{Steps: all, Segments: []segment{with(fresh, func(g *segment) { g.Hook = RunDone })}}, plan{Ready: []int64{1}, Uploads: []int64{1}}},
		"segment_processor taken away":   {snapshot{Segments: []segment{with(fresh, func(g *segment) { g.Hook = RunPending })}}, plan{}},
		"a segment of a room of its own": {snapshot{Ended: true, Segments: []segment{with(fresh, func(g *segment) { g.Publish = Never })}}, plan{Ready: []int64{1}}},
		"upload under way":               {snapshot{Ended: true, Segments: []segment{with(stored(1), func(g *segment) { g.Upload = UploadUploading })}}, plan{}},
		"all stored, still live":         {snapshot{Steps: after, Segments: []segment{stored(1)}}, plan{}},
		"ended with an open upload": {
			snapshot{Ended: true, Segments: []segment{stored(1), with(stored(2), func(g *segment) { g.Upload = UploadFailed })}}, plan{},
		},
		"ended with a downloaded_processor": {snapshot{Ended: true, Steps: after, Segments: []segment{stored(1)}}, plan{Hook: DownloadedProcessor}},
		"downloaded_processor held":         {snapshot{Ended: true, Steps: after, Downloaded: RunHeld, Segments: []segment{stored(1)}}, plan{}},
		"downloaded_processor over":         {snapshot{Ended: true, Steps: after, Downloaded: RunDone, Segments: []segment{stored(1)}}, plan{Submit: 1}},
		"ended, all stored":                 {snapshot{Ended: true, Steps: post, Segments: []segment{stored(1), stored(2)}}, plan{Submit: 1}},
		"without the waived":                {snapshot{Ended: true, Segments: []segment{stored(1), with(fresh, func(g *segment) { g.ID, g.Publish, g.Ready = 2, Waived, true })}}, plan{Submit: 1}},
		"all waived":                        {snapshot{Ended: true, Steps: post, Segments: []segment{with(stored(1), func(g *segment) { g.Publish = Waived })}}, plan{}},
		"nothing is published": {
			snapshot{Ended: true, Steps: post, Segments: []segment{with(stored(1), func(g *segment) { g.Publish, g.Upload = Never, "" })}}, plan{Hook: Postprocessor},
		},
		"submission at work": {
			snapshot{Ended: true, Steps: post, Segments: []segment{stored(1)}, Submissions: []submission{{ID: 10, Number: 1, State: SubmissionSubmitting, Parts: []string{"n1"}}}}, plan{},
		},
		"submission failed":  {snapshot{Ended: true, Segments: []segment{stored(1)}, Submissions: []submission{{ID: 10, Number: 1, State: SubmissionFailed}}}, plan{}},
		"accepted":           {snapshot{Ended: true, Steps: post, Segments: []segment{stored(1)}, Submissions: []submission{accepted(1, "n1")}}, plan{Hook: Postprocessor}},
		"postprocessor over": {snapshot{Ended: true, Steps: post, Post: RunDone, Segments: []segment{stored(1)}, Submissions: []submission{accepted(1, "n1")}}, plan{}},
		"accepted without a part that came later": {
			snapshot{Ended: true, Steps: post, Segments: []segment{stored(1), stored(2)}, Submissions: []submission{accepted(1, "n1")}}, plan{Append: 10},
		},
		"full": {
			snapshot{Ended: true, Steps: post, Segments: []segment{stored(1), stored(2)}, Submissions: []submission{full(accepted(1, "n1"))}}, plan{Submit: 2},
		},
		"the second archive at work": {
			snapshot{Ended: true, Steps: post, Segments: []segment{stored(1), stored(2), stored(3)}, Submissions: []submission{full(accepted(1, "n1")), {ID: 20, Number: 2, State: SubmissionWaiting}}}, plan{},
		},
		"the second archive lacks a part": {
			snapshot{Ended: true, Steps: post, Segments: []segment{stored(1), stored(2), stored(3)}, Submissions: []submission{full(accepted(1, "n1")), accepted(2, "n2")}}, plan{Append: 20},
		},
		"both accepted": {
			snapshot{Ended: true, Steps: post, Segments: []segment{stored(1), stored(2)}, Submissions: []submission{full(accepted(1, "n1")), accepted(2, "n2")}}, plan{Hook: Postprocessor},
		},
		"accepted, and a new segment is not stored": {
			snapshot{Ended: true, Steps: post, Segments: []segment{stored(1), with(fresh, func(g *segment) { g.ID = 2 })}, Submissions: []submission{accepted(1, "n1")}},
			plan{Ready: []int64{2}, Uploads: []int64{2}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, next(test.have), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// full is an archive that takes no more.
func full(s submission) submission {
	s.Full = true
	return s
}

// A threshold is there for fragments, not for broadcasts that a bad connection cut up.
func TestPiecesOfABroadcastArePublished(t *testing.T) {
	t.Parallel()
	piece := func(id, size int64) segment { return segment{ID: id, Size: size, Publish: Undecided} }
	five := []segment{piece(1, 12_400_000), piece(2, 12_400_000), piece(3, 12_400_000), piece(4, 12_400_000), piece(5, 12_400_000)}
	long := with(stored(1), func(g *segment) { g.Size = 2000 * megabyte })
	left := func(g segment) segment { g.Publish = Filtered; return g }
	tests := map[string]struct {
		have []segment
		made []submission
		live bool
		want map[int64]Publish
		why  string
	}{
		"62 MB in five pieces":               {have: five, want: map[int64]Publish{1: Wanted, 2: Wanted, 3: Wanted, 4: Wanted, 5: Wanted}},
		"still live":                         {have: five, live: true, want: map[int64]Publish{}},
		"one stray among 2 GB":               {have: []segment{long, piece(2, megabyte)}, want: map[int64]Publish{2: Filtered}, why: "segment.stray"},
		"two percent exactly":                {have: []segment{with(long, func(g *segment) { g.Size = 98 * megabyte }), piece(2, megabyte), piece(3, megabyte)}, want: map[int64]Publish{2: Filtered, 3: Filtered}, why: "segment.stray"},
		"more than two percent":              {have: []segment{with(long, func(g *segment) { g.Size = 97 * megabyte }), piece(2, megabyte), piece(3, megabyte)}, want: map[int64]Publish{2: Wanted, 3: Wanted}},
		"a whole of 5 MB":                    {have: []segment{piece(1, 5*megabyte)}, want: map[int64]Publish{1: Filtered}, why: "segment.fragment"},
		"a whole of exactly the threshold":   {have: []segment{piece(1, 10*megabyte), piece(2, 10*megabyte)}, want: map[int64]Publish{1: Wanted, 2: Wanted}},
		"what was given up is a part of it":  {have: []segment{with(long, func(g *segment) { g.Publish = Waived }), piece(2, megabyte)}, want: map[int64]Publish{2: Filtered}, why: "segment.stray"},
		"fragments, then a file found late":  {have: []segment{left(piece(1, 15*megabyte)), with(stored(2), func(g *segment) { g.Upload = "" })}, want: map[int64]Publish{1: Wanted}},
		"strays that come one after another": {have: []segment{with(long, func(g *segment) { g.Size = 98 * megabyte }), left(piece(2, 2*megabyte)), piece(3, megabyte)}, want: map[int64]Publish{2: Wanted, 3: Wanted}},
		"published in part, then a file found late": {
			have: []segment{stored(1), left(piece(2, 15*megabyte)), with(stored(3), func(g *segment) { g.Upload, g.Remote = "", "" })}, made: []submission{accepted(1, "n1")}, want: map[int64]Publish{2: Wanted},
		},
		"what is published stays as it is":    {have: []segment{stored(1), left(piece(2, 15*megabyte))}, made: []submission{accepted(1, "n1")}, want: map[int64]Publish{}},
		"published, then another stray comes": {have: []segment{stored(1), left(piece(2, 2*megabyte)), piece(3, 2*megabyte)}, made: []submission{accepted(1, "n1")}, want: map[int64]Publish{2: Wanted, 3: Wanted}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			due := next(snapshot{Ended: !test.live, Threshold: 20 * megabyte, ThresholdMB: 20, Segments: test.have, Submissions: test.made})
			got := make(map[int64]Publish)
			for _, d := range due.Decided {
				got[d.Segment] = d.Publish
				if d.Reason.Code != test.why || test.why != "" && d.Reason.Args["mb"] != "20" {
					t.Errorf("reason %v, want %s", d.Reason, test.why)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Whatever happens in whatever order: plans that are carried out come to an end, and none of them breaks a promise.
func TestNextKeepsItsPromises(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range 60 {
			w.advance()
			if !w.happens() {
				break
			}
		}
		w.finish()
	})
}

// world is a recording whose plans are carried out, and to which things happen.
type world struct {
	t *rapid.T
	snapshot
	ids int64
}

func newWorld(t *rapid.T) *world {
	w := &world{t: t}
	w.Ended = rapid.Bool().Draw(t, "ended")
	w.ThresholdMB = float64(rapid.SampledFrom([]int{0, 20}).Draw(t, "threshold"))
	w.Threshold = int64(w.ThresholdMB) * megabyte
	w.Steps = make(map[Stage]bool)
	for _, stage := range []Stage{SegmentProcessor, DownloadedProcessor, Postprocessor} {
		w.Steps[stage] = rapid.Bool().Draw(t, string(stage))
	}
	for range rapid.IntRange(0, 6).Draw(t, "segments") {
		w.record()
	}
	return w
}

// record adds a segment as it is closed, or adopted later.
func (w *world) record() {
	w.ids++
	g := segment{ID: w.ids, Size: int64(rapid.SampledFrom([]int{1, 2, 12, 100, 1000}).Draw(w.t, "size")) * megabyte, Publish: Wanted}
	switch {
	case g.Size < w.Threshold:
		g.Publish = Undecided
	case rapid.IntRange(0, 9).Draw(w.t, "never") == 0:
		g.Publish = Never
	}
	w.Segments = append(w.Segments, g)
}

// advance asks until nothing is due, and carries everything out.
func (w *world) advance() {
	for n := 0; ; n++ {
		due := next(w.snapshot)
		if cmp.Equal(due, plan{}, cmpopts.EquateEmpty()) {
			break
		}
		if n > 5 {
			w.t.Fatalf("a plan that was carried out is followed by others for ever: %+v", due)
		}
		w.carryOut(due)
	}
	if w.Ended {
		w.checkPieces()
	}
}

func (w *world) checkPieces() {
	var filtered, all int64
	for _, g := range w.Segments {
		switch g.Publish {
		case Undecided:
			w.t.Fatalf("segment %d of an ended recording is undecided", g.ID)
		case Filtered:
			filtered += g.Size
			all += g.Size
		case Wanted, Waived:
			all += g.Size
		}
	}
	if all >= w.Threshold && filtered*50 > all {
		w.t.Fatalf("%d of %d bytes are left out", filtered, all)
	}
}

func (w *world) segment(id int64) *segment {
	return &w.Segments[slices.IndexFunc(w.Segments, func(g segment) bool { return g.ID == id })]
}

func (w *world) carryOut(due plan) {
	for _, d := range due.Decided {
		if g := w.segment(d.Segment); !slices.Contains(publishes[g.Publish], d.Publish) {
			w.t.Fatalf("a segment becomes %s after %s", d.Publish, g.Publish)
		}
		w.segment(d.Segment).Publish = d.Publish
	}
	for _, id := range due.SegmentHooks {
		w.once(w.segment(id).Hook == "" && !w.segment(id).Ready, "segment_processor")
		w.segment(id).Hook = RunPending
	}
	for _, id := range due.Ready {
		w.once(!w.segment(id).Ready, "ready")
		w.segment(id).Ready = true
	}
	for _, id := range due.Uploads {
		w.once(w.segment(id).Upload == "" && w.segment(id).Publish == Wanted && w.segment(id).Ready, "upload")
		w.segment(id).Upload = UploadPending
	}
	switch due.Hook {
	case DownloadedProcessor:
		w.once(w.Downloaded == "" && w.Ended, "downloaded_processor")
		w.Downloaded = RunPending
	case Postprocessor:
		w.once(w.Post == "", "postprocessor")
		w.complete("a postprocessor")
		w.Post = RunPending
	}
	if due.Submit > 0 || due.Append > 0 {
		w.sendable()
	}
	if due.Submit > 0 {
		w.once(int(due.Submit) == len(w.Submissions)+1, "submission")
		w.Submissions = append(w.Submissions, submission{ID: int64(due.Submit), Number: due.Submit, State: SubmissionWaiting})
	}
	if due.Append > 0 {
		made := &w.Submissions[due.Append-1]
		w.once(made.State == SubmissionAccepted && !made.Full, "append")
		made.State = SubmissionAppending
	}
}

func (w *world) once(right bool, what string) {
	if !right {
		w.t.Fatalf("%s is ordered although it is not its turn: %+v", what, w.snapshot)
	}
}

// sendable makes sure that no archive gets a hole.
func (w *world) sendable() {
	for _, g := range w.Segments {
		if !w.Ended || g.Publish == Undecided || g.Publish == Wanted && g.Upload != UploadUploaded {
			w.t.Fatalf("a submit with a hole: %+v", g)
		}
	}
}

// complete makes sure that nothing is left to publish.
func (w *world) complete(before string) {
	for _, made := range w.Submissions {
		if made.State != SubmissionAccepted {
			w.t.Fatalf("%s while a submission is %s", before, made.State)
		}
	}
	for _, g := range w.Segments {
		if g.Publish == Undecided || g.Publish == Wanted && (g.Remote == "" || !w.published(g)) {
			w.t.Fatalf("%s while segment %d is in no archive", before, g.ID)
		}
	}
}

// happens lets one thing happen, out of those that can; false: nothing can.
func (w *world) happens() bool {
	can := w.possible()
	if len(can) == 0 {
		return false
	}
	can[rapid.SampledFrom(slices.Sorted(maps.Keys(can))).Draw(w.t, "happens")]()
	return true
}

func (w *world) possible() map[string]func() {
	can := w.progress()
	if len(w.Segments) < 9 {
		can["another segment"] = w.record
	}
	for i := range w.Segments {
		g := &w.Segments[i]
		if g.Publish == Wanted && g.Upload != "" && len(w.Submissions) == 0 {
			can[fmt.Sprint("waive ", g.ID)] = func() { g.Publish = Waived }
		}
	}
	return can
}

// progress is what comes by itself in the end.
func (w *world) progress() map[string]func() {
	can := make(map[string]func())
	if !w.Ended {
		can["end"] = func() { w.Ended = true }
	}
	for i := range w.Segments {
		g := &w.Segments[i]
		if g.Hook == RunPending {
			can[fmt.Sprint("hook of ", g.ID)] = func() { g.Hook = RunDone }
		}
		if g.Upload == UploadPending {
			can[fmt.Sprint("upload of ", g.ID)] = func() { g.Upload, g.Remote = UploadUploaded, fmt.Sprint("n", g.ID) }
		}
	}
	if w.Downloaded == RunPending {
		can["downloaded"] = func() { w.Downloaded = RunDone }
	}
	if w.Post == RunPending {
		can["post"] = func() { w.Post = RunDone }
	}
	for i := range w.Submissions {
		made := &w.Submissions[i]
		if made.State != SubmissionAccepted {
			can[fmt.Sprint("archive ", made.Number)] = func() { w.accept(made) }
		}
	}
	return can
}

// accept lets an archive take some of the parts that are due, at least one, or say that it is full.
func (w *world) accept(made *submission) {
	made.Full = made.State == SubmissionAppending && rapid.Bool().Draw(w.t, "full")
	most := rapid.IntRange(1, 3).Draw(w.t, "parts")
	for _, g := range w.Segments {
		if g.Publish == Wanted && g.Upload == UploadUploaded && !w.published(g) && most > 0 && !made.Full {
			made.Parts = append(made.Parts, g.Remote)
			most--
		}
	}
	made.State = SubmissionAccepted
}

// finish lets everything come that comes by itself: then nothing is left.
func (w *world) finish() {
	for n := 0; ; n++ {
		w.advance()
		can := w.progress()
		if len(can) == 0 {
			break
		}
		if n > 200 {
			w.t.Fatalf("it never ends: %+v", w.snapshot)
		}
		can[slices.Min(slices.Collect(maps.Keys(can)))]()
	}
	parts, waived := 0, 0
	for _, g := range w.Segments {
		if g.Publish == Wanted {
			parts++
		}
		if g.Publish == Waived {
			waived++
		}
	}
	if parts == 0 && waived > 0 {
		return // a person may take that back
	}
	w.complete("the end")
	if w.Steps[Postprocessor] && len(w.Segments) > 0 && w.Post != RunDone {
		w.t.Fatalf("the postprocessor never ran: %+v", w.snapshot)
	}
}
