package upload

import (
	"strings"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/bilibili"
)

// describe renders a template for a recording, cut to Bilibili's limits.
func describe(recording db.Recording, template db.Template, parts []bilibili.Part) bilibili.Archive {
	start := recording.StartedAt.Local()
	variables := map[string]string{
		"streamer": firstOf(recording.Remark, recording.StreamerName),
		"title":    firstOf(recording.Title, recording.Remark, recording.StreamerName),
		"url":      recording.URL,
		"date":     start.Format("2006-01-02"),
		"time":     start.Format("15:04:05"),
	}
	fill := func(text string, most int) string {
		return clip(strings.TrimSpace(render(text, variables, start)), most)
	}
	title := fill(template.Title, maxTitle)
	if title == "" {
		title = fill("%Y.%m.%d {streamer}", maxTitle)
	}
	source := fill(template.Source, maxSource)
	if source == "" && template.Copyright == 2 {
		source = clip(recording.URL, maxSource) // a repost without a source is refused
	}
	return bilibili.Archive{
		Copyright: int(template.Copyright), Source: source, TID: int(template.TID), Title: title,
		Desc: fill(template.Description, maxDesc), Dynamic: fill(template.Dynamic, maxDynamic),
		Tag: tags(fill(template.Tag, maxDesc)), Videos: parts,
		Dolby: int(template.Dolby), HiRes: int(template.Hires), NoReprint: int(template.NoReprint), ChargingPay: int(template.OpenElec),
	}
}

func firstOf(texts ...string) string {
	for _, text := range texts {
		if strings.TrimSpace(text) != "" {
			return text
		}
	}
	return ""
}

// tags keeps what Bilibili accepts: at most twelve different tags of at most twenty characters.
func tags(list string) string {
	var kept []string
	seen := make(map[string]bool)
	for tag := range strings.SplitSeq(strings.ReplaceAll(list, "，", ","), ",") {
		tag = clip(strings.TrimSpace(tag), maxTag)
		if tag == "" || seen[tag] || len(kept) == maxTags {
			continue
		}
		seen[tag] = true
		kept = append(kept, tag)
	}
	return strings.Join(kept, ",")
}

// clip cuts text to a number of characters (runes, as Bilibili counts).
func clip(text string, most int) string {
	for i := range text {
		if most == 0 {
			return text[:i]
		}
		most--
	}
	return text
}
