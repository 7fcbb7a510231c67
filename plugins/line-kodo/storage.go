package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/line"
)

// slowestRate is the speed below which a block is taken for stalled, in bytes per second.
const slowestRate = 50 << 10

// Statuses of Qiniu that HTTP does not know.
const (
	statusTooFrequent = 573
	statusExists      = 614
	statusNoBucket    = 631
	statusBadContext  = 701
)

// sendBlock sends one block until it is stored as it was sent.
func (k *kodo) sendBlock(ctx context.Context, s *session, src *line.Source, index int) (block, error) {
	start, size := s.span(index)
	section := src.Section(start, size)
	limits := k.blockRetry
	limits.timeout = max(limits.timeout, time.Duration(float64(size)/slowestRate*float64(time.Second)))
	var stored block
	err := limits.retry(ctx, func(ctx context.Context) error {
		var sent checksum
		a, err := k.client.send(ctx, request{
			method: http.MethodPost, url: s.mkblkURL(index), header: s.upToken("application/octet-stream"), size: size,
			body: sent.of(section.Open(), size),
		})
		if failure := section.Failed(); failure != nil {
			return failure
		}
		if err != nil {
			return err
		}
		if err := a.verdict("mkblk"); err != nil {
			return err
		}
		stored, err = blockOf(a, &sent)
		return err
	})
	if errors.Is(err, errPassing) {
		return block{}, marked(err, errHost)
	}
	return stored, err
}

func blockOf(a answer, sent *checksum) (block, error) {
	var said struct {
		Context string  `json:"ctx"`
		CRC32   *uint32 `json:"crc32"`
		Expires int64   `json:"expired_at"`
	}
	if err := json.Unmarshal(a.body, &said); err != nil || !isContext(said.Context) {
		return block{}, because(sdk.Bug, "mkblk: the answer names no context")
	}
	if crc, whole := sent.whole(); !whole || (said.CRC32 != nil && *said.CRC32 != crc) {
		return block{}, because(sdk.Unavailable, "mkblk: a block was damaged on its way", errPassing)
	}
	return block{Context: said.Context, Expires: max(said.Expires, 0)}, nil
}

// makeFile has Qiniu join the blocks. Doing so again with the same blocks makes the same file: the key is that of the grant.
func (k *kodo) makeFile(ctx context.Context, s *session) error {
	contexts := make([]string, 0, len(s.Blocks))
	for _, b := range s.Blocks {
		contexts = append(contexts, b.Context)
	}
	list := strings.Join(contexts, ",")
	return k.finishRetry.retry(ctx, func(ctx context.Context) error {
		a, err := k.client.send(ctx, request{
			method: http.MethodPost, url: s.mkfileURL(), header: s.upToken("text/plain"), size: int64(len(list)), body: strings.NewReader(list),
		})
		switch {
		case err != nil:
			return err
		case a.status == statusExists: // by an earlier try, whose answer was lost: nobody else has this key
			return nil
		case a.status == http.StatusBadRequest && json.Valid(a.body):
			return because(sdk.Unavailable, "mkfile: the storage did not join the blocks (HTTP status 400)", errStale)
		}
		if err := a.verdict("mkfile"); err != nil {
			return err
		}
		var said struct {
			Key string `json:"key"`
		}
		if err := json.Unmarshal(a.body, &said); err != nil || (said.Key != "" && said.Key != s.Key) {
			return because(sdk.Bug, "mkfile: the answer does not name the file")
		}
		return nil
	})
}

// verdict judges an answer of Qiniu: nil for success.
func (a answer) verdict(what string) error {
	switch {
	case a.err == nil:
		return nil
	case a.noBucket():
		return because(sdk.Unsupported, what+": the bucket does not exist", errNoBucket)
	case a.status == http.StatusUnauthorized:
		return because(sdk.Unavailable, what+": the upload token is not taken", errStale, expired(a.qiniuError()))
	case a.status == http.StatusForbidden:
		return because(sdk.Unavailable, what+": the storage refused it (HTTP status 403)", errStale)
	case a.status == statusBadContext:
		return because(sdk.Unavailable, what+": the storage does not have all blocks any more", errStale, errExpired)
	case a.flawed(), a.status == http.StatusTooManyRequests, a.status == statusTooFrequent:
		return marked(asUnavailable(a.err), errPassing)
	}
	return asUnavailable(a.err)
}

// expired reads why a token is not taken.
func expired(said string) error {
	if strings.Contains(said, "expired") {
		return errExpired
	}
	return nil
}

// asUnavailable: what a storage refuses says nothing about the login or the file.
func asUnavailable(err error) error {
	var typed *sdk.Error
	if !errors.As(err, &typed) {
		return err
	}
	copied := *typed
	copied.Kind, copied.RetryAfter = sdk.Unavailable, 0
	return &copied
}

func (s *session) upToken(contentType string) http.Header {
	return http.Header{"Authorization": {"UpToken " + s.Token}, "Content-Type": {contentType}}
}

// fetch has Bilibili take the file over from Qiniu. Each address is a way to the same file, so that doing it again makes none
// besides: where one address does not work, the next one is tried.
func (k *kodo) fetch(ctx context.Context, s *session) (err error) {
	for _, address := range s.fetches {
		err = k.finishRetry.retry(ctx, func(ctx context.Context) error {
			header := http.Header{}
			for name, value := range s.FetchHeaders {
				header.Set(name, value)
			}
			a, err := k.client.send(ctx, request{method: http.MethodPost, url: address, header: header})
			if err != nil {
				return err
			}
			return a.fetched()
		})
		if err == nil || ctx.Err() != nil || !errors.Is(err, errPassing) {
			return err
		}
	}
	return err
}

// fetched takes only a clear yes for one.
func (a answer) fetched() error {
	var said struct {
		OK int `json:"OK"`
	}
	decodeErr := json.Unmarshal(a.body, &said)
	switch {
	case a.noBucket():
		return because(sdk.Unsupported, "fetch: the bucket does not exist", errNoBucket)
	case strings.HasPrefix(a.header.Get("X-Upos-Auth"), "AUTH_TS_GT"):
		return because(sdk.Unavailable, "fetch: what was granted is too old", errStale, errExpired)
	case a.status == http.StatusForbidden, a.status == http.StatusNotFound:
		return because(sdk.Unavailable, "fetch: bilibili does not take what was granted", errStale)
	case a.err != nil:
		return marked(asUnavailable(a.err), errPassing)
	case decodeErr != nil, said.OK != 1:
		return because(sdk.Unavailable, "fetch: bilibili did not fetch the file", errPassing)
	}
	return nil
}
