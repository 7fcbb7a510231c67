// Package flv reads and writes the FLV container: tags, the script tag with metadata, and as much of the codec
// signalling as a recorder needs to know where it may cut. Payloads are never interpreted beyond that.
//
// Formats: Adobe "Video File Format Specification" version 10.1, annex E; "Enhanced RTMP" (Veovera Software
// Organization) for FourCC codecs; codec ids 12 (HEVC) and 13 (AV1) are a convention of CDNs.
package flv

import "encoding/binary"

// Sizes of the fixed parts of a file, in bytes.
const (
	FileHeaderSize = 9
	TagHeaderSize  = 11
	TrailerSize    = 4 // PreviousTagSize, behind every tag
	MaxPayload     = 1<<24 - 1
	// PeekSize is how much of a payload says what it is.
	PeekSize = 8
)

// Type is the first byte of a tag.
type Type byte

// The tag types.
const (
	Audio  Type = 8
	Video  Type = 9
	Script Type = 18
)

// Kind is what a tag means to a recorder.
type Kind byte

// The kinds of tags.
const (
	// Ignored tags carry nothing that belongs into a recording: empty ones, seek commands, end-of-sequence marks (which
	// stop some players in the middle of a file).
	Ignored Kind = iota
	// Header tags carry the codec's parameter sets.
	Header
	// Key frames can be decoded on their own; Frame is any other media.
	Key
	Frame
	// Data is a script tag.
	Data
)

// IsMedia says whether a tag has sound or picture in it.
func (k Kind) IsMedia() bool { return k == Key || k == Frame }

// Tag is a view of one whole tag: header, payload and trailer. Its bytes belong to the reader and are valid until the
// next Fill. Tags that follow each other in the stream follow each other in memory, so that a writer can take many at
// once.
type Tag struct {
	Raw []byte
}

// Type returns the tag's type.
func (t Tag) Type() Type { return Type(t.Raw[0] & 0x1f) }

// Payload returns the bytes between header and trailer.
func (t Tag) Payload() []byte { return t.Raw[TagHeaderSize : len(t.Raw)-TrailerSize] }

// Time returns the decoding time in milliseconds: signed, as some servers count from below zero.
func (t Tag) Time() int32 {
	b := t.Raw
	return int32(uint32(b[7])<<24 | uint32(b[4])<<16 | uint32(b[5])<<8 | uint32(b[6]))
}

// Stamp rewrites the tag's frame in place: its time in milliseconds, and what the sender may have got wrong (stream id,
// filter bit, trailer). The payload is not touched.
func (t Tag) Stamp(ms int64) {
	b := t.Raw
	b[0] &= 0x1f
	putTime(b, ms)
	b[8], b[9], b[10] = 0, 0, 0
	binary.BigEndian.PutUint32(b[len(b)-TrailerSize:], uint32(len(b)-TrailerSize))
}

func putTime(b []byte, ms int64) {
	u := uint32(ms)
	b[4], b[5], b[6], b[7] = byte(u>>16), byte(u>>8), byte(u), byte(u>>24)
}

// Kind classifies the tag.
func (t Tag) Kind() Kind { return Classify(t.Type(), t.Payload()) }

// Classify says what a payload means. Its first PeekSize bytes are enough.
func Classify(kind Type, p []byte) Kind {
	if len(p) == 0 {
		return Ignored
	}
	switch kind {
	case Script:
		return Data
	case Audio:
		return audioKind(p)
	case Video:
		return videoKind(p)
	}
	return Ignored
}

// Packet types that old and new signalling share.
const (
	packetHeader    = 0
	packetEnd       = 2
	packetMultiOld  = 5 // multitrack, audio
	packetMulti     = 6 // multitrack, video
	frameKey        = 1
	frameCommand    = 5
	soundExtended   = 9
	soundAAC        = 10
	codecAVC        = 7
	codecHEVC       = 12
	codecAV1        = 13
	extendedVideo   = 0x80
	enhancedPayload = 5 // first byte and FourCC
)

func audioKind(p []byte) Kind {
	packet := byte(1)
	switch p[0] >> 4 {
	case soundAAC:
		if len(p) < 2 {
			return Ignored
		}
		if p[1] == packetHeader {
			return Header
		}
		return Frame
	case soundExtended:
		packet = p[0] & 0x0f
		if packet == packetMultiOld && len(p) > 1 {
			packet = p[1] & 0x0f
		}
	}
	return packetKind(packet, false)
}

func videoKind(p []byte) Kind {
	if p[0]&extendedVideo != 0 {
		frame, packet := p[0]>>4&7, p[0]&0x0f
		if packet == packetMulti && len(p) > 1 {
			packet = p[1] & 0x0f
		}
		if frame == frameCommand && packet != packetHeader {
			return Ignored
		}
		return packetKind(packet, frame == frameKey)
	}
	frame := p[0] >> 4
	if frame == frameCommand {
		return Ignored
	}
	switch p[0] & 0x0f {
	case codecAVC, codecHEVC, codecAV1:
		if len(p) < 2 {
			return Ignored
		}
		return packetKind(p[1], frame == frameKey)
	}
	return packetKind(1, frame == frameKey)
}

func packetKind(packet byte, key bool) Kind {
	switch {
	case packet == packetHeader:
		return Header
	case packet == packetEnd:
		return Ignored
	case key:
		return Key
	}
	return Frame
}

// CodecID returns the number that onMetaData calls videocodecid or audiocodecid: the old id, or the FourCC as a 32-bit
// number for enhanced signalling.
func (t Tag) CodecID() uint32 { return CodecID(t.Type(), t.Payload()) }

// CodecID is Tag.CodecID of a payload, of which the first PeekSize bytes are enough.
func CodecID(kind Type, p []byte) uint32 {
	if len(p) == 0 {
		return 0
	}
	enhanced := kind == Video && p[0]&extendedVideo != 0 || kind == Audio && p[0]>>4 == soundExtended
	switch {
	case enhanced && len(p) >= enhancedPayload:
		return binary.BigEndian.Uint32(p[1:])
	case kind == Audio:
		return uint32(p[0] >> 4)
	}
	return uint32(p[0] & 0x0f)
}

// AppendTag appends a whole tag around payload.
func AppendTag(dst []byte, kind Type, ms int64, payload []byte) []byte {
	n := len(payload)
	start := len(dst)
	dst = append(dst, byte(kind), byte(n>>16), byte(n>>8), byte(n), 0, 0, 0, 0, 0, 0, 0)
	putTime(dst[start:], ms)
	dst = append(dst, payload...)
	return binary.BigEndian.AppendUint32(dst, uint32(n+TagHeaderSize))
}

// AppendFileHeader appends the file's header and the trailer of the tag that is not there.
func AppendFileHeader(dst []byte, audio, video bool) []byte {
	var flags byte
	if audio {
		flags |= flagAudio
	}
	if video {
		flags |= flagVideo
	}
	return append(dst, 'F', 'L', 'V', 1, flags, 0, 0, 0, FileHeaderSize, 0, 0, 0, 0)
}

const (
	flagVideo = 1
	flagAudio = 4
)

// IsFile says whether b begins with the header of an FLV file of version 1.
func IsFile(b []byte) bool { return len(b) >= FileHeaderSize && string(b[:4]) == "FLV\x01" }
