package main

import "errors"

// liveServer feeds a file to viewers as if it happened now.
type liveServer interface {
	// URL is where the stream is; empty: there is none.
	URL() string
	Close() error
}

// startLive serves the FLV file at /live/demo.flv; without a file there is no stream.
func startLive(listen, flv string, speed float64) (liveServer, error) {
	if flv == "" {
		return noLive{}, nil
	}
	return nil, errors.New("this build has no live stream: leave --flv out")
}

type noLive struct{}

func (noLive) URL() string  { return "" }
func (noLive) Close() error { return nil }
