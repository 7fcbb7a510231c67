package main

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/lubod/lubod/sdk"
)

const (
	mostHops    = 8
	hopsTimeout = 12 * time.Second
)

var roomURL = regexp.MustCompile(info.Match[0])

// number returns the room's number in an address, which for a short link the platform has to tell.
func (b *bilibili) number(ctx context.Context, groups map[string]string) (string, error) {
	if n := groups["room"]; n != "" {
		return n, nil
	}
	code := groups["short"]
	if code == "" {
		return "", sdk.Errorf(sdk.Unsupported, "the address names no room; write it as https://live.bilibili.com/123456")
	}
	if n, ok := b.rooms.short(code); ok {
		return n, nil
	}
	n, err := b.follow(ctx, code)
	if err == nil {
		b.rooms.rememberShort(code, n)
	}
	return n, err
}

func (c *roomCache) short(code string) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, ok := c.shorts[code]
	return n, ok
}

func (c *roomCache) rememberShort(code, n string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shorts == nil || len(c.shorts) >= manyRooms {
		c.shorts = map[string]string{}
	}
	c.shorts[code] = n
}

// follow goes from one redirect to the next, on the hosts of short links only, until one leads to a room. The page of
// the room itself is not opened.
func (b *bilibili) follow(ctx context.Context, code string) (string, error) {
	limited, cancel := context.WithTimeout(ctx, hopsTimeout)
	defer cancel()
	at, err := url.Parse(b.base.ShortURL + "/" + code)
	if err != nil {
		return "", sdk.Errorf(sdk.Bug, "the address of the short link is not valid")
	}
	var seen []string
	for range mostHops {
		if slices.Contains(seen, at.String()) {
			return "", sdk.Errorf(sdk.Bug, "the short link leads in a circle")
		}
		seen = append(seen, at.String())
		next, err := b.hop(limited, at)
		if err != nil {
			if ctx.Err() != nil {
				return "", ctx.Err()
			}
			return "", err
		}
		if m := roomURL.FindStringSubmatch(next.String()); m != nil && next.User == nil {
			return m[roomURL.SubexpIndex("room")], nil
		}
		if next.User != nil || (next.Host != at.Host && !strings.EqualFold(next.Host, "b23.tv")) {
			return "", sdk.Errorf(sdk.Unsupported, "the short link does not lead to a room but to another site")
		}
		at = next
	}
	return "", sdk.Errorf(sdk.Bug, "the short link leads on and on")
}

func (b *bilibili) hop(ctx context.Context, at *url.URL) (*url.URL, error) {
	host := at.Host
	if err := b.polite.wait(ctx, host); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, sdk.Errorf(sdk.Bug, "the short link leads to an address that is not valid")
	}
	req.Header.Set("User-Agent", userAgent)
	resp, err := b.transport.RoundTrip(req)
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return nil, sdk.Errorf(sdk.Unavailable, "%s did not answer in time: %w", host, err)
	case err != nil:
		return nil, sdk.Errorf(sdk.Unavailable, "%s cannot be reached", host)
	}
	resp.Body.Close()
	switch code := resp.StatusCode; {
	case code == http.StatusNotFound, code == http.StatusOK:
		return nil, sdk.Errorf(sdk.NotFound, "the short link does not exist or leads to no room")
	case code == http.StatusPreconditionFailed, code == http.StatusTooManyRequests:
		b.polite.rest(host, banPause)
		return nil, &sdk.Error{Kind: sdk.RateLimited, RetryAfter: banPause, Message: host + " was asked too often"}
	case code >= 500:
		return nil, sdk.Errorf(sdk.Unavailable, "%s answered %d", host, code)
	case code != 301 && code != 302 && code != 303 && code != 307 && code != 308:
		return nil, sdk.Errorf(sdk.Bug, "%s answered %d instead of a redirect", host, code)
	}
	next, err := at.Parse(resp.Header.Get("Location"))
	if err != nil || next.Host == "" || (next.Scheme != "http" && next.Scheme != "https") {
		return nil, sdk.Errorf(sdk.Bug, "%s redirects to an address that is not valid", host)
	}
	return next, nil
}
