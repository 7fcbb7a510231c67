package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/line"
)

const (
	// sessionVersion changes when an older plugin would misread a checkpoint.
	sessionVersion = 1
	// blockSize is fixed by Qiniu; only the last block of a file is shorter.
	blockSize = 4 << 20
	// maxBlocks bounds a checkpoint, which names each block: files of up to 64 GiB.
	maxBlocks = 16 << 10
	// maxContext bounds what names one block; it has some hundred characters.
	maxContext = 4 << 10
	// maxCheckpoint is the most that the host keeps, and a little less.
	maxCheckpoint = 4<<20 - 4<<10
	// maxFetchURLs and maxHeaders bound what a preupload grants.
	maxFetchURLs, maxHeaders = 16, 32
	// maxGrantAge is when a grant is not worth resuming with: Bilibili refuses to fetch after five days. Half a day is left to finish.
	maxGrantAge = 4*24*time.Hour + 12*time.Hour
	// blockMargin is how long before its end a stored block is sent again, so that it lives until the file is made.
	blockMargin = 2 * time.Hour
)

// grant is what a preupload allows. It holds secrets.
type grant struct {
	Endpoint     string            `json:"endpoint"` // often without a scheme, as all addresses here
	Key          string            `json:"key"`
	Token        string            `json:"uptoken"`
	Name         string            `json:"bili_filename"`
	BizID        int64             `json:"biz_id"`
	FetchURL     string            `json:"fetch_url"`
	FetchURLs    []string          `json:"fetch_urls,omitempty"` // alternatives
	FetchHeaders map[string]string `json:"fetch_headers"`
}

// session is one file on its way. Its JSON form is the checkpoint: Qiniu has no request that lists the blocks it holds, so
// everything that continuing needs is kept on this side.
type session struct {
	Version       int    `json:"v"`
	Account       string `json:"account"` // who owns the file; empty when the cookies do not say
	Bucket        string `json:"bucket"`
	Host          string `json:"host,omitempty"` // a configured one; empty: that of the grant
	GrantedUnixMS int64  `json:"granted_unix_ms"`
	grant
	File line.Identity `json:"file"`
	// Blocks are those of the file in order.
	Blocks []block `json:"blocks"`
	// Made is set once Qiniu joined the blocks, Fetched once Bilibili has the whole.
	Made    bool `json:"made,omitempty"`
	Fetched bool `json:"fetched,omitempty"`

	qiniu   string   // base URL of the upload host
	fetches []string // URLs to fetch by, in order
	resumed bool     // an earlier run began it
}

// block is what Qiniu gave for one block; without a context it has to be sent.
type block struct {
	Context string `json:"ctx,omitempty"`
	Expires int64  `json:"until,omitempty"` // seconds since 1970; 0: not said
}

func blockCount(size int64) int64 { return (size + blockSize - 1) / blockSize }

// resume returns the session that the host's checkpoint describes, nil when it cannot be continued.
func (k *kodo) resume(file line.File, src *line.Source) *session {
	if len(file.Checkpoint) == 0 {
		return nil
	}
	s, err := decodeSession(file.Checkpoint)
	if err == nil {
		err = k.usable(s, file, src)
	}
	if err != nil {
		k.log.Info("checkpoint cannot be used, upload starts over", "file", src.Path(), "reason", err)
		return nil
	}
	s.resumed = true
	if !s.Made {
		s.forgetExpired(k.now().Add(blockMargin))
	}
	return s
}

func (k *kodo) usable(s *session, file line.File, src *line.Source) error {
	if s.Account != file.Cookies[accountCookie] {
		return errors.New("it belongs to another account, which could not submit the file for this one")
	}
	if s.File != src.Identity() {
		return errors.New("the file changed since")
	}
	if age := k.now().Sub(time.UnixMilli(s.GrantedUnixMS)); age > maxGrantAge && !s.Fetched {
		return fmt.Errorf("what was granted is %s old", age.Round(time.Minute))
	}
	return s.locate(k.member.Scheme)
}

// forgetExpired lets the blocks be sent again that will not live until then.
func (s *session) forgetExpired(then time.Time) {
	for i, b := range s.Blocks {
		if b.Expires > 0 && time.Unix(b.Expires, 0).Before(then) {
			s.Blocks[i] = block{}
		}
	}
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
	if s.Bucket == "" || s.File.Size <= 0 || int64(len(s.Blocks)) != blockCount(s.File.Size) {
		return nil, errors.New("it is incomplete")
	}
	if len(s.Blocks) > maxBlocks {
		return nil, fmt.Errorf("it has %d blocks", len(s.Blocks))
	}
	for _, b := range s.Blocks {
		if !isContext(b.Context) && b.Context != "" {
			return nil, errors.New("it names a block by what is no context")
		}
	}
	if s.Fetched && !s.Made {
		return nil, errors.New("it is finished without having been made")
	}
	return &s, nil
}

