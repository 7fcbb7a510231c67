package bilibili

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MaxParts is how many parts one submission may have (code 21058 beyond it).
const MaxParts = 100

// Archive is what to submit. Field names are Bilibili's.
type Archive struct {
	// Via is the interface to submit through; empty: ViaApp.
	Via Via `json:"-"`

	Copyright    int      `json:"copyright"`
	Source       string   `json:"source"`
	TID          int      `json:"tid"`
	Cover        string   `json:"cover"`
	Title        string   `json:"title"`
	DescFormatID int      `json:"desc_format_id"`
	Desc         string   `json:"desc"`
	DescV2       []string `json:"desc_v2"`
	Dynamic      string   `json:"dynamic"`
	Subtitle     subtitle `json:"subtitle"`
	Tag          string   `json:"tag"`
	Videos       []Part   `json:"videos"`
	Dtime        *int64   `json:"dtime"`
	OpenSubtitle bool     `json:"open_subtitle"`
	Interactive  int      `json:"interactive"`
	MissionID    *int64   `json:"mission_id"`
	Dolby        int      `json:"dolby"`
	HiRes        int      `json:"lossless_music"`
	NoReprint    int      `json:"no_reprint"`
	IsOnlySelf   int      `json:"is_only_self"`
	ChargingPay  int      `json:"charging_pay"`
	UpSelection  bool     `json:"up_selection_reply"`
	UpCloseReply bool     `json:"up_close_reply"`
	UpCloseDanmu bool     `json:"up_close_danmu"`

	// HumanType2 is the category in Bilibili's newer list; the app's interfaces go by TID alone.
	HumanType2        int                `json:"human_type2,omitempty"`
	CreationStatement *CreationStatement `json:"creation_statement,omitempty"`
}

// CreationStatement is what an author declares about own work. It cannot be changed later.
//
// Source: biliLive-tools (packages/shared/src/task/bili.ts).
type CreationStatement struct {
	ID int `json:"id"`
}

const (
	// OtherWork is the copyright of own work with a declaration of its own, which only the web page knows.
	OtherWork = 3
	// NothingToDeclare is the creation statement that nothing has to be said.
	NothingToDeclare = -1
	// maxWebTags is how many tags the web page takes.
	maxWebTags = 10
)

// fit makes an archive one that an interface takes: OtherWork is submitted through the web page, which takes fewer tags, and so
// is what an account submits that has the cookies of a browser only, unless another interface is wanted.
func (a Archive) fit(account *Account) Archive {
	cookiesOnly := account.AccessToken == "" && account.Cookies[csrfCookie] != ""
	if a.Copyright == OtherWork || cookiesOnly && (a.Via == ViaApp || a.Via == "") {
		a.Via = ViaWeb
	}
	if tags := strings.Split(a.Tag, ","); a.Via == ViaWeb && len(tags) > maxWebTags {
		a.Tag = strings.Join(tags[:maxWebTags], ",")
	}
	return a
}

type subtitle struct {
	Open int    `json:"open"`
	Lan  string `json:"lan"`
}

// Part is one video of an archive.
type Part struct {
	Title    string `json:"title"`
	Filename string `json:"filename"`
	Desc     string `json:"desc"`
	CID      int64  `json:"cid,omitempty"`
}

// Accepted names an archive that exists.
type Accepted struct {
	AID  int64  `json:"aid"`
	BVID string `json:"bvid"`
}

// ErrNoArchive means that the account has no archive with these parts.
var ErrNoArchive = errors.New("no such archive")

// lookBack is how much older than the submit an archive may seem: clocks differ.
const lookBack = time.Hour

// maxPages bounds one search. Ten archives are on a page, and an account may submit some ten a day.
const maxPages = 100

// Find looks for the archive that an earlier submit of these parts created: the newest ones are listed page by page
// (parallel pages are refused, so one search runs at a time) and those created since are looked into. An archive that
// has only some of the parts is an error of its own: nothing can be made of the rest without a person.
// ErrNoArchive is only answered when all of them were seen.
func (c *Client) Find(ctx context.Context, account *Account, parts []string, since time.Time) (Accepted, error) {
	select {
	case c.finding <- struct{}{}:
		defer func() { <-c.finding }()
	case <-ctx.Done():
		return Accepted{}, ctx.Err()
	}
	for page := 1; page <= maxPages; page++ {
		listed, more, err := c.listPage(ctx, account, page)
		if err != nil {
			return Accepted{}, err
		}
		// An old one may be listed before newer ones, when it was edited or is published only now.
		recent := slices.DeleteFunc(listed, func(entry listedArchive) bool {
			return time.Unix(entry.Created, 0).Before(since.Add(-lookBack))
		})
		for _, entry := range recent {
			same, err := c.hasParts(ctx, account, entry.Accepted, parts)
			if err != nil {
				return Accepted{}, err
			}
			if same {
				return entry.Accepted, nil
			}
		}
		if !more || len(recent) == 0 {
			return Accepted{}, ErrNoArchive
		}
	}
	return Accepted{}, fmt.Errorf("the archive is not among the newest %d pages of the list, and there are more", maxPages)
}

type listedArchive struct {
	Accepted
	Created int64 `json:"ctime"`
}

func (c *Client) listPage(ctx context.Context, account *Account, page int) ([]listedArchive, bool, error) {
	var answer struct {
		Page struct {
			PN    int `json:"pn"`
			PS    int `json:"ps"`
			Count int `json:"count"`
		} `json:"page"`
		Audits []struct {
			Archive listedArchive `json:"Archive"`
		} `json:"arc_audits"`
	}
	query := url.Values{"status": {"is_pubing,pubed,not_pubed"}, "pn": {strconv.Itoa(page)}}
	err := c.do(ctx, call{
		method: http.MethodGet, base: c.options.MemberURL, path: "/x/web/archives",
		query: query, cookies: account.Cookies, agent: webAgent,
	}, &answer)
	if err != nil {
		return nil, false, fmt.Errorf("list archives: %w", err)
	}
	listed := make([]listedArchive, 0, len(answer.Audits))
	for _, audit := range answer.Audits {
		listed = append(listed, audit.Archive)
	}
	return listed, answer.Page.PN*answer.Page.PS < answer.Page.Count, nil
}

// hasParts tells whether an archive has these parts. It may have more by now: a file is in one archive at most.
func (c *Client) hasParts(ctx context.Context, account *Account, archive Accepted, parts []string) (bool, error) {
	seen, err := c.View(ctx, account, archive)
	if err != nil {
		return false, err
	}
	has := 0
	names := seen.Filenames()
	for _, part := range parts {
		if slices.Contains(names, part) {
			has++
		}
	}
	if has > 0 && has < len(parts) {
		return false, fmt.Errorf("archive %s has %d of these %d parts: somebody made or changed it by hand; remove the parts from it, or add the others to it",
			archive.BVID, has, len(parts))
	}
	return has > 0, nil
}
