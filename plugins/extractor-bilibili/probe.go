package main

import (
	"context"
	"net/http"
	"time"

	"github.com/lubod/lubod/sdk"
)

const (
	probeTimeout = 5 * time.Second
	mostProbes   = 6 // one question must end before its caller's patience
)

// answering looks for the first candidate that can be opened and drops those before it, which cannot.
func (s *session) answering(ctx context.Context, r room, all []candidate) ([]candidate, error) {
	for i, c := range all[:min(len(all), mostProbes)] {
		if s.opens(ctx, r, c) {
			return all[i:], nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		sdk.Logger(ctx).InfoContext(ctx, "a stream address does not answer; trying the next", "cdn", c.cdn, "host", c.host)
	}
	if len(all) > mostProbes {
		return all[mostProbes:], nil
	}
	return nil, sdk.Errorf(sdk.Unavailable, "the room is live, but none of its %d stream addresses answers", len(all))
}

// opens asks for the first byte only. Media servers do not answer HEAD as they answer GET.
func (s *session) opens(ctx context.Context, r room, c candidate) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, nil)
	if err != nil {
		return false
	}
	for name, value := range mediaHeaders(r) {
		req.Header.Set(name, value)
	}
	if c.protocol == "stream" {
		req.Header.Set("Range", "bytes=0-0")
	}
	resp, err := s.transport.RoundTrip(req)
	if err != nil {
		return false
	}
	resp.Body.Close() // a live stream has no end to read to
	return resp.StatusCode >= 200 && resp.StatusCode < 400
}
