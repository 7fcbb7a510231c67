package bilibili

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// submission is the body of an add or edit call, as far as it is checked. A field that was sent as null is left at its zero
// value, as clients send null for what they do not set.
type submission struct {
	AID           int64       `json:"aid"`
	Copyright     int64       `json:"copyright"`
	Source        string      `json:"source"`
	TID           int64       `json:"tid"`
	Cover         string      `json:"cover"`
	Title         string      `json:"title"`
	DescFormatID  int64       `json:"desc_format_id"`
	Desc          string      `json:"desc"`
	DescV2        []descPiece `json:"desc_v2"`
	Dynamic       string      `json:"dynamic"`
	Subtitle      *subtitle   `json:"subtitle"`
	Tag           string      `json:"tag"`
	Videos        []video     `json:"videos"`
	DTime         *int64      `json:"dtime"`
	OpenSubtitle  bool        `json:"open_subtitle"`
	Interactive   int64       `json:"interactive"`
	MissionID     *int64      `json:"mission_id"`
	TopicID       *int64      `json:"topic_id"`
	Dolby         int64       `json:"dolby"`
	LosslessMusic int64       `json:"lossless_music"`
	NoReprint     int64       `json:"no_reprint"`
	IsOnlySelf    int64       `json:"is_only_self"`
	ChargingPay   int64       `json:"charging_pay"`
	Recreate      int64       `json:"recreate"`
	SelectReply   bool        `json:"up_selection_reply"`
	CloseReply    bool        `json:"up_close_reply"`
	CloseDanmu    bool        `json:"up_close_danmu"`
	HumanType2    *int64      `json:"human_type2"`
	Statement     *statement  `json:"creation_statement"`
}

// statement is what the author declares about own work; it belongs to what cannot be edited.
type statement struct {
	ID int64 `json:"id"`
}

type descPiece struct {
	Type    int64  `json:"type"`
	RawText string `json:"raw_text"`
	BizID   string `json:"biz_id"`
}

type subtitle struct {
	Open int64  `json:"open"`
	Lan  string `json:"lan"`
}

// rules are what differs between the ways to submit.
type rules struct {
	copyrights   []int64
	publishAfter time.Duration // least time until a planned publication
	needCID      bool
	tags         int    // at most
	kept         *int64 // a date that was accepted before need not be in the window again
}

var (
	rulesApp   = rules{copyrights: []int64{1, 2}, publishAfter: 4 * time.Hour, tags: maxTags}
	rulesWeb   = rules{copyrights: []int64{1, 2, 3}, publishAfter: 2 * time.Hour, tags: maxWebTags}
	rulesWebV3 = rules{copyrights: []int64{1, 2, 3}, publishAfter: 2 * time.Hour, needCID: true, tags: maxWebTags}
)

// Limits in characters and numbers.
const (
	maxTitle       = 80
	maxPartTitle   = 80
	maxDescription = 2000
	maxDynamic     = 233
	maxSource      = 200
	maxTags        = 12
	maxWebTags     = 10
	maxTagLength   = 20
	maxParts       = 100
	publishBefore  = 15 * 24 * time.Hour
)

// decodeSubmission reads the body, and again as it was sent for those fields that nobody checks.
func (x *exchange) decodeSubmission() (submission, map[string]any, int) {
	var sub submission
	var fields map[string]any
	if err := decodeJSON(x.body, &fields); err != nil {
		x.check(false, RuleBody, "the submission is not a JSON object: %v", err)
		return sub, nil, codeBadRequest
	}
	if err := json.Unmarshal(x.body, &sub); err != nil {
		x.check(false, RuleBody, "a field of the submission has the wrong type: %v", err)
		return sub, nil, codeBadRequest
	}
	return sub, fields, 0
}

