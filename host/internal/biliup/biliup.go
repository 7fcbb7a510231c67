// Package biliup answers on the paths that biliup's server really has (/v1/…, /bili/…, /static/…), in their shapes, so that
// its web page and the scripts of its users work with lubod as they are.
//
// It has no state and decides nothing. Each request becomes one or a few requests to the API of this daemon, in process and
// in the name of the same caller, with the same cookies and headers: who may do what, how often, from which page, and what is a
// valid value is therefore what it is there. Only names and shapes change. README.md has the table.
package biliup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/lubod/lubod/host/internal/reason"
)

// Options are what a Handler needs.
type Options struct {
	// API is the handler of /api/v1.
	API http.Handler
	// SessionCookie is the name of the API's session cookie.
	SessionCookie string
	// Page is the folder of biliup's exported page; empty: it is not served.
	Page string
	// UserOfPage is the name of the user whom biliup's page means by the one that it always sends; empty: there is none.
	UserOfPage func(ctx context.Context, name string) (string, error)
	// UserExists tells whether anybody is registered.
	UserExists func(ctx context.Context) (bool, error)
	// Recordings is the folder whose media is under /static.
	Recordings string
	// Recorded tells whether a path is that of a file which was recorded here: hooks may have moved it anywhere.
	Recorded func(ctx context.Context, path string) (bool, error)
	Logger   *slog.Logger
}

// Handler answers biliup's paths, and gives everything else to the API.
type Handler struct {
	api           http.Handler
	sessionCookie string
	page          string
	userOfPage    func(ctx context.Context, name string) (string, error)
	userExists    func(ctx context.Context) (bool, error)
	recordings    string
	recorded      func(ctx context.Context, path string) (bool, error)
	log           *slog.Logger
	routes        []route
}

// New makes a handler.
func New(options Options) *Handler {
	return &Handler{
		api: options.API, sessionCookie: options.SessionCookie, page: options.Page, userOfPage: options.UserOfPage, userExists: options.UserExists,
		recordings: options.Recordings, recorded: options.Recorded, log: options.Logger, routes: table(),
	}
}

// route is one of biliup's operations.
type route struct {
	method string
	// path may have {id} for one segment, and {file...} at its end for all that follow.
	path   string
	handle func(c *call) error
}

