package bilibili

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Fate is what becomes of an archive some time after it was accepted or edited, which on the real service can be hours: the
// transcoding of a part fails, a reviewer sends it back, it is locked. Until then it is in review.
type Fate struct {
	// AID is the archive; 0: those to come.
	AID int64 `json:"aid,omitempty"`
	// Times is how many archives to come meet this fate; 0: all of them.
	Times int `json:"times,omitempty"`
	// After is how long after its last change the archive meets its fate, on the clock of the archives.
	After time.Duration `json:"after,omitempty"`
	// State is one of the State… constants, or a number that nobody knows.
	State int `json:"state"`
	// Desc is what the owner reads as state_desc; default: what the real service calls the state.
	Desc string `json:"desc,omitempty"`
	// Reason is what the owner reads as reject_reason.
	Reason string `json:"reason,omitempty"`
	// Parts are the numbers, from 1, of the parts whose transcoding fails with State StateTranscodeFailed; default: the first.
	Parts []int `json:"parts,omitempty"`
	// PublicUntil lets the archive go its ordinary way until it meets its fate.
	PublicUntil bool `json:"public_until,omitempty"`
}

func (f Fate) fails(part int) bool {
	return f.State == StateTranscodeFailed && (slices.Contains(f.Parts, part) || len(f.Parts) == 0 && part == 1)
}

// AddFate decides what becomes of an archive, or of archives to come; of several for those to come, the first one counts.
// An accepted edit ends the fate of an archive.
func (s *Server) AddFate(fate Fate) error {
	if fate.After < 0 || fate.Times < 0 {
		return errors.New("add fate: after and times must not be negative")
	}
	var err error
	s.update(func(st *state) {
		if fate.AID == 0 {
			st.fates = append(st.fates, &fate)
			return
		}
		a := st.archiveByAID(fate.AID)
		if a == nil {
			err = fmt.Errorf("add fate: there is no archive %d", fate.AID)
			return
		}
		a.fate, a.fixed = &fate, false
	})
	return err
}

// Fates lists what was decided about archives to come and is not used up.
func (s *Server) Fates() []Fate {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Fate, 0, len(s.state.fates))
	for _, fate := range s.state.fates {
		out = append(out, *fate)
	}
	return out
}

// ClearFates forgets what was decided about archives to come. Those that exist keep theirs.
func (s *Server) ClearFates() { s.update(func(st *state) { st.fates = nil }) }

// nextFate is that of an archive which is being made; nil: the ordinary life.
func (st *state) nextFate() *Fate {
	if len(st.fates) == 0 {
		return nil
	}
	fate := *st.fates[0]
	if first := st.fates[0]; first.Times > 1 {
		first.Times--
	} else if first.Times == 1 {
		st.fates = st.fates[1:]
	}
	return &fate
}

// SetListLag makes archives that are accepted from now on appear in lists only so much later, on the clock of the archives.
// Whoever knows an archive's number sees it at once, and its files are in use at once.
func (s *Server) SetListLag(lag time.Duration) {
	s.update(func(st *state) { st.listLag = max(lag, 0) })
}

// lifeClock is the one by which archives grow old and appear in lists. It runs with the simulator's, and can be ahead of it or
// run faster, so that a test sees hours of review within seconds while tokens and signatures stay good.
type lifeClock struct {
	ahead time.Duration
	speed float64
	since time.Time // when speed was set; zero: always
}

func (c lifeClock) at(now time.Time) time.Time {
	now2 := now.Add(c.ahead)
	if c.since.IsZero() {
		return now2
	}
	return now2.Add(time.Duration(float64(now.Sub(c.since)) * (c.speed - 1)))
}

// AdvanceArchives moves the clock of the archives, and nothing else.
func (s *Server) AdvanceArchives(d time.Duration) { s.update(func(st *state) { st.life.ahead += d }) }

// SetArchiveSpeed lets the clock of the archives run so many times as fast as the simulator's.
func (s *Server) SetArchiveSpeed(speed float64) {
	s.update(func(st *state) {
		now := s.now()
		st.life = lifeClock{ahead: st.life.at(now).Sub(now), speed: max(speed, 0), since: now}
	})
}

// ArchiveNow is the time on the clock of the archives.
func (s *Server) ArchiveNow() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.life.at(s.now())
}

// stateOf follows an archive through its life: transcoding and review, then public, waiting for its date, or what was decided.
func (st *state) stateOf(a *archive, now time.Time, options Options) int {
	if a.fixed {
		return a.state
	}
	life := st.life.at(now)
	age := life.Sub(a.aged)
	inReview := StateInReview
	if a.edits > 0 {
		inReview = StateEditAwaiting
	}
	switch {
	case a.fate != nil && age >= a.fate.After:
		return a.fate.State
	case a.fate != nil && !a.fate.PublicUntil:
		return inReview
	case age >= options.Transcode && slices.ContainsFunc(a.videos, func(v video) bool { return st.byName[v.Filename].failed }):
		return StateTranscodeFailed
	case age < options.Transcode+options.Review:
		return inReview
	case a.raw.DTime != nil && life.Unix() < *a.raw.DTime:
		return StateScheduled
	}
	return StatePublic
}

// met is the fate of an archive once it has met it.
func (st *state) met(a *archive, now time.Time) *Fate {
	if a.fate == nil || a.fixed || st.life.at(now).Sub(a.aged) < a.fate.After {
		return nil
	}
	return a.fate
}

// words are what the owner of an archive reads about its state.
func (st *state) words(a *archive, now time.Time, options Options) (desc, reason string) {
	number := st.stateOf(a, now, options)
	desc, reason = cmp.Or(stateNames[number], fmt.Sprintf("状态%d", number)), a.reason
	if fate := st.met(a, now); fate != nil {
		desc, reason = cmp.Or(fate.Desc, desc), fate.Reason
	}
	return desc, reason
}

// Transcoding states of a part.
const (
	transcodeRunning = 1
	transcodeFailed  = 3
	transcodeDone    = 6
)

// transcode tells how far the transcoding of a part is, from 0.
func (st *state) transcode(a *archive, index int, now time.Time, options Options) (transcode, failCode int, failText string) {
	fate := st.met(a, now)
	switch {
	case fate != nil && fate.fails(index+1), st.byName[a.videos[index].Filename].failed && st.life.at(now).Sub(a.aged) >= options.Transcode:
		return transcodeFailed, 9, "转码失败"
	case st.life.at(now).Sub(a.aged) < options.Transcode, a.fate != nil && fate == nil && !a.fate.PublicUntil && a.fate.fails(index+1):
		return transcodeRunning, 0, ""
	}
	return transcodeDone, 0, ""
}