// checkSubmission returns the code of the first thing that is wrong with a submission, and records all of them.
func (x *exchange) checkSubmission(sub submission, rules rules) int {
	code := 0
	need := func(holds bool, otherwise int, format string, args ...any) {
		if !x.check(holds, RuleSubmission, format, args...) && code == 0 {
			code = otherwise
		}
	}
	checkText(need, sub)
	checkSwitches(need, sub, rules)
	checkTags(need, sub.Tag, rules.tags)
	need(len(sub.Videos) > 0, codeNoVideos, "a submission needs at least one part")
	for i, v := range sub.Videos {
		need(!strings.ContainsFunc(v.Title, unicode.IsControl), codeParameter, "title of part %d, %q, holds control characters", i+1, v.Title)
		need(utf8.RuneCountInString(v.Title) <= maxPartTitle, codePartTitle, "title of part %d has more than %d characters", i+1, maxPartTitle)
		need(!rules.needCID || v.CID > 0, codeParameter, "part %d has no cid", i+1)
	}
	if code == 0 && sub.DTime != nil && *sub.DTime != 0 && (rules.kept == nil || *rules.kept != *sub.DTime) {
		wait := time.Unix(*sub.DTime, 0).Sub(x.s.now())
		need(*sub.DTime >= 1e9 && *sub.DTime < 1e10, codePublishTime, "dtime %d is not in seconds", *sub.DTime)
		if wait < rules.publishAfter || wait > publishBefore {
			code = codePublishTime // perhaps only because the upload took long, so no violation
		}
	}
	return code
}

type needFunc func(holds bool, otherwise int, format string, args ...any)

func checkText(need needFunc, sub submission) {
	title := utf8.RuneCountInString(sub.Title)
	need(strings.TrimSpace(sub.Title) != "", codeParameter, "title is empty")
	need(title <= maxTitle, codeTitle, "title has %d characters, at most %d are allowed", title, maxTitle)
	need(sub.Copyright == 2 || strings.TrimSpace(sub.Desc) != "", codeNoDescription, "own work needs a description")
	for name, text := range map[string]string{"title": sub.Title, "source": sub.Source, "tag": sub.Tag} {
		need(!strings.ContainsFunc(text, unicode.IsControl), codeParameter, "%s %q holds control characters", name, text)
	}
	for name, text := range map[string]string{"desc": sub.Desc, "dynamic": sub.Dynamic} {
		odd := strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' })
		need(!odd, codeParameter, "%s %q holds control characters", name, text)
	}
	need(utf8.RuneCountInString(sub.Desc) <= maxDescription, codeDescription, "desc has more than %d characters", maxDescription)
	need(utf8.RuneCountInString(sub.Dynamic) <= maxDynamic, codeParameter, "dynamic has more than %d characters", maxDynamic)
	need(sub.Copyright != 2 || strings.TrimSpace(sub.Source) != "", codeNoSource, "copyright 2 needs a source")
	need(utf8.RuneCountInString(sub.Source) <= maxSource, codeParameter, "source has more than %d characters", maxSource)
	need(sub.Cover == "" || isWebURL(sub.Cover), codeParameter, "cover %q is not the URL of an uploaded picture", sub.Cover)
	if sub.DescV2 == nil {
		return
	}
	rendered := ""
	for i, piece := range sub.DescV2 {
		need(piece.Type == 1 || piece.Type == 2, codeParameter, "type of desc_v2 piece %d is %d, not 1 (text) or 2 (mention)", i+1, piece.Type)
		need((piece.Type == 2) == (piece.BizID != ""), codeParameter, "biz_id of desc_v2 piece %d: mentions need one, text has none", i+1)
		if piece.Type == 2 {
			rendered += "@" + piece.RawText + " "
			continue
		}
		rendered += piece.RawText
	}
	need(rendered == sub.Desc, codeParameter, "desc %q is not desc_v2 as text, %q", sub.Desc, rendered)
}

func isWebURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && (u.Scheme == "" || u.Scheme == "http" || u.Scheme == "https")
}

