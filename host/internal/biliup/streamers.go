package biliup

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"

	"github.com/lubod/lubod/host/internal/reason"
	"github.com/lubod/lubod/host/internal/settings"
)

// streamerNames are biliup's names for fields of a streamer.
var streamerNames = map[string]string{
	"template_name": "upload_streamers_id", "split_size": "file_size", "split_time": "segment_time", "download_limit": "pool1_size", "upload_limit": "pool2_size",
}

// streamerFields have the same name and meaning in both.
var streamerFields = []string{"filename_prefix", "format", "time_range", "excluded_keywords", "preprocessor", "segment_processor", "downloaded_processor", "postprocessor"}

// shownOnly are fields of a streamer that its page got from the list and sends back.
var shownOnly = []string{"status", "upload_status", "statusTag", "reason"}

// streamer is one of the API.
type streamer struct {
	object
}

func (s streamer) id() int64            { return valueOf[int64](s.object["id"]) }
func (s streamer) templateName() string { return valueOf[string](s.object["template_name"]) }

// state is what the API lists: a streamer and what it does.
type state struct {
	Status       string  `json:"status"`
	UploadStatus string  `json:"upload_status"`
	Reason       *string `json:"reason"`
	Inner        object  `json:"inner"`
}

// templates are those there are, by the API's order.
type templates []struct {
	ID   int64  `json:"id"`
	Name string `json:"template_name"`
}

func (t templates) byName(name string) *int64 {
	for _, one := range t {
		if one.Name == name {
			return &one.ID
		}
	}
	return nil
}

func (t templates) byID(id int64) (name string, ok bool) {
	for _, one := range t {
		if one.ID == id {
			return one.Name, true
		}
	}
	return "", false
}

// surroundings are what a streamer is shown and read with.
type surroundings struct {
	templates     templates
	configuration object
}

func (c *call) surroundings() (with surroundings, err error) {
	if err := c.ask(http.MethodGet, "/api/v1/upload_streamers", nil, &with.templates); err != nil {
		return with, err
	}
	return with, c.ask(http.MethodGet, "/api/v1/configuration", nil, &with.configuration)
}

func listStreamers(c *call) error {
	var states []state
	if err := c.ask(http.MethodGet, "/api/v1/streamers", nil, &states); err != nil {
		return err
	}
	with, err := c.surroundings()
	if err != nil {
		return err
	}
	flat := make([]object, 0, len(states))
	for _, one := range states {
		flat = append(flat, one.flat(with))
	}
	return c.answer(flat)
}

// flat is a streamer with its state, in one object.
func (s state) flat(with surroundings) object {
	theirs := flat(streamer{s.Inner}, with)
	theirs["status"], theirs["upload_status"] = encoded(s.Status), encoded(uploadStatus(s.UploadStatus))
	if s.Reason != nil {
		theirs["reason"] = encoded(*s.Reason)
	}
	return theirs
}

// uploadStatus is "Pending" for biliup while files are on their way: its page marks a room by that word.
func uploadStatus(ours string) string {
	if ours == "Working" {
		return "Pending"
	}
	return ours
}

// flat is a streamer in biliup's shape.
func flat(ours streamer, with surroundings) object {
	theirs := object{
		"id": ours.object["id"], "url": ours.object["url"], "remark": ours.object["remark"], "opt_args": null,
		"upload_streamers_id": encoded(with.templates.byName(ours.templateName())),
	}
	for _, field := range streamerFields {
		theirs[field] = null
		if value, ok := ours.object[field]; ok && string(value) != "[]" {
			theirs[field] = value
		}
	}
	theirs["override"], theirs["publish"] = overrideOut(ours, with.configuration), orNull(ours.object["publish"])
	return theirs
}

