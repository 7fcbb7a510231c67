package upload

import (
	"errors"
	"time"

	"github.com/lubod/lubod/host/internal/bilibili"
	"github.com/lubod/lubod/sdk"
)

// Pace are the waiting times of this package.
type Pace struct {
	// Database between two tries to save something while the database is away.
	Database time.Duration
	// Operator between two looks at something that a person has to mend: a missing template, a dead login.
	Operator time.Duration
	// Retry is the first wait after a failed transfer; it doubles up to RetryMax.
	Retry, RetryMax time.Duration
	// Throttled are the waits after Bilibili said "too fast", the last one repeated.
	Throttled time.Duration
	// Lookup before an answer that was lost is looked up in the archive list, each time.
	Lookup time.Duration
	// Sweep between two searches for lost jobs.
	Sweep time.Duration
	// Cover is how long after the end of a recording a submission waits for a cover that a person has to mend, CoverAway for one
	// that cannot be fetched or uploaded at the moment.
	Cover, CoverAway time.Duration
	// Linger is how long a stop waits for what Bilibili has done to be saved.
	Linger time.Duration
}

func defaultPace() Pace {
	return Pace{
		Database: time.Second, Operator: 15 * time.Second, Retry: 5 * time.Second, RetryMax: 30 * time.Minute,
		Throttled: time.Minute, Lookup: 15 * time.Second, Sweep: time.Minute, Cover: 24 * time.Hour, CoverAway: 10 * time.Minute, Linger: 2 * time.Second,
	}
}

const (
	// maxFailures is how often one transfer may fail for reasons of its own before a person has to look. With the waits
	// between them that is about half a day.
	maxFailures = 30
	// failuresPerLine is how often a line may fail before another one is tried.
	failuresPerLine = 3
	// lookups is how often a lost submission is looked up before it counts as never made.
	lookups = 2
	// maxRefusals is how often a submission may be refused for passing reasons before a person has to look.
	maxRefusals = 30
	// maxLost is how often a submission may be made when the last answer was lost and no archive came of it. Each one
	// more could be the second archive.
	maxLost = 10
)

// verdict is what to do about a failure.
type verdict struct {
	// wait before the next try; meaningless when final.
	wait time.Duration
	// counted failures are bounded: by maxFailures, maxRefusals and maxLost.
	counted bool
	// final failures wait for a person.
	final bool
	// unknown means that the archive may exist.
	unknown bool
}

// judgeTransfer decides about a failed transfer. A line says what happened; what to do about it is decided here only.
func (p Pace) judgeTransfer(err error, failures int) verdict {
	var missing *operatorError
	if errors.As(err, &missing) {
		return verdict{wait: p.Operator}
	}
	var changed *fileError
	if errors.As(err, &changed) {
		return verdict{final: true}
	}
	var failed *lineError
	if !errors.As(err, &failed) {
		return verdict{wait: p.Retry} // trouble of this host, such as a database that is away, says nothing about the file
	}
	switch sdk.KindOf(failed.cause) {
	case sdk.RateLimited:
		return verdict{wait: max(sdk.RetryAfter(err), p.Throttled)}
	case sdk.Challenged, sdk.Forbidden, sdk.InvalidOption:
		return verdict{wait: max(p.Operator, p.RetryMax/2)}
	case sdk.NotFound, sdk.Corrupt, sdk.Unsupported:
		return verdict{final: true}
	}
	if failures+1 >= maxFailures {
		return verdict{final: true}
	}
	return verdict{wait: p.backoff(failures), counted: true}
}

func (p Pace) backoff(failures int) time.Duration {
	wait := p.Retry
	for range min(failures, 20) {
		wait = min(2*wait, p.RetryMax)
	}
	return wait
}

// submitPolicy says which codes of a refusal pass by themselves, after how long. Codes that are not here need a person:
// the submission itself is wrong. Source: what users of biliup, biliup-rs and biliup-app reported for each code.
var submitPolicy = map[int]time.Duration{
	-702:   10 * time.Second, // lists asked too often
	21070:  35 * time.Second, // wait 30 s
	601:    time.Hour,        // captcha: a person passes it in the official page
	21566:  time.Hour,        // too frequent
	137022: 2 * time.Hour,    // too frequent
	21564:  24 * time.Hour,   // too frequent, a day
	-412:   30 * time.Minute, // risk control
	-429:   30 * time.Minute, // the same, from a gateway
}

// advice is what a person can do about a refusal that says nothing about it.
func advice(err error) string {
	var refused *bilibili.RefusedError
	if !errors.As(err, &refused) {
		return ""
	}
	switch refused.Code {
	case 21138, 21150, 21566, 21590:
		return " (this is about the interface: another submit_api in the configuration may work)"
	case 601:
		return " (a person has to pass a captcha: submit something by hand in Bilibili's app or web page)"
	}
	return ""
}

// loginRefused tells whether a call was refused because of the login: not logged in, or the csrf of an old login.
func loginRefused(err error) bool {
	var refused *bilibili.RefusedError
	return errors.As(err, &refused) && (refused.Code == bilibili.CodeNotLoggedIn || refused.Code == bilibili.CodeCSRF)
}

// doubtfulCodes say that the archive exists already, or that the other side broke while it made it: look it up.
var doubtfulCodes = map[int]bool{10009: true, 21012: true, 20001: true, -500: true, -503: true, -504: true}

// judgeSubmit decides about a failed submit.
func (p Pace) judgeSubmit(err error, attempts int) verdict {
	var missing *operatorError
	var refused *bilibili.RefusedError
	switch {
	case errors.As(err, &missing), errors.Is(err, bilibili.ErrNoAccount):
		return verdict{wait: p.Operator}
	case errors.As(err, &refused):
		if doubtfulCodes[refused.Code] {
			break
		}
		wait, passing := submitPolicy[refused.Code]
		return verdict{wait: wait, counted: true, final: !passing || attempts >= maxRefusals}
	case errors.Is(err, bilibili.ErrNotSent):
		return verdict{wait: p.Operator}
	}
	// Whatever else happened to a submit, nobody knows whether it was carried out.
	return verdict{unknown: true, counted: true, wait: p.Lookup}
}

// lookupWait tells when to look for an archive again after a look failed.
func (p Pace) lookupWait(err error) time.Duration {
	var refused *bilibili.RefusedError
	var missing *operatorError
	if errors.As(err, &missing) || errors.Is(err, bilibili.ErrNoAccount) {
		return max(p.Lookup, p.Operator)
	}
	if errors.As(err, &refused) {
		return max(p.Lookup, submitPolicy[refused.Code])
	}
	return p.Lookup
}

// lineError is what a line said about a transfer.
type lineError struct{ cause error }

func (e *lineError) Error() string { return e.cause.Error() }

func (e *lineError) Unwrap() error { return e.cause }

// operatorError is something that a person mends without touching the recording. Its text says how.
type operatorError struct{ text string }

func (e *operatorError) Error() string { return e.text }
