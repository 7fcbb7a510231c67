package biliup

import (
	"net/http"

	"github.com/lubod/lubod/host/internal/reason"
)

// isRegistered answers whether there is anybody who could log in: by that, biliup's page decides between its two forms.
func isRegistered(c *call) error {
	// The API decides whether it talks to this caller at all.
	a := c.send(http.MethodGet, "/api/v1/users/biliup", http.NoBody, 0)
	if a.status != http.StatusOK && a.status != http.StatusNotFound {
		return c.refused(a)
	}
	exists, err := c.h.userExists(c.r.Context())
	if err != nil {
		c.h.log.Warn("nobody can be asked whether there are users", "error", err)
		return &refusal{status: http.StatusServiceUnavailable, code: "unavailable", why: reason.New(reason.APIDatabaseAway)}
	}
	if !exists {
		return &refusal{status: http.StatusNotFound, code: "not_registered", why: reason.New(reason.BiliupNobodyRegistered)}
	}
	return c.answer(object{})
}

func login(c *call) error {
	return c.enter("/api/v1/users/login")
}

// register creates the first user, and logs in, as biliup does.
func register(c *call) error {
	return c.enter("/api/v1/users/register", "/api/v1/users/login")
}

// enter sends user name and password to each path.
func (c *call) enter(paths ...string) error {
	theirs, err := c.body(http.MethodPost, paths[0])
	if err != nil {
		return err
	}
	ours := object{"username": orAbsent(theirs["username"]), "password": orAbsent(theirs["password"])}
	if len(paths) == 1 {
		meant, err := c.userOfPage(valueOf[string](theirs["username"]))
		if err != nil {
			return err
		}
		if meant != "" {
			ours["username"] = encoded(meant)
		}
	}
	if token, ok := theirs["setup_token"]; ok && len(paths) > 1 {
		ours["setup_token"] = token
	}
	var user object
	for _, path := range paths {
		if err := c.ask(http.MethodPost, path, ours, &user); err != nil {
			return err
		}
	}
	return c.answer(user)
}
