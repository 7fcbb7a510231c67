package pipeline

import (
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/lubod/lubod/sdk"
)

// Subject is what failed: the same answer means other things to a poll than to a submit.
type Subject int

// The subjects.
const (
	Poll         Subject = iota // asking an extractor about a room
	Session                     // a recorder session that ended with a failure
	Transfer                    // the upload of a segment over a line
	Submit                      // making an archive
	Lookup                      // looking for the archive of a lost answer
	Edit                        // changing an archive that exists
	Follow                      // asking what became of an archive
	AccountCheck                // asking whether a login is valid
)

// Blame is whose trouble a failure is.
type Blame int

// The blames.
const (
	Plugin  Blame = iota // a plugin said what happened: Failure.Kind
	Refused              // Bilibili answered with a code: Failure.Code
	Missing              // something that a person provides is missing: a template, a login, a running line
	File                 // the file is not what was to be published
	Host                 // this host's own trouble, such as a database that is away: it says nothing about the work
	NotSent              // a request never left this host
	Lost                 // a request was sent, and nobody knows whether it was carried out
)

// Failure is one failed try.
type Failure struct {
	Blame      Blame
	Kind       sdk.Kind
	Code       int
	RetryAfter time.Duration
}

// Verdict is what to do about a failure.
type Verdict struct {
	// Wait before the next try; meaningless when Final.
	Wait time.Duration
	// Counted failures are bounded.
	Counted bool
	// Skipped are further failures that a counted one stands for: a line that refuses a file is not asked again.
	Skipped int
	// Final failures wait for a person, and nothing is tried before.
	Final bool
	// Unknown means that the archive may exist: it is looked for before any other submit.
	Unknown bool
	// Exists means that an archive with these parts exists for certain, wherever it is.
	Exists bool
	// Split means that there were more parts than one request, or one archive, takes.
	Split bool
	// Missing means that something is missing that a person provides: when that may have come, it is tried again at once.
	Missing bool
	// Person means that somebody has to act before another try can be expected to succeed. It is tried all the same, seldom.
	Person bool
}

// Pace are the waiting times of everything that is tried again. Tests scale them.
type Pace struct {
	// Database between two tries to save something while the database is away.
	Database time.Duration
	// Operator between two looks at something that a person has to mend: a missing template, a dead login.
	Operator time.Duration
	// Retry is the first wait after a failed transfer or step; it doubles up to RetryMax.
	Retry, RetryMax time.Duration
	// Throttled is the least wait after a line said "too fast".
	Throttled time.Duration
	// Lookup before an answer that was lost is looked up first; it doubles up to LookupMax.
	Lookup, LookupMax time.Duration
	// LookFor is how long an archive is looked for, at the least, before another submit: lists of archives lag for minutes.
	LookFor time.Duration
	// Slow is the first wait after a refusal that nobody knows; it doubles for about a day.
	Slow time.Duration
	// Unit is the minute of the waits in the table of codes.
	Unit time.Duration
	// Sweep between two searches for work that lost its job.
	Sweep time.Duration
	// Turn between two looks whether what a step of a hook waits for has come.
	Turn time.Duration
	// Cover is how long after the end of a recording a submission waits for a cover that a person has to mend, CoverAway for one
	// that cannot be fetched or uploaded at the moment.
	Cover, CoverAway time.Duration
	// Follow are the waits before an archive's state is asked for after it was accepted; the last one is repeated until FollowFor
	// is over.
	Follow    []time.Duration
	FollowFor time.Duration
	// Revive is what recordings that wait for their room get after a restart: time for every room to be polled once.
	Revive time.Duration
	// Linger is how long a stop waits for what was done already to be saved.
	Linger time.Duration
}

// DefaultPace is that of real life.
func DefaultPace() Pace {
	return Pace{
		Database: time.Second, Operator: 15 * time.Second, Retry: 5 * time.Second, RetryMax: 30 * time.Minute, Throttled: time.Minute,
		Lookup: 15 * time.Second, LookupMax: 5 * time.Minute, LookFor: 30 * time.Minute, Slow: 5 * time.Minute, Unit: time.Minute,
		Sweep: time.Minute, Turn: 3 * time.Second, Cover: 24 * time.Hour, CoverAway: 10 * time.Minute,
		Follow: []time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute}, FollowFor: 30 * 24 * time.Hour,
		Revive: 30 * time.Second, Linger: 2 * time.Second,
	}
}

