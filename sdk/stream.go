package sdk

import "time"

// Stream is one place where the live media can be fetched: an extractor names it, a recorder opens it. Only URL is needed.
type Stream struct {
	URL string
	// Headers are all that the request for the media needs, for example Referer.
	Headers map[string]string
	// Container is "flv", "hls" (MPEG-TS), "fmp4" (HLS with fragmented MP4) or empty when unknown. A room goes to the first
	// recorder that takes a container of its streams.
	Container string
	// Codec of the video is "avc", "hevc", "av1" or empty when unknown.
	Codec string
	// Quality as the platform calls it, for people, for example "origin".
	Quality string
	// RequestedQuality and ConfirmedQuality are the platform's identifiers of what was asked for and of what it says that it
	// gives. They differ when it gives less; ConfirmedQuality is empty when it does not say.
	RequestedQuality string
	ConfirmedQuality string
	BitrateKbps      int64
	// CDN names the delivering network, for logs.
	CDN string
	// Group: streams of the same group carry the same media, so that a recorder can change between them; empty: unknown.
	Group string
	// Priority: lower ones are tried first; the order of the list decides between equal ones.
	Priority int
	// Audio is set when URL carries no sound.
	Audio *AudioSource
	// Lease says how long the address works; the zero Lease: nothing is known.
	Lease Lease
	// Ads is nil when the platform puts no advertisements into the media.
	Ads *AdRule
}

// AudioSource is the sound that belongs to a stream whose pictures come alone.
type AudioSource struct {
	URL string
	// Headers are nil when they are those of the stream.
	Headers   map[string]string
	Container string
	// Codec is "aac", "opus" or empty when unknown.
	Codec       string
	BitrateKbps int64
}

// Lease says how long an address works, and how it may be used. Times are zero when they are not known.
type Lease struct {
	IssuedAt time.Time
	// RefreshAt is when a recorder should ask for new addresses (recorder.RefreshWanted).
	RefreshAt time.Time
	// InvalidAt is when the address is refused.
	InvalidAt time.Time
	// CutsConnection: a connection that is open at InvalidAt is closed then.
	CutsConnection bool
	// SingleUse: it can be opened once only. Nothing may be asked of it before that.
	SingleUse bool
	// AddressBound: it works only from the network address that it was asked for from.
	AddressBound bool
}

// AdRule tells which pieces of an HLS playlist are advertisements: those of which one of these is true.
type AdRule struct {
	// TitleContains: a text in the title of EXTINF.
	TitleContains []string
	// DateRangeClasses: the time of the piece lies in an EXT-X-DATERANGE of this CLASS.
	DateRangeClasses []string
	// DateRangeIDPrefixes: or of an ID that begins so.
	DateRangeIDPrefixes []string
}

// GapCause says why a stretch of a broadcast is missing.
type GapCause string

// The causes of contract version 1. One that a newer peer tells, and this version does not know, is GapUnknown.
const (
	GapUnknown         GapCause = "unknown"
	GapDetectLate      GapCause = "detect.late"      // the broadcast was noticed after it had begun
	GapStreamLost      GapCause = "stream.lost"      // the connection broke, or the stream ended and came back
	GapStreamStalled   GapCause = "stream.stalled"   // the connection stayed and brought nothing
	GapURLRefused      GapCause = "url.refused"      // the address had run out, or was never good
	GapHLSMissing      GapCause = "hls.missing"      // a piece of a playlist could not be had any more
	GapKeyframeWait    GapCause = "keyframe.wait"    // a file can begin with a keyframe only
	GapRepairDropped   GapCause = "repair.dropped"   // media that was damaged, or there twice, was left out
	GapRuleWindow      GapCause = "rule.window"      // outside the time window of the room
	GapRuleKeyword     GapCause = "rule.keyword"     // a word in the title keeps the broadcast from being recorded
	GapRulePaused      GapCause = "rule.paused"      // the room was paused
	GapRuleLimit       GapCause = "rule.limit"       // as many rooms were being recorded as may be at once
	GapLoginRequired   GapCause = "login.required"   // the platform shows it to accounts only
	GapDiskFull        GapCause = "disk.full"        // nothing could be written
	GapRecorderCrashed GapCause = "recorder.crashed" // the recorder's process ended
	GapHostDown        GapCause = "host.down"        // lubod did not run
	GapMachineDown     GapCause = "machine.down"     // nothing ran
	GapAdvertisement   GapCause = "advertisement"    // the platform put an advertisement there
)
