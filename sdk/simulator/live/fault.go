package live

import "time"

// Fault is something that goes wrong at a counted place.
type Fault struct {
	// Connection is the number of the connection, from 1; 0: every one. Requests that are refused because nobody is live
	// count too.
	Connection int
	// AfterTags and AfterKeyframes say when: after so many media tags, or keyframes, were sent whole on the connection.
	// Both 0: when it is opened.
	AfterTags      int
	AfterKeyframes int
	Do             Action
}

// Action is what goes wrong: one of the types below.
type Action interface{ action() }

// Refuse answers the request with a status, such as 403 or 404.
type Refuse struct{ Status int }

// Answer answers 200 with a body that is not FLV, such as a web page or a playlist.
type Answer struct{ ContentType, Body string }

// Redirect answers with 302 to another path or server.
type Redirect struct{ To string }

// CloseCleanly ends the body as at the end of a broadcast.
type CloseCleanly struct{}

// CutMidTag ends the body cleanly, but inside the next tag.
type CutMidTag struct{}

// Reset resets the TCP connection, after everything sent has arrived; MidTag: with half of the next tag.
type Reset struct{ MidTag bool }

// Abort ends the TCP connection without the mark that ends a chunked body.
type Abort struct{}

// Stall sends nothing until Release is called.
type Stall struct{}

// Garbage sends bytes that are no tag in front of the next one. Their number is Bytes; their values are always the same.
type Garbage struct{ Bytes int }

// DamageTag damages the header of the next tag: its size becomes Size.
type DamageTag struct{ Size int }

// WrongTrailers sends 0 as the size behind each tag from here on.
type WrongTrailers struct{}

// RepeatHeaders sends the script tag and the parameter sets again.
type RepeatHeaders struct{}

// Switch goes on with another clip from its first keyframe, as after a change of the encoder's settings: its parameter
// sets, then its frames, on a clock that goes on. Late: the parameter sets come so many video frames of the old clip too
// early.
type Switch struct {
	To   *Clip
	Late int
}

// Jump moves the clock of all tags from here on, in either direction.
type Jump struct{ By time.Duration }

func (Refuse) action()        {}
func (Answer) action()        {}
func (Redirect) action()      {}
func (CloseCleanly) action()  {}
func (CutMidTag) action()     {}
func (Reset) action()         {}
func (Abort) action()         {}
func (Stall) action()         {}
func (Garbage) action()       {}
func (DamageTag) action()     {}
func (WrongTrailers) action() {}
func (RepeatHeaders) action() {}
func (Switch) action()        {}
func (Jump) action()          {}
