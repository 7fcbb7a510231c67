// Command extractor-bilibili tells what is live in a room of live.bilibili.com and where the media can be fetched.
//
// The platform has no official description of these calls. They are what its own web page sends, as documented for
// example at https://github.com/SocialSisterYi/bilibili-API-collect.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/extractor"
	"github.com/lubod/lubod/sdk/fetch"
)

var info = sdk.Info{
	Name:           "bilibili",
	Version:        "1.0.0",
	OptionPrefixes: []string{"bili_"},
	Match: []string{
		// A room by number, also as the h5 and the blank page show it. Other pages of the host are no rooms.
		`^(?:(?i:https?)://)?(?i:live\.bilibili\.com)/(?:(?i:h5|blanc)/)?0*(?P<room>[1-9][0-9]{0,17})(?:[/?#].*)?$`,
		`^(?:(?i:https?)://)?(?i:www\.bilibili\.com)/0*(?P<room>[1-9][0-9]{0,17})(?:[/?#].*)?$`,
		`^(?:(?i:https?)://)?(?i:b23\.tv)/(?P<short>[0-9A-Za-z]{1,64})/?(?:[?#].*)?$`,
	},
	Examples: []string{"https://live.bilibili.com/123456", "https://b23.tv/AbCd123"},
}

// userAgent is that of a desktop browser. The media servers get the same one as the API.
const userAgent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"

const (
	connectTimeout = 10 * time.Second
	answerTimeout  = 15 * time.Second
	answerBytes    = 4 << 20
)

func main() { extractor.Serve(info, newBilibili) }

// bilibili is shared by all calls. What it keeps are caches: without them it answers the same, with more requests.
type bilibili struct {
	base      options
	client    *fetch.Client
	transport http.RoundTripper
	polite    *gate
	keys      *keyring
	visitor   *visitor
	rooms     *roomCache
	now       func() time.Time
}

func newBilibili(ctx context.Context, opts options) (*bilibili, error) {
	opts, err := opts.checked()
	if err != nil {
		return nil, err
	}
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.MaxIdleConnsPerHost = 4
	base.IdleConnTimeout = 30 * time.Second
	base.TLSHandshakeTimeout = connectTimeout
	base.ResponseHeaderTimeout = answerTimeout
	context.AfterFunc(ctx, base.CloseIdleConnections)
	transport := fetch.SourceGuard().Transport(base, net.Dialer{Timeout: connectTimeout})
	b := &bilibili{
		base:      opts,
		transport: transport,
		client: fetch.New("", fetch.WithTransport(transport), fetch.WithUserAgent(userAgent),
			fetch.WithTimeout(answerTimeout), fetch.WithMaxBytes(answerBytes)),
		now: time.Now,
	}
	b.polite = newGate(time.Duration(opts.Interval)*time.Millisecond, b.clock)
	b.rooms = &roomCache{}
	b.keys = newKeyring(b)
	b.visitor = newVisitor(b)
	return b, nil
}

func (b *bilibili) clock() time.Time { return b.now() }

// Resolve asks for the state of the room and, when it is live, for its streams.
func (b *bilibili) Resolve(ctx context.Context, ref extractor.Ref) (extractor.Status, error) {
	opts, err := b.base.ofRoom(ref)
	if err != nil {
		return extractor.Offline, err
	}
	number, err := b.number(ctx, ref.Groups)
	if err != nil {
		return extractor.Offline, err
	}
	s, err := b.newSession(opts, ref.Credentials)
	if err != nil {
		return extractor.Offline, err
	}
	status, err := s.resolve(ctx, number, ref.Purpose)
	if sdk.KindOf(err) == sdk.LoginRequired && s.loggedIn() {
		// A login that has ended gives no more than none: what everybody may see is recorded all the same.
		s.login = nil
		if seen, problem := s.resolve(ctx, number, ref.Purpose); problem == nil {
			sdk.Logger(ctx).WarnContext(ctx, "the login is not accepted any more; the room is watched without it", "room", number, "error", err)
			return seen, nil
		}
	}
	if err != nil {
		return extractor.Offline, fmt.Errorf("room %s: %w", number, err)
	}
	return status, nil
}

func (s *session) resolve(ctx context.Context, number string, purpose extractor.Purpose) (extractor.Status, error) {
	r, err := s.room(ctx, number)
	if err != nil || r.state != stateLive {
		return r.absent(), err
	}
	live := extractor.Status{
		State: extractor.StateLive, RoomID: r.name(), BroadcastID: r.broadcast, Title: r.title, Streamer: r.streamer,
		AvatarURL: r.avatar, CoverURL: r.cover, Category: r.category, StartedAt: r.startedAt,
	}
	if purpose == extractor.PurposePoll {
		return live, nil
	}
	live.Streams, err = s.streams(ctx, r)
	if err != nil || live.Streams == nil { // nil: ended between the two questions
		return extractor.Status{RoomID: r.name()}, err
	}
	return live, nil
}

// name is the same for all spellings of a room's address: its long number.
func (r room) name() string {
	if r.id == 0 {
		return ""
	}
	return strconv.FormatInt(r.id, 10)
}

// absent is the answer for a room that is not live.
func (r room) absent() extractor.Status {
	status := extractor.Status{RoomID: r.name()}
	if r.state == stateLoop {
		status.State = extractor.StateReplay
	}
	return status
}
