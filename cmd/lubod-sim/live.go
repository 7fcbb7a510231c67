package main

import (
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/lubod/lubod/sdk/simulator/live"
)

// livePath is where the stream is; nothing is at any other path.
const livePath = "/live/demo.flv"

// liveServer feeds a file to viewers as if it happened now.
type liveServer interface {
	// URL is where the stream is; empty: there is none.
	URL() string
	Close() error
}

// startLive serves the FLV file to any number of viewers; without a file there is no stream.
func startLive(o serveOptions, log io.Writer) (liveServer, error) {
	if o.flv == "" {
		return noLive{}, nil
	}
	clip, err := live.Load(o.flv)
	if err != nil {
		return nil, fmt.Errorf("--flv: %w", err)
	}
	server, err := live.Start(live.Options{
		Listen: o.liveListen, Paths: []string{livePath}, Clip: clip, Speed: o.liveSpeed, Loop: o.liveLoop,
		GOPCache: 2 * time.Second, Clients: -1, Logger: slog.New(slog.NewTextHandler(log, nil)),
		TagLog: 10000, RequestLog: 1000, // nobody asks for them here
	})
	if err != nil {
		return nil, err
	}
	return server, nil
}

type noLive struct{}

func (noLive) URL() string  { return "" }
func (noLive) Close() error { return nil }
