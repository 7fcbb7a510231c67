package bilibili

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// Via is an interface through which archives are submitted. Bilibili limits each by itself, so that another one may work
// where one is refused.
type Via string

// The interfaces that are known to work. Sources of their parameters: biliup (crates/biliup/src/uploader/bilibili.rs) and, for
// the web page, bilibili-API-collect (creativecenter/upload.md).
const (
	// ViaApp is that of the Android app.
	ViaApp Via = "app"
	// ViaWeb is that of the web page. It needs cookies only.
	ViaWeb Via = "web"
	// ViaBCut is that of the BCut app for Android.
	ViaBCut Via = "b-cut-android"
)

// The apps that submissions pretend to come from: what biliup sends.
const (
	appAgent = "Mozilla/5.0 BiliDroid/7.80.0 (bbcallen@gmail.com) os/android model/MI 6 mobi_app/android " +
		"build/7800300 channel/bili innerVer/7800310 osVer/13 network/2"
	appStatistics = `"appId":1,"platform":3,"version":"7.80.0","abtest":""`
	bcutAgent     = "Mozilla/5.0 os/android model/Mi 10 Pro mobi_app/android_bbs build/2800030 channel/master osVer/13 " +
		"kernel_version/V14.0.4.0.TJACNXM BiliDroid/5.6.0 (bbcallen@gmail.com)"
)

// Submit creates an archive. A *RefusedError, ErrNoAccount and ErrNotSent mean that none was created; ErrAnswerLost means that
// one may have been: look it up with Find before any other try.
func (c *Client) Submit(ctx context.Context, account *Account, archive Archive) (Accepted, error) {
	if len(archive.Videos) > MaxParts {
		return Accepted{}, fmt.Errorf("an archive cannot be made of %d parts at once, %d can", len(archive.Videos), MaxParts)
	}
	archive = archive.fit(account)
	request, err := c.submission(account, archive.Via)
	if err != nil {
		return Accepted{}, err
	}
	request.method, request.base, request.body = http.MethodPost, c.options.MemberURL, archive
	var accepted Accepted
	err = c.do(ctx, request, &accepted)
	if err == nil && accepted.AID == 0 {
		return Accepted{}, fmt.Errorf("%w: the answer names no archive", ErrAnswerLost)
	}
	return accepted, err
}

// submission is the call of an interface, with everything but the archive.
func (c *Client) submission(account *Account, via Via) (call, error) {
	if via != ViaBCut {
		return c.signedCall(account, via, "/x/vu/app/add", "/x/vu/web/add/v3")
	}
	query, err := c.appQuery(account, map[string]string{
		"aurora_version": "2.39.0", "build": "2800030", "channel": "master", "mobi_app": "android_bbs", "montage_version": "1.42.1.0", "sdk_type": "mon",
	})
	return call{path: "/x/vu/mvp/add", query: keyBCut.sign(query), agent: bcutAgent}, err
}

// signedCall is a call of the app's interface or of the web page's, with everything but what it is about.
func (c *Client) signedCall(account *Account, via Via, app, web string) (call, error) {
	switch via {
	case ViaWeb:
		if account.Cookies[csrfCookie] == "" {
			return call{}, fmt.Errorf("%w: cookie file %q has no cookie %s, which submit_api web needs; log in by QR code", ErrNoAccount, account.File, csrfCookie)
		}
		query := url.Values{"t": {strconv.FormatInt(c.now().UnixMilli(), 10)}, "csrf": {account.Cookies[csrfCookie]}}
		return call{path: web, query: query, cookies: account.Cookies, agent: webAgent}, nil
	case ViaApp, "":
		query, err := c.appQuery(account, map[string]string{
			"build": "7800300", "channel": "bili", "disable_rcmd": "0", "mobi_app": "android", "statistics": appStatistics,
		})
		return call{path: app, query: keyTV.sign(query), agent: appAgent}, err
	}
	return call{}, fmt.Errorf("%w: %q is no interface for submissions", ErrNoAccount, via)
}

// appQuery are the parameters of an app's call, without those that sign it.
func (c *Client) appQuery(account *Account, parameters map[string]string) (url.Values, error) {
	query := url.Values{
		"access_key": {account.AccessToken},
		"c_locale":   {"zh-Hans_CN"},
		"platform":   {"android"},
		"s_locale":   {"zh-Hans_CN"},
		"ts":         {strconv.FormatInt(c.now().Unix(), 10)},
	}
	for name, value := range parameters {
		query.Set(name, value)
	}
	if account.AccessToken == "" {
		return query, fmt.Errorf("%w: cookie file %q has no access_token; log in by QR code, or set submit_api to web", ErrNoAccount, account.File)
	}
	return query, nil
}
