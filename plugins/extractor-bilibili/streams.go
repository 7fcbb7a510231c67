package main

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/extractor"
)

// qualityNames are for answers that do not bring their own.
var qualityNames = map[int]string{
	30000: "杜比", 25000: "原画真彩", 20000: "4K", 15000: "2K", 10000: "原画", 401: "杜比蓝光", 400: "蓝光", 250: "超清", 150: "高清", 80: "流畅",
}

// origin qualities are those that HLS may get only some time after a broadcast began.
func isOrigin(qn int) bool { return qn == 10000 || qn == 25000 }

// streams returns what can be played, the best first; nil without an error when the broadcast is over.
func (s *session) streams(ctx context.Context, r room) ([]extractor.Stream, error) {
	p, err := s.play(ctx, r, s.opts.Quality)
	if err != nil || p.state != stateLive {
		return nil, err
	}
	if qn := p.better(s.opts.Quality); qn > 0 {
		again, err := s.play(ctx, r, qn)
		switch {
		case err != nil && ctx.Err() != nil:
			return nil, err
		case err != nil:
			sdk.Logger(ctx).WarnContext(ctx, "asking for a better quality failed; recording the lower one", "qn", qn, "error", err)
		case again.state != stateLive:
			return nil, nil
		case again.best() > p.best():
			p = again
		}
	}
	if s.opts.Protocol == "hls_fmp4" && s.opts.Anonymous {
		s.addMaster(ctx, r, p)
	}
	if err := s.waitForOrigin(r, p); err != nil {
		return nil, err
	}
	s.sort(p.candidates)
	if s.opts.CDNFallback {
		if p.candidates, err = s.answering(ctx, r, p.candidates); err != nil {
			return nil, err
		}
	}
	out := make([]extractor.Stream, 0, len(p.candidates))
	for _, c := range p.candidates {
		out = append(out, c.stream(p.names, r, s.opts.Quality, s.now()))
	}
	return out, nil
}

// waitForOrigin asks for patience while the origin quality of a young broadcast is not available as fMP4 yet. It is no
// "offline": that would end a recording.
func (s *session) waitForOrigin(r room, p *playInfo) error {
	if s.opts.Protocol != "hls_fmp4" || !isOrigin(s.opts.Quality) || r.startedAt.IsZero() {
		return nil
	}
	left := r.startedAt.Add(time.Duration(s.opts.HLSTimeout) * time.Second).Sub(s.now())
	ready := slices.ContainsFunc(p.candidates, func(c candidate) bool { return c.protocol == "hls_fmp4" && c.quality >= min(s.opts.Quality, 10000) })
	if ready || left <= 0 {
		return nil
	}
	return sdk.Errorf(sdk.Unavailable, "the origin quality is not available as hls_fmp4 yet; FLV is taken in %s (bili_hls_transcode_timeout)", left.Round(time.Second))
}

// sort puts what the options prefer in front. The form of the stream goes before its quality: whoever chose it has a
// reason. Peer-to-peer hosts (mcdn) go last, as they break off most.
func (s *session) sort(all []candidate) {
	origin := s.opts.Protocol == "hls_fmp4" && isOrigin(s.opts.Quality) && !slices.ContainsFunc(all, func(c candidate) bool {
		return c.protocol == "hls_fmp4" && c.quality >= min(s.opts.Quality, 10000)
	})
	slices.SortStableFunc(all, func(a, b candidate) int {
		if origin { // waited long enough for it as fMP4: any form with the better quality
			if c := cmp.Compare(b.quality, a.quality); c != 0 {
				return c
			}
		}
		return cmp.Or(
			cmp.Compare(s.protocolRank(a.protocol), s.protocolRank(b.protocol)),
			cmp.Compare(distance(a.quality, s.opts.Quality), distance(b.quality, s.opts.Quality)),
			cmp.Compare(rank(s.opts.Codecs, a.codec), rank(s.opts.Codecs, b.codec)),
			cmp.Compare(rank(s.opts.CDN, a.cdn), rank(s.opts.CDN, b.cdn)),
			cmp.Compare(mcdn(a.host), mcdn(b.host)),
			cmp.Compare(a.order, b.order),
		)
	})
}

func (s *session) protocolRank(protocol string) int {
	if protocol == s.opts.Protocol {
		return 0
	}
	return 1 + rank([]string{"stream", "hls_ts", "hls_fmp4"}, protocol)
}

// distance orders qualities: the wanted one, those below it from high to low, those above it from low to high.
func distance(qn, wanted int) int {
	switch {
	case wanted == 0:
		return -qn
	case qn <= wanted:
		return wanted - qn
	}
	return 1<<20 + qn
}

func rank(list []string, item string) int {
	if i := slices.Index(list, item); i >= 0 {
		return i
	}
	return len(list)
}

func mcdn(host string) int {
	if strings.Contains(host, "mcdn") {
		return 1
	}
	return 0
}

func (c candidate) stream(names map[int]string, r room, wanted int, now time.Time) extractor.Stream {
	container := "hls"
	switch c.protocol {
	case "stream":
		container = "flv"
	case "hls_fmp4":
		container = "fmp4"
	}
	name := cmp.Or(names[c.quality], qualityNames[c.quality], strconv.Itoa(c.quality))
	return extractor.Stream{
		URL: c.url, Quality: name, RequestedQuality: strconv.Itoa(wanted), ConfirmedQuality: strconv.Itoa(c.quality),
		Container: container, Codec: c.codec, CDN: c.cdn, Headers: mediaHeaders(r), Lease: c.lease(now),
		Group: c.protocol + "/" + c.codec + "/" + strconv.Itoa(c.quality),
	}
}

// refreshBefore is how long before its end an address should be replaced.
const refreshBefore = time.Minute

// lease: an open connection outlives the end of its address.
func (c candidate) lease(now time.Time) extractor.Lease {
	if c.expiresAt.IsZero() {
		return extractor.Lease{}
	}
	return extractor.Lease{IssuedAt: now, RefreshAt: c.expiresAt.Add(-refreshBefore), InvalidAt: c.expiresAt}
}

// mediaHeaders are what the media servers look at. The login is not among them: the address carries its own signature.
func mediaHeaders(r room) map[string]string {
	return map[string]string{
		"User-Agent": userAgent, "Origin": strings.TrimSuffix(referer, "/"), "Referer": referer + strconv.FormatInt(r.id, 10),
	}
}
