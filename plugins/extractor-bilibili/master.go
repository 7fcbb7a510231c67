package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/lubod/lubod/sdk"
)

// addMaster adds what the master playlist offers: sometimes the origin quality without a login. It is an extra, so a
// failure leaves the candidates as they are.
func (s *session) addMaster(ctx context.Context, r room, p *playInfo) {
	if !s.loggedIn() && r.special != 0 && slices.Contains(p.specials, r.special) {
		return
	}
	body, err := s.ask(ctx, question{
		base: s.opts.LiveAPI, path: "/xlive/play-gateway/master/url", text: true,
		query: map[string]string{
			"cid": strconv.FormatInt(r.id, 10), "mid": cmp.Or(s.mid(), strconv.FormatInt(r.uid, 10)), "pt": "web", "p2p_type": "-1",
			"net": "0", "free_type": "0", "build": "0", "feature": "2", "qn": strconv.Itoa(s.opts.Quality), "drm_type": "0", "codec": "0,1",
		},
	})
	if err != nil {
		sdk.Logger(ctx).WarnContext(ctx, "the master playlist cannot be had", "error", err)
		return
	}
	found := decodeMaster(body)
	if len(found) == 0 {
		sdk.Logger(ctx).WarnContext(ctx, "the master playlist offers nothing")
	}
	p.candidates = append(found, p.candidates...)
}

var masterQuality = regexp.MustCompile(`[:,]BILI-QN=([0-9]{1,6})(?:,|$)`)

// decodeMaster reads the AVC variants of a master playlist (RFC 8216), one for each quality and delivery network.
func decodeMaster(body []byte) []candidate {
	if !bytes.HasPrefix(body, []byte("#EXTM3U")) {
		return nil
	}
	var found []candidate
	quality := 0
	for lines := bufio.NewScanner(bytes.NewReader(body)); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		switch {
		case strings.HasPrefix(line, "#EXT-X-STREAM-INF:"):
			quality = 0
			if m := masterQuality.FindStringSubmatch(line); m != nil && strings.Contains(line, "avc") {
				quality, _ = strconv.Atoi(m[1])
			}
		case line == "" || line[0] == '#' || quality == 0:
		default:
			c, err := newCandidate(line)
			c.protocol, c.codec, c.quality = "hls_fmp4", "avc", quality
			quality = 0
			if err == nil && !slices.ContainsFunc(found, func(o candidate) bool { return o.cdn == c.cdn && o.quality == c.quality }) {
				found = append(found, c)
			}
		}
	}
	return found
}
