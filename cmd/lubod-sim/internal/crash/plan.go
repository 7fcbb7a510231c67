package crash

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/lubod/lubod/sdk/simulator/bilibili"
)

// Kind is what happens at a moment of a run.
type Kind string

// What can happen.
const (
	KillHost      Kind = "kill host"                // kill -9, and a start after a while
	KillStarting  Kind = "kill host while starting" // kill -9, a start, and again kill -9 soon after
	StopHost      Kind = "stop host"                // SIGTERM, and a start after a while
	KillStopping  Kind = "kill host while stopping" // SIGTERM, kill -9 soon after, and a start
	KillRecorder  Kind = "kill recorder"
	KillLine      Kind = "kill line"
	KillExtractor Kind = "kill extractor"
	KillDatabase  Kind = "kill database" // the whole server
	KillBackend   Kind = "kill database backend"
	LoseSubmit    Kind = "lose answer of submit" // the archive is made
	CutSubmit     Kind = "cut submit"            // it is not
	LoseChunk     Kind = "lose answer of chunk"
	CutChunk      Kind = "cut chunk"
	LoseComplete  Kind = "lose answer of complete"
	RefuseSubmit  Kind = "refuse submit" // for a reason that passes
	LoseBilibili  Kind = "Bilibili answers nothing but 502"
	FillDisk      Kind = "fill disk"             // that of the recordings
	FillData      Kind = "fill disk of database" // that of everything else
	Unwritable    Kind = "make folder unwritable"
	CutSource     Kind = "cut source"
	ResetSource   Kind = "reset source"
	StallSource   Kind = "stall source"
	LoseSource    Kind = "source offline" // the stream ends and comes back
)

// Event is one thing that happens.
type Event struct {
	At   time.Duration // since the rooms are watched
	Kind Kind
	For  time.Duration // how long, or until the next start
	Then time.Duration // of KillStarting and KillStopping: how long after the start or the signal
	Room int           // for sources
	N    int           // for lost answers: how many
	Code int           // of a refusal
}

func (e Event) String() string {
	text := fmt.Sprintf("%5.2f s  %s", e.At.Seconds(), e.Kind)
	switch e.Kind {
	case KillStarting, KillStopping:
		text += fmt.Sprintf(" (down %v, killed after %v)", e.For, e.Then)
	case KillHost, StopHost, FillDisk, FillData, Unwritable, StallSource, LoseSource, LoseBilibili:
		text += fmt.Sprintf(" (%v)", e.For)
	case LoseSubmit, CutSubmit, LoseChunk, CutChunk, LoseComplete:
		text += fmt.Sprintf(" (%d times)", e.N)
	}
	switch e.Kind {
	case RefuseSubmit:
		text += fmt.Sprintf(" (%d)", e.Code)
	case CutSource, ResetSource, StallSource, LoseSource:
		text += fmt.Sprintf(", room %d", e.Room+1)
	}
	return text
}

// Plan is all that a seed decides.
type Plan struct {
	Seed    uint64
	Rooms   int
	Split   time.Duration // length of a segment
	Remove  bool          // the rooms' postprocessor is rm
	ListLag time.Duration // of Bilibili, in its own time
	Review  time.Duration // until an archive is public, in Bilibili's time
	Refused int           // the state in which the first archive ends instead; 0: it becomes public
	// Threshold is the rooms' filtering_threshold in MB. Segments are below 1, broadcasts are not.
	Threshold int
	Events    []Event
}

// Broadcast is how long each room is live.
const Broadcast = 8 * time.Second