func checkSwitches(need needFunc, sub submission, rules rules) {
	known := false
	for _, c := range rules.copyrights {
		known = known || sub.Copyright == c
	}
	need(known, codeParameter, "copyright is %d, it must be one of %v", sub.Copyright, rules.copyrights)
	need(sub.Copyright != 3 || sub.Statement != nil, codeParameter, "copyright 3 needs a creation_statement")
	need(sub.Copyright != 2 || sub.Statement == nil, codeParameter, "a repost has no creation_statement")
	if s := sub.Statement; s != nil {
		need(s.ID == -1 || s.ID >= 1 && s.ID <= 4, codeParameter, "creation_statement.id is %d, it must be -1 or 1 to 4", s.ID)
	}
	need(sub.HumanType2 == nil || *sub.HumanType2 > 1000, codeParameter, "human_type2 is no category")
	need(sub.TID > 0, codeParameter, "tid is %d, a category is needed", sub.TID)
	need(sub.Interactive == 0, codeParameter, "interactive is %d, it must be 0", sub.Interactive)
	for name, value := range map[string]int64{
		"dolby": sub.Dolby, "lossless_music": sub.LosslessMusic, "no_reprint": sub.NoReprint, "is_only_self": sub.IsOnlySelf,
		"charging_pay": sub.ChargingPay,
	} {
		need(value == 0 || value == 1, codeParameter, "%s is %d, it must be 0 or 1", name, value)
	}
	need(sub.Recreate >= -1 && sub.Recreate <= 1, codeParameter, "recreate is %d, it must be -1 or 1", sub.Recreate)
	need(sub.Subtitle == nil || sub.Subtitle.Open == 0 || sub.Subtitle.Open == 1, codeParameter, "subtitle.open must be 0 or 1")
}

func checkTags(need needFunc, list string, most int) {
	tags := strings.Split(list, ",")
	need(list != "", codeTags, "a submission needs at least one tag")
	need(len(tags) <= most, codeTags, "%d tags, at most %d are allowed", len(tags), most)
	for _, tag := range tags {
		need(list == "" || strings.TrimSpace(tag) != "", codeTags, "tag list %q has an empty tag", list)
		need(utf8.RuneCountInString(tag) <= maxTagLength, codeTags, "tag %q has more than %d characters", tag, maxTagLength)
	}
}

// checkFiles wants every part to be a file that this account uploaded completely, and that no other archive uses. The parts
// an edit keeps do not count as new.
func (x *exchange) checkFiles(sub submission, owner *account, edited *archive) int {
	code := 0
	fail := func(c int) {
		if code == 0 {
			code = c
		}
	}
	seen, fresh := map[string]bool{}, 0
	for i := range sub.Videos {
		v := &sub.Videos[i]
		o := x.s.state.byName[v.Filename]
		if problem := fileProblem(o, owner, *v); problem != "" {
			x.check(false, RuleUnknownFile, "part %d, %q: %s", i+1, v.Filename, problem)
			fail(codeParameter)
			continue
		}
		if !x.check(!seen[v.Filename], RuleUnknownFile, "part %d, %q: the file is listed twice", i+1, v.Filename) {
			fail(codeUsedElsewhere)
			continue
		}
		seen[v.Filename] = true
		v.CID = o.bizID
		switch user := x.s.state.userOf(v.Filename); {
		case user == nil:
			fresh++
		case user != edited:
			fail(codeUsedElsewhere) // what a client meets that was not sure whether its first try got through
		}
	}
	if !x.check(fresh <= maxParts, RuleSubmission, "%d new parts in one call, at most %d are allowed", fresh, maxParts) {
		fail(codeTooManyParts)
	}
	return code
}

func fileProblem(o *object, owner *account, v video) string {
	switch {
	case o == nil:
		return "no such file was uploaded"
	case o.mid != owner.MID:
		return fmt.Sprintf("the file belongs to account %d", o.mid)
	case o.completed == nil:
		return "the file is not complete"
	case v.CID != 0 && v.CID != o.bizID:
		return fmt.Sprintf("cid is %d, the file's is %d", v.CID, o.bizID)
	}
	return ""
}

// userOf is the archive that a file is a part of.
func (st *state) userOf(filename string) *archive {
	for _, a := range st.archives {
		for _, v := range a.videos {
			if v.Filename == filename {
				return a
			}
		}
	}
	return nil
}
