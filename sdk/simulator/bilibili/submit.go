package bilibili

import (
	"net/http"
	"strings"
	"time"
)

// appAdd is the submission that the Android app makes.
func (x *exchange) appAdd() *answer {
	owner, refusal := x.appCaller(BiliTV, "BiliDroid", appParameters)
	if refusal != nil {
		return x.submitted(nil, refusal)
	}
	return x.submitted(owner, x.add(owner, rulesApp))
}

// appParameters are the parameters that the app sends, besides those of the signature. A fixed one must have its value.
var appParameters = map[string]string{
	"build": "", "c_locale": "", "channel": "", "disable_rcmd": "", "mobi_app": "android", "platform": "android", "s_locale": "",
	"statistics": "",
}

// appCaller checks the query and headers of an app's call, and who makes it.
func (x *exchange) appCaller(key AppKey, agent string, parameters map[string]string) (*account, *answer) {
	if _, refusal := x.checkSign(x.query, key); refusal != nil {
		return nil, refusal
	}
	for name, want := range parameters {
		got := x.query.Get(name)
		x.check(got != "" && (want == "" || got == want), RuleSubmitRequest, "parameter %s is %q, the app sends %q", name, got, want)
	}
	x.check(strings.Contains(x.r.UserAgent(), agent), RuleSubmitRequest, "User-Agent %q is not the app's, which contains %s", x.r.UserAgent(), agent)
	x.check(x.r.Header.Get("Cookie") == "", RuleSubmitRequest, "the app sends no cookies")
	x.checkJSONType()
	owner, ok := x.byToken(x.query.Get("access_key"))
	if !ok {
		return nil, x.failure(codeNotLoggedIn, message(codeNotLoggedIn))
	}
	return owner, nil
}

func (x *exchange) checkJSONType() {
	kind := x.r.Header.Get("Content-Type")
	x.check(strings.HasPrefix(kind, "application/json"), RuleContentType, "Content-Type is %q, not application/json", kind)
}

// add decides on a submission.
func (x *exchange) add(owner *account, rules rules) *answer {
	sub, fields, code := x.decodeSubmission()
	if code == 0 {
		code = x.checkSubmission(sub, rules)
	}
	if code == 0 {
		code = x.checkFiles(sub, owner, nil)
	}
	if code == 0 && x.refused() {
		code = codeBadRequest
	}
	if code == 0 {
		code = x.checkFrequency(sub, owner)
	}
	switch code {
	case 0:
	case codeCaptcha:
		return jsonAnswer(http.StatusOK, map[string]any{
			"code": code, "message": message(code), "data": map[string]any{"v_voucher": "voucher_" + randomHex(16)},
		})
	default:
		return x.failure(code, message(code))
	}
	a := x.create(owner, sub, fields)
	return success(map[string]any{"aid": a.aid, "bvid": a.bvid})
}

// submitted keeps the books about calls that wanted a new archive.
func (x *exchange) submitted(owner *account, a *answer) *answer {
	entry := Submit{Time: x.s.now(), Request: x.log.Number}
	if owner != nil {
		entry.MID = owner.MID
	}
	var decided struct {
		Code int `json:"code"`
		Data struct {
			AID int64 `json:"aid"`
		} `json:"data"`
	}
	if err := decodeJSON(a.body, &decided); err == nil {
		entry.Code, entry.AID = decided.Code, decided.Data.AID
	}
	x.s.state.submits = append(x.s.state.submits, entry)
	return a
}

// checkFrequency applies the optional limits of the real service to new archives.
func (x *exchange) checkFrequency(sub submission, owner *account) int {
	now := x.s.now()
	var last, afternoon, day int
	for _, a := range x.s.state.archives {
		if a.mid != owner.MID {
			continue
		}
		age := now.Sub(a.created)
		if window := x.s.options.DuplicateTitleWindow; window > 0 && age < window && a.raw.Title == sub.Title {
			return codeDuplicate
		}
		last += within(age, 30*time.Second)
		afternoon += within(age, 3*time.Hour+30*time.Minute)
		day += within(age, 24*time.Hour)
	}
	switch {
	case !x.s.options.SubmitLimits:
		return 0
	case last > 0:
		return codeTooFast
	case afternoon >= 15:
		return codeTooOften
	case day >= 10:
		return codeCaptcha
	}
	return 0
}

func within(age, window time.Duration) int {
	if age < window {
		return 1
	}
	return 0
}
