package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lubod/lubod/sdk"
)

// drmRoom marks rooms whose media is encrypted for viewers who paid.
const drmRoom = 203

// playInfo is what the platform gives to play. No candidates and no error: the room is not live any more.
type playInfo struct {
	state      state
	specials   []int64
	candidates []candidate
	names      map[int]string
	accepted   []int
}

// candidate is one address of the media.
type candidate struct {
	url       string
	protocol  string // as in option bili_protocol
	codec     string
	quality   int
	cdn       string
	host      string
	order     int
	expiresAt time.Time
}

// best is the highest quality that is in fact delivered.
func (p *playInfo) best() int {
	best := 0
	for _, c := range p.candidates {
		best = max(best, c.quality)
	}
	return best
}

// better is a quality that is offered, not above the wanted one, and above what was delivered; 0: none.
func (p *playInfo) better(wanted int) int {
	found := 0
	for _, qn := range p.accepted {
		if qn < wanted && qn > found {
			found = qn
		}
	}
	if found <= p.best() || slices.Contains(p.accepted, wanted) {
		return 0 // with the wanted one offered, getting less is the platform's decision about this viewer
	}
	return found
}

var codecNumbers = map[string]string{"avc": "0", "hevc": "1", "av1": "2"}

// play asks the servers in order, until one of them answers.
func (s *session) play(ctx context.Context, r room, qn int) (*playInfo, error) {
	p, err := s.playFrom(ctx, s.opts.LiveAPI, r, qn)
	if err == nil || s.opts.FallbackAPI == s.opts.LiveAPI || ctx.Err() != nil {
		return p, err
	}
	p, second := s.playFrom(ctx, s.opts.FallbackAPI, r, qn)
	if second == nil {
		sdk.Logger(ctx).WarnContext(ctx, "bili_liveapi failed; bili_fallback_api answered", "error", err)
		return p, nil
	}
	if sdk.KindOf(second) == sdk.Unavailable {
		return nil, err // more telling than that the second one cannot be reached either
	}
	return nil, second
}

func (s *session) playFrom(ctx context.Context, base string, r room, qn int) (*playInfo, error) {
	numbers := make([]string, 0, len(s.opts.Codecs))
	for _, codec := range s.opts.Codecs {
		numbers = append(numbers, codecNumbers[codec])
	}
	slices.Sort(numbers)
	data, err := s.ask(ctx, question{
		base: base, path: "/xlive/web-room/v2/index/getRoomPlayInfo",
		query: map[string]string{
			"room_id": strconv.FormatInt(r.id, 10), "qn": strconv.Itoa(qn), "platform": "html5", "protocol": "0,1",
			"format": "0,1,2", "codec": strings.Join(slices.Compact(numbers), ","), "dolby": "5", "web_location": "444.8",
		},
	})
	if err != nil {
		return nil, err
	}
	p, err := decodePlay(data)
	if err == nil && p.state == stateLive && r.special == paidRoom {
		return nil, errPaid()
	}
	return p, err
}

func errPaid() error {
	return &sdk.Error{Kind: sdk.Forbidden, Cause: sdk.CausePaid, Message: "the broadcast is for viewers who paid, and its media is encrypted"}
}

// playAnswer is the part of getRoomPlayInfo that matters.
type playAnswer struct {
	LiveStatus *number         `json:"live_status"`
	Hidden     number          `json:"is_hidden"`
	HiddenTill moment          `json:"hidden_till"`
	Locked     number          `json:"is_locked"`
	LockTill   moment          `json:"lock_till"`
	Encrypted  number          `json:"encrypted"`
	Verified   number          `json:"pwd_verified"`
	Specials   []number        `json:"all_special_types"`
	URLs       json.RawMessage `json:"playurl_info"`
}

type playURLs struct {
	Play *struct {
		Names []struct {
			Quality number `json:"qn"`
			Name    string `json:"desc"`
		} `json:"g_qn_desc"`
		Streams []playStream `json:"stream"`
	} `json:"playurl"`
}

type playStream struct {
	Protocol string `json:"protocol_name"`
	Formats  []struct {
		Name   string      `json:"format_name"`
		Codecs []playCodec `json:"codec"`
	} `json:"format"`
}

