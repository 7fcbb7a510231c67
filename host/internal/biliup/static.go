package biliup

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/lubod/lubod/host/internal/reason"
)

// writePatience is how long a client may take for the next piece of a file. Each one that arrives renews it: a film takes
// as long as it takes.
const writePatience = 30 * time.Second

// mediaTypes are the files that are handed out, by their extension, under a type that a browser only shows or saves. There
// is no other file in the recordings folder that anybody should read.
var mediaTypes = map[string]string{
	".flv": "video/x-flv", ".mp4": "video/mp4", ".ts": "video/mp2t", ".mkv": "video/x-matroska", ".webm": "video/webm", ".3gp": "video/3gpp",
	".m4s": "video/iso.segment", ".mov": "video/quicktime", ".avi": "video/x-msvideo",
	".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp",
	".xml": "text/plain; charset=utf-8", ".ass": "text/plain; charset=utf-8", ".srt": "text/plain; charset=utf-8",
}

// growingSuffix is what a recorder leaves on a file until it is finished.
const growingSuffix = ".part"

// serveFile hands out a file of the recordings folder, or one that was recorded, whole or in ranges.
func serveFile(c *call) error {
	if err := c.mustBeLoggedIn(); err != nil {
		return err
	}
	name := c.argument
	if slices.Contains(logFiles, name) {
		return c.serveLog(name)
	}
	contentType, ok := mediaTypes[strings.ToLower(path.Ext(strings.TrimSuffix(name, growingSuffix)))]
	if !ok {
		return noFile()
	}
	folder, name, err := c.place(name)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return noFile()
	}
	defer func() { _ = root.Close() }()
	// Without waiting: whoever put a pipe there would keep this request for ever.
	file, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		// What is a link to the outside, may not be read or is not there looks the same from here.
		return noFile()
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return noFile()
	}
	header := c.w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Content-Security-Policy", "sandbox; default-src 'none'; frame-ancestors 'none'")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	http.ServeContent(newPatientWriter(c), c.r, "", info.ModTime(), file)
	return nil
}

// place returns the folder that a name is in, and its name there: a relative one is below the recordings, and a whole path is
// there too, or that of a file which was recorded.
func (c *call) place(name string) (folder, local string, err error) {
	local = name
	if path.IsAbs(name) {
		local = strings.TrimPrefix(name, c.h.recordings+"/")
	}
	if fs.ValidPath(local) {
		return c.h.recordings, local, nil
	}
	if local != path.Clean(name) || !utf8.ValidString(name) || strings.ContainsRune(name, 0) {
		return "", "", noFile()
	}
	known, err := c.h.recorded(c.r.Context(), name)
	if err == nil && !known {
		err = noFile()
	}
	return path.Dir(name), path.Base(name), err
}

func noFile() error {
	return &refusal{status: http.StatusNotFound, code: "not_found", why: reason.New(reason.BiliupNoFile)}
}

// mustBeLoggedIn asks the API who is calling.
func (c *call) mustBeLoggedIn() error {
	a := c.send(http.MethodGet, "/api/v1/users/biliup", http.NoBody, 0)
	if a.status == http.StatusOK {
		return nil
	}
	err := c.refused(a)
	var r *refusal
	if errors.As(err, &r) && r.status == http.StatusNotFound {
		return &refusal{status: http.StatusUnauthorized, code: "unauthenticated", why: reason.New(reason.BiliupLogIn)}
	}
	return err
}

// patientWriter renews the limit for writing with each piece.
type patientWriter struct {
	http.ResponseWriter
	connection *http.ResponseController
}

func newPatientWriter(c *call) patientWriter {
	w := patientWriter{c.w, http.NewResponseController(c.w)}
	// The request was read; the limit for that would end the answer.
	if err := errors.Join(w.connection.SetReadDeadline(time.Time{}), w.connection.SetWriteDeadline(time.Now().Add(writePatience))); err != nil {
		c.h.log.Debug("a file cannot be given more time", "error", err)
	}
	return w
}

func (w patientWriter) Write(p []byte) (int, error) {
	_ = w.connection.SetWriteDeadline(time.Now().Add(writePatience))
	return w.ResponseWriter.Write(p)
}