// Scaled is the pace with every wait for the outside world multiplied by factor: a test lives through a day in seconds.
func (p Pace) Scaled(factor float64) Pace {
	scale := func(waits ...*time.Duration) {
		for _, wait := range waits {
			*wait = max(time.Duration(float64(*wait)*factor), time.Millisecond)
		}
	}
	scale(&p.Operator, &p.Retry, &p.RetryMax, &p.Throttled, &p.Lookup, &p.LookupMax, &p.LookFor, &p.Slow, &p.Unit, &p.Sweep, &p.Turn, &p.Cover,
		&p.CoverAway, &p.FollowFor)
	// Our own database and the polls of rooms are no faster than they are.
	p.Sweep, p.Revive = max(p.Sweep, time.Second), max(time.Duration(float64(p.Revive)*factor), 4*time.Second)
	follow := make([]time.Duration, len(p.Follow))
	for i, wait := range p.Follow {
		follow[i] = max(time.Duration(float64(wait)*factor), time.Millisecond)
	}
	p.Follow = follow
	return p
}

// FailuresPerLine is how often a line may fail with a file before another one is tried.
const FailuresPerLine = 3

const (
	// maxFailures is how often one transfer may fail for reasons of its own before a person has to look. With the waits
	// between them that is about half a day.
	maxFailures = 30
	// maxRefusals is how often a submission may be refused for a known passing reason before a person has to look.
	maxRefusals = 30
	// maxSlow is how often a submission may be refused for a reason that nobody knows: with the waits between them about a day.
	maxSlow = 9
	// maxPollPause is the longest pause between two polls of a room that keeps failing.
	maxPollPause = 10 * time.Minute
)

// what is the reaction to a code of Bilibili.
type what int

const (
	final   what = iota // the request itself is wrong: a person has to change something
	passing             // it passes by itself
	slow                // it may pass; a few tries over a day, then a person
	person              // a person has to do something at Bilibili; tried now and then
	doubt               // the archive may exist: look for it
	exists              // the archive exists: look for it
	split               // too many parts
	login               // the login is not valid (any more)
)

// code is a row of the table: what to do, and the first wait, in minutes, which doubles up to most.
type code struct {
	what        what
	first, most float64
}

// codes is how each known answer to a submit, an edit or a look-up is treated. A code that is not here is slow. Sources: the
// codes that users of biliup, biliup-rs and biliup-app reported, and what helped them.
var codes = map[int]code{
	-101:   {login, 0, 0},         // not logged in
	-111:   {login, 0, 0},         // csrf of an old login
	-352:   {passing, 1, 30},      // risk control
	-400:   {final, 0, 0},         // bad request
	-403:   {slow, 0, 0},          // forbidden, seen to pass
	-405:   {slow, 0, 0},          // method not allowed, seen to pass
	-412:   {passing, 5, 60},      // risk control of the gateway
	-429:   {passing, 5, 60},      // the same
	-500:   {doubt, 0, 0},         // the other side broke, perhaps after it made the archive; so do all of -5xx below
	-502:   {doubt, 0, 0},         //
	-503:   {doubt, 0, 0},         //
	-504:   {doubt, 0, 0},         //
	-509:   {passing, 1, 30},      // over the limit
	-702:   {passing, 0.2, 5},     // lists asked too often
	-799:   {passing, 1, 30},      // too frequent
	601:    {person, 60, 60},      // captcha
	10009:  {exists, 0, 0},        // a part is in another archive
	16025:  {final, 0, 0},         // tag forbidden
	20001:  {doubt, 0, 0},         // internal error
	20042:  {slow, 0, 0},          // tag query error: called final, and seen to pass
	21001:  {final, 0, 0},         // parameters
	21005:  {final, 0, 0},         // tags
	21006:  {final, 0, 0},         // publish time
	21010:  {final, 0, 0},         // description missing
	21011:  {final, 0, 0},         // no videos
	21012:  {doubt, 0, 0},         // duplicate submission
	21021:  {final, 0, 0},         // source missing
	21058:  {split, 0, 0},         // too many parts
	21070:  {passing, 0.6, 10},    // wait 30 s
	21103:  {final, 0, 0},         // title too long
	21104:  {final, 0, 0},         // part title too long
	21111:  {slow, 0, 0},          // seen to pass
	21138:  {final, 0, 0},         // this interface is closed: another one may work
	21150:  {final, 0, 0},         // the same
	21160:  {final, 0, 0},         // description too long
	21171:  {slow, 0, 0},          // seen to pass
	21564:  {passing, 1440, 1440}, // too frequent, a day
	21566:  {person, 60, 240},     // too frequent: an upload by hand in the official app lifts it
	21590:  {final, 0, 0},         // client closed
	53019:  {final, 0, 0},         // title too long
	137022: {passing, 120, 480},   // too frequent, hours
}

// Judge says what to do about a failure after a number of failures of the same thing before. interval is how often a room is
// polled; it means nothing to other subjects.
//
// A plugin, or Bilibili, says what happened; what to do about it is decided here and nowhere else.
func (p Pace) Judge(subject Subject, failure Failure, before int, interval time.Duration) Verdict {
	switch subject {
	case Poll, Session:
		return p.judgeRoom(subject, failure, before, interval)
	case Transfer:
		return p.judgeTransfer(failure, before)
	}
	return p.judgeBilibili(subject, failure, before)
}

