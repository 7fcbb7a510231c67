package biliup

import (
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/lubod/lubod/host/internal/reason"
)

// reserved are the first names of paths that stay this server's, whatever files a page has.
var reserved = []string{"api", "v1", "bili", "static", "assets", "healthz", "metrics", "login", "login.html", "login.txt"}

// pageTypes are the media types of a page's files by their extension; others are for saving.
var pageTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".txt": "text/plain; charset=utf-8",
	".json": "application/json", ".map": "application/json", ".webmanifest": "application/manifest+json", ".wasm": "application/wasm",
	".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp", ".svg": "image/svg+xml", ".ico": "image/x-icon",
	".woff": "font/woff", ".woff2": "font/woff2", ".ttf": "font/ttf",
}

// pagePolicy lets the page run the scripts within its own files, which are part of it, and nothing from elsewhere. It plays
// recordings and shows portraits from addresses that it makes itself.
const pagePolicy = "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' blob:; " +
	"font-src 'self' data:; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"

// servePage answers with a file of biliup's page; false: it has none of that name.
func (c *call) servePage() (served bool) {
	if c.r.Method != http.MethodGet && c.r.Method != http.MethodHead {
		return false
	}
	name := strings.Trim(c.r.URL.Path, "/")
	if first, _, _ := strings.Cut(name, "/"); slices.Contains(reserved, first) {
		return false
	}
	root, err := os.OpenRoot(c.h.page)
	if err != nil {
		c.h.log.Error("the folder of biliup's page cannot be opened", "folder", c.h.page, "error", err)
		return false
	}
	defer func() { _ = root.Close() }()
	file, info := openPage(root, name)
	if file == nil {
		return false
	}
	defer func() { _ = file.Close() }()
	extension := strings.ToLower(path.Ext(info.Name()))
	if extension == ".html" && c.sentToLogin() {
		return true
	}
	mediaType, ok := pageTypes[extension]
	if !ok {
		mediaType = "application/octet-stream"
	}
	header := c.w.Header()
	secure(header)
	header.Set("Content-Type", mediaType)
	header.Set("Content-Security-Policy", pagePolicy)
	header.Set("Cache-Control", "no-cache")
	if strings.HasPrefix(name, "_next/static/") { // the names of these change with what is in them
		header.Set("Cache-Control", "private, max-age=31536000, immutable")
	}
	http.ServeContent(newPatientWriter(c), c.r, "", info.ModTime(), file)
	return true
}

// openPage finds the file that a path of a static export stands for.
func openPage(root *os.Root, name string) (*os.File, fs.FileInfo) {
	candidates := []string{name, name + ".html", path.Join(name, "index.html")}
	if name == "" {
		candidates = []string{"index.html"}
	}
	for _, candidate := range candidates {
		if !fs.ValidPath(candidate) {
			continue
		}
		// Without waiting: whoever put a pipe there would keep this request for ever.
		file, err := root.OpenFile(candidate, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			continue
		}
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			return file, info
		}
		_ = file.Close()
	}
	return nil, nil
}

// sentToLogin sends those who are not logged in to this server's own login, which leads back: biliup's knows one name only.
func (c *call) sentToLogin() bool {
	err := c.mustBeLoggedIn()
	var r *refusal
	switch {
	case err == nil:
		return false
	case errors.As(err, &r) && r.status == http.StatusUnauthorized:
		c.w.Header().Set("Cache-Control", "no-store")
		http.Redirect(c.w, c.r, "/login?next="+url.QueryEscape(c.r.URL.RequestURI()), http.StatusSeeOther)
	default:
		c.fail(err)
	}
	return true
}

// logFiles are what biliup's page asks for under /static to save the log.
var logFiles = []string{"ds_update.log", "download.log", "upload.log"}

// serveLog hands out the last lines of the log as a file.
func (c *call) serveLog(name string) error {
	a := c.send(http.MethodGet, "/api/v1/logs?file="+name, http.NoBody, 0)
	if a.status != http.StatusOK {
		return c.refused(a)
	}
	header := c.w.Header()
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	if _, err := c.w.Write(a.body.Bytes()); err != nil {
		c.h.log.Debug("a log could not be sent", "error", err)
	}
	return nil
}

// userOfPage is whom a login means: biliup's page always sends the same name, whatever that of the user is.
func (c *call) userOfPage(username string) (string, error) {
	if username != pageUser || c.h.userOfPage == nil {
		return username, nil
	}
	meant, err := c.h.userOfPage(c.r.Context(), username)
	if err != nil {
		c.h.log.Warn("nobody can be asked who the user of biliup's page is", "error", err)
		return "", &refusal{status: http.StatusServiceUnavailable, code: "unavailable", why: reason.New(reason.APIDatabaseAway)}
	}
	if meant == "" {
		return username, nil
	}
	return meant, nil
}

// pageUser is the one name that biliup's page sends.
const pageUser = "biliup"
