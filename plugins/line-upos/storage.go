package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/line"
)

// slowestRate is the speed below which a chunk is taken for stalled, in bytes per second.
const slowestRate = 50 << 10

// init opens the object for chunks and returns its upload id. A repeated init only leaves an id unused.
func (u *upos) init(ctx context.Context, s *session) (string, error) {
	var opened struct {
		UploadID string `json:"upload_id"`
	}
	err := u.callRetry.retry(ctx, "init", func(ctx context.Context) error {
		a, err := u.client.send(ctx, request{method: http.MethodPost, url: s.object + "?uploads&output=json", auth: s.Auth})
		if err != nil {
			return err
		}
		if err := a.refusal("init"); err != nil {
			return err
		}
		if err := a.decode("init", &opened); err != nil {
			return err
		}
		if opened.UploadID == "" {
			return sdk.Errorf(sdk.Bug, "init: the answer names no upload_id: %s", a.excerpt())
		}
		return nil
	})
	return opened.UploadID, err
}

// put sends one part until it is acknowledged. Sending a part again replaces it, so a lost answer does no harm.
func (u *upos) put(ctx context.Context, s *session, src *line.Source, part int) error {
	start, size := s.span(part)
	section := src.Section(start, size)
	r := request{
		method: http.MethodPut, url: s.object + "?" + partQuery(s, part), auth: s.Auth,
		contentType: "application/octet-stream", size: size, body: func() io.Reader { return section.Open() },
	}
	limits := u.chunkRetry
	limits.timeout = max(limits.timeout, time.Duration(float64(size)/slowestRate*float64(time.Second)))
	return limits.retry(ctx, fmt.Sprintf("chunk %d of %d", part, s.partCount()), func(ctx context.Context) error {
		a, err := u.client.send(ctx, r)
		if failure := section.Failed(); failure != nil {
			return failure
		}
		if err != nil {
			return err
		}
		err = a.chunkVerdict()
		if s.resumed && a.refusesSession() && u.stored(ctx, s) {
			return errStored
		}
		return err
	})
}

// refusesSession: a storage answers so to a chunk of an object that is complete, or that it forgot. A gateway's 400 looks the same.
func (a answer) refusesSession() bool {
	return a.status == http.StatusBadRequest || a.status == http.StatusForbidden || a.status == http.StatusNotFound
}

func partQuery(s *session, part int) string {
	start, size := s.span(part)
	number := func(n int64) []string { return []string{strconv.FormatInt(n, 10)} }
	return url.Values{
		"partNumber": number(int64(part)), "uploadId": {s.UploadID},
		"chunk": number(int64(part) - 1), "chunks": number(int64(s.partCount())),
		"size": number(size), "start": number(start), "end": number(start + size), "total": number(s.File.Size),
	}.Encode()
}

// chunkVerdict goes by the status alone: some lines answer without a body, and gateways put anything into theirs.
func (a answer) chunkVerdict() error {
	switch {
	case a.ok():
		return a.limited("chunk", a.envelope())
	case a.status >= 500, a.status == http.StatusBadRequest, a.status == http.StatusRequestTimeout, a.status == http.StatusTooManyRequests:
		return transientf("HTTP status %d", a.status)
	}
	if err := a.refusal("chunk"); err != nil {
		return err
	}
	if err := a.limited("chunk", a.envelope()); err != nil {
		return err
	}
	return sdk.Errorf(sdk.Unavailable, "chunk: the storage refused it with HTTP status %d", a.status)
}

// notCompletedError means that the storage was asked and did not confirm the object.
type notCompletedError struct{ reason string }

func (e *notCompletedError) Error() string { return e.reason }

// complete joins the parts. When the storage does not confirm, the object itself is looked at, because the answer to an
// earlier try, or to an earlier process, may have got lost on the way.
func (u *upos) complete(ctx context.Context, s *session) error {
	if !s.acked.full() {
		return sdk.Errorf(sdk.Bug, "complete: %d of %d parts are not acknowledged", s.acked.count()-s.acked.n, s.acked.count())
	}
	body, err := json.Marshal(completeRequest(s.acked.count()))
	if err != nil {
		return sdk.Errorf(sdk.Bug, "complete: %w", err)
	}
	r := request{
		method: http.MethodPost, url: s.object + "?" + completeQuery(s), auth: s.Auth,
		contentType: "application/json; charset=UTF-8", size: int64(len(body)),
		body: func() io.Reader { return strings.NewReader(string(body)) },
	}
	err = u.completeRetry.retry(ctx, "complete", func(ctx context.Context) error {
		a, err := u.client.send(ctx, r)
		unanswered := err != nil
		if !unanswered {
			err = completeVerdict(a)
		}
		var gone *goneError
		if (unanswered || errors.As(err, &gone) && s.mayBeComplete) && u.stored(ctx, s) {
			return nil
		}
		s.mayBeComplete = true
		return err
	})
	if err == nil || ctx.Err() != nil || !unconfirmed(err) {
		return err
	}
	if u.stored(ctx, s) {
		return nil
	}
	var refused *notCompletedError
	if errors.As(err, &refused) {
		return &goneError{reason: err.Error()} // another round of the same would end the same
	}
	return err
}

type completePart struct {
	PartNumber int    `json:"partNumber"`
	ETag       string `json:"eTag"`
}

func completeRequest(count int) any {
	var body struct {
		Parts []completePart `json:"parts"`
	}
	for part := 1; part <= count; part++ {
		body.Parts = append(body.Parts, completePart{part, "etag"}) // the literal word: the storage does not compare it
	}
	return body
}

func completeQuery(s *session) string {
	return url.Values{
		"output": {"json"}, "name": {s.Name}, "profile": {s.Profile}, "uploadId": {s.UploadID},
		"biz_id": {strconv.FormatInt(s.BizID, 10)},
	}.Encode()
}

// completeVerdict takes only a clear yes for one. Everything else is worth another try, except for limits and a session
// that is gone: joining a large file can fail while the storage is busy.
func completeVerdict(a answer) error {
	if err := a.refusal("complete"); err != nil {
		return err
	}
	e := a.envelope()
	if err := a.limited("complete", e); err != nil {
		return err
	}
	switch {
	case a.ok() && a.cut == nil && e.OK.String() == "1":
		return nil
	case a.cut != nil, a.flawed():
		return transientf("HTTP status %d", a.status)
	}
	return &transientError{&notCompletedError{fmt.Sprintf("the storage did not join the parts: HTTP status %d, %s", a.status, a.excerpt())}}
}

func unconfirmed(err error) bool {
	var known *sdk.Error
	return errors.As(err, &known) && known.Kind == sdk.Unavailable
}

// stored asks whether the object is there in its full length. Some lines do not answer that; they count as no.
func (u *upos) stored(ctx context.Context, s *session) bool {
	ctx, cancel := context.WithTimeout(ctx, u.callRetry.timeout)
	defer cancel()
	a, err := u.client.send(ctx, request{method: http.MethodHead, url: s.object, auth: s.Auth})
	return err == nil && a.status == http.StatusOK && a.length == s.File.Size
}
