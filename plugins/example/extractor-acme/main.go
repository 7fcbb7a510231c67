// Command extractor-acme is a whole third-party extractor, for the made-up platform live.acme.tv.
package main

import (
	"context"
	"time"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/extractor"
	"github.com/lubod/lubod/sdk/fetch"
)

var info = sdk.Info{
	Name:     "acme",
	Version:  "0.1.0",
	Match:    []string{`^https?://live\.acme\.tv/(?P<room>\d+)`},
	Examples: []string{"https://live.acme.tv/42"},
}

type options struct {
	API    string `json:"api" default:"https://api.acme.tv" en:"Base URL of the API." zh:"API 地址。"`
	Cookie string `json:"cookie" secret:"true" en:"Session cookie." zh:"登录 Cookie。"`
}

type acme struct {
	api  string
	http *fetch.Client
}

func main() { extractor.Serve(info, newAcme) }

func newAcme(_ context.Context, o options) (*acme, error) {
	return &acme{api: o.API, http: fetch.New(o.Cookie)}, nil
}

// Resolve asks the room API once. The host polls, retries and limits the rate.
func (a *acme) Resolve(ctx context.Context, ref extractor.Ref) (extractor.Status, error) {
	var room struct {
		Live              bool
		Title, Owner, FLV string
		Start             int64
	}
	if err := a.http.JSON(ctx, a.api+"/room/"+ref.Groups["room"], &room); err != nil {
		return extractor.Status{}, err // carries its kind already
	}
	if !room.Live {
		return extractor.Offline, nil
	}
	return extractor.Status{
		State: extractor.StateLive, RoomID: ref.Groups["room"], Title: room.Title, Streamer: room.Owner, StartedAt: time.Unix(room.Start, 0),
		Streams: []extractor.Stream{{URL: room.FLV, Quality: "origin", Container: "flv"}},
	}, nil
}
