package main

import (
	"bytes"
	"errors"
	"net/http"
	"strings"

	"github.com/lubod/lubod/plugins/recorder-native/internal/flv"
	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/fetch"
	"github.com/lubod/lubod/sdk/recorder"
)

// where names a stream for people.
func where(stream recorder.Stream) string {
	place := fetch.Place(stream.URL)
	if stream.CDN == "" {
		return place
	}
	return stream.CDN + " (" + place + ")"
}

// failure makes an error that says what is wrong with one stream.
func failure(code, where, text string, args ...string) *sdk.Error {
	e := &sdk.Error{Kind: sdk.Unavailable, Code: code, Message: where + " " + text, Args: map[string]string{"where": where}}
	for i := 0; i+1 < len(args); i += 2 {
		e.Args[args[i]] = args[i+1]
	}
	return e
}

// compressed says that a body is packed, which no player and no recorder of live streams reads.
func compressed(where, encoding string) *sdk.Error {
	return failure(sdk.CodeCompressed, where, "answered with a compressed body ("+encoding+") instead of media", "encoding", encoding)
}

// explain says why a stream that answered brought no media.
func (c *connection) explain(stream recorder.Stream, request *http.Request, err error) *sdk.Error {
	where := where(stream)
	head := bytes.TrimLeft(c.reader.Unread(), "\ufeff \t\r\n")
	silent := c.reader.Received() == 0
	switch {
	case silent && (err == nil || errors.Is(err, flv.ErrNotFLV)):
		return failure(sdk.CodeSilent, where, "ends the stream before it sends anything")
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return compressed(where, "gzip")
	case !c.reader.Started() && bytes.HasPrefix(head, []byte("<")):
		return failure(sdk.CodeHTML, where, "answered with a web page instead of media")
	case errors.Is(err, flv.ErrNotFLV) && bytes.HasPrefix(head, []byte("#EXTM3U")):
		return notMedia(where, "it is a playlist (HLS), which this recorder does not read")
	case errors.Is(err, flv.ErrNotFLV), errors.Is(err, flv.ErrDamaged):
		return notMedia(where, err.Error())
	case errors.As(err, new(idleError)) && silent:
		return failure(sdk.CodeSilent, where, "takes the connection and sends nothing")
	case err == nil, errors.Is(err, errMidTag), errors.As(err, new(idleError)):
		return notMedia(where, "it sends no pictures and no sound")
	}
	return fetch.RequestError(where, request, err, http.ProxyFromEnvironment)
}

func notMedia(where, cause string) *sdk.Error {
	return failure(sdk.CodeNotMedia, where, "sends nothing that can be recorded: "+cause, "cause", cause)
}

// curable tells whether other addresses of the same stream may work where this one did not: it is not the network, nor a
// server that limits the rate.
func curable(err error) bool {
	var typed *sdk.Error
	if !errors.As(err, &typed) {
		return false
	}
	switch typed.Code {
	case sdk.CodeStatus:
		return typed.Kind != sdk.RateLimited
	case sdk.CodeHTML, sdk.CodeCompressed, sdk.CodeNotMedia, sdk.CodeDNS, sdk.CodeTLS:
		return true
	}
	return false
}

// offline joins why none of the streams could be opened. What they have in common is what is the matter with the room.
func offline(failures []*sdk.Error) error {
	whole := *failures[0]
	texts := make([]string, len(failures))
	for i, one := range failures {
		texts[i] = one.Message
		if one.Kind != whole.Kind {
			whole.Kind = sdk.Unavailable
		}
		if one.Code != whole.Code {
			whole.Code, whole.Args = "", nil
		}
		whole.RetryAfter = min(whole.RetryAfter, one.RetryAfter)
	}
	whole.Message, whole.Err = strings.Join(texts, "; "), recorder.ErrOffline
	return &whole
}