func table() []route {
	return []route{
		{http.MethodGet, "/v1/streamers", listStreamers},
		{http.MethodPost, "/v1/streamers", createStreamer},
		{http.MethodPut, "/v1/streamers", updateStreamer},
		{http.MethodDelete, "/v1/streamers/{id}", deleteStreamer},
		{http.MethodPut, "/v1/streamers/{id}/pause", pauseStreamer},
		{http.MethodGet, "/v1/configuration", getConfiguration},
		{http.MethodPut, "/v1/configuration", updateConfiguration},
		{http.MethodGet, "/v1/streamer-info", listRecordings},
		{http.MethodGet, "/v1/streamer-info/files/{id}", listFiles},
		{http.MethodGet, "/v1/upload/streamers", listTemplates},
		{http.MethodPost, "/v1/upload/streamers", saveTemplate},
		{http.MethodGet, "/v1/upload/streamers/{id}", getTemplate},
		{http.MethodDelete, "/v1/upload/streamers/{id}", deleteTemplate},
		{http.MethodGet, "/v1/users", listAccounts},
		{http.MethodPost, "/v1/users", addAccount},
		{http.MethodDelete, "/v1/users/{id}", deleteAccount},
		{http.MethodPost, "/v1/users/register", register},
		{http.MethodPost, "/v1/users/login", login},
		{http.MethodGet, "/v1/users/biliup", isRegistered},
		{http.MethodGet, "/v1/logout", logout},
		{http.MethodGet, "/v1/get_qrcode", getQRCode},
		{http.MethodPost, "/v1/login_by_qrcode", loginByQRCode},
		{http.MethodGet, "/v1/videos", listVideos},
		{http.MethodPost, "/v1/uploads", uploadVideos},
		{http.MethodGet, "/v1/status", getStatus},
		{http.MethodGet, "/v1/ws/logs", passTo("/api/v1/ws/logs")},
		{http.MethodGet, "/bili/archive/pre", wrapped("/api/v1/archive_pre")},
		{http.MethodGet, "/bili/space/myinfo", wrapped("/api/v1/myinfo")},
		{http.MethodGet, "/bili/proxy", passTo("/api/v1/proxy")},
		{http.MethodGet, "/static/{file...}", serveFile},
		{http.MethodHead, "/static/{file...}", serveFile},
	}
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !slices.ContainsFunc([]string{"/v1/", "/bili/", "/static/"}, func(prefix string) bool { return strings.HasPrefix(r.URL.Path, prefix) }) {
		h.serveOthers(w, r)
		return
	}
	secure(w.Header())
	c := &call{h: h, w: w, r: r}
	defer c.contain()
	var allowed []string
	for _, one := range h.routes {
		argument, ok := match(one.path, r.URL.Path)
		switch {
		case !ok:
		case one.method != r.Method:
			allowed = append(allowed, one.method)
		default:
			c.argument = argument
			if err := one.handle(c); err != nil {
				c.fail(c.unlessStranger(one, err))
			}
			return
		}
	}
	if len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		c.fail(&refusal{status: http.StatusMethodNotAllowed, code: "method_not_allowed", why: reason.New(reason.APIMethod, "method", fmt.Sprintf("%.20s", r.Method), "allowed", strings.Join(allowed, ", "))})
		return
	}
	c.fail(&refusal{status: http.StatusNotFound, code: "not_found", why: reason.New(reason.APINoPath, "path", strings.Trim(fmt.Sprintf("%.200q", r.URL.Path), `"`))})
}

// public are the operations that the API answers to some who are not logged in; it says to whom, and when.
var public = []string{"/v1/users/register", "/v1/users/login", "/v1/users/biliup", "/v1/logout", "/v1/get_qrcode", "/v1/login_by_qrcode"}

// unlessStranger keeps from those who are not logged in what is wrong with a request. The API, which was not asked then, does so
// by itself.
func (c *call) unlessStranger(one route, err error) error {
	var r *refusal
	if !errors.As(err, &r) || r.said != "" || r.status != http.StatusBadRequest || slices.Contains(public, one.path) {
		return err
	}
	if strange := c.mustBeLoggedIn(); strange != nil {
		return strange
	}
	return err
}

// serveOthers answers on paths that are none of biliup's server: with its page, where there is one, or with the API.
func (h *Handler) serveOthers(w http.ResponseWriter, r *http.Request) {
	if h.page != "" {
		c := &call{h: h, w: w, r: r}
		defer c.contain()
		if c.servePage() {
			return
		}
	}
	h.api.ServeHTTP(w, r)
}

// contain keeps a panic to the request that caused it.
func (c *call) contain() {
	r := recover()
	if r == nil {
		return
	}
	if cause, ok := r.(error); ok && errors.Is(cause, http.ErrAbortHandler) {
		panic(r)
	}
	c.h.log.Error("a request on one of biliup's paths failed", "method", c.r.Method, "path", c.r.URL.Path, "panic", r, "stack", string(debug.Stack()))
	c.fail(mistake())
}

// match compares a path with the pattern of a route and returns what stands for its variable.
func match(pattern, path string) (argument string, ok bool) {
	if prefix, all := strings.CutSuffix(pattern, "{file...}"); all {
		return strings.CutPrefix(path, prefix)
	}
	before, after, variable := strings.Cut(pattern, "{id}")
	if !variable {
		return "", pattern == path
	}
	rest, ok := strings.CutPrefix(path, before)
	if !ok {
		return "", false
	}
	argument, ok = strings.CutSuffix(rest, after)
	return argument, ok && argument != "" && !strings.Contains(argument, "/")
}

// secure sets what every answer carries; those of the API set the same again.
func secure(header http.Header) {
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cache-Control", "no-store")
}
