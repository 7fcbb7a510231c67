package record

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"sync"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/sdk/extractor"
	"github.com/lubod/lubod/sdk/recorder"
)

const (
	// crashesTogether is in how many crashes of its recorder in a row a room is recorded before it gets a process of its own.
	crashesTogether = 3
	// maxAlone bounds how many processes that makes at first: when more rooms are suspected, some share one, and only those
	// that crash crashesTogether times more are alone for certain.
	maxAlone = 16
)

// suspects remembers which rooms were being recorded when their recorder died. A stream that brings the recorder down is one
// of those that were there each time; in a process of its own it brings down nobody else. It is forgotten with the host:
// finding out again costs three crashes, each of them mended within seconds.
type suspects struct {
	mu      sync.Mutex
	crashes map[int64]int // in a row, by room
}

// crashed counts a crash in which a room was being recorded, or its files were being recovered. It tells whether that is one
// too many.
func (s *suspects) crashed(streamerID int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if streamerID == 0 { // it was deleted, and is not recorded again
		return false
	}
	if s.crashes == nil {
		s.crashes = make(map[int64]int)
	}
	s.crashes[streamerID]++
	return s.crashes[streamerID] == crashesTogether
}

// cleared forgets the crashes of a room: a session of it ended in order.
func (s *suspects) cleared(streamerID int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.crashes, streamerID)
}

// key is what names the recorder process that a room is recorded in; empty: everybody's.
func (s *suspects) key(streamerID int64) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	crashes := s.crashes[streamerID]
	if crashes < crashesTogether {
		return ""
	}
	suspected := 0
	for _, n := range s.crashes {
		if n >= crashesTogether {
			suspected++
		}
	}
	if suspected > maxAlone && crashes < 2*crashesTogether {
		return "rooms-" + strconv.FormatInt(streamerID%maxAlone, 10)
	}
	return "room-" + strconv.FormatInt(streamerID, 10)
}

// processFor is the recorder process for a new session of a room.
func (s *Service) processFor(ctx context.Context, streamer db.Streamer, status extractor.Status) (Process, error) {
	configuration, err := s.configuration(ctx, s.DB.Queries, &streamer.ID)
	if err != nil {
		return nil, err
	}
	wanted := Wanted{Name: configuration.Downloader, Key: s.suspects.key(streamer.ID)}
	for _, stream := range status.Streams {
		if !slices.Contains(wanted.Containers, stream.Container) {
			wanted.Containers = append(wanted.Containers, stream.Container)
		}
	}
	return s.Recorders.For(ctx, wanted)
}

// taken are the streams that a recorder can read, those of a lower priority number first. All of them when it says that it
// reads none: it was chosen by name, and knows best why not.
func taken(process Process, streams []recorder.Stream) []recorder.Stream {
	var good []recorder.Stream
	for _, stream := range streams {
		if process.Takes(stream.Container) {
			good = append(good, stream)
		}
	}
	if len(good) == 0 {
		good = slices.Clone(streams)
	}
	slices.SortStableFunc(good, func(a, b recorder.Stream) int { return cmp.Compare(a.Priority, b.Priority) })
	return good
}

// recoverer is the recorder process that finishes the files of a lost session: one of the plugin that wrote them. Another one
// may take them for something that they are not.
func (s *Service) recoverer(ctx context.Context, followed *session) (Process, error) {
	return s.Recorders.Of(ctx, followed.plugin, s.suspects.key(followed.streamerID))
}

// noteCrash counts a crash against the room of a session.
func (s *Service) noteCrash(followed *session) {
	if s.suspects.crashed(followed.streamerID) {
		s.about(followed.streamer()).Warn("the recorder crashed again and again while it recorded this room; the room gets a process of its own until a recording of it ends in order",
			"crashes", crashesTogether)
	}
}
