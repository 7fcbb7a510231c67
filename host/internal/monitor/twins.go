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
func (r *round) twin(room *watched) *db.Streamer {
	var first *db.Streamer
	for _, other := range r.rooms {
		if sameRoom(other.streamer, room.streamer) && (first == nil || other.streamer.ID < first.ID) {
			first = &other.streamer
		}
	}
	if first == nil {
		return nil
	}
	copied := *first
	return &copied
}

// sameRoom tells whether a streamer was there before another one of the same room.
func sameRoom(first, second db.Streamer) bool {
	return first.ID < second.ID && first.RoomID != "" && first.RoomID == second.RoomID && first.Platform == second.Platform
}

// named keeps the name that a platform has for a room, and refuses the room when another streamer has it already.
func (r *round) named(ctx context.Context, question question, status extractor.Status) error {
	id := db.Text(status.RoomID)
	if id == "" || id == question.streamer.RoomID && question.home == question.streamer.Platform {
		return nil // those that are known were looked at before the question
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	err := r.DB.NameRoom(ctx, db.NameRoomParams{ID: question.streamer.ID, URL: question.streamer.URL, Platform: question.home, RoomID: id})
	if err != nil {
		r.complain(ctx, err)
		return nil // the next answer tries again
	}
	r.tellName(question.streamer.ID, question.home, id)
	other, err := r.DB.EarlierStreamerOfRoom(ctx, db.EarlierStreamerOfRoomParams{ID: question.streamer.ID, Platform: question.home, RoomID: id})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		r.complain(ctx, err)
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
func (r *round) takeNames() {
	r.mu.Lock()
	names := r.names
	r.names = make(map[int64]roomName)
	r.mu.Unlock()
	for id, name := range names {
		if room := r.rooms[id]; room != nil {
			room.streamer.Platform, room.streamer.RoomID = name.platform, name.id
		}
	}
}
