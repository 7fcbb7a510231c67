package bilibili

import (
	"fmt"
	"strings"
)

// ArchiveState is how far an archive is, as its owner is told. What becomes of an archive is known only long after it was
// accepted: transcoding and review can refuse it hours later.
type ArchiveState int

// The states that clients have seen. Sources: bilibili-API-collect (creativecenter), biliup, biliupforjava.
const (
	StatePublic          ArchiveState = 0
	StateAwaiting        ArchiveState = -1
	StateReturned        ArchiveState = -2
	StateLockedByPolice  ArchiveState = -3
	StateLocked          ArchiveState = -4
	StateLockedByAdmin   ArchiveState = -5
	StateEditAwaiting    ArchiveState = -6
	StateSourceToMend    ArchiveState = -11
	StateStoreFailed     ArchiveState = -12
	StateRecycled        ArchiveState = -14
	StateTranscodeFailed ArchiveState = -16
	StateInReview        ArchiveState = -30
	StateScheduled       ArchiveState = -40
	StateDeleted         ArchiveState = -100
)

// Public tells whether everybody can see the archive. Only then is it safe with Bilibili.
func (s ArchiveState) Public() bool { return s == StatePublic }

// Scheduled tells whether the archive was approved and waits for its date.
func (s ArchiveState) Scheduled() bool { return s == StateScheduled }

// Refused tells whether the archive stays unpublished unless a person does something about it.
func (s ArchiveState) Refused() bool {
	switch s {
	case StateReturned, StateLockedByPolice, StateLocked, StateLockedByAdmin, StateSourceToMend, StateStoreFailed, StateRecycled,
		StateTranscodeFailed, StateDeleted:
		return true
	}
	return false
}

// InReview tells whether Bilibili has not decided yet. A state that nobody has heard of counts as one: it neither lets files go
// nor raises an alarm.
func (s ArchiveState) InReview() bool { return !s.Public() && !s.Scheduled() && !s.Refused() }

// View is an archive as its owner sees it.
type View struct {
	Accepted
	Title     string       `json:"title"`
	Copyright int          `json:"copyright"`
	State     ArchiveState `json:"state"`
	// StateDesc and RejectReason are Bilibili's words.
	StateDesc    string     `json:"state_desc"`
	RejectReason string     `json:"reject_reason"`
	Parts        []PartView `json:"-"`
}

// PartView is a part of an archive, and how its transcoding went.
type PartView struct {
	Part
	FailCode     int    `json:"fail_code"`
	FailDesc     string `json:"fail_desc"`
	XcodeState   int    `json:"xcode_state"`
	RejectReason string `json:"reject_reason"`
}

// transcodeFailed is the xcode_state of a part whose transcoding failed.
const transcodeFailed = 3

// Failed tells whether the part cannot be played.
func (p PartView) Failed() bool { return p.FailCode != 0 || p.XcodeState == transcodeFailed }

// Filenames are the names of the parts in their order.
func (v View) Filenames() []string {
	names := make([]string, 0, len(v.Parts))
	for _, part := range v.Parts {
		names = append(names, part.Filename)
	}
	return names
}

// Words is what Bilibili says about the archive, in one line: the state, why it is refused, and which parts failed.
func (v View) Words() string {
	words := []string{fmt.Sprintf("%s (state %d)", v.StateDesc, v.State)}
	if v.StateDesc == "" {
		words[0] = fmt.Sprintf("state %d", v.State)
	}
	if v.RejectReason != "" {
		words = append(words, v.RejectReason)
	}
	for i, part := range v.Parts {
		if part.Failed() {
			text := fmt.Sprintf("P%d %q: %s (fail_code %d, xcode_state %d)", i+1, part.Title, part.FailDesc, part.FailCode, part.XcodeState)
			words = append(words, text)
		}
		if part.RejectReason != "" {
			words = append(words, fmt.Sprintf("P%d %q: %s", i+1, part.Title, part.RejectReason))
		}
	}
	return strings.Join(words, "; ")
}
