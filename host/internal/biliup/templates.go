package biliup

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/lubod/lubod/host/internal/reason"
)

// templateNames are biliup's names for fields of a template.
var templateNames = map[string]string{
	"source": "copyright_source", "desc": "description", "cover": "cover_path", "tag": "tags", "open_elec": "charging_pay",
}

// templateFields have the same name and meaning in both.
var templateFields = []string{"template_name", "title", "tid", "copyright", "dynamic", "dolby", "hires", "no_reprint", "user_cookie"}

// withoutEffect are fields that change how an archive is published, in ways that are not possible here: unset they
// say nothing, and set they must not be dropped, since the archive would come out otherwise than its owner believes.
var withoutEffect = map[string]string{
	"dtime":              reason.BiliupNoLater,
	"is_only_self":       reason.BiliupNoSelf,
	"up_selection_reply": reason.BiliupNoCommentSelection,
	"up_close_reply":     reason.BiliupNoCommentClosing,
	"up_close_danmu":     reason.BiliupNoDanmakuClosing,
	"credits":            reason.BiliupNoCredits,
	"mission_id":         reason.BiliupNoMission,
}

func listTemplates(c *call) error {
	var ours []object
	if err := c.ask(http.MethodGet, "/api/v1/upload_streamers", nil, &ours); err != nil {
		return err
	}
	theirs := make([]object, 0, len(ours))
	for _, one := range ours {
		theirs = append(theirs, templateOut(one))
	}
	return c.answer(theirs)
}

func getTemplate(c *call) error { return c.oneTemplate(http.MethodGet) }

func (c *call) oneTemplate(method string) error {
	id, err := c.id()
	if err != nil {
		return err
	}
	var ours object
	if err := c.ask(method, "/api/v1/upload_streamers/"+id, nil, &ours); err != nil {
		return err
	}
	return c.answer(templateOut(ours))
}

func deleteTemplate(c *call) error {
	id, err := c.id()
	if err != nil {
		return err
	}
	if err := c.ask(http.MethodDelete, "/api/v1/upload_streamers/"+id, nil, nil); err != nil {
		return err
	}
	return c.answer(nil)
}

// saveTemplate creates a template, or replaces all fields of the one that the id names.
func saveTemplate(c *call) error {
	c.names = templateNames
	theirs, err := c.body(http.MethodPost, "/api/v1/upload_streamers")
	if err != nil {
		return err
	}
	ours, err := c.templateIn(theirs)
	if err != nil {
		return err
	}
	if id := theirs["id"]; !isNull(id) {
		ours["id"] = id
	}
	var after object
	if err := c.ask(http.MethodPost, "/api/v1/upload_streamers", ours, &after); err != nil {
		return err
	}
	return c.answer(templateOut(after))
}

// templateOut is a template in biliup's shape.
func templateOut(ours object) object {
	theirs := object{"id": ours["id"], "uploader": encoded("biliup-rs"), "tags": encoded(splitTags(valueOf[string](ours["tag"])))}
	for _, field := range templateFields {
		theirs[field] = ours[field]
	}
	for field, name := range templateNames {
		if field != "tag" {
			theirs[name] = ours[field]
		}
	}
	for field := range withoutEffect {
		if field != "mission_id" {
			theirs[field] = null
		}
	}
	theirs["extra_fields"] = extraOut(ours)
	return theirs
}

// extraOut is what biliup keeps as a text of JSON because it has no field of its own for it.
func extraOut(ours object) json.RawMessage {
	extra := object{}
	if category := ours["human_type2"]; !isNull(category) {
		extra["human_type2"] = category
	}
	if statement := ours["creation_statement"]; !isNull(statement) {
		extra["creation_statement"] = encoded(object{"id": statement})
	}
	if len(extra) == 0 {
		return null
	}
	return encoded(string(encoded(extra)))
}

// extraIn reads biliup's extra_fields into the fields that we have for them. An empty text clears them, null leaves them.
func extraIn(raw json.RawMessage, ours object) error {
	if isNull(raw) {
		return nil
	}
	text := string(raw)
	if strings.HasPrefix(text, `"`) {
		text = strings.TrimSpace(valueOf[string](raw))
	}
	extra := object{}
	if text != "" && json.Unmarshal([]byte(text), &extra) != nil {
		return invalid("extra_fields", reason.BiliupExtra, "example", `{"human_type2":1011}`)
	}
	ours["human_type2"], ours["creation_statement"] = orAbsent(extra["human_type2"]), orAbsent(extra["creation_statement"])
	var statement struct {
		ID json.RawMessage `json:"id"`
	}
	if json.Unmarshal(extra["creation_statement"], &statement) == nil && len(statement.ID) > 0 {
		ours["creation_statement"] = statement.ID
	}
	delete(extra, "human_type2")
	delete(extra, "creation_statement")
	for field := range extra {
		return invalid("extra_fields", reason.BiliupExtraField, "field", field)
	}
	return nil
}

func splitTags(text string) []string {
	tags := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '，' })
	for i := range tags {
		tags[i] = strings.TrimSpace(tags[i])
	}
	return slices.DeleteFunc(append([]string{}, tags...), func(tag string) bool { return tag == "" })
}

// templateIn turns biliup's template into ours, without its id.
func (c *call) templateIn(theirs object) (object, error) {
	ours := make(object)
	for _, field := range templateFields {
		if value, ok := theirs[field]; ok || field != "template_name" {
			ours[field] = orAbsent(value)
		}
	}
	for field, name := range templateNames {
		ours[field] = orAbsent(theirs[name])
	}
	for field, why := range withoutEffect {
		if !isUnset(theirs[field]) {
			return nil, invalid(field, why)
		}
	}
	if strings.EqualFold(strings.TrimSpace(valueOf[string](theirs["uploader"])), "noop") {
		return nil, invalid("uploader", reason.BiliupPublishesNothing)
	}
	if err := extraIn(theirs["extra_fields"], ours); err != nil {
		return nil, err
	}
	tags, err := tagsIn(theirs["tags"])
	if err != nil {
		return nil, err
	}
	ours["tag"] = tags
	return ours, nil
}

func orAbsent(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return null
	}
	return raw
}

// tagsIn joins tags; a text is taken as it is.
func tagsIn(raw json.RawMessage) (json.RawMessage, error) {
	if isNull(raw) || strings.HasPrefix(string(raw), `"`) {
		return orAbsent(raw), nil
	}
	var tags []string
	if err := json.Unmarshal(raw, &tags); err != nil {
		return nil, invalid("tags", reason.BiliupTags)
	}
	return encoded(strings.Join(tags, ",")), nil
}
