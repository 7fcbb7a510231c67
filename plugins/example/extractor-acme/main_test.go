package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/extractor"
	"github.com/lubod/lubod/sdk/plugintest"
)

func TestConformance(t *testing.T) {
	asked := make(chan struct{}, 1)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/room/1":
			_, _ = io.WriteString(w, `{"live":true,"title":"Evening","owner":"ann","flv":"http://cdn.acme.tv/1.flv","start":1700000000}`)
		case "/room/2":
			_, _ = io.WriteString(w, `{"live":false}`)
		case "/room/3":
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusTooManyRequests)
		case "/room/5":
			asked <- struct{}{}
			<-r.Context().Done()
		default:
			http.NotFound(w, r)
		}
	}))
	defer api.Close()

	live := extractor.Status{
		State: extractor.StateLive, RoomID: "1", Title: "Evening", Streamer: "ann", StartedAt: time.Unix(1700000000, 0),
		Streams: []extractor.Stream{{URL: "http://cdn.acme.tv/1.flv", Quality: "origin", Container: "flv"}},
	}
	plugintest.Extractor(t, info, newAcme, options{API: api.URL},
		plugintest.ExtractorCase{Name: "live", URL: "https://live.acme.tv/1", Want: live},
		plugintest.ExtractorCase{Name: "offline", URL: "https://live.acme.tv/2", Want: extractor.Offline},
		plugintest.ExtractorCase{Name: "throttled", URL: "https://live.acme.tv/3", WantKind: sdk.RateLimited, RetryAfter: 7 * time.Second},
		plugintest.ExtractorCase{Name: "missing", URL: "https://live.acme.tv/4", WantKind: sdk.NotFound},
		plugintest.ExtractorCase{Name: "cancelled", URL: "https://live.acme.tv/5", Hangs: asked},
	)
}
