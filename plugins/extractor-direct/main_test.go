package main

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/extractor"
	"github.com/lubod/lubod/sdk/plugintest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func live(url, title, streamer, container string) extractor.Status {
	return extractor.Status{
		State: extractor.StateLive, Title: title, Streamer: streamer, Unasked: true,
		Streams: []extractor.Stream{{URL: url, Quality: "origin", Container: container}},
	}
}

func TestConformance(t *testing.T) {
	const (
		flv = "http://127.0.0.1:8080/live.flv"
		hls = "HTTPS://user:pass@CDN.example/a/b/%E7%9B%B4%E6%92%AD.M3U8?token=a.b/c#frag"
	)
	plugintest.Extractor(t, info, newDirect, options{},
		plugintest.ExtractorCase{Name: "FLV", URL: flv, Want: live(flv, "live", "127.0.0.1", "flv")},
		plugintest.ExtractorCase{Name: "HLS", URL: hls, Want: live(hls, "直播", "CDN.example", "hls")},
	)
}

func TestPatternTakesLiveMediaOnly(t *testing.T) {
	pattern := regexp.MustCompile(info.Match[0])
	for url, want := range map[string]bool{
		"http://h/x.flv":               true,
		"https://[::1]:80/x.m3u8?a=b":  true,
		"http://h/x.FLV":               true,
		"http://h/a/b.flv/c.m3u8#t":    true,
		"http://h/x.flv.html":          false,
		"http://h/page?file=x.flv":     false,
		"http://h/page#x.flv":          false,
		"http://h.flv":                 false,
		"http:///x.flv":                false,
		"rtmp://h/x.flv":               false,
		"file:///x.flv":                false,
		"see http://h/x.flv":           false,
		"https://live.example.com/123": false,
	} {
		if got := pattern.MatchString(url); got != want {
			t.Errorf("%s: taken %v, want %v", url, got, want)
		}
	}
}

// What cannot be a source is said at once, and not when the recorder tries.
func TestAddressesThatAreNoSource(t *testing.T) {
	for _, url := range []string{"http://169.254.169.254/a.flv", "http://user:s3cret@[::ffff:169.254.169.254]:80/a.flv?s3cret", "http://2852039166/a.m3u8"} {
		_, err := direct{}.Resolve(t.Context(), extractor.Ref{URL: url})
		var typed *sdk.Error
		if !errors.As(err, &typed) || typed.Code != sdk.CodeAddress || strings.Contains(typed.Message, "s3cret") {
			t.Errorf("%s: %v, want it refused", url, err)
		}
	}
}

func TestBinary(t *testing.T) {
	conn := plugintest.Binary(t, plugintest.Build(t, ".", "extractor-direct"))
	if err := conn.Configure(t.Context(), []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	const url = "http://h/live.flv"
	got, err := conn.Extractor().Resolve(t.Context(), extractor.Ref{URL: url})
	if err != nil || !got.Live() || got.Streams[0].URL != url {
		t.Errorf("got %+v, %v", got, err)
	}
}