// overrideOut is the override of a room in biliup's shape, which says there how long files get when the room itself does.
func overrideOut(ours streamer, configuration object) json.RawMessage {
	override := valueOf[object](ours.object["override"])
	inherited := func(key string) json.RawMessage {
		if value, ok := override[key]; ok {
			return value
		}
		return configuration[key]
	}
	theirs := renamedOut(override)
	if own := valueOf[int64](ours.object["split_size"]); own != (valueOf[int64](inherited("file_size"))+mebibyte-1)/mebibyte {
		theirs["file_size"] = orUnlimited(own, own*mebibyte)
	}
	if own := valueOf[int64](ours.object["split_time"]); clock(own) != cmp.Or(valueOf[string](inherited("segment_time")), clock(0)) {
		theirs["segment_time"] = orUnlimited(own, clock(own))
	}
	if len(theirs) == 0 {
		return null
	}
	return encoded(theirs)
}

func orUnlimited(limit int64, shown any) json.RawMessage {
	if limit == 0 {
		return null
	}
	return encoded(shown)
}

func createStreamer(c *call) error {
	c.names = streamerNames
	theirs, err := c.body(http.MethodPost, "/api/v1/streamers")
	if err != nil {
		return err
	}
	return c.saveStreamer(http.MethodPost, theirs, streamer{})
}

// updateStreamer replaces all fields, as biliup does: its page leaves out what was emptied.
func updateStreamer(c *call) error {
	c.names = streamerNames
	theirs, err := c.body(http.MethodPut, "/api/v1/streamers")
	if err != nil {
		return err
	}
	var states []state
	if err := c.ask(http.MethodGet, "/api/v1/streamers", nil, &states); err != nil {
		return err
	}
	id := valueOf[int64](theirs["id"])
	index := slices.IndexFunc(states, func(s state) bool { return streamer{s.Inner}.id() == id })
	if index < 0 {
		return &refusal{status: http.StatusNotFound, code: "not_found", field: "id", why: reason.New(reason.APINoStreamer, "id", strconv.FormatInt(id, 10))}
	}
	return c.saveStreamer(http.MethodPut, theirs, streamer{states[index].Inner})
}

// saveStreamer sends a streamer in our shape. before is what it was; nothing for a new one.
func (c *call) saveStreamer(method string, theirs object, before streamer) error {
	with, err := c.surroundings()
	if err != nil {
		return err
	}
	ours, err := c.streamerIn(theirs, before, with)
	if err != nil {
		return err
	}
	var after object
	err = c.ask(method, "/api/v1/streamers", ours, &after)
	if override := valueOf[object](ours["override"]); c.noSuchLine(err, "override.lines", override) {
		ours["override"] = encoded(override)
		err = c.ask(method, "/api/v1/streamers", ours, &after)
	}
	if err != nil {
		return err
	}
	return c.answer(flat(streamer{after}, with))
}

func (c *call) streamerIn(theirs object, before streamer, with surroundings) (object, error) {
	if err := fieldsOut(theirs); err != nil {
		return nil, err
	}
	ours := make(object)
	for _, field := range []string{"id", "url", "remark"} {
		if value, ok := theirs[field]; ok {
			ours[field] = value
		}
	}
	if before.object == nil {
		delete(ours, "id")
	}
	for _, field := range streamerFields {
		ours[field] = orNull(theirs[field])
	}
	if !isUnset(theirs["opt_args"]) {
		return nil, invalid("opt_args", reason.BiliupFFmpegArguments)
	}
	var err error
	if ours["template_name"], err = templateName(theirs, before, with.templates); err != nil {
		return nil, err
	}
	ours["publish"] = publishIn(theirs, before, ours["template_name"])
	ignored, err := overrideIn(theirs, ours, with.configuration)
	if err != nil {
		return nil, err
	}
	c.ignored(append(ignored, unknownFields(theirs)...))
	return ours, nil
}

// templateReferences name a template; the first that is sent counts.
var templateReferences = []string{"upload_streamers_id", "upload_id", "template_name"}

// otherFields are those of a streamer that are neither among streamerFields nor name a template.
var otherFields = []string{"id", "url", "remark", "opt_args", "publish", "split_time", "split_size"}

