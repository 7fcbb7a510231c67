package main

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/line"
)

// options of the plugin, as an operator sets them.
type options struct {
	MemberURL string   `json:"member_url" default:"https://member.bilibili.com" env:"LUBOD_BILIBILI_MEMBER_URL" en:"Base URL of Bilibili's creator centre. Change it only for tests: with an http URL, the other hosts are reached over http too." zh:"B 站创作中心的基础地址，仅测试时需要修改；使用 http 地址时，其他主机也走 http。"`
	UserAgent string   `json:"user_agent" default:"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36" en:"User-Agent header of all requests." zh:"所有请求使用的 User-Agent。"`
	Buckets   []string `json:"buckets" default:"bvcupcdnkodobm" pattern:"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$" en:"Buckets of Bilibili at Qiniu, in order: when one is not offered, or gone, the next one is tried. Known ones are bvcupcdnkodobm, bvcupcdnkodohd, bvcupcdnkodohb and bvcupcdnkodohn." zh:"B 站在七牛云的存储空间，按顺序尝试：前一个不提供或已不存在时使用下一个。已知的有 bvcupcdnkodobm、bvcupcdnkodohd、bvcupcdnkodohb、bvcupcdnkodohn。"`
	Hosts     []string `json:"hosts" pattern:"^[A-Za-z0-9][A-Za-z0-9.-]{0,252}(:[0-9]{1,5})?$" en:"Upload hosts of Qiniu to use instead of the one that Bilibili names, in order: when one does not work, the next one is tried, from the start of the file." zh:"代替 B 站所给主机的七牛云上传主机，按顺序尝试：前一个不可用时使用下一个，并从文件开头重新上传。"`
}

const (
	// accountCookie holds the number of the account that is logged in.
	accountCookie = "DedeUserID"
	// maxThreads is how many blocks of a file may be under way at once.
	maxThreads = 8
)

// kodo speaks Bilibili's fetch mode: preupload, mkblk, mkfile, fetch. It is not officially documented; sources are biliup
// (bili_webup.py) and biliup-rs. It is safe for concurrent use.
type kodo struct {
	member *url.URL
	routes []route
	client *client
	log    *slog.Logger
	now    func() time.Time

	callRetry   patience // preupload
	blockRetry  patience // one block; its deadline depends on its size
	finishRetry patience // mkfile and fetch, for which the other side moves the whole file
}

// route is one way for the blocks of a file.
type route struct{ bucket, host string } // host "": the one that the preupload names

var _ line.Line = (*kodo)(nil)

func newKodo(_ context.Context, o options) (*kodo, error) {
	member, err := url.Parse(strings.TrimRight(o.MemberURL, "/"))
	if err != nil || (member.Scheme != "http" && member.Scheme != "https") || member.Host == "" ||
		member.User != nil || member.RawQuery != "" || member.Fragment != "" {
		return nil, sdk.Errorf(sdk.InvalidOption, "member_url has to be a plain http or https URL such as https://member.bilibili.com")
	}
	if len(o.Buckets) == 0 {
		return nil, sdk.Errorf(sdk.InvalidOption, "buckets has to name at least one bucket")
	}
	return &kodo{
		member:      member,
		routes:      routesOf(o),
		client:      newClient(o.UserAgent),
		log:         slog.Default(),
		now:         time.Now,
		callRetry:   patience{tries: 5, first: 2 * time.Second, most: 64 * time.Second, timeout: 60 * time.Second},
		blockRetry:  patience{tries: 5, first: 2 * time.Second, most: 64 * time.Second, timeout: 60 * time.Second},
		finishRetry: patience{tries: 4, first: 15 * time.Second, most: 15 * time.Second, timeout: 10 * time.Minute},
	}, nil
}

func routesOf(o options) []route {
	hosts := o.Hosts
	if len(hosts) == 0 {
		hosts = []string{""}
	}
	var routes []route
	for _, bucket := range o.Buckets {
		for _, host := range hosts {
			routes = append(routes, route{bucket, host})
		}
	}
	return routes
}

// Upload implements line.Line. It begins anew over each route at most once, and once more for a session that the storage
// gave up: an endless circle of new sessions would send a file again and again.
func (k *kodo) Upload(ctx context.Context, file line.File, report func(line.Progress) error) (line.Result, error) {
	src, err := line.OpenSource(file.Path)
	if err != nil {
		return line.Result{}, err
	}
	defer func() { _ = src.Close() }()
	if blocks := blockCount(src.Size()); blocks > maxBlocks {
		return line.Result{}, sdk.Errorf(sdk.Unsupported, "the file has %d blocks, this line takes %d", blocks, maxBlocks)
	}
	s := k.resume(file, src)
	routes := slices.Clone(k.routes)
	for startedOver := false; ; {
		s, err = k.attempt(ctx, s, routes[0], file, src, report)
		if err == nil {
			return line.Result{RemoteName: s.Name, RemoteID: s.BizID}, nil
		}
		rest := without(routes, used(s, routes[0]), err)
		switch {
		case ctx.Err() != nil:
			return line.Result{}, ctx.Err()
		case !startedOver && helps(err, s):
			startedOver = true
		case len(rest) > 0:
			routes = rest
		default:
			return line.Result{}, err
		}
		k.log.WarnContext(ctx, "upload starts over", "file", src.Path(), "bucket", routes[0].bucket, "host", routes[0].host, "reason", err)
		s = nil
	}
}

// attempt goes on with a session, or with a new one over a route where there is none. It returns the one it used.
func (k *kodo) attempt(
	ctx context.Context, s *session, r route, file line.File, src *line.Source, report func(line.Progress) error,
) (*session, error) {
	if s == nil {
		var err error
		if s, err = k.begin(ctx, r, file, src); err != nil {
			return nil, err
		}
	}
	return s, newTransfer(k, s, src, report).run(ctx, atOnce(file.Threads))
}

// helps: beginning anew can help where what was granted is too old, or where it is from an earlier run. A refusal of what has
// just been granted would only repeat itself.
func helps(err error, s *session) bool {
	return errors.Is(err, errExpired) || (errors.Is(err, errStale) && s != nil && s.resumed)
}
