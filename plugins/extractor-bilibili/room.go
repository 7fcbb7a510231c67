package main

import (
	"context"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/lubod/lubod/sdk"
)

// state is what a room does. A loop (轮播) repeats old videos and is no broadcast.
type state int

const (
	stateOffline state = 0
	stateLive    state = 1
	stateLoop    state = 2
)

// room is what is known of one room.
type room struct {
	id, uid   int64
	state     state
	title     string
	streamer  string
	avatar    string
	cover     string
	category  string
	startedAt time.Time
	// broadcast is the platform's name for it; empty where a call does not tell.
	broadcast string
	// special is the room's special type: 1 sells tickets, others are harmless marks.
	special int64
}

const paidRoom = 1

// owner is what rarely changes about a room.
type owner struct {
	id, uid, special int64
	got              time.Time
	// partly: special is not known yet.
	partly bool
}

// ownerLife is how long an owner is believed without asking again.
const ownerLife = 6 * time.Hour

// roomCache remembers who owns which room, so that polls need no signed call.
type roomCache struct {
	mu     sync.Mutex
	owners map[string]owner
	shorts map[string]string
}

// manyRooms bounds what is remembered.
const manyRooms = 1 << 16

func (c *roomCache) owner(number string) (owner, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o, ok := c.owners[number]
	return o, ok
}

func (c *roomCache) remember(number string, o owner) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.owners[number]; c.owners == nil || !known && len(c.owners) >= manyRooms {
		c.owners = map[string]owner{}
	}
	c.owners[number] = o
}

func (c *roomCache) forget(number string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.owners, number)
}

// room asks what the room does. Once its owner is known, the call for many rooms is used: it needs no signature and is
// the one that risk control minds least.
func (s *session) room(ctx context.Context, number string) (room, error) {
	if o, ok := s.rooms.owner(number); ok && !o.partly && s.now().Sub(o.got) < ownerLife {
		r, found, err := s.poll(ctx, o)
		if found || err != nil && sdk.KindOf(err) != sdk.Challenged {
			return r, err
		}
		// Not in the answer is not offline: ask for the room itself. Risk control may let the signed call pass.
		s.rooms.forget(number)
	}
	if s.opts.UseWBI != "never" {
		r, err := s.info(ctx, number)
		if err == nil {
			s.rooms.remember(number, owner{id: r.id, uid: r.uid, special: r.special, got: s.now()})
		}
		return r, err
	}
	o, err := s.init(ctx, number)
	if err != nil {
		return room{}, err
	}
	r, found, err := s.poll(ctx, o)
	if err == nil && !found {
		return room{}, sdk.Errorf(sdk.Bug, "get_status_info_by_uids does not know the owner of the room")
	}
	if err == nil {
		o.got = s.now()
		s.rooms.remember(number, o)
	}
	return r, err
}

func (s *session) poll(ctx context.Context, o owner) (room, bool, error) {
	found := map[int64]polled{}
	if err := s.statusPart(ctx, []int64{o.uid}, found); err != nil {
		return room{}, false, err
	}
	r, ok := found[o.uid]
	if !ok || r.err == nil && r.id != o.id { // moved to another room
		return room{}, false, nil
	}
	r.special = o.special
	return r.room, true, r.err
}

// info asks for one room by its number, short or long.
func (s *session) info(ctx context.Context, number string) (room, error) {
	data, err := s.ask(ctx, question{
		base: s.opts.LiveURL, path: "/xlive/web-room/v1/index/getInfoByRoom", signed: true,
		query: map[string]string{"room_id": number, "web_location": "444.8"},
	})
	if err != nil {
		return room{}, err
	}
	return decodeInfo(data, s.now())
}

func decodeInfo(data []byte, now time.Time) (room, error) {
	const call = "getInfoByRoom"
	var in struct {
		Room *struct {
			ID         number  `json:"room_id"`
			UID        number  `json:"uid"`
			Title      string  `json:"title"`
			Cover      string  `json:"cover"`
			Keyframe   string  `json:"keyframe"`
			LiveStatus *number `json:"live_status"`
			LiveStart  moment  `json:"live_start_time"`
			Lock       number  `json:"lock_status"`
			LockTime   moment  `json:"lock_time"`
			Hidden     number  `json:"hidden_status"`
			HiddenTime moment  `json:"hidden_time"`
			Area       string  `json:"area_name"`
			ParentArea string  `json:"parent_area_name"`
			Special    number  `json:"special_type"`
			LiveID     string  `json:"live_id_str"`
		} `json:"room_info"`
		Anchor struct {
			Base struct {
				Name string `json:"uname"`
				Face string `json:"face"`
			} `json:"base_info"`
		} `json:"anchor_info"`
	}
	if err := json.Unmarshal(data, &in); err != nil {
		return room{}, shapeError(call, err)
	}
	r := in.Room
	if r == nil || r.ID <= 0 || r.UID <= 0 {
		return room{}, sdk.Errorf(sdk.Bug, "%s answered without a room", call)
	}
	st, err := stateOf(call, r.LiveStatus)
	if err != nil {
		return room{}, err
	}
	if r.Lock != 0 {
		return room{}, closedError("locked", r.LockTime.Time)
	}
	if r.Hidden != 0 {
		return room{}, closedError("hidden", r.HiddenTime.Time)
	}
	out := room{
		id: int64(r.ID), uid: int64(r.UID), state: st, title: plain(r.Title), streamer: plain(in.Anchor.Base.Name),
		avatar: image(in.Anchor.Base.Face), cover: firstImage(r.Cover, r.Keyframe), category: category(r.ParentArea, r.Area),
		special: int64(r.Special),
	}
	if out.startedAt = started(st, r.LiveStart.Time, now); st == stateLive && r.LiveID != "0" {
		out.broadcast = r.LiveID
	}
	return out, nil
}

