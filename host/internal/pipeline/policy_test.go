package pipeline

import (
	"slices"
	"testing"
	"time"

	"github.com/lubod/lubod/sdk"
)

// every code that users reported, with what has to become of one refusal.
func TestEachCodeHasItsReaction(t *testing.T) {
	pace := DefaultPace()
	type want struct {
		final, unknown, exists, split, person bool
		wait                                  time.Duration
	}
	minutes := func(n float64) time.Duration { return time.Duration(n * float64(time.Minute)) }
	cases := map[int]want{
		-101: {person: true, wait: 15 * time.Second}, -111: {person: true, wait: 15 * time.Second},
		-352: {wait: minutes(1)}, -509: {wait: minutes(1)}, -799: {wait: minutes(1)}, -412: {wait: minutes(5)}, -429: {wait: minutes(5)},
		-403: {wait: minutes(5)}, -405: {wait: minutes(5)}, 20042: {wait: minutes(5)}, 21111: {wait: minutes(5)}, 21171: {wait: minutes(5)}, 987654: {wait: minutes(5)},
		-500: {unknown: true, wait: 15 * time.Second}, -502: {unknown: true, wait: 15 * time.Second}, -503: {unknown: true, wait: 15 * time.Second},
		-504: {unknown: true, wait: 15 * time.Second}, 20001: {unknown: true, wait: 15 * time.Second}, 21012: {unknown: true, wait: 15 * time.Second},
		10009: {unknown: true, exists: true, wait: 15 * time.Second},
		-702:  {wait: 12 * time.Second}, 21070: {wait: 36 * time.Second}, 21564: {wait: 24 * time.Hour}, 137022: {wait: 2 * time.Hour},
		601: {person: true, wait: time.Hour}, 21566: {person: true, wait: time.Hour},
		21058: {split: true, wait: 5 * time.Second},
		-400:  {final: true, person: true}, 16025: {final: true, person: true}, 21001: {final: true, person: true}, 21005: {final: true, person: true},
		21006: {final: true, person: true}, 21010: {final: true, person: true}, 21011: {final: true, person: true}, 21021: {final: true, person: true},
		21103: {final: true, person: true}, 21104: {final: true, person: true}, 21138: {final: true, person: true}, 21150: {final: true, person: true},
		21160: {final: true, person: true}, 21590: {final: true, person: true}, 53019: {final: true, person: true},
	}
	for number, want := range cases {
		got := pace.Judge(Submit, Failure{Blame: Refused, Code: number}, 0, 0)
		if got.Final != want.final || got.Unknown != want.unknown || got.Exists != want.exists || got.Split != want.split || got.Person != want.person {
			t.Errorf("code %d: %+v, want %+v", number, got, want)
		}
		if !got.Final && got.Wait != want.wait {
			t.Errorf("code %d waits %v, want %v", number, got.Wait, want.wait)
		}
	}
	for number := range codes {
		if _, tested := cases[number]; !tested {
			t.Errorf("code %d is in the table and not in this test", number)
		}
	}
}

// a code that nobody knows is tried for about a day, and then a person has to look.
func TestUnknownCodesAreTriedForADay(t *testing.T) {
	pace := DefaultPace()
	var sum time.Duration
	for before := 0; ; before++ {
		verdict := pace.Judge(Submit, Failure{Blame: Refused, Code: 77777}, before, 0)
		if verdict.Final {
			break
		}
		if before > 100 {
			t.Fatal("it is tried for ever")
		}
		sum += verdict.Wait
	}
	if sum < 12*time.Hour || sum > 36*time.Hour {
		t.Errorf("a code that nobody knows is tried for %v, want about a day", sum)
	}
}

// The waits that people are promised: an archive is asked for after 1, 2, 5, 10 minutes and then every half hour, for 30 days; a
// known passing refusal is tried 30 times; a wait never exceeds a day.
func TestPromisedWaits(t *testing.T) {
	pace := DefaultPace()
	follow := []time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute}
	if !slices.Equal(pace.Follow, follow) || pace.FollowFor != 720*time.Hour {
		t.Errorf("archives are followed after %v for %v", pace.Follow, pace.FollowFor)
	}
	for _, subject := range []Subject{Submit, Edit} {
		for before, final := range map[int]bool{0: false, 28: false, 29: true} {
			if got := pace.Judge(subject, Failure{Blame: Refused, Code: -352}, before, 0); got.Final != final || !got.Counted {
				t.Errorf("refusal %d of a subject %v: %+v", before+1, subject, got)
			}
		}
	}
	for _, subject := range []Subject{Lookup, Follow} {
		if got := pace.Judge(subject, Failure{Blame: Refused, Code: -352}, 1000, 0); got.Final {
			t.Errorf("a look at an archive is given up: %+v", got)
		}
	}
	if got := pace.Judge(Follow, Failure{Blame: Refused, Code: 77777}, 1000, 0); got.Final || got.Wait != 24*time.Hour {
		t.Errorf("a look that is refused for an unknown reason: %+v, want a wait of a day", got)
	}
	if got := pace.Judge(Submit, Failure{Blame: Missing}, 0, 0); !got.Missing || !got.Person || got.Final || got.Wait <= 0 {
		t.Errorf("what is missing: %+v", got)
	}
}

