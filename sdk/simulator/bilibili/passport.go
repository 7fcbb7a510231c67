package bilibili

import "time"

// tokenInfo checks a token.
func (x *exchange) tokenInfo() *answer {
	key, refusal := x.checkSign(x.query)
	if refusal != nil {
		return refusal
	}
	x.check(x.query.Get("actionKey") == "appkey", RuleSign, "actionKey is %q, not appkey", x.query.Get("actionKey"))
	owner, ok := x.byToken(x.query.Get("access_key"))
	if !ok || !x.ownKey(owner, key) {
		return x.failure(codeNotLoggedIn, message(codeNotLoggedIn))
	}
	if x.refused() {
		return x.failure(codeBadRequest, message(codeBadRequest))
	}
	left := owner.ExpiresAt.Sub(x.s.now())
	return success(map[string]any{
		"mid": owner.MID, "access_token": owner.AccessToken, "expires_in": int64(left.Seconds()),
		"refresh": owner.RefreshDue || left < x.s.options.RefreshBefore,
	})
}

// ownKey wants the key pair of the kind of login that the token came from.
func (x *exchange) ownKey(owner *account, key AppKey) bool {
	return x.check(owner.Platform == key.Name, RulePlatformKey, "the token is of platform %s, the key pair of %s", owner.Platform, key.Name)
}

// refreshToken gives a new session for an old one, which is void from then on.
func (x *exchange) refreshToken() *answer {
	form := x.form()
	key, refusal := x.checkSign(form)
	if refusal != nil {
		return refusal
	}
	x.check(form.Get("actionKey") == "appkey", RuleSign, "actionKey is %q, not appkey", form.Get("actionKey"))
	owner, ok := x.byToken(form.Get("access_key"))
	if !ok || !x.ownKey(owner, key) {
		return x.failure(codeNotLoggedIn, message(codeNotLoggedIn))
	}
	if owner.RefreshToken != form.Get("refresh_token") || x.refused() {
		return x.failure(codeBadRequest, message(codeBadRequest))
	}
	owner.login(x.s.now())
	owner.Refreshes++
	return success(loginData(owner))
}

// loginData is what a login or a refresh ends in.
func loginData(a *account) map[string]any {
	file := a.snapshot().CookieFile()
	return map[string]any{
		"is_new": false, "mid": a.MID, "access_token": a.AccessToken, "refresh_token": a.RefreshToken,
		"expires_in": int64(tokenLife / time.Second), "token_info": file.TokenInfo, "cookie_info": file.CookieInfo, "sso": file.SSO,
	}
}
