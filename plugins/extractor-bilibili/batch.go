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
	// Whether a room is live is the same for everybody: no login is shown for it.
	s := &session{bilibili: b, opts: b.base}
	offline, err := s.offline(ctx, b.numbers(refs))
	switch {
	case sdk.KindOf(err) == sdk.Challenged:
		return answers, nil // Resolve has more ways to ask
	case err != nil:
		return nil, err
	}
	for i := range offline {
		answers[i].Known = true
	}
	return answers, nil
}

// numbers finds the rooms' numbers without asking anybody. Mistakes in a room's options are for Resolve to report.
func (b *bilibili) numbers(refs []extractor.Ref) map[int]string {
	numbers := make(map[int]string, len(refs))
	for i, ref := range refs {
		if _, err := b.base.ofRoom(ref); err != nil {
			continue
		}
		number := ref.Groups["room"]
		if number == "" {
			number, _ = b.rooms.short(ref.Groups["short"])
		}
		if number != "" {
			numbers[i] = number
		}
	}
	return numbers
}

// offline returns which of the rooms are known to be so.
func (s *session) offline(ctx context.Context, numbers map[int]string) (map[int]bool, error) {
	owners, err := s.owners(ctx, numbers)
	if err != nil {
		return nil, err
	}
	var uids []int64
	for _, o := range owners {
		uids = append(uids, o.uid)
	}
	found, err := s.statuses(ctx, uids)
	if err != nil {
		return nil, err
	}
	offline := make(map[int]bool)
	for i, o := range owners {
		r, told := found[o.uid]
		if told && r.err == nil && r.id == o.id && r.state != stateLive {
			offline[i] = true
		}
	}
	return offline, nil
}

// owners returns who owns the rooms, as far as that can be learned for many rooms at once.
func (s *session) owners(ctx context.Context, numbers map[int]string) (map[int]owner, error) {
	owners := make(map[int]owner)
	var strangers []string
	for i, number := range numbers {
		if o, ok := s.rooms.owner(number); ok && s.now().Sub(o.got) < ownerLife {
			owners[i] = o
		} else {
			strangers = append(strangers, number)
		}
	}
	met, err := s.meet(ctx, strangers)
	if err != nil {
		return nil, err
	}
	for i, number := range numbers {
		if o, ok := met[number]; ok {
			owners[i] = o
			s.rooms.remember(number, o)
		}
	}
	return owners, nil
}

// meet asks who owns rooms, by their numbers. The answer goes by long numbers: a room that was asked for by its short one
// is missing in it. It tells nothing of locks, so that its states are not used.
func (s *session) meet(ctx context.Context, numbers []string) (map[string]owner, error) {
	all := make(map[string]owner)
	for part := range slices.Chunk(numbers, mostPerCall) {
		answer, err := s.about(ctx, "/xlive/web-room/v1/index/getRoomBaseInfo", url.Values{
			"req_biz": {"web_room_componet"}, "room_ids": part, //nolint:misspell // the site spells it so
		})
		if err != nil {
			return nil, err
		}
		if err := decodeBases(answer, s.now(), all); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func decodeBases(data []byte, now time.Time, into map[string]owner) error {
	const call = "getRoomBaseInfo"
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
		if r.ID <= 0 || r.UID <= 0 {
			return sdk.Errorf(sdk.Bug, "%s answered with an entry that is no room", call)
		}
		into[strconv.FormatInt(int64(r.ID), 10)] = owner{id: int64(r.ID), uid: int64(r.UID), got: now, partly: true}
	}
	return nil
}
