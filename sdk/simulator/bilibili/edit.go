package bilibili

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// appEdit changes an archive the way the Android app does.
func (x *exchange) appEdit() *answer {
	owner, refusal := x.appCaller(BiliTV, "BiliDroid", appParameters)
	if refusal != nil {
		return refusal
	}
	return x.edit(owner, rulesApp)
}

// webEdit changes an archive the way the web page does.
func (x *exchange) webEdit() *answer {
	owner, refusal := x.webCaller()
	if refusal != nil {
		return refusal
	}
	return x.edit(owner, rulesWebV3)
}

// edit replaces the content of an archive. Parts that are left out are removed, as on the real service.
func (x *exchange) edit(owner *account, rules rules) *answer {
	sub, fields, code := x.decodeSubmission()
	if code != 0 {
		return x.failure(code, message(code))
	}
	a := x.s.state.archiveByAID(sub.AID)
	if a != nil && a.mid != owner.MID {
		a = nil
	}
	if !x.check(a != nil, RuleSubmission, "the account has no archive with aid %d", sub.AID) {
		return x.failure(codeNotFound, message(codeNotFound))
	}
	rules.kept = a.raw.DTime
	code = x.checkSubmission(sub, rules)
	if code == 0 {
		code = x.checkFiles(sub, owner, a)
	}
	x.checkKept(a, fields)
	if code == 0 && len(sub.Videos) > x.s.options.MaxArchiveParts {
		code = codeTooManyParts // no client can know, so no violation
	}
	if code == 0 && (x.refused() || x.s.state.stateOf(a, x.s.now(), x.s.options) == StateLocked) {
		code = codeBadRequest
	}
	if code != 0 {
		return x.failure(code, message(code))
	}
	delete(fields, newField)
	if category, had := a.fields["human_type2"]; had && sub.HumanType2 == nil {
		fields["human_type2"] = category // web clients leave it out, and it stays
	}
	a.put(sub, fields, x.body, x.s.now(), x.s.state.life.at(x.s.now()))
	a.edits++
	a.fate, a.fixed, a.reason = nil, false, ""
	return success(map[string]any{"aid": a.aid, "bvid": a.bvid})
}

// newField stands for the fields that the real service adds to archives before any client knows them. An edit that does not
// send it back, digit by digit, has lost what the owner of the archive set somewhere else.
const newField = "field_of_a_later_year"

func newFieldValue(a *archive) any {
	return map[string]any{"kept": json.Number("9007199254740993"), "of": json.Number(fmt.Sprint(a.aid)), "none": nil}
}

// dropped are the fields of a view that maintained clients leave out of an edit.
var dropped = []string{"limited_free", "recreate", "human_type2", "activity", "attrs", "tp_info"}

// checkKept looks for what the view of the archive showed and the edit does not say any more: the service would forget it.
func (x *exchange) checkKept(a *archive, sent map[string]any) {
	shown := x.describe(a, x.s.state.stateOf(a, x.s.now(), x.s.options))
	for _, name := range slices.Sorted(maps.Keys(shown)) {
		_, ok := sent[name]
		x.check(ok || slices.Contains(dropped, name), RuleEdit, "the field %s of the archive is not sent back, and would be lost", name)
	}
	want, _ := json.Marshal(newFieldValue(a))
	got, _ := json.Marshal(sent[newField])
	x.check(string(got) == string(want), RuleEdit, "%s is sent back as %s, it was %s", newField, got, want)
	_, back := sent["limited_free"]
	x.check(!back, RuleEdit, "limited_free is sent back, which clients have to leave out")
}