type playCodec struct {
	Name     string   `json:"codec_name"`
	Current  number   `json:"current_qn"`
	Accepted []number `json:"accept_qn"`
	Base     string   `json:"base_url"`
	DRM      number   `json:"drm"`
	URLs     []struct {
		Host  string `json:"host"`
		Extra string `json:"extra"`
	} `json:"url_info"`
}

func decodePlay(data []byte) (*playInfo, error) {
	const call = "getRoomPlayInfo"
	var in playAnswer
	if err := json.Unmarshal(data, &in); err != nil {
		return nil, shapeError(call, err)
	}
	st, err := stateOf(call, in.LiveStatus)
	if err != nil {
		return nil, err
	}
	p := &playInfo{state: st, names: map[int]string{}}
	for _, n := range in.Specials {
		p.specials = append(p.specials, int64(n))
	}
	switch {
	case in.Locked != 0:
		return nil, closedError("locked", in.LockTill.Time)
	case in.Hidden != 0:
		return nil, closedError("hidden", in.HiddenTill.Time)
	case st != stateLive:
		return p, nil
	case in.Encrypted != 0 && in.Verified == 0:
		return nil, &sdk.Error{Kind: sdk.Forbidden, Cause: sdk.CausePassword, Message: "the room asks viewers for a password"}
	case slices.Contains(p.specials, drmRoom):
		return nil, errPaid()
	case hollow(in.URLs):
		return nil, sdk.Errorf(sdk.Forbidden, "the room is live, but there is no stream for this viewer: it is for the streamer's members (give the cookies of one), or not for this country (set bili_liveapi to a mirror)")
	}
	var urls playURLs
	if err := json.Unmarshal(in.URLs, &urls); err != nil {
		return nil, shapeError(call, err)
	}
	if urls.Play == nil {
		return nil, sdk.Errorf(sdk.Bug, "%s answered with playurl_info without playurl", call)
	}
	return p, p.fill(&urls)
}

func (p *playInfo) fill(urls *playURLs) error {
	for _, q := range urls.Play.Names {
		p.names[int(q.Quality)] = plain(q.Name)
	}
	encrypted := false
	for _, stream := range urls.Play.Streams {
		for _, format := range stream.Formats {
			for _, codec := range format.Codecs {
				if codec.DRM != 0 {
					encrypted = true
					continue
				}
				p.add(protocolOf(stream.Protocol, format.Name), codec)
			}
		}
	}
	switch {
	case len(p.candidates) > 0:
		return nil
	case encrypted:
		return errPaid()
	}
	return sdk.Errorf(sdk.Unavailable, "the room is live, but bilibili gives no usable stream address yet")
}

// protocolOf joins protocol and format to what option bili_protocol calls it; empty: one that nobody here can read.
func protocolOf(protocol, format string) string {
	switch {
	case protocol == "http_stream" && format == "flv":
		return "stream"
	case protocol == "http_hls" && (format == "ts" || format == "fmp4"):
		return "hls_" + format
	}
	return ""
}

func (p *playInfo) add(protocol string, codec playCodec) {
	if protocol == "" {
		return
	}
	for _, qn := range append(codec.Accepted, codec.Current) {
		if !slices.Contains(p.accepted, int(qn)) {
			p.accepted = append(p.accepted, int(qn))
		}
	}
	for _, u := range codec.URLs {
		c, err := newCandidate(u.Host + codec.Base + u.Extra)
		if err != nil {
			continue
		}
		c.protocol, c.codec, c.quality = protocol, codec.Name, int(codec.Current)
		p.candidates = append(p.candidates, c)
	}
}

var errNoAddress = errors.New("not an http address")

func newCandidate(raw string) (candidate, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return candidate{}, errNoAddress
	}
	query := u.Query()
	c := candidate{url: raw, cdn: query.Get("cdn"), host: u.Hostname()}
	if c.cdn == "" {
		c.cdn = c.host
	}
	c.order, _ = strconv.Atoi(query.Get("order"))
	if expires, err := strconv.ParseInt(query.Get("expires"), 10, 64); err == nil {
		c.expiresAt = unixTime(expires)
	}
	return c, nil
}