func (p Pace) judgeRoom(subject Subject, failure Failure, before int, interval time.Duration) Verdict {
	kind := failure.Kind
	switch kind {
	case sdk.NotFound, sdk.LoginRequired, sdk.Forbidden:
		if subject == Session {
			// A server of media refused an address. The next question brings others, and the room may be live.
			kind = sdk.Unavailable
		}
	}
	switch kind {
	case sdk.RateLimited:
		return Verdict{Wait: max(failure.RetryAfter, Backoff(interval, max(maxPollPause, interval), before))}
	case sdk.NotFound, sdk.LoginRequired, sdk.Forbidden, sdk.Challenged, sdk.InvalidOption, sdk.Unsupported:
		return Verdict{Wait: max(interval, maxPollPause/2, failure.RetryAfter), Person: true}
	}
	return Verdict{Wait: max(interval, failure.RetryAfter)}
}

func (p Pace) judgeTransfer(failure Failure, before int) Verdict {
	switch failure.Blame {
	case Missing:
		return Verdict{Wait: p.Operator, Person: true, Missing: true}
	case File:
		return Verdict{Final: true, Person: true}
	case Host, NotSent, Lost, Refused:
		return Verdict{Wait: p.Retry}
	}
	switch failure.Kind {
	case sdk.RateLimited:
		return Verdict{Wait: max(failure.RetryAfter, p.Throttled)}
	case sdk.Challenged, sdk.Forbidden, sdk.InvalidOption:
		return Verdict{Wait: max(p.Operator, p.RetryMax/2), Person: true}
	case sdk.NotFound, sdk.Corrupt:
		return Verdict{Final: true, Person: true}
	}
	verdict := Verdict{Wait: Backoff(p.Retry, p.RetryMax, before), Counted: true}
	if failure.Kind == sdk.Unsupported { // by this line: another one may take it
		verdict.Skipped = FailuresPerLine - 1 - before%FailuresPerLine
	}
	if before+1+verdict.Skipped >= maxFailures {
		return Verdict{Final: true, Person: true}
	}
	return verdict
}

func (p Pace) judgeBilibili(subject Subject, failure Failure, before int) Verdict {
	switch failure.Blame {
	case Missing:
		return Verdict{Wait: p.Operator, Person: true, Missing: true}
	case NotSent, Host:
		return Verdict{Wait: p.Operator}
	case File:
		return Verdict{Final: true, Person: true}
	case Refused:
		return p.judgeCode(subject, failure.Code, before)
	}
	// Whatever else happened to a submit, nobody knows whether it was carried out. An edit can be repeated: it begins with
	// a look at the archive.
	return Verdict{Unknown: subject == Submit, Counted: true, Wait: p.lookupWait(before)}
}

func (p Pace) judgeCode(subject Subject, number, before int) Verdict {
	row, known := codes[number]
	if !known {
		row = code{what: slow}
	}
	minutes := func(n float64) time.Duration { return time.Duration(n * float64(p.Unit)) }
	switch row.what {
	case login:
		return Verdict{Wait: p.Operator, Person: true}
	case passing:
		return Verdict{Wait: Backoff(minutes(row.first), minutes(row.most), before), Counted: true, Final: subject != Lookup && subject != Follow && before+1 >= maxRefusals}
	case person:
		return Verdict{Wait: Backoff(minutes(row.first), minutes(row.most), before), Counted: true, Person: true, Final: subject == Submit && before+1 >= maxRefusals}
	case split:
		return Verdict{Split: true, Counted: true, Wait: p.Retry}
	case doubt, exists:
		if subject != Submit {
			return Verdict{Wait: Backoff(p.Lookup, p.LookupMax, before), Counted: true, Final: subject == Edit && row.what == exists}
		}
		return Verdict{Unknown: true, Exists: row.what == exists, Counted: true, Wait: p.Lookup}
	case final:
		if subject == Submit || subject == Edit {
			return Verdict{Final: true, Counted: true, Person: true}
		}
	}
	return Verdict{Wait: Backoff(p.Slow, 24*60*p.Unit, before), Counted: true, Final: (subject == Submit || subject == Edit) && before+1 >= maxSlow, Person: before+1 >= maxSlow}
}

// lookupWait is the pause before an archive is looked for again.
func (p Pace) lookupWait(before int) time.Duration { return Backoff(p.Lookup, p.LookupMax, before) }

// Backoff is the wait after a number of failures before this one: first, doubled each time, and never more than most.
func Backoff(first, most time.Duration, before int) time.Duration {
	if first >= most {
		return most
	}
	growing := backoff.ExponentialBackOff{InitialInterval: first, Multiplier: 2, MaxInterval: most}
	growing.Reset()
	wait := growing.NextBackOff()
	for range min(before, 40) {
		wait = growing.NextBackOff()
	}
	return wait
}
