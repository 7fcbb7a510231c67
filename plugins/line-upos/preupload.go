package main

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/line"
)

const (
	// profile names the kind of object, and has to be the same in preupload and complete.
	profile = "ugcupos/bup"
	// Version and build of the web page's uploader that these requests are modelled on.
	webVersion = "2.14.0"
	webBuild   = "2140000"
)

// preuploadAnswer is what the creator centre says about the place for a file.
type preuploadAnswer struct {
	Auth      string   `json:"auth"`
	BizID     int64    `json:"biz_id"`
	ChunkSize int64    `json:"chunk_size"`
	Endpoint  string   `json:"endpoint"`
	Endpoints []string `json:"endpoints"`
	UposURI   string   `json:"upos_uri"`
}

// preupload asks for a place for the file on a line. It is the only request with cookies.
func (u *upos) preupload(ctx context.Context, target uposLine, file line.File, src *line.Source) (*session, error) {
	name := announcedName(file)
	query := target.query + "&" + url.Values{
		"name": {name}, "size": {strconv.FormatInt(src.Size(), 10)}, "r": {"upos"}, "profile": {profile},
		"ssl": {"0"}, "version": {webVersion}, "build": {webBuild},
	}.Encode()
	var s *session
	err := u.callRetry.retry(ctx, "preupload", func(ctx context.Context) error {
		a, err := u.client.send(ctx, request{method: http.MethodGet, url: u.member.String() + "/preupload?" + query, cookies: file.Cookies})
		if err != nil {
			return err
		}
		pre, err := decodePreupload(a)
		if err != nil {
			return err
		}
		s, err = u.newSession(target, name, file.Cookies[accountCookie], src, pre)
		if err != nil {
			return sdk.Errorf(sdk.Bug, "preupload: unexpected answer: %w: %s", err, a.excerpt())
		}
		return nil
	})
	return s, err
}

// decodePreupload tells apart the many ways to say no.
func decodePreupload(a answer) (preuploadAnswer, error) {
	var pre preuploadAnswer
	e := a.envelope()
	if err := a.limited("preupload", e); err != nil {
		return pre, err
	}
	if a.status == http.StatusUnauthorized || a.status == http.StatusForbidden || e.Code.String() == codeNotLoggedIn {
		return pre, sdk.Errorf(sdk.LoginRequired, "preupload: bilibili does not accept the account's cookies (HTTP status %d); log in again", a.status)
	}
	if err := a.decode("preupload", &pre); err != nil {
		return pre, err
	}
	if pre.ChunkSize == 0 {
		return pre, sdk.Errorf(sdk.Bug, "preupload: the answer names no chunk_size: %s", a.excerpt())
	}
	return pre, nil
}

func (u *upos) newSession(target uposLine, name, account string, src *line.Source, pre preuploadAnswer) (*session, error) {
	s := &session{
		Version: sessionVersion, Line: target.name, Account: account, Name: name, Profile: profile,
		Endpoint: pre.endpointFor(target), UposURI: pre.UposURI,
		Auth: pre.Auth, AuthUnixMS: authTime(pre.Auth, u.now()).UnixMilli(),
		BizID: pre.BizID, ChunkSize: pre.ChunkSize, File: src.Identity(),
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	s.acked = newPartSet(s.partCount())
	return s, s.locate(u.member.Scheme)
}

// endpointFor prefers the wanted line's own host when the server offers it among others. The choice holds for the
// whole session: the parts of one object have to arrive at one host.
func (p preuploadAnswer) endpointFor(target uposLine) string {
	for _, endpoint := range p.Endpoints {
		if u, err := url.Parse(endpoint); err == nil && strings.EqualFold(u.Host, target.host()) {
			return endpoint
		}
	}
	return p.Endpoint
}