// isContext: contexts are joined with commas, and opaque besides.
func isContext(text string) bool {
	return text != "" && len(text) <= maxContext && isHeader(text) && !strings.Contains(text, ",")
}

// isHeader: what may be put into a header as it is.
func isHeader(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })
}

// locate checks what was granted, and works out the addresses.
func (s *session) locate(memberScheme string) error {
	bad := func(what string) error {
		return sdk.Errorf(sdk.Bug, "preupload: what was granted has no usable %s", what)
	}
	switch {
	case s.Key == "" || len(s.Key) > 1024:
		return bad("key")
	case s.Token == "" || !isHeader(s.Token):
		return bad("uptoken")
	case s.Name == "":
		return bad("bili_filename")
	case s.BizID <= 0:
		return bad("biz_id")
	case len(s.FetchHeaders) == 0 || len(s.FetchHeaders) > maxHeaders:
		return bad("fetch_headers")
	case len(s.FetchURLs) > maxFetchURLs:
		return bad("fetch_urls")
	}
	for name, value := range s.FetchHeaders {
		if name == "" || !isHeader(name) || strings.ContainsAny(name, " :") || !isHeader(value) {
			return bad("fetch_headers")
		}
	}
	endpoint := s.Endpoint
	if s.Host != "" {
		endpoint = "//" + s.Host
	}
	base, ok := serverURL(endpoint, memberScheme)
	if !ok || (base.Path != "" && base.Path != "/") || base.RawQuery != "" {
		return bad("endpoint")
	}
	s.qiniu = base.Scheme + "://" + base.Host
	s.fetches = nil
	for _, text := range append([]string{s.FetchURL}, s.FetchURLs...) {
		u, ok := serverURL(text, memberScheme)
		if !ok {
			return bad("fetch_url")
		}
		s.fetches = append(s.fetches, u.String())
	}
	return nil
}

// checkpoint is the session for the host to keep. What names the blocks is of no use any more once the file is made. Where it
// would be too large, the last blocks are left out: a later run sends them again.
func (s *session) checkpoint() ([]byte, error) {
	kept := *s
	if s.Made {
		kept.Blocks = make([]block, len(s.Blocks))
	}
	encoded, err := json.Marshal(&kept)
	if err != nil || len(encoded) <= maxCheckpoint {
		return encoded, err
	}
	kept.Blocks = slices.Clone(s.Blocks)
	for i, excess := len(kept.Blocks)-1, len(encoded)-maxCheckpoint; i >= 0 && excess > 0; i-- {
		excess -= len(kept.Blocks[i].Context)
		kept.Blocks[i] = block{}
	}
	return json.Marshal(&kept)
}

// chunks shows which blocks are stored.
func (s *session) chunks() *line.Chunks {
	chunks := line.NewChunks(s.File.Size, blockSize)
	for i, b := range s.Blocks {
		if b.Context != "" || s.Made {
			chunks.Mark(i)
		}
	}
	return chunks
}

// missing are the blocks that Qiniu does not have, from 0.
func (s *session) missing() []int {
	var blocks []int
	for i, b := range s.Blocks {
		if b.Context == "" {
			blocks = append(blocks, i)
		}
	}
	return blocks
}

// span returns where a block begins in the file, and its length.
func (s *session) span(index int) (start, size int64) {
	start = int64(index) * blockSize
	return start, min(blockSize, s.File.Size-start)
}

func (s *session) ackedBytes() int64 {
	if s.Made {
		return s.File.Size
	}
	var bytes int64
	for i, b := range s.Blocks {
		if b.Context != "" {
			_, size := s.span(i)
			bytes += size
		}
	}
	return bytes
}

func (s *session) mkblkURL(index int) string {
	_, size := s.span(index)
	return s.qiniu + "/mkblk/" + strconv.FormatInt(size, 10)
}

func (s *session) mkfileURL() string {
	key := base64.URLEncoding.EncodeToString([]byte(s.Key))
	return s.qiniu + "/mkfile/" + strconv.FormatInt(s.File.Size, 10) + "/key/" + url.PathEscape(key)
}
