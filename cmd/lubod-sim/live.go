package main

import (
	"fmt"

	"github.com/lubod/lubod/sdk/simulator/live"
)

// liveServer feeds a file to viewers as if it happened now.
type liveServer interface {
	// URL is where the stream is; empty: there is none.
	URL() string
	Close() error
}

// startLive serves the FLV file over and over, on any path; without a file there is no stream.
func startLive(listen, flv string, speed float64) (liveServer, error) {
	if flv == "" {
		return noLive{}, nil
	}
	clip, err := live.Load(flv)
	if err != nil {
		return nil, fmt.Errorf("--flv: %w", err)
	}
	return live.ListenOn(listen, live.Options{Clip: clip, Speed: speed, Loop: true, GOPCache: true})
}

type noLive struct{}

func (noLive) URL() string  { return "" }
func (noLive) Close() error { return nil }
