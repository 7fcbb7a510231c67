package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/line"
)

const (
	// profile names the kind of object: one that Bilibili fetches from a bucket.
	profile      = "ugcupos/bupfetch"
	probeVersion = "20221109"
	// Version and build of the web page's uploader that these requests are modelled on.
	webVersion = "2.14.0"
	webBuild   = "2140000"
)

// Codes within an answer. They count whatever the HTTP status is.
const (
	codeNotLoggedIn       = -101
	codeUploadsTooFast    = 601 // also with a captcha voucher that only the official pages can redeem
	codeUploadsTooFastOld = 406
	codeIntercepted       = -412
	codeRiskControl       = -352
)

// begin asks Bilibili for a place for the file. It is the only request with cookies.
func (k *kodo) begin(ctx context.Context, r route, file line.File, src *line.Source) (*session, error) {
	query := url.Values{
		"bucket": {r.bucket}, "probe_version": {probeVersion}, "name": {announcedName(file)}, "r": {lineName}, "profile": {profile},
		"ssl": {"0"}, "version": {webVersion}, "build": {webBuild}, "size": {strconv.FormatInt(src.Size(), 10)},
	}
	header := http.Header{"Referer": {referer}}
	if len(file.Cookies) > 0 {
		header.Set("Cookie", cookieHeader(file.Cookies))
	}
	var s *session
	err := k.callRetry.retry(ctx, func(ctx context.Context) error {
		a, err := k.client.send(ctx, request{method: http.MethodGet, url: k.member.String() + "/preupload?" + query.Encode(), header: header})
		if err != nil {
			return err
		}
		granted, err := decodePreupload(a, r.bucket)
		if err != nil {
			return err
		}
		s = &session{
			Version: sessionVersion, Account: file.Cookies[accountCookie], Bucket: r.bucket, Host: r.host, GrantedUnixMS: k.now().UnixMilli(),
			grant: granted, File: src.Identity(), Blocks: make([]block, blockCount(src.Size())),
		}
		return s.locate(k.member.Scheme)
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// decodePreupload tells apart the many ways to say no. A service that says no in its own words, and names no other reason, does
// not offer the line, or not with this bucket.
func decodePreupload(a answer, bucket string) (grant, error) {
	var said struct {
		OK   int `json:"OK"`
		Code int `json:"code"`
		grant
	}
	decodeErr := json.Unmarshal(a.body, &said)
	isJSON := json.Valid(a.body)
	switch {
	case a.status == http.StatusNotAcceptable, said.Code == codeUploadsTooFast, said.Code == codeUploadsTooFastOld:
		return grant{}, &sdk.Error{Kind: sdk.RateLimited, RetryAfter: rateLimitPause, Message: "preupload: bilibili limits the uploads of this account (code 406/601)"}
	case a.status == http.StatusPreconditionFailed, said.Code == codeIntercepted, said.Code == codeRiskControl:
		return grant{}, &sdk.Error{Kind: sdk.RateLimited, RetryAfter: riskControlPause, Message: "preupload: bilibili's risk control stopped the request (code 412)"}
	case a.status == http.StatusUnauthorized, a.status == http.StatusForbidden, said.Code == codeNotLoggedIn:
		return grant{}, because(sdk.LoginRequired, "preupload: bilibili does not accept the account's cookies; log in again")
	case a.flawed():
		return grant{}, marked(a.err, errPassing)
	case a.noBucket(), isJSON && a.status == http.StatusBadRequest, isJSON && a.err == nil && decodeErr == nil && said.OK != 1:
		return grant{}, because(sdk.Unsupported, "preupload: bilibili does not offer the line kodo with the bucket "+bucket, errNoBucket)
	case a.err != nil:
		return grant{}, a.err
	case decodeErr != nil:
		return grant{}, sdk.Errorf(sdk.Bug, "preupload: the answer is not what was expected")
	}
	return said.grant, nil
}

// announcedName is the name in the form the server understands: one path segment of valid UTF-8.
func announcedName(file line.File) string {
	name := file.Name
	if name == "" {
		name = file.Path
	}
	return strings.ToValidUTF8(filepath.Base(name), "_")
}
