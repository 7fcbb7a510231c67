package bililive

import (
	"maps"
	"slices"
	"time"
)

// State is what a room does.
type State int

// The states, with the numbers of live_status.
const (
	Offline State = 0
	Live    State = 1
	Loop    State = 2 // old videos over and over
)

// Room is one room. ID and UID are required.
type Room struct {
	ID      int64 `json:"id"`
	ShortID int64 `json:"short_id,omitempty"`
	UID     int64 `json:"uid"`
	State   State `json:"state"`

	Title      string `json:"title,omitempty"`
	Streamer   string `json:"streamer,omitempty"`
	Avatar     string `json:"avatar,omitempty"`
	Cover      string `json:"cover,omitempty"`
	Area       string `json:"area,omitempty"`
	ParentArea string `json:"parent_area,omitempty"`
	// StartedAt is when the broadcast began.
	StartedAt time.Time `json:"started_at,omitzero"`

	// LockedUntil and HiddenUntil lock or hide the room until then.
	LockedUntil time.Time `json:"locked_until,omitzero"`
	HiddenUntil time.Time `json:"hidden_until,omitzero"`
	// Encrypted asks viewers for a password.
	Encrypted bool `json:"encrypted,omitempty"`
	// SpecialType 1 is a room that sells tickets.
	SpecialType int64 `json:"special_type,omitempty"`
	// DRM encrypts the media.
	DRM bool `json:"drm,omitempty"`
	// NoStream is a broadcast for members, or for other countries: live, without anything to play.
	NoStream bool `json:"no_stream,omitempty"`

	// Qualities on offer, the best first; default 10000, 400, 250.
	Qualities []int `json:"qualities,omitempty"`
	// AnonymousQuality is the best quality without a login; default 250.
	AnonymousQuality int `json:"anonymous_quality,omitempty"`
	// NoFMP4 leaves out the form that appears last after a start.
	NoFMP4 bool `json:"no_fmp4,omitempty"`
	// CDNs that deliver, in the order of the answer; default cn-gotcha01, cn-gotcha07.
	CDNs []string `json:"cdns,omitempty"`
	// DownCDNs answer 404 for media.
	DownCDNs []string `json:"down_cdns,omitempty"`
}

func (r Room) withDefaults() *Room {
	if r.Qualities == nil {
		r.Qualities = []int{10000, 400, 250}
	}
	if r.AnonymousQuality == 0 {
		r.AnonymousQuality = 250
	}
	if r.CDNs == nil {
		r.CDNs = []string{"cn-gotcha01", "cn-gotcha07"}
	}
	return &r
}

// SetRoom adds a room or changes it.
func (s *Server) SetRoom(r Room) {
	if r.ID <= 0 || r.UID <= 0 {
		panic("a room needs ID and UID")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rooms[r.ID] = r.withDefaults()
}

// RemoveRoom makes a room one that does not exist.
func (s *Server) RemoveRoom(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.rooms, id)
}

// AddLogin makes a value of the cookie SESSDATA that of an account.
func (s *Server) AddLogin(sessdata string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logins[sessdata] = true
}

// SetShortLink makes /code redirect to location.
func (s *Server) SetShortLink(code, location string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shorts[code] = location
}

// find takes long and short numbers.
func (s *Server) find(id int64) *Room {
	if r := s.rooms[id]; r != nil || id == 0 {
		return r
	}
	for _, r := range s.rooms {
		if r.ShortID == id {
			return r
		}
	}
	return nil
}

func (s *Server) ofOwner(uid int64) *Room {
	for _, id := range slices.Sorted(maps.Keys(s.rooms)) {
		if s.rooms[id].UID == uid {
			return s.rooms[id]
		}
	}
	return nil
}