func TestALookUpIsNeverGivenUp(t *testing.T) {
	pace := DefaultPace()
	for _, number := range []int{-352, -412, -702, -500, -101, 21001, 123456, 10009} {
		if verdict := pace.Judge(Lookup, Failure{Blame: Refused, Code: number}, 1000, 0); verdict.Final || verdict.Wait <= 0 {
			t.Errorf("look-up refused with %d: %+v", number, verdict)
		}
	}
}

// A line that refuses a file counts as one that failed as often as a line may: the next try is over another one.
func TestARefusalOfALineIsItsLast(t *testing.T) {
	pace, failures, lines := DefaultPace(), 0, 0
	for {
		verdict := pace.Judge(Transfer, Failure{Kind: sdk.Unsupported}, failures, 0)
		if verdict.Final {
			break
		}
		if !verdict.Counted || verdict.Wait <= 0 {
			t.Fatalf("after %d failures: %+v", failures, verdict)
		}
		failures += 1 + verdict.Skipped
		if lines++; failures != lines*FailuresPerLine {
			t.Fatalf("%d lines refused, which counts as %d failures", lines, failures)
		}
	}
	if lines != 9 {
		t.Errorf("%d lines are tried again, want 9 and a last one", lines)
	}
	for failed, want := range map[int]int{0: 2, 1: 1, 2: 0, 3: 2} {
		if got := pace.Judge(Transfer, Failure{Kind: sdk.Unsupported}, failed, 0).Skipped; got != want {
			t.Errorf("after %d failures a refusal skips %d more, want %d", failed, got, want)
		}
	}
}

func TestTransfers(t *testing.T) {
	pace := DefaultPace()
	for kind, final := range map[sdk.Kind]bool{
		sdk.Unavailable: false, sdk.Bug: false, sdk.RateLimited: false, sdk.LoginRequired: false, sdk.Challenged: false, sdk.Forbidden: false,
		sdk.InvalidOption: false, sdk.NotFound: true, sdk.Corrupt: true, sdk.Unsupported: false,
	} {
		if got := pace.Judge(Transfer, Failure{Kind: kind}, 0, 0); got.Final != final {
			t.Errorf("%s: %+v", kind, got)
		}
	}
	tries := 0
	for ; !pace.Judge(Transfer, Failure{Kind: sdk.Unavailable}, tries, 0).Final; tries++ {
		if tries > 1000 {
			t.Fatal("a transfer fails for ever without anybody being told")
		}
	}
	if tries != 29 {
		t.Errorf("a transfer that fails is tried again %d times, want 29", tries)
	}
	if got := pace.Judge(Transfer, Failure{Blame: Missing}, 1000, 0); got.Final || got.Counted {
		t.Errorf("a missing account counts against the file: %+v", got)
	}
}

func TestRooms(t *testing.T) {
	pace := DefaultPace()
	const interval = 30 * time.Second
	for kind, want := range map[sdk.Kind]time.Duration{
		sdk.Unavailable: interval, sdk.Bug: interval, sdk.Corrupt: interval, sdk.Unsupported: 5 * time.Minute, sdk.LoginRequired: 5 * time.Minute, sdk.NotFound: 5 * time.Minute,
	} {
		for _, subject := range []Subject{Poll, Session} {
			want := want
			if subject == Session && (kind == sdk.LoginRequired || kind == sdk.NotFound) {
				want = interval // it was a server of media that refused: the next question brings other addresses
			}
			if got := pace.Judge(subject, Failure{Kind: kind}, 3, interval); got.Wait != want || got.Final {
				t.Errorf("%s: %+v, want a wait of %v", kind, got, want)
			}
		}
	}
	if got := pace.Judge(Poll, Failure{Kind: sdk.RateLimited, RetryAfter: time.Hour}, 0, interval); got.Wait != time.Hour {
		t.Errorf("a platform that said how long to leave it alone is asked after %v", got.Wait)
	}
}
