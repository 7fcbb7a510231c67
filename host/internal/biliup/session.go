package biliup

import (
	"net/http"
	"strings"
)

// sessionAlias is the name of biliup's own session cookie. Its page does not care, but clients look for it.
const sessionAlias = "biliup.sid"

// withSession gives a request the session that it brings under biliup's name.
func (h *Handler) withSession(r *http.Request) {
	if _, err := r.Cookie(h.sessionCookie); err == nil {
		return
	}
	if alias, err := r.Cookie(sessionAlias); err == nil {
		r.AddCookie(&http.Cookie{Name: h.sessionCookie, Value: alias.Value}) //nolint:gosec // of a request, which has a name and a value only
	}
}

// addCookies passes on what the API sets, the session under both names.
func (h *Handler) addCookies(to, from http.Header) {
	for _, cookie := range from.Values("Set-Cookie") {
		to.Add("Set-Cookie", cookie)
		if rest, ok := strings.CutPrefix(cookie, h.sessionCookie+"="); ok {
			to.Add("Set-Cookie", sessionAlias+"="+rest)
		}
	}
}

// logout ends the session and sends to the login, as the API says.
func logout(c *call) error {
	a := c.send(http.MethodGet, c.withQuery("/api/v1/logout"), http.NoBody, 0)
	if a.status >= http.StatusBadRequest {
		return c.refused(a)
	}
	for _, name := range []string{"Location", "Content-Type"} {
		if value := a.header.Get(name); value != "" {
			c.w.Header().Set(name, value)
		}
	}
	c.w.WriteHeader(a.status)
	if _, err := c.w.Write(a.body.Bytes()); err != nil {
		c.h.log.Debug("an answer could not be sent", "error", err)
	}
	return nil
}
