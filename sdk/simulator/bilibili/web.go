package bilibili

import (
	"slices"
	"strconv"
)

// bcutParameters are the parameters that the BCut app sends, besides those of the signature.
var bcutParameters = map[string]string{
	"aurora_version": "", "build": "", "c_locale": "", "channel": "", "mobi_app": "android_bbs", "montage_version": "",
	"platform": "android", "s_locale": "", "sdk_type": "",
}

// bcutAdd is the submission that the BCut app makes.
func (x *exchange) bcutAdd() *answer {
	owner, refusal := x.appCaller(BCutAndroid, "BiliDroid", bcutParameters)
	if refusal != nil {
		return x.submitted(nil, refusal)
	}
	return x.submitted(owner, x.add(owner, rulesApp))
}

// webAdd is the older submission of the web page, and that of BCut on a desktop.
func (x *exchange) webAdd() *answer { return x.webSubmit(rulesWeb) }

// webAddV3 is the present submission of the web page, which sends the time in milliseconds along.
func (x *exchange) webAddV3() *answer {
	sent := x.query.Get("t") + x.query.Get("ts")
	_, err := strconv.ParseInt(sent, 10, 64)
	x.check(err == nil && len(sent) == 13, RuleSubmitRequest, "parameter t (or ts) is %q, not a time in milliseconds", sent)
	return x.webSubmit(rulesWebV3)
}

func (x *exchange) webSubmit(rules rules) *answer {
	owner, refusal := x.webCaller()
	if refusal != nil {
		return x.submitted(nil, refusal)
	}
	return x.submitted(owner, x.add(owner, rules))
}

// webCaller checks who makes a JSON call with cookies.
func (x *exchange) webCaller() (*account, *answer) {
	owner, ok := x.byCookies()
	if !ok {
		return nil, x.failure(codeNotLoggedIn, message(codeNotLoggedIn))
	}
	x.only(x.query)
	csrf := x.query.Get("csrf")
	if !x.check(csrf == owner.Cookies["bili_jct"], RuleCSRF, "csrf is %q, not the cookie bili_jct", csrf) {
		return nil, x.failure(codeCSRF, message(codeCSRF))
	}
	x.checkJSONType()
	return owner, nil
}

// clientAdd was closed in July 2025.
func (x *exchange) clientAdd() *answer {
	return x.submitted(nil, x.failure(codeClosed, message(codeClosed)))
}

// preAdd is asked by web pages before a submission; nothing depends on the answer.
func (x *exchange) preAdd() *answer {
	if _, ok := x.byCookies(); !ok {
		return x.failure(codeNotLoggedIn, message(codeNotLoggedIn))
	}
	return success(map[string]any{"result": map[string]any{}})
}

// tagCheck says whether a tag may be used.
func (x *exchange) tagCheck() *answer {
	if _, ok := x.byCookies(); !ok {
		return x.failure(codeNotLoggedIn, message(codeNotLoggedIn))
	}
	x.check(x.query.Get("tag") != "", RuleSubmitRequest, "parameter tag is missing")
	if x.refused() {
		return x.failure(codeBadRequest, message(codeBadRequest))
	}
	return success(nil)
}

// publicView is an archive as visitors see it; it needs no login.
func (x *exchange) publicView() *answer {
	i := slices.IndexFunc(x.s.state.archives, func(a *archive) bool {
		return a.bvid == x.query.Get("bvid") && x.s.state.stateOf(a, x.s.now(), x.s.options) == StatePublic
	})
	if i < 0 {
		return x.failure(codeNotFound, message(codeNotFound))
	}
	a := x.s.state.archives[i]
	pages := []map[string]any{}
	for n, v := range a.videos {
		pages = append(pages, map[string]any{"cid": v.CID, "page": n + 1, "part": v.Title})
	}
	return success(map[string]any{"aid": a.aid, "bvid": a.bvid, "title": a.raw.Title, "pages": pages, "videos": len(pages)})
}
