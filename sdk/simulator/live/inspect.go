package live

import (
	"net/http"
	"slices"
	"time"
)

// Sent is one media tag that was sent.
type Sent struct {
	Video, Key bool
	// Ms is the time in the tag.
	Ms int64
	// Hash is the MD5 of the codec's data in hexadecimal, as in ffprobe -show_packets -show_data_hash md5.
	Hash string
	// Whole is false for a tag that was cut.
	Whole bool
}

func (f *frame) sent(ms int64, whole bool) Sent {
	return Sent{Video: f.kind == typeVideo, Key: f.key, Ms: ms, Hash: f.hash, Whole: whole}
}

// Connection is what one request got.
type Connection struct {
	Number    int
	Path      string
	Header    http.Header
	StartedAt time.Time
	// Status of the answer.
	Status int
	// Open is true while the body is being sent.
	Open bool
	// Stalled is true between a Stall and its release.
	Stalled bool
	// Ending says why it ended: "clip over", "ended", "broken", "client left", or the name of a fault's type.
	Ending string
	Tags   []Sent
	// Bytes of the body that were sent.
	Bytes int64
}

// Connections lists all requests so far, in order.
func (s *Server) Connections() []Connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Connection, len(s.connections))
	for i, c := range s.connections {
		list[i] = *c
		list[i].Tags = slices.Clone(c.Tags)
	}
	return list
}

// Mistakes lists what clients did wrong, in words.
func (s *Server) Mistakes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mistakes)
}

// Hashes returns the hashes of the whole tags in order, of sound or picture.
func Hashes(tags []Sent, video bool) []string {
	var hashes []string
	for _, t := range tags {
		if t.Video == video && t.Whole {
			hashes = append(hashes, t.Hash)
		}
	}
	return hashes
}
