// Package events tells those who watch what changed, in one order, without a gap.
//
// Triggers in the database write every change of state as a row of the table events, in the transaction of the change.
// A Bus reads that table for one host and hands it on to subscribers. Positions are places in the order of that table,
// the same for every host at the database: a subscriber that comes back with its last position misses nothing.
package events

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lubod/lubod/db"
)

// Version is that of the payloads. Fields may be added within one version; what is there keeps its meaning.
const Version = 1

// The kinds that the bus itself makes; all others are in Kinds.
const (
	// KindReady is the first event of a subscriber that has no position yet: what it reads from now on is newer.
	KindReady = "ready"
	// KindReset tells that events are missing here: read everything again.
	KindReset = "reset"
	// KindHealth is told by a host about itself, also while the database is away. It has no position: nobody can come back
	// for it.
	KindHealth = "health.changed"
)

// Kinds are the kinds of events that there are, by their subject.
func Kinds() []string {
	return []string{
		"streamer.created", "streamer.changed", "streamer.paused", "streamer.resumed", "streamer.reason", "streamer.deleted",
		"recording.started", "recording.ordered", "recording.waiting", "recording.resumed", "recording.title", "recording.ended", "recording.deleted",
		"segment.closed", "segment.ordered", "segment.changed", "segment.removed", "hook.state", "upload.state", "submission.state", "submission.archive",
		"template.created", "template.changed", "template.deleted",
		"account.added", "account.changed", "account.removed", "account.state", "configuration.changed", "plugin.state", "plugin.removed",
		KindHealth,
	}
}

// Event is one change.
type Event struct {
	Position Position
	Kind     string
	// StreamerID is 0 for events that are about no streamer.
	StreamerID int64
	Time       time.Time
	// Data is an object with the fields that only this kind has.
	Data json.RawMessage
}

// JSON is the event as one line, as the contract describes it.
func (e Event) JSON() ([]byte, error) {
	head, err := json.Marshal(struct {
		Type    string    `json:"type"`
		Version int       `json:"version"`
		Time    time.Time `json:"time"`
	}{e.Kind, Version, e.Time.UTC()})
	if err != nil {
		return nil, fmt.Errorf("write event %s: %w", e.Kind, err)
	}
	// One object from two: what the database writes has neither line breaks nor these three fields.
	if len(e.Data) > len("{}") && e.Data[0] == '{' {
		head = append(append(head[:len(head)-1], ','), e.Data[1:]...)
	}
	return head, nil
}

func fromRow(epoch int64, row db.EventsAfterRow) Event {
	event := Event{Position: Position{epoch, row.Xid, row.ID}, Kind: row.Kind, Time: row.CreatedAt, Data: row.Data}
	if row.StreamerID != nil {
		event.StreamerID = *row.StreamerID
	}
	return event
}

// Position is a place in the order of all events. The zero Position is none.
type Position struct {
	// epoch distinguishes tables that number transactions differently.
	epoch int64
	// xid and id are the order within an epoch: transactions first, then what one of them wrote.
	xid, id int64
}

// IsZero tells whether there is no position.
func (p Position) IsZero() bool { return p == Position{} }

// String is the position for clients, to whom it means nothing.
func (p Position) String() string {
	return strconv.FormatInt(p.epoch, 36) + "-" + strconv.FormatInt(p.xid, 36) + "-" + strconv.FormatInt(p.id, 36)
}

// ParsePosition reads what String wrote.
func ParsePosition(text string) (Position, error) {
	parts := strings.Split(text, "-")
	var numbers [3]int64
	if len(parts) != len(numbers) {
		return Position{}, fmt.Errorf("%.60q is not the id of an event", text)
	}
	for i, part := range parts {
		number, err := strconv.ParseUint(part, 36, 63)
		if err != nil {
			return Position{}, fmt.Errorf("%.60q is not the id of an event", text)
		}
		numbers[i] = int64(number)
	}
	return Position{numbers[0], numbers[1], numbers[2]}, nil
}

// after tells whether p comes after q, in the same epoch.
func (p Position) after(q Position) bool { return p.xid > q.xid || p.xid == q.xid && p.id > q.id }

// Filter chooses events. The zero Filter takes all.
type Filter struct {
	// Types are kinds, or what stands before their point: "recording" is all of recording.
	Types []string
	// StreamerID takes only events about one streamer, when it is not 0.
	StreamerID int64
}

// ParseTypes reads kinds or their subjects, separated by commas. The error lists what there is.
func ParseTypes(text string) ([]string, error) {
	var types []string
	for word := range strings.SplitSeq(text, ",") {
		if word = strings.TrimSpace(word); word == "" {
			continue
		}
		if !slices.ContainsFunc(Kinds(), func(kind string) bool { return kind == word || subject(kind) == word }) {
			return nil, fmt.Errorf("%.60q is no type of events; there are %s, and the words before the point for all of one subject", word, strings.Join(Kinds(), ", "))
		}
		types = append(types, word)
	}
	return types, nil
}

func subject(kind string) string {
	before, _, _ := strings.Cut(kind, ".")
	return before
}

// Takes tells whether the event is chosen. What the bus itself tells always is.
func (f Filter) Takes(e Event) bool {
	if e.Kind == KindReady || e.Kind == KindReset {
		return true
	}
	if f.StreamerID != 0 && e.StreamerID != f.StreamerID {
		return false
	}
	return len(f.Types) == 0 || slices.Contains(f.Types, e.Kind) || slices.Contains(f.Types, subject(e.Kind))
}