// fieldsOut takes out of the override what are fields of a streamer: a page of biliup that does not know a field of the
// list, the template in older ones, sends it there. What is sent beside the override counts more.
func fieldsOut(theirs object) error {
	if isNull(theirs["override"]) {
		return nil
	}
	var override object
	if err := json.Unmarshal(theirs["override"], &override); err != nil || override == nil {
		return invalid("override", reason.APIBodyNotObject)
	}
	_, named := firstOf(theirs, templateReferences)
	for _, field := range slices.Concat(streamerFields, templateReferences, otherFields, shownOnly) {
		value, ok := override[field]
		if !ok || field == "filename_prefix" { // which is a setting as well
			continue
		}
		delete(override, field)
		_, sent := theirs[field]
		if !sent && (!named || !slices.Contains(templateReferences, field)) {
			theirs[field] = value
		}
	}
	theirs["override"] = encoded(override)
	return nil
}

// firstOf is the first of the fields that an object has.
func firstOf(fields object, names []string) (name string, ok bool) {
	for _, name := range names {
		if _, ok := fields[name]; ok {
			return name, true
		}
	}
	return "", false
}

// publishIn keeps what biliup's page does not know of. It shows a room's own "never" to be sent back, so one that is given a
// template is published.
func publishIn(theirs object, before streamer, template json.RawMessage) json.RawMessage {
	kept := orNull(before.object["publish"])
	if value, sent := theirs["publish"]; sent && string(orNull(value)) != string(kept) {
		return orNull(value)
	}
	if !isNull(template) {
		return null
	}
	return kept
}

func unknownFields(theirs object) []string {
	known := slices.Concat(streamerFields, templateReferences, otherFields, shownOnly, []string{"override"})
	var unknown []string
	for field, value := range theirs {
		if !slices.Contains(known, field) && !isNull(value) {
			unknown = append(unknown, field)
		}
	}
	return unknown
}

// templateName finds the name of the template that a number stands for. upload_id is what biliup 1.0 called it.
func templateName(theirs object, before streamer, all templates) (json.RawMessage, error) {
	field := "upload_streamers_id"
	if _, ok := theirs[field]; !ok && theirs["upload_id"] != nil {
		field = "upload_id"
	}
	if isNull(theirs[field]) {
		if name, ok := theirs["template_name"]; ok {
			return orNull(name), nil
		}
		// A template that is yet to be made has no number, so nobody who sends none can mean to remove it.
		if name := before.templateName(); name != "" && all.byName(name) == nil {
			return encoded(name), nil
		}
		return null, nil
	}
	var id int64
	if err := json.Unmarshal(theirs[field], &id); err != nil {
		return nil, invalid(field, reason.BiliupTemplateID)
	}
	name, ok := all.byID(id)
	if !ok {
		return nil, invalid(field, reason.BiliupNoSuchTemplate, "id", strconv.FormatInt(id, 10))
	}
	return encoded(name), nil
}

// overrideIn translates the override. How long files get is a setting like any other in it; what the room itself said of that,
// which the page was shown there, is so replaced.
func overrideIn(theirs, ours, configuration object) (ignored []string, err error) {
	ours["override"], ours["split_size"], ours["split_time"] = null, null, null
	if !isNull(theirs["override"]) {
		var override object
		if err := json.Unmarshal(theirs["override"], &override); err != nil {
			return nil, invalid("override", reason.APIBodyNotObject)
		}
		var kept object
		kept, ignored = configurationIn(override, configuration)
		for key, value := range kept {
			if isNull(value) && !settings.Unlimited(key) {
				delete(kept, key)
			}
		}
		for i := range ignored {
			ignored[i] = "override." + ignored[i]
		}
		ours["override"] = encoded(kept)
	}
	for _, field := range []string{"split_size", "split_time"} {
		if value := theirs[field]; !isNull(value) {
			ours[field] = value
		}
	}
	return ignored, nil
}

func deleteStreamer(c *call) error {
	id, err := c.id()
	if err != nil {
		return err
	}
	with, err := c.surroundings()
	if err != nil {
		return err
	}
	var gone object
	if err := c.ask(http.MethodDelete, "/api/v1/streamers/"+id, nil, &gone); err != nil {
		return err
	}
	return c.answer(flat(streamer{gone}, with))
}

func pauseStreamer(c *call) error {
	id, err := c.id()
	if err != nil {
		return err
	}
	if err := c.ask(http.MethodPost, "/api/v1/streamers/"+id+"/pause", nil, nil); err != nil {
		return err
	}
	return c.answer(nil)
}
