// Package extractor is for plugins that turn a room's URL into what is live there.
//
// An author writes an Extractor, hands its factory to Serve, and tests it with plugintest.Extractor. Status is what it answers,
// Ref what it is asked; BatchResolver and sdk.HealthChecker are optional. Client, NewClient and Plugin are for hosts and
// for tests.
package extractor

import (
	"context"
	"encoding/json"
	"time"

	"github.com/lubod/lubod/sdk"
)

// Extractor asks one platform about one room. The host polls, retries, rate-limits and records.
//
// Offline is a value: return the zero Status. An answer of the platform that the author did not expect is an error,
// never "offline", because an offline answer ends a recording.
//
// It is also implemented by the host's client, which proxies the call to the plugin process.
type Extractor interface {
	Resolve(ctx context.Context, ref Ref) (Status, error)
}

// BatchResolver is implemented by extractors that can ask their platform about many rooms with one request: rooms are polled
// all day, and most of them are offline most of the time. The answers are in the order of refs. An error is that of
// every room; a room that is in trouble by itself stays unknown, and Resolve says what is wrong.
//
// It is also implemented by the host's client, which answers sdk.Unsupported for a plugin that cannot.
type BatchResolver interface {
	ResolveBatch(ctx context.Context, refs []Ref) ([]BatchAnswer, error)
}

// BatchAnswer is what a batch tells about one room. The zero BatchAnswer tells nothing: Resolve is called for the room.
type BatchAnswer struct {
	// Known: Status is the room's, as Resolve would answer it. Streams can be left out, and a room that is live may stay
	// unknown: its streams have to be asked for one by one anyway.
	Known  bool
	Status Status
}

// Ref names the room that is asked about.
type Ref struct {
	URL string
	// Groups are the named groups of the pattern in sdk.Info.Match that matched URL. Filled in on the plugin's side.
	Groups map[string]string
	// Options are options of this room over those of the plugin, one JSON object; nil: none.
	Options json.RawMessage
	// Credentials are nil when the operator configured none for this platform.
	Credentials *Credentials
	// Purpose is what the host wants to know. It can be left unread: an answer with streams is right for each.
	Purpose Purpose
}

// Purpose is what the host wants to know.
type Purpose string

// The purposes of contract version 1.
const (
	PurposeAll     Purpose = ""        // everything, streams included
	PurposePoll    Purpose = "poll"    // only whether the room is live: Streams can be left out
	PurposeStart   Purpose = "start"   // a recording is about to begin
	PurposeRefresh Purpose = "refresh" // a recording is running and needs new addresses
)

// Credentials of one account on the extractor's platform.
type Credentials struct {
	Cookies map[string]string
	Token   string
}

// State of a room.
type State string

// The states of contract version 1. The zero State is offline.
const (
	StateOffline    State = ""           // the room exists and does not broadcast
	StateUpcoming   State = "upcoming"   // a broadcast is announced; Status.ScheduledAt
	StateLive       State = "live"       // it broadcasts
	StateReplay     State = "replay"     // what is sent is an old recording
	StateRestricted State = "restricted" // it broadcasts, and not for this account; Status.Restriction
)

// Restriction is what keeps an account from a broadcast.
type Restriction string

// The restrictions of contract version 1.
const (
	RestrictionPassword Restriction = "password"
	RestrictionPaid     Restriction = "paid"
	RestrictionDRM      Restriction = "drm"
	RestrictionMembers  Restriction = "members" // for paying supporters of the streamer
	RestrictionRegion   Restriction = "region"
	RestrictionLogin    Restriction = "login"
	RestrictionAge      Restriction = "age"
	RestrictionOther    Restriction = "other"
)

// Status is what is live in a room. The zero Status means offline.
type Status struct {
	State State
	// RoomID names the room on its platform, the same however its URL is spelled, and not the broadcast; empty: unknown. With
	// it a room that was entered twice is recorded once. It can be told in any state.
	RoomID string
	// BroadcastID names the broadcast; empty: the platform has none.
	BroadcastID string
	Title       string
	Streamer    string
	AvatarURL   string
	CoverURL    string
	Category    string
	// StartedAt is when the broadcast began; zero when the platform does not say.
	StartedAt time.Time
	// ScheduledAt is when an upcoming broadcast is to begin.
	ScheduledAt time.Time
	// Restriction is set when State is StateRestricted.
	Restriction Restriction
	// Streams in order of preference; at least one when live, unless Ref.Purpose is PurposePoll.
	Streams []Stream
	// Unasked: nobody was asked whether the room is live, because its address is itself the stream. A connection that is
	// refused, or a stream that is not found there, then means that the room is offline. Of all others it is known that they
	// are live, and why they cannot be recorded has to be told.
	Unasked bool
}

// Live tells whether the room broadcasts and can be recorded.
func (s Status) Live() bool { return s.State == StateLive }

// Offline is the answer for a room that exists and does not broadcast.
var Offline = Status{}

// Stream is one place where the live media can be fetched.
type Stream = sdk.Stream

// Lease says how long the address of a stream works.
type Lease = sdk.Lease
