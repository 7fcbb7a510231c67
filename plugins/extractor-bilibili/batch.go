package main

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/extractor"
)

var _ extractor.BatchResolver = (*bilibili)(nil)

// ResolveBatch tells which of many rooms are offline, by the calls that are made for it. Rooms that are live, and those of
// which the calls say nothing, stay unknown: streams are asked for one by one.
func (b *bilibili) ResolveBatch(ctx context.Context, refs []extractor.Ref) ([]extractor.BatchAnswer, error) {
	answers := make([]extractor.BatchAnswer, len(refs))
	if !b.base.Batch {
		return answers, nil
	}
	s := &session{bilibili: b, opts: b.base}
	offline, err := s.offline(ctx, b.numbers(refs))
	if err != nil {
		return nil, err
	}
	for i, r := range offline {
		if r != nil {
			answers[i] = extractor.BatchAnswer{Known: true, Status: r.absent()}
		}
	}
	return answers, nil
}

// numbers finds the rooms' numbers without asking anybody; empty where that cannot be done. Mistakes in a room's options are
// for Resolve to report.
func (b *bilibili) numbers(refs []extractor.Ref) []string {
	numbers := make([]string, len(refs))
	for i, ref := range refs {
		if _, err := b.base.ofRoom(ref); err != nil {
			continue
		}
		numbers[i] = ref.Groups["room"]
		if numbers[i] == "" {
			numbers[i], _ = b.rooms.short(ref.Groups["short"])
		}
	}
	return numbers
}

// offline returns the rooms that are known to be so, and nil for others. Rooms that are asked about in the same order are so each time, which
// keeps the time between two answers about each of them the same. An error is about all of them: a request that fails
// among others leaves its own rooms unknown.
func (s *session) offline(ctx context.Context, numbers []string) ([]*room, error) {
	var failures failures
	owners := s.owners(ctx, numbers, &failures)
	var uids []int64
	for _, o := range owners {
		if o.uid != 0 {
			uids = append(uids, o.uid)
		}
	}
	found := make(map[int64]polled)
	for part := range slices.Chunk(uids, mostPerCall) {
		if !failures.note(s.statusPart(ctx, part, found)) {
			break
		}
	}
	if failures.rests || len(found) == 0 {
		return make([]*room, len(numbers)), failures.first
	}
	offline := make([]*room, len(numbers))
	for i, o := range owners {
		r, told := found[o.uid]
		if told && r.err == nil && r.id == o.id && r.state != stateLive {
			offline[i] = &r.room
		}
	}
	return offline, nil
}

// failures are those of the requests of one batch.
type failures struct {
	first error
	rests bool // the platform wants to be left alone
}

// note takes the outcome of a request, and tells whether another one makes sense.
func (f *failures) note(err error) bool {
	if f.first == nil || sdk.KindOf(err) == sdk.RateLimited && !f.rests {
		f.first = err
	}
	f.rests = f.rests || sdk.KindOf(err) == sdk.RateLimited
	return !f.rests
}

// owners returns who owns the rooms, as far as it knows or can learn.
func (s *session) owners(ctx context.Context, numbers []string, failures *failures) []owner {
	owners := make([]owner, len(numbers))
	var strangers []string
	for i, number := range numbers {
		if o, ok := s.rooms.owner(number); ok && s.now().Sub(o.got) < ownerLife {
			owners[i] = o
		} else if number != "" {
			strangers = append(strangers, number)
		}
	}
	met := make(map[string]owner)
	for part := range slices.Chunk(strangers, mostPerCall) {
		if !failures.note(s.meet(ctx, part, met)) {
			break
		}
	}
	for i, number := range numbers {
		if o, ok := met[number]; ok {
			owners[i] = o
			s.rooms.remember(number, o)
		}
	}
	return owners
}

// meet asks who owns rooms, by their numbers. The answer goes by long numbers: a room that was asked for by its short one
// is missing in it. It tells nothing of locks, so that its states are not used.
func (s *session) meet(ctx context.Context, numbers []string, into map[string]owner) error {
	answer, err := s.about(ctx, "/xlive/web-room/v1/index/getRoomBaseInfo", url.Values{
		"req_biz": {"web_room_componet"}, "room_ids": numbers, //nolint:misspell // the site spells it so
	})
	if err != nil {
		return err
	}
	return decodeBases(answer, s.now(), into)
}

// decodeBases leaves out entries that are no room: what is missing is not known, and nothing worse.
func decodeBases(data []byte, now time.Time, into map[string]owner) error {
	const call = "getRoomBaseInfo"
	if hollow(data) {
		return nil
	}
	var in struct {
		Rooms json.RawMessage `json:"by_room_ids"`
	}
	if err := json.Unmarshal(data, &in); err != nil {
		return shapeError(call, err)
	}
	if hollow(in.Rooms) {
		return nil
	}
	var rooms map[string]struct {
		ID  number `json:"room_id"`
		UID number `json:"uid"`
	}
	if err := json.Unmarshal(in.Rooms, &rooms); err != nil {
		return shapeError(call, err)
	}
	for _, r := range rooms {
		if r.ID > 0 && r.UID > 0 {
			into[strconv.FormatInt(int64(r.ID), 10)] = owner{id: int64(r.ID), uid: int64(r.UID), got: now, partly: true}
		}
	}
	return nil
}
