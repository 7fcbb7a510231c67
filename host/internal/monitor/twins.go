package monitor

import (
	"context"
	"errors"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/reason"
	"github.com/lubod/lubod/sdk/extractor"
)

// A room that was entered in two spellings of its URL would be two recordings and two archives. Its platform tells its one name; of
// several rooms with the same the first one is recorded, and the others say so.

// twin is the first of the watched rooms that is the same as this one and was entered before it; nil: there is none.
func (s *scheduler) twin(room *watched) *db.Streamer {
	if s.firsts == nil {
		s.firsts = make(map[roomName]*watched, len(s.rooms))
		for _, one := range s.rooms {
			name := nameOf(one.streamer)
			if first := s.firsts[name]; first == nil || one.streamer.ID < first.streamer.ID {
				s.firsts[name] = one
			}
		}
	}
	name := nameOf(room.streamer)
	first := s.firsts[name]
	if name.id == "" || first == nil || first.streamer.ID >= room.streamer.ID {
		return nil
	}
	copied := first.streamer
	return &copied
}

func nameOf(streamer db.Streamer) roomName { return roomName{streamer.Platform, streamer.RoomID} }

// named keeps the name that a platform has for a room, and refuses the room when another streamer has it already.
func (s *scheduler) named(ctx context.Context, poll poll, status extractor.Status) error {
	id := db.Text(status.RoomID)
	if id == "" || id == poll.streamer.RoomID && poll.extractor == poll.streamer.Platform {
		return nil // those that are known were looked at before the poll
	}
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	err := s.DB.NameRoom(ctx, db.NameRoomParams{ID: poll.streamer.ID, URL: poll.streamer.URL, Platform: poll.extractor, RoomID: id})
	if err != nil {
		s.complain(ctx, err)
		return nil // the next result tries again
	}
	s.tellName(poll.streamer.ID, poll.extractor, id)
	other, err := s.DB.EarlierStreamerOfRoom(ctx, db.EarlierStreamerOfRoomParams{ID: poll.streamer.ID, Platform: poll.extractor, RoomID: id})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		s.complain(ctx, err)
		return nil
	}
	return isTwin(other)
}

func isTwin(of db.Streamer) error {
	return &refusal{reason.New(reason.RoomTwin, "id", strconv.FormatInt(of.ID, 10), "url", of.URL)}
}

// roomName is what a platform calls a room.
type roomName struct{ platform, id string }

// tellName hands a name to the schedule.
func (m *Monitor) tellName(streamerID int64, platform, id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.names[streamerID] = roomName{platform, id}
}

// takeNames brings the names that were learnt into the schedule's copies of the rows.
func (s *scheduler) takeNames() {
	s.mu.Lock()
	names := s.names
	s.names = make(map[int64]roomName)
	s.mu.Unlock()
	for id, name := range names {
		if room := s.rooms[id]; room != nil {
			room.streamer.Platform, room.streamer.RoomID = name.platform, name.id
			s.firsts = nil
		}
	}
}
