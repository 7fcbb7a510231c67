package bilibili

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// States of an archive on the real service.
const (
	StatePublic          = 0
	StateAwaiting        = -1
	StateReturned        = -2
	StateLocked          = -4
	StateEditAwaiting    = -6
	StateTranscodeFailed = -16
	StateInReview        = -30
	StateScheduled       = -40
)

var stateNames = map[int]string{
	StatePublic: "开放浏览", StateAwaiting: "待审", StateReturned: "已退回", StateLocked: "已锁定", StateEditAwaiting: "修改待审",
	StateTranscodeFailed: "转码失败", StateInReview: "审核中", StateScheduled: "定时发布",
}

// archive is a published unit made of parts.
type archive struct {
	aid     int64
	bvid    string
	mid     int64
	fields  map[string]any // what was submitted, numbers as json.Number
	body    []byte
	raw     submission
	created time.Time
	changed time.Time // last submit or edit
	aged    time.Time // the same on the clock of the archives
	listed  time.Time // when it appears in lists, on the clock of the archives
	edits   int
	fate    *Fate
	fixed   bool // state was set by SetArchiveState
	state   int
	reason  string
	videos  []video
}

// video is one part of an archive.
type video struct {
	Title    string `json:"title"`
	Filename string `json:"filename"`
	Desc     string `json:"desc"`
	CID      int64  `json:"cid"`
}

// Archive is what a client submitted, and what became of it.
type Archive struct {
	AID  int64  `json:"aid"`
	BVID string `json:"bvid"`
	MID  int64  `json:"mid"`
	// Frequently checked fields; Body has all of them.
	Title     string `json:"title"`
	TID       int64  `json:"tid"`
	Tag       string `json:"tag"`
	Copyright int64  `json:"copyright"`
	Source    string `json:"source"`
	Desc      string `json:"desc"`
	Dynamic   string `json:"dynamic"`
	Cover     string `json:"cover"`
	// DTime is the planned publication in seconds since 1970; 0: none.
	DTime  int64          `json:"dtime"`
	Videos []ArchiveVideo `json:"videos"`
	// State is one of the State… constants, as of the simulator's clock.
	State        int       `json:"state"`
	RejectReason string    `json:"reject_reason"`
	Created      time.Time `json:"created"`
	Changed      time.Time `json:"changed"`
	// Edits counts the accepted changes.
	Edits int `json:"edits"`
	// Body is the last accepted submission, exactly as it was sent.
	Body json.RawMessage `json:"body"`
}

// ArchiveVideo is one part of an archive.
type ArchiveVideo struct {
	Title    string `json:"title"`
	Filename string `json:"filename"`
	Desc     string `json:"desc"`
	CID      int64  `json:"cid"`
}

func (st *state) snapshotArchive(a *archive, now time.Time, options Options) Archive {
	_, reason := st.words(a, now, options)
	out := Archive{
		AID: a.aid, BVID: a.bvid, MID: a.mid, Title: a.raw.Title, TID: a.raw.TID, Tag: a.raw.Tag, Copyright: a.raw.Copyright,
		Source: a.raw.Source, Desc: a.raw.Desc, Dynamic: a.raw.Dynamic, Cover: a.raw.Cover, Videos: []ArchiveVideo{},
		State: st.stateOf(a, now, options), RejectReason: reason, Created: a.created, Changed: a.changed, Edits: a.edits,
		Body: slices.Clone(a.body),
	}
	if a.raw.DTime != nil {
		out.DTime = *a.raw.DTime
	}
	for _, v := range a.videos {
		out.Videos = append(out.Videos, ArchiveVideo(v))
	}
	return out
}

// Archives lists all archives in the order they were submitted.
func (s *Server) Archives() []Archive {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Archive, len(s.state.archives))
	for i, a := range s.state.archives {
		out[i] = s.state.snapshotArchive(a, s.now(), s.options)
	}
	return out
}

// WaitArchives blocks until at least n archives exist, and returns all.
func (s *Server) WaitArchives(ctx context.Context, n int) ([]Archive, error) {
	var archives []Archive
	err := s.Wait(ctx, func() bool {
		archives = s.Archives()
		return len(archives) >= n
	})
	return archives, err
}

// SetArchiveState decides an archive's state from now on, with the reason its owner is shown. An accepted edit ends it.
func (s *Server) SetArchiveState(aid int64, to int, reason string) error {
	var err error
	s.update(func(st *state) {
		a := st.archiveByAID(aid)
		if a == nil {
			err = fmt.Errorf("set state: there is no archive %d", aid)
			return
		}
		a.fixed, a.state, a.reason = true, to, reason
	})
	return err
}

// Submit is one call that wanted a new archive.
type Submit struct {
	Time    time.Time `json:"time"`
	MID     int64     `json:"mid"`
	Request int       `json:"request"`
	// Code is what was decided, 0 when AID was created. The client may have seen something else.
	Code int   `json:"code"`
	AID  int64 `json:"aid,omitempty"`
}

// Submits lists the calls that wanted a new archive and reached the service.
func (s *Server) Submits() []Submit {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.state.submits)
}

// create makes an archive out of a submission that was found to be right.
func (x *exchange) create(owner *account, sub submission, fields map[string]any) *archive {
	st := x.s.state
	a := &archive{
		aid: st.nextAID, bvid: bvid(st.nextAID), mid: owner.MID, created: x.s.now(),
	}
	st.nextAID++
	life := st.life.at(x.s.now())
	a.put(sub, fields, x.body, x.s.now(), life)
	a.listed, a.fate = life.Add(st.listLag), st.nextFate()
	st.archives = append(st.archives, a)
	return a
}

// put gives an archive its content. The cid of a part is the number its file got at preupload.
func (a *archive) put(sub submission, fields map[string]any, body []byte, now, life time.Time) {
	a.raw, a.fields, a.body, a.changed, a.aged = sub, fields, slices.Clone(body), now, life
	a.videos = slices.Clone(sub.Videos)
}

// bvid spells a number in the letters that public ids are made of. The simulator's ids are not those of the real service.
func bvid(aid int64) string {
	const letters = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	out := []byte("BV1000000000")
	for i := len(out) - 1; i > 2; i-- {
		out[i] = letters[aid%int64(len(letters))]
		aid /= int64(len(letters))
	}
	return string(out)
}

func (st *state) archiveByAID(aid int64) *archive {
	for _, a := range st.archives {
		if a.aid == aid {
			return a
		}
	}
	return nil
}

// archiveOf finds an archive by aid or bvid, when it belongs to the account.
func (st *state) archiveOf(owner *account, aid, bv string) *archive {
	for _, a := range st.archives {
		if a.mid == owner.MID && (fmt.Sprint(a.aid) == aid || (bv != "" && a.bvid == bv)) {
			return a
		}
	}
	return nil
}