// Draw makes the plan of a seed.
func Draw(seed uint64) Plan {
	random := rand.New(rand.NewPCG(seed, 0x6c75626f64)) //nolint:gosec // has to come out the same again
	plan := Plan{
		Seed: seed, Rooms: 1 + random.IntN(2), Split: time.Duration(1+random.IntN(3)) * time.Second,
		Remove: random.IntN(3) == 0, Review: span(random, time.Minute, 10*time.Minute).Round(time.Second),
	}
	if random.IntN(2) == 0 {
		plan.ListLag = span(random, time.Minute, 20*time.Minute).Round(time.Second)
	}
	if random.IntN(6) == 0 {
		plan.Refused = []int{bilibili.StateReturned, bilibili.StateLocked, bilibili.StateTranscodeFailed}[random.IntN(3)]
	}
	if random.IntN(3) == 0 {
		plan.Threshold = 1
	}
	for range 2 + random.IntN(5) {
		plan.Events = append(plan.Events, draw(random, plan.Rooms))
	}
	plan.Events = append(plan.Events, drawLosses(random)...)
	slices.SortStableFunc(plan.Events, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	return plan
}

// kinds are drawn from; what is here twice happens twice as often.
var kinds = []Kind{
	KillHost, KillHost, KillStarting, KillStarting, StopHost, StopHost, KillStopping, KillRecorder, KillRecorder, KillLine, KillLine,
	KillExtractor, KillDatabase, KillDatabase, KillBackend, FillDisk, FillData, Unwritable, Unwritable, CutSource, ResetSource, StallSource,
	LoseSource, LoseBilibili,
}

func draw(random *rand.Rand, rooms int) Event {
	e := Event{Kind: kinds[random.IntN(len(kinds))], Room: random.IntN(rooms), At: span(random, 100*time.Millisecond, Broadcast+2*time.Second)}
	switch e.Kind {
	case KillHost, StopHost:
		e.For = span(random, 0, 2*time.Second)
	case KillStarting:
		e.For, e.Then = span(random, 0, time.Second), span(random, 10*time.Millisecond, 1500*time.Millisecond)
	case KillStopping:
		e.For, e.Then = span(random, 0, time.Second), span(random, 5*time.Millisecond, 500*time.Millisecond)
	case FillDisk, FillData, Unwritable, StallSource, LoseSource, LoseBilibili:
		e.For = span(random, 200*time.Millisecond, 2500*time.Millisecond)
	}
	return e
}

// drawLosses draws answers that get lost: half of the runs lose that of a submit, which the archives of all rooms wait for.
func drawLosses(random *rand.Rand) []Event {
	var events []Event
	if random.IntN(2) == 0 {
		e := Event{Kind: []Kind{LoseSubmit, LoseSubmit, CutSubmit}[random.IntN(3)], N: 1 + random.IntN(2)}
		if e.Kind == CutSubmit {
			e.N = 1 // each is looked for half an hour long, which is seconds here
		}
		events = append(events, e)
	}
	if random.IntN(2) == 0 {
		kind := []Kind{LoseChunk, LoseChunk, CutChunk, CutChunk, LoseComplete, LoseComplete}[random.IntN(6)]
		events = append(events, Event{Kind: kind, N: 1 + random.IntN(3), At: span(random, 0, Broadcast)})
	}
	if random.IntN(4) == 0 {
		events = append(events, Event{Kind: RefuseSubmit, Code: passing[random.IntN(len(passing))]})
	}
	return events
}

// passing are refusals after which the same submission has been accepted, one that was made all the same, and one that nobody
// knows.
var passing = []int{-352, -509, -799, -702, -403, -405, -502, 20042, 21070, 21111, 21171, 424242}

func span(random *rand.Rand, least, most time.Duration) time.Duration {
	return (least + time.Duration(random.Int64N(int64(most-least)))).Round(10 * time.Millisecond)
}

// String is the plan as it is printed before a run.
func (p Plan) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "seed %d: %d room(s), segments of %v, rm %v, threshold %d MB, public after %v, first archive ends as %d, list lags %v\n",
		p.Seed, p.Rooms, p.Split, p.Remove, p.Threshold, p.Review, p.Refused, p.ListLag)
	for _, event := range p.Events {
		fmt.Fprintf(&text, "  %v\n", event)
	}
	return text.String()
}

// has reports whether something of these kinds is planned.
func (p Plan) has(kinds ...Kind) bool {
	return slices.ContainsFunc(p.Events, func(e Event) bool { return slices.Contains(kinds, e.Kind) })
}
