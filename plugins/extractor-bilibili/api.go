package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/lubod/lubod/sdk"
)

const referer = "https://live.bilibili.com/"

// request is one call of the API.
type request struct {
	base, path string
	query      string // encoded
	cookie     string
	// anyCode takes the data of an answer whatever its code says.
	anyCode bool
	// text takes the body as it is.
	text bool
}

type reply struct {
	data []byte
	date string
}

// get asks once. A server that says "too often" is left alone for a while, whoever asks next.
func (b *bilibili) get(ctx context.Context, r request) (reply, error) {
	host := hostOf(r.base)
	if err := b.polite.wait(ctx, host); err != nil {
		return reply{}, err
	}
	answer, err := b.once(ctx, r)
	var failure *sdk.Error
	if errors.As(err, &failure) && failure.Kind == sdk.RateLimited {
		if failure.RetryAfter <= 0 {
			failure.RetryAfter = banPause
		}
		b.polite.rest(host, failure.RetryAfter)
	}
	return answer, err
}

func (b *bilibili) once(ctx context.Context, r request) (reply, error) {
	target := r.base + r.path
	if r.query != "" {
		target += "?" + r.query
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return reply{}, sdk.Errorf(sdk.Bug, "the address for %s is not valid", r.path)
	}
	req.Header.Set("Accept", "application/json, text/plain, */*")
	req.Header.Set("Referer", referer)
	if r.cookie != "" {
		req.Header.Set("Cookie", r.cookie)
	}
	resp, err := b.client.Do(ctx, req)
	if err != nil {
		return reply{}, statusError(err)
	}
	answer := reply{data: resp.Body, date: resp.Header.Get("Date")}
	if r.text {
		return answer, nil
	}
	answer.data, err = envelope(r.path, resp.Body, r.anyCode)
	return answer, err
}

// statusError says what an HTTP status means here: a plain 403 is risk control, which asks for a captcha in a browser.
func statusError(err error) error {
	var failure *sdk.Error
	if !errors.As(err, &failure) {
		return err
	}
	switch failure.Kind {
	case sdk.Forbidden:
		if failure.Cause == "" {
			return &sdk.Error{Kind: sdk.Challenged, Message: failure.Message + ": " + riskAdvice, Err: err}
		}
	case sdk.NotFound, sdk.LoginRequired:
		// Rooms and logins are reported by codes in the answer: here the call itself is gone.
		return &sdk.Error{Kind: sdk.Bug, Message: failure.Message + ", which is not expected", Err: err}
	}
	return err
}

// envelope takes the data out of an answer, or makes an error of its code.
func envelope(call string, body []byte, anyCode bool) ([]byte, error) {
	switch trimmed := bytes.TrimSpace(body); {
	case len(trimmed) == 0:
		return nil, sdk.Errorf(sdk.Challenged, "%s answered with nothing: %s", call, riskAdvice)
	case trimmed[0] == '<':
		if bytes.Contains(trimmed, []byte("验证码")) || bytes.Contains(bytes.ToLower(trimmed), []byte("captcha")) {
			return nil, sdk.Errorf(sdk.Challenged, "%s answered with a captcha page: %s", call, riskAdvice)
		}
		return nil, sdk.Errorf(sdk.Bug, "%s answered with an HTML page", call)
	}
	var e struct {
		Code *number         `json:"code"`
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return nil, shapeError(call, err)
	}
	if e.Code == nil {
		return nil, sdk.Errorf(sdk.Bug, "%s answered without a code", call)
	}
	if *e.Code != 0 && !anyCode {
		return nil, codeError(call, int64(*e.Code))
	}
	return e.Data, nil
}

const riskAdvice = "risk control suspects a program; ask less often, or give the cookies of a login"

// codeError gives a code of an answer its meaning. The message beside it is left out: it often only repeats the code.
func codeError(call string, code int64) error {
	switch code {
	case 19002000, 60004, 1, -404:
		return sdk.Errorf(sdk.NotFound, "the room does not exist (code %d of %s)", code, call)
	case -352, -401, -403:
		return sdk.Errorf(sdk.Challenged, "code %d of %s: %s", code, call, riskAdvice)
	case -412:
		return &sdk.Error{Kind: sdk.RateLimited, RetryAfter: banPause, Message: call + " answered code -412: this address asked too often and is banned for a while"}
	case -509, -799:
		return &sdk.Error{Kind: sdk.RateLimited, RetryAfter: time.Minute, Message: call + " was asked too often"}
	case -101:
		return sdk.Errorf(sdk.LoginRequired, "the login has expired (code -101 of %s): log in again and renew the cookies", call)
	case -500, -502, -503, -504:
		return sdk.Errorf(sdk.Unavailable, "%s failed on the side of bilibili (code %d)", call, code)
	}
	return sdk.Errorf(sdk.Bug, "%s answered with code %d, which is not expected", call, code)
}
