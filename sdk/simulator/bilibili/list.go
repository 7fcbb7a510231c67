package bilibili

import (
	"slices"
	"strconv"
	"strings"
)

// list shows an account's archives, newest first.
func (x *exchange) list() *answer {
	x.only(x.query)
	owner, ok := x.byCookies()
	if !ok {
		return x.failure(codeNotLoggedIn, message(codeNotLoggedIn))
	}
	if len(x.s.state.inFlight["list "+strconv.FormatInt(owner.MID, 10)]) > 1 {
		return x.failure(codeTooFrequent, message(codeTooFrequent))
	}
	wanted := strings.Split(x.query.Get("status"), ",")
	for _, status := range wanted {
		x.check(status == "is_pubing" || status == "pubed" || status == "not_pubed", RuleSubmitRequest, "status %q is not known", status)
	}
	page, size := x.pageNumber("pn", 1), x.pageNumber("ps", 10)
	if x.refused() {
		return x.failure(codeBadRequest, message(codeBadRequest))
	}
	var found []map[string]any
	life := x.s.state.life.at(x.s.now())
	for _, a := range slices.Backward(x.s.state.archives) {
		if a.listed.After(life) {
			continue
		}
		state := x.s.state.stateOf(a, x.s.now(), x.s.options)
		keyword := x.query.Get("keyword")
		if a.mid == owner.MID && slices.Contains(wanted, statusOf(state)) && strings.Contains(a.raw.Title, keyword) {
			found = append(found, map[string]any{"Archive": x.describe(a, state), "stat": map[string]any{"view": 0}, "Videos": nil})
		}
	}
	count := len(found)
	first := min((page-1)*size, count)
	return success(map[string]any{
		"page":       map[string]any{"pn": page, "ps": size, "count": count},
		"arc_audits": append([]map[string]any{}, found[first:min(first+size, count)]...),
	})
}

func (x *exchange) pageNumber(name string, otherwise int) int {
	if !x.query.Has(name) {
		return otherwise
	}
	n, err := strconv.Atoi(x.query.Get(name))
	if !x.check(err == nil && n >= 1 && n <= 10000, RuleSubmitRequest, "%s %q is not a page number or size", name, x.query.Get(name)) {
		return otherwise
	}
	return min(n, 1000)
}

// statusOf is the list that an archive of this state appears in.
func statusOf(state int) string {
	switch state {
	case StatePublic:
		return "pubed"
	case StateAwaiting, StateEditAwaiting, StateInReview, StateScheduled:
		return "is_pubing"
	}
	return "not_pubed"
}

// describe is an archive as the creator centre shows it: what was submitted, and what the service made of it.
func (x *exchange) describe(a *archive, state int) map[string]any {
	out := map[string]any{}
	for name, value := range a.fields {
		if name != "videos" {
			out[name] = value
		}
	}
	if category, ok := out["human_type2"]; ok && category != nil {
		out["human_type2"] = map[string]any{"id": category, "name": "新分区"} // not as it is sent
	}
	published := int64(0)
	if state == StatePublic {
		published = a.changed.Unix()
	}
	dtime := int64(0)
	if a.raw.DTime != nil {
		dtime = *a.raw.DTime
	}
	owner := x.s.state.accounts[a.mid]
	desc, reason := x.s.state.words(a, x.s.now(), x.s.options)
	for name, value := range map[string]any{
		"aid": a.aid, "bvid": a.bvid, "mid": a.mid, "author": owner.Name, "state": state, "state_desc": desc,
		"reject_reason": reason, "reject_reason_url": "", "duration": 0, "dtime": dtime, "ptime": published,
		"ctime": a.created.Unix(), "limited_free": false,
		newField: newFieldValue(a),
	} {
		out[name] = value
	}
	return out
}

// clientView is one archive for an app.
func (x *exchange) clientView() *answer {
	x.only(x.query)
	owner, ok := x.byToken(x.query.Get("access_key"))
	if !ok {
		return x.failure(codeNotLoggedIn, message(codeNotLoggedIn))
	}
	return x.view(owner)
}

// webView is one archive for a browser.
func (x *exchange) webView() *answer {
	x.only(x.query)
	owner, ok := x.byCookies()
	if !ok {
		return x.failure(codeNotLoggedIn, message(codeNotLoggedIn))
	}
	return x.view(owner)
}

func (x *exchange) view(owner *account) *answer {
	if x.refused() {
		return x.failure(codeBadRequest, message(codeBadRequest))
	}
	a := x.s.state.archiveOf(owner, x.query.Get("aid"), x.query.Get("bvid"))
	if a == nil {
		return x.failure(codeNotFound, message(codeNotFound))
	}
	state := x.s.state.stateOf(a, x.s.now(), x.s.options)
	videos := []map[string]any{}
	for i, v := range a.videos {
		videos = append(videos, x.describeVideo(a, i, v))
	}
	return success(map[string]any{"archive": x.describe(a, state), "videos": videos})
}

func (x *exchange) describeVideo(a *archive, index int, v video) map[string]any {
	transcode, failCode, failText := x.s.state.transcode(a, index, x.s.now(), x.s.options)
	return map[string]any{
		"aid": a.aid, "bvid": a.bvid, "title": v.Title, "filename": v.Filename, "desc": v.Desc, "cid": v.CID, "duration": 0,
		"index": index + 1, "status": 0, "status_desc": "", "reject_reason": "", "fail_code": failCode, "fail_desc": failText,
		"xcode_state": transcode, "ctime": a.created.Unix(),
	}
}