// init finds the owner of a room with a call that takes no signature.
func (s *session) init(ctx context.Context, number string) (owner, error) {
	data, err := s.ask(ctx, question{
		base: s.opts.LiveURL, path: "/room/v1/Room/room_init", query: map[string]string{"id": number},
	})
	if err != nil {
		return owner{}, err
	}
	return decodeInit(data)
}

func decodeInit(data []byte) (owner, error) {
	const call = "room_init"
	var in struct {
		ID         number `json:"room_id"`
		UID        number `json:"uid"`
		Hidden     number `json:"is_hidden"`
		HiddenTill moment `json:"hidden_till"`
		Locked     number `json:"is_locked"`
		LockTill   moment `json:"lock_till"`
		Special    number `json:"special_type"`
	}
	switch err := json.Unmarshal(data, &in); {
	case err != nil:
		return owner{}, shapeError(call, err)
	case in.ID <= 0 || in.UID <= 0:
		return owner{}, sdk.Errorf(sdk.Bug, "%s answered without a room", call)
	case in.Locked != 0:
		return owner{}, closedError("locked", in.LockTill.Time)
	case in.Hidden != 0:
		return owner{}, closedError("hidden", in.HiddenTill.Time)
	}
	return owner{id: int64(in.ID), uid: int64(in.UID), special: int64(in.Special)}, nil
}

// polled is one room of an answer about many; err concerns this room alone.
type polled struct {
	room
	err error
}

// mostPerCall keeps the addresses of calls about many rooms below what servers take.
const mostPerCall = 50

// statusPart asks about many owners at once. Owners without a room are missing from the answer, and so may be others:
// missing never means offline.
func (s *session) statusPart(ctx context.Context, uids []int64, into map[int64]polled) error {
	values := url.Values{}
	for _, uid := range uids {
		values.Add("uids[]", strconv.FormatInt(uid, 10))
	}
	answer, err := s.about(ctx, "/room/v1/Room/get_status_info_by_uids", values)
	if err != nil {
		return err
	}
	return decodeStatuses(answer, s.now(), into)
}

// about makes a call about many rooms. It takes no signature, and answers the same to everybody: no login is shown for it.
func (s *session) about(ctx context.Context, path string, values url.Values) ([]byte, error) {
	stranger := session{bilibili: s.bilibili, opts: s.opts}
	cookie, err := stranger.cookie(ctx, s.opts.LiveURL)
	if err != nil {
		return nil, err
	}
	answer, err := s.get(ctx, request{base: s.opts.LiveURL, path: path, query: values.Encode(), cookie: cookie})
	return answer.data, err
}

func decodeStatuses(data []byte, now time.Time, into map[int64]polled) error {
	const call = "get_status_info_by_uids"
	if hollow(data) {
		return nil
	}
	var in map[string]struct {
		ID         number  `json:"room_id"`
		UID        number  `json:"uid"`
		Title      string  `json:"title"`
		Name       string  `json:"uname"`
		Face       string  `json:"face"`
		Cover      string  `json:"cover_from_user"`
		Keyframe   string  `json:"keyframe"`
		LiveStatus *number `json:"live_status"`
		LiveTime   moment  `json:"live_time"`
		Area       string  `json:"area_v2_name"`
		ParentArea string  `json:"area_v2_parent_name"`
		LockTill   moment  `json:"lock_till"`
		HiddenTill moment  `json:"hidden_till"`
	}
	if err := json.Unmarshal(data, &in); err != nil {
		return shapeError(call, err)
	}
	for _, r := range in {
		if r.ID <= 0 || r.UID <= 0 {
			continue // no room: it tells nothing
		}
		st, err := stateOf(call, r.LiveStatus)
		switch {
		case err != nil:
		case r.LockTill.After(now):
			err = closedError("locked", r.LockTill.Time)
		case r.HiddenTill.After(now):
			err = closedError("hidden", r.HiddenTill.Time)
		}
		into[int64(r.UID)] = polled{err: err, room: room{
			id: int64(r.ID), uid: int64(r.UID), state: st, title: plain(r.Title), streamer: plain(r.Name), avatar: image(r.Face),
			cover: firstImage(r.Cover, r.Keyframe), category: category(r.ParentArea, r.Area), startedAt: started(st, r.LiveTime.Time, now),
		}}
	}
	return nil
}

func stateOf(call string, n *number) (state, error) {
	if n == nil {
		return 0, sdk.Errorf(sdk.Bug, "%s does not say whether the room is live", call)
	}
	switch st := state(*n); st {
	case stateOffline, stateLive, stateLoop:
		return st, nil
	}
	return 0, sdk.Errorf(sdk.Bug, "%s answered with live_status %d, which is not expected", call, int64(*n))
}

func closedError(how string, until time.Time) error {
	if until.IsZero() {
		return sdk.Errorf(sdk.Forbidden, "the platform has %s the room", how)
	}
	return sdk.Errorf(sdk.Forbidden, "the platform has %s the room until %s (Beijing)", how, until.In(beijing).Format(time.DateTime))
}

// started ignores a time that cannot be: one of a room that is not live, or one in the future.
func started(st state, at, now time.Time) time.Time {
	if st != stateLive || at.After(now.Add(24*time.Hour)) {
		return time.Time{}
	}
	return at
}

func firstImage(all ...string) string {
	for _, s := range all {
		if s = image(s); s != "" {
			return s
		}
	}
	return ""
}

func category(parent, area string) string {
	return strings.Trim(plain(parent)+" / "+plain(area), " /")
}
