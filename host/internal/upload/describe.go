package upload

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/bilibili"
	"github.com/lubod/lubod/host/internal/naming"
)

// describe renders a template for a recording, whose times are those of a zone, cut to Bilibili's limits. Whatever the
// template and the room say, no text of the archive holds secrets of an address or what cannot be read.
func describe(recording db.Recording, template db.Template, parts []bilibili.Part, zone *time.Location) bilibili.Archive {
	start := recording.StartedAt.In(zone)
	values := naming.Values{
		Streamer: firstOf(recording.Remark, recording.StreamerName),
		Title:    firstOf(recording.Title, recording.Remark, recording.StreamerName),
		URL:      recording.URL,
	}
	line := func(text string, most int) string { return clip(naming.Line(text, values, start), most) }
	text := func(text string, most int) string { return clip(naming.Text(text, values, start), most) }
	title := line(template.Title, maxTitle)
	if title == "" {
		title = line("%Y.%m.%d {streamer}", maxTitle)
	}
	source := line(template.Source, maxSource)
	if source == "" && template.Copyright == reposted {
		source = line("{url}", maxSource) // a repost without a source is refused
	}
	description := text(template.Description, maxDesc)
	if description == "" && template.Copyright != reposted {
		description = text("{streamer} 直播录像，%Y-%m-%d %H:%M 开播。", maxDesc) // own work without one is refused
	}
	var statement *bilibili.CreationStatement
	if template.CreationStatement != 0 && template.Copyright != reposted {
		statement = &bilibili.CreationStatement{ID: int(template.CreationStatement)}
	} else if template.Copyright == otherWork {
		statement = &bilibili.CreationStatement{ID: bilibili.NothingToDeclare} // it cannot be without
	}
	return bilibili.Archive{
		HumanType2: int(template.HumanType2), CreationStatement: statement,
		Copyright: int(template.Copyright), Source: source, TID: int(template.TID), Title: title,
		Desc: description, Dynamic: text(template.Dynamic, maxDynamic),
		Tag: tags(line(template.Tag, maxDesc)), Videos: parts,
		Dolby: int(template.Dolby), HiRes: int(template.Hires), NoReprint: int(template.NoReprint), ChargingPay: int(template.OpenElec),
	}
}

// The values of copyright that matter here: somebody else's work, and own work with another declaration than the usual one.
const (
	reposted  = 2
	otherWork = bilibili.OtherWork
)

// partTitle makes the title of a part of the name of its file. Files that were not recorded here can have any name.
func partTitle(path string, number int) string {
	stem := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	title := clip(naming.PlainLine(stem), maxTitle)
	return firstOf(title, fmt.Sprintf("P%d", number))
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
			return strings.TrimSpace(text[:i])
		}
		most--
	}
	return text
}
