// Package extractor is for plugins that turn a room's URL into what is live there.
package extractor

import (
	"context"
	"encoding/json"
	"time"
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
	// Known: Status is the room's, as Resolve would answer it. A room that is live may stay unknown, because its streams
	// have to be asked for one by one anyway.
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
}

// Credentials of one account on the extractor's platform.
type Credentials struct {
	Cookies map[string]string
	Token   string
}

// Status is what is live in a room. The zero Status means offline.
type Status struct {
	Live      bool
	Title     string
	Streamer  string
	AvatarURL string
	CoverURL  string
	Category  string
	// StartedAt is when the broadcast began; zero when the platform does not say.
	StartedAt time.Time
	// Streams in order of preference; at least one when Live.
	Streams []Stream
	// Unasked: nobody was asked whether the room is live, because its address is itself the stream. A connection that is
	// refused, or a stream that is not found there, then means that the room is offline. Of all others it is known that they
	// are live, and why they cannot be recorded has to be told.
	Unasked bool
}

// Offline is the answer for a room that exists and does not broadcast.
var Offline = Status{}

// Stream is one place where the live media can be fetched.
type Stream struct {
	URL string
	// Quality as the platform calls it, for example "origin".
	Quality string
	// Container is "flv", "hls" or empty when unknown.
	Container string
	// Codec is "avc", "hevc", "av1" or empty when unknown.
	Codec string
	// CDN names the delivering network, for logs.
	CDN string
	// Headers the media request needs, for example Referer.
	Headers map[string]string
	// ExpiresAt is the end of the URL's validity; zero when unknown.
	ExpiresAt   time.Time
	BitrateKbps int64
}
