package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/lubod/lubod/sdk/line"
)

const (
	// sessionVersion changes when an older plugin would misread a checkpoint.
	sessionVersion = 1
	// maxAuthAge is when an authorisation is not worth resuming with. The storage refuses it after five days; half a
	// day is left to finish.
	maxAuthAge = 4*24*time.Hour + 12*time.Hour
	// maxChunkSize bounds what one request sends; the server names 10 MiB.
	maxChunkSize = 1 << 30
	uposScheme   = "upos://"
)

// session is one object being filled in the storage. Its JSON form is the checkpoint: the storage has no request that
// lists the parts it holds, so everything that continuing needs is kept on this side.
type session struct {
	Version    int           `json:"v"`
	Line       string        `json:"line"`
	Account    string        `json:"account"` // who owns the object; empty when the cookies do not say
	Name       string        `json:"name"`
	Profile    string        `json:"profile"`
	Endpoint   string        `json:"endpoint"` // as the server named it, often without a scheme
	UposURI    string        `json:"upos_uri"`
	Auth       string        `json:"auth"`
	AuthUnixMS int64         `json:"auth_unix_ms"`
	BizID      int64         `json:"biz_id"`
	ChunkSize  int64         `json:"chunk_size"`
	UploadID   string        `json:"upload_id"`
	File       line.Identity `json:"file"`
	Parts      string        `json:"parts"`
	// Completed is set once the storage confirmed the whole object.
	Completed bool `json:"completed,omitempty"`

	object  string // URL of the object
	acked   *partSet
	resumed bool // an earlier run began it
	// mayBeComplete: somebody asked the storage to join the parts, and the answer is not known.
	mayBeComplete bool
}

func (s *session) encode() ([]byte, error) {
	s.Parts = s.acked.String()
	return json.Marshal(s)
}

// decodeSession reads a checkpoint. It may be from another version or damaged.
func decodeSession(checkpoint []byte) (*session, error) {
	var s session
	if err := json.Unmarshal(checkpoint, &s); err != nil {
		return nil, errors.New("it is not readable")
	}
	if s.Version != sessionVersion {
		return nil, fmt.Errorf("it has format %d, this plugin reads %d", s.Version, sessionVersion)
	}
	if s.UploadID == "" || s.Name == "" || s.Profile == "" || s.File.Size <= 0 {
		return nil, errors.New("it is incomplete")
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	var err error
	if s.acked, err = parsePartSet(s.Parts, s.partCount()); err != nil {
		return nil, err
	}
	if s.Completed && !s.acked.full() {
		return nil, errors.New("it is completed without all parts")
	}
	return &s, nil
}

// check looks at what the server says about a session.
func (s *session) check() error {
	switch {
	case s.ChunkSize <= 0 || s.ChunkSize > maxChunkSize:
		return fmt.Errorf("chunk_size %d is not within 1 to %d", s.ChunkSize, maxChunkSize)
	case (s.File.Size-1)/s.ChunkSize >= maxParts:
		return fmt.Errorf("chunk_size %d cuts the file into more than %d parts", s.ChunkSize, maxParts)
	case s.BizID <= 0:
		return errors.New("biz_id is missing")
	case s.Auth == "" || strings.ContainsFunc(s.Auth, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("auth is missing or not usable as a header")
	}
	_, err := objectPath(s.UposURI)
	return err
}

// objectPath is the path of "upos://bucket/key" on the storage's hosts.
func objectPath(uri string) (string, error) {
	object, found := strings.CutPrefix(uri, uposScheme)
	bucket, key, hasKey := strings.Cut(object, "/")
	if !found || !hasKey || bucket == "" || stem(key) == "" || path.Clean("/"+object) != "/"+object {
		return "", errors.New("upos_uri does not have the form upos://bucket/key")
	}
	return "/" + object, nil
}

// locate works out the object's URL from the endpoint.
func (s *session) locate(memberScheme string) error {
	base, err := serverURL(s.Endpoint, memberScheme)
	if err != nil {
		return fmt.Errorf("endpoint: %w", err)
	}
	if (base.Path != "" && base.Path != "/") || base.RawQuery != "" || base.ForceQuery {
		return errors.New("endpoint: it names more than a host")
	}
	if base.Path, err = objectPath(s.UposURI); err != nil {
		return err
	}
	s.object = base.String()
	return nil
}

// serverURL reads a URL that the server named. Without a scheme it takes that of the creator centre's own URL, and never
// a weaker one: the authorisation must not travel in the clear because of an answer.
func serverURL(text, memberScheme string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Hostname() == "" || u.User != nil || u.Fragment != "" || u.Opaque != "" {
		return nil, errors.New("it does not have the form //host")
	}
	switch u.Scheme {
	case "":
		u.Scheme = memberScheme
	case "http", "https":
		if memberScheme == "https" {
			u.Scheme = "https"
		}
	default:
		return nil, fmt.Errorf("scheme %q is neither http nor https", clip(u.Scheme, 20))
	}
	return u, nil
}

// authTime reads the moment an authorisation was given, now when it does not say.
func authTime(auth string, now time.Time) time.Time {
	values, err := url.ParseQuery(auth)
	if err != nil {
		return now
	}
	seconds, err := strconv.ParseFloat(values.Get("timestamp"), 64)
	if err != nil || math.IsNaN(seconds) || seconds <= 0 || seconds > 1e11 {
		return now
	}
	return time.UnixMilli(int64(seconds * 1000))
}

func (s *session) partCount() int { return int((s.File.Size-1)/s.ChunkSize) + 1 }

// span returns where a part begins in the file, and its length.
func (s *session) span(part int) (start, size int64) {
	start = int64(part-1) * s.ChunkSize
	return start, min(s.ChunkSize, s.File.Size-start)
}

func (s *session) ackedBytes() int64 {
	bytes := int64(s.acked.n) * s.ChunkSize
	if last := s.partCount(); s.acked.contains(last) {
		_, size := s.span(last)
		bytes += size - s.ChunkSize
	}
	return bytes
}

// remoteName is what submissions call the object: its key without directories and extension.
func (s *session) remoteName() string { return stem(s.UposURI) }

func stem(uri string) string {
	base := uri[strings.LastIndexByte(uri, '/')+1:]
	return strings.TrimSuffix(base, path.Ext(base))
}

// chunks shows which parts are safe.
func (s *session) chunks() *line.Chunks {
	shown := line.NewChunks(s.File.Size, s.ChunkSize)
	for part := 1; part <= s.acked.count(); part++ {
		if s.acked.contains(part) {
			shown.Mark(part - 1)
		}
	}
	return shown
}
