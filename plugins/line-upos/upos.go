package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/line"
)

// options of the plugin, as an operator sets them.
type options struct {
	MemberURL string `json:"member_url" default:"https://member.bilibili.com" env:"LUBOD_BILIBILI_MEMBER_URL" en:"Base URL of Bilibili's creator centre. Change it only for tests: with an http URL, lines are reached over http too." zh:"B 站创作中心的基础地址，仅测试时需要修改；使用 http 地址时，上传线路也走 http。"`
	UserAgent string `json:"user_agent" default:"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36" en:"User-Agent header of all requests." zh:"所有请求使用的 User-Agent。"`
}

// accountCookie holds the number of the account that is logged in.
const accountCookie = "DedeUserID"

// maxThreads is how many chunks may be under way at once; some lines refuse more.
const maxThreads = 8

// upos speaks the upos protocol of Bilibili's storage: preupload, init, chunks, complete. It is not officially
// documented; sources are biliup (crates/biliup/src/uploader/line/upos.rs) and bilibili-API-collect
// (creativecenter/upload.md). It is safe for concurrent use.
type upos struct {
	member *url.URL
	client *client
	log    *slog.Logger
	now    func() time.Time

	callRetry     patience // preupload and init
	chunkRetry    patience // one chunk; its deadline depends on its size
	completeRetry patience
	probeLimits   probeLimits
}

var (
	_ line.Line   = (*upos)(nil)
	_ line.Prober = (*upos)(nil)
)

func newUpos(_ context.Context, o options) (*upos, error) {
	member, err := url.Parse(strings.TrimRight(o.MemberURL, "/"))
	if err != nil || (member.Scheme != "http" && member.Scheme != "https") || member.Host == "" ||
		member.User != nil || member.RawQuery != "" || member.Fragment != "" {
		return nil, sdk.Errorf(sdk.InvalidOption, "member_url has to be a plain http or https URL such as https://member.bilibili.com")
	}
	return &upos{
		member:        member,
		client:        newClient(o.UserAgent),
		log:           slog.Default(),
		now:           time.Now,
		callRetry:     patience{tries: 5, first: 2 * time.Second, most: 64 * time.Second, timeout: 60 * time.Second},
		chunkRetry:    patience{tries: 5, first: 2 * time.Second, most: 64 * time.Second, timeout: 60 * time.Second},
		completeRetry: patience{tries: 6, first: 15 * time.Second, most: 15 * time.Second, timeout: 120 * time.Second},
		probeLimits:   probeLimits{list: 5 * time.Second, line: 4 * time.Second, total: 20 * time.Second},
	}, nil
}

// Close ends idle connections.
func (u *upos) Close() error { //nolint:unparam // io.Closer, by which the SDK finds it
	u.client.close()
	return nil
}

// Upload implements line.Line. A session that the storage gave up is replaced by a new one, once: an endless circle of
// new sessions would send a file again and again.
func (u *upos) Upload(ctx context.Context, file line.File, report func(line.Progress) error) (line.Result, error) {
	target, ok := lineNamed(file.Line)
	if !ok {
		return line.Result{}, sdk.Errorf(sdk.Unsupported, "line %q is not one of %s", file.Line, strings.Join(lineNames(), ", "))
	}
	src, err := line.OpenSource(file.Path)
	if err != nil {
		return line.Result{}, err
	}
	defer func() { _ = src.Close() }()

	s := u.resume(file, src)
	for startedOver := false; ; startedOver = true {
		if s == nil {
			if s, err = u.begin(ctx, target, file, src); err != nil {
				return line.Result{}, publicError(err)
			}
		}
		t := newTransfer(u, s, src, report)
		err = t.run(ctx, atOnce(file.Threads))
		if err == nil {
			return line.Result{RemoteName: s.remoteName(), RemoteID: s.BizID}, nil
		}
		var gone *goneError
		if !errors.As(err, &gone) || startedOver || !gone.helps(s.resumed) {
			return line.Result{}, publicError(err)
		}
		u.log.WarnContext(ctx, "upload starts over", "line", target.name, "file", src.Path(), "reason", gone.Error())
		s = nil
	}
}

// atOnce is how many chunks are sent at once when the host asks for threads.
func atOnce(threads int) int { return min(max(threads, 1), maxThreads) }

// resume returns the session that the host's checkpoint describes, nil when it cannot be continued.
func (u *upos) resume(file line.File, src *line.Source) *session {
	if len(file.Checkpoint) == 0 {
		return nil
	}
	s, err := decodeSession(file.Checkpoint)
	if err == nil {
		err = u.usable(s, file, src)
	}
	if err != nil {
		u.log.Info("checkpoint cannot be used, upload starts over", "line", file.Line, "file", src.Path(), "reason", err)
		return nil
	}
	s.resumed, s.mayBeComplete = true, s.acked.full()
	return s
}

func (u *upos) usable(s *session, file line.File, src *line.Source) error {
	if s.Line != file.Line {
		return fmt.Errorf("it belongs to line %q", clip(s.Line, 20))
	}
	if s.Account != file.Cookies[accountCookie] {
		return errors.New("it belongs to another account, which could not submit the file for this one")
	}
	if s.File != src.Identity() {
		return errors.New("the file changed since")
	}
	if age := u.now().Sub(time.UnixMilli(s.AuthUnixMS)); age > maxAuthAge {
		return fmt.Errorf("its authorisation is %s old", age.Round(time.Minute))
	}
	return s.locate(u.member.Scheme)
}

// begin asks for a place for the file and opens it for chunks.
func (u *upos) begin(ctx context.Context, target uposLine, file line.File, src *line.Source) (*session, error) {
	s, err := u.preupload(ctx, target, file, src)
	if err != nil {
		return nil, err
	}
	if s.UploadID, err = u.init(ctx, s); err != nil {
		return nil, err
	}
	u.log.DebugContext(ctx, "upload began", "line", target.name, "endpoint", s.Endpoint, "file", src.Path(), "chunk_size", s.ChunkSize)
	return s, nil
}

// announcedName is the name in the form the server understands: one path segment of valid UTF-8.
func announcedName(file line.File) string {
	name := file.Name
	if name == "" {
		name = file.Path
	}
	return strings.ToValidUTF8(filepath.Base(name), "_")
}
