package main

import (
	"context"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/extractor"
)

var _ extractor.BatchResolver = (*bilibili)(nil)

// ResolveBatch tells which of many rooms are offline, by the one call that is made for it. Rooms that are live, and those of
// which it says nothing, stay unknown: streams are asked for one by one.
func (b *bilibili) ResolveBatch(ctx context.Context, refs []extractor.Ref) ([]extractor.BatchAnswer, error) {
	answers := make([]extractor.BatchAnswer, len(refs))
	owners := make(map[int]owner)
	var uids []int64
	for i, ref := range refs {
		if o, ok := b.known(ref); ok {
			owners[i] = o
			uids = append(uids, o.uid)
		}
	}
	if len(uids) == 0 {
		return answers, nil
	}
	// Whether a room is live is the same for everybody: no login is shown for it.
	s := &session{bilibili: b, opts: b.base}
	found, err := s.statuses(ctx, uids)
	if sdk.KindOf(err) == sdk.Challenged {
		return answers, nil // Resolve has more ways to ask
	}
	if err != nil {
		return nil, err
	}
	for i, o := range owners {
		r, ok := found[o.uid]
		if ok && r.err == nil && r.id == o.id && r.state != stateLive {
			answers[i].Known = true // offline
		}
	}
	return answers, nil
}

// known returns the owner of a room without asking anybody. Mistakes in the room's options are for Resolve to report.
func (b *bilibili) known(ref extractor.Ref) (owner, bool) {
	if _, err := b.base.ofRoom(ref); err != nil {
		return owner{}, false
	}
	number := ref.Groups["room"]
	if number == "" {
		number, _ = b.rooms.short(ref.Groups["short"])
	}
	o, ok := b.rooms.owner(number)
	return o, ok && b.now().Sub(o.got) < ownerLife
}
