// Command extractor-direct takes URLs that are themselves live media: http and https addresses whose path ends in .flv
// or .m3u8.
package main

import (
	"context"
	"net/url"
	"path"
	"strings"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/extractor"
	"github.com/lubod/lubod/sdk/fetch"
)

var info = sdk.Info{
	Name:     "direct",
	Version:  "1.0.0",
	Match:    []string{`^(?i:https?)://[^/?#]+/[^?#]*\.(?i:(?P<flv>flv)|(?P<hls>m3u8))(?:[?#].*)?$`},
	Examples: []string{"https://example.com/live/stream.flv", "https://example.com/live/index.m3u8"},
}

type options struct{}

type direct struct{}

func main() { extractor.Serve(info, newDirect) }

func newDirect(context.Context, options) (direct, error) { return direct{}, nil }

// Resolve makes no request: some sources serve one client only, and asking would take the recorder's place. Whether
// anything is being sent shows when the recorder opens the stream.
func (direct) Resolve(_ context.Context, ref extractor.Ref) (extractor.Status, error) {
	u, err := url.Parse(ref.URL)
	if err != nil {
		return extractor.Offline, sdk.Errorf(sdk.Unsupported, "%s is not a URL: %w", ref.URL, err)
	}
	if err := fetch.SourceGuard().CheckURL(u); err != nil {
		return extractor.Offline, fetch.RequestError(fetch.Place(ref.URL), nil, err, nil)
	}
	container := "flv"
	if ref.Groups["hls"] != "" {
		container = "hls"
	}
	file := path.Base(u.Path)
	return extractor.Status{
		State:    extractor.StateLive,
		Title:    strings.TrimSuffix(file, path.Ext(file)),
		Streamer: u.Hostname(),
		Unasked:  true,
		Streams:  []extractor.Stream{{URL: ref.URL, Quality: "origin", Container: container}},
	}, nil
}
