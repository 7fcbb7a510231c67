package crash

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lubod/lubod/sdk/simulator/bilibili"
	"github.com/lubod/lubod/sdk/simulator/live"
)

// What a recorder that was killed may not have written yet.
const (
	lostBytes = 256 << 10
	lostMedia = time.Second
)

// judge holds what is there against what was sent.
func (r *run) judge(ctx context.Context) (summary string, err error) {
	found, err := r.read(ctx)
	if err != nil {
		return "", err
	}
	if err := r.host.stop(); err != nil {
		r.fail("%v", err)
	}
	for _, death := range r.host.diedAlone() {
		r.fail("the host ended by itself: %s", death)
	}
	r.files.stop()
	r.judgeArchives(found)
	r.judgeFiles(found)
	r.judgeFiltered(found)
	r.judgeGaps(found)
	r.judgeLogs()
	sent, lost := r.judgeFrames(found)
	for _, v := range r.bili.Violations() {
		r.fail("Bilibili would object: %v", v)
	}
	for i, room := range r.rooms {
		for _, v := range room.Violations() {
			r.fail("the server of room %d objects: %v", i+1, v)
		}
	}
	return fmt.Sprintf("%d recording(s), %d file(s), %d archive(s), %d frames sent, %d lost with a killed recorder or a full disk",
		len(found.Recordings), len(found.Segments), len(r.bili.Archives()), sent, lost), nil
}

// judgeArchives wants one archive per recording, whose parts are the recording's files in order, byte by byte.
func (r *run) judgeArchives(found *rows) {
	archives := map[string]bilibili.Archive{}
	for _, archive := range r.bili.Archives() {
		archives[archive.BVID] = archive
	}
	claimed := map[string]int64{}
	for _, s := range found.Submissions {
		if s.BVID == "" {
			r.fail("recording %d has no archive: its submission is %s: %s", s.RecordingID, s.State, s.Error)
			continue
		}
		if other, twice := claimed[s.BVID]; twice {
			r.fail("archive %s belongs to recordings %d and %d", s.BVID, other, s.RecordingID)
		}
		claimed[s.BVID] = s.RecordingID
		if refused := r.plan.Refused != 0 && s.Archive == "rejected"; s.State != "accepted" || s.Archive != "public" && !refused {
			r.fail("recording %d is %s, its archive %s: %s", s.RecordingID, s.State, s.Archive, s.Error)
		}
		archive, exists := archives[s.BVID]
		if !exists {
			r.fail("recording %d names archive %s, which does not exist", s.RecordingID, s.BVID)
			continue
		}
		r.judgeParts(found, s.RecordingID, archive)
	}
	for bvid := range archives {
		if _, ours := claimed[bvid]; !ours {
			r.fail("archive %s belongs to no recording: it was made twice", bvid)
		}
	}
	for _, recording := range found.Recordings {
		has := slices.ContainsFunc(found.Submissions, func(s submission) bool { return s.RecordingID == recording.ID })
		wanted := slices.ContainsFunc(found.Segments, func(s segment) bool { return s.RecordingID == recording.ID && s.Publish == "wanted" })
		if wanted && !has {
			r.fail("recording %d has files to publish and no submission", recording.ID)
		}
	}
}

func (r *run) judgeParts(found *rows, id int64, archive bilibili.Archive) {
	parts := found.wanted(id)
	if len(parts) != len(archive.Videos) {
		r.fail("recording %d has %d files to publish, and its archive %d parts", id, len(parts), len(archive.Videos))
		return
	}
	for i, segment := range parts {
		published, err := r.bili.SHA256(archive.Videos[i].Filename)
		if err != nil {
			r.fail("part %d of recording %d: %v", i+1, id, err)
			continue
		}
		path := r.path(segment)
		sum := sumOf(path)
		if sum == "" {
			r.files.mu.Lock()
			sum = r.files.sums[path]
			r.files.mu.Unlock()
		}
		if sum != published {
			r.fail("part %d of recording %d is not its file %s", i+1, id, path)
		}
	}
}

// wanted are the segments of a recording that are to be published, in order.
func (r *rows) wanted(recording int64) []segment {
	var wanted []segment
	for _, s := range r.Segments {
		if s.RecordingID == recording && s.Publish == "wanted" {
			wanted = append(wanted, s)
		}
	}
	slices.SortFunc(wanted, func(a, b segment) int { return a.Index - b.Index })
	return wanted
}

// path is where a segment's file lies, whichever way its row says it.
func (r *run) path(s segment) string {
	if filepath.IsAbs(s.Path) {
		return s.Path
	}
	for _, root := range []string{r.data, r.disks.recordings} {
		if path := filepath.Join(root, s.Path); exists(path) {
			return path
		}
	}
	return filepath.Join(r.data, s.Path)
}

// judgeFiles wants a row for every file, a file for every row, and nothing half done.
func (r *run) judgeFiles(found *rows) {
	known := map[string]bool{}
	for _, s := range found.Segments {
		path := r.path(s)
		if known[path] {
			r.fail("two rows are about %s", path)
		}
		known[path] = true
		if s.RemovedAt == nil && !exists(path) {
			r.fail("there is no file for the row of %s", path)
		}
		if s.Publish != "wanted" && (len(s.Reason) == 0 || string(s.Reason) == `""` || string(s.Reason) == "null") {
			r.fail("%s is not published (%s), and its row does not say why", path, s.Publish)
		}
	}
	for _, path := range finished(r.disks.recordings) {
		if !known[path] {
			r.fail("there is no row for the file %s", path)
		}
	}
	_ = filepath.WalkDir(r.disks.recordings, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && strings.HasSuffix(path, ".part") {
			r.fail("%s is left, half done", path)
		}
		return nil
	})
	for _, s := range found.Sessions {
		// One that is open asks whether the room is live again, as it does at every poll.
		if s.EndedAt != nil && s.EndReason == "" {
			r.fail("session %s ended, and its row does not say why", s.ID)
		}
	}
}

// judgeFiltered wants that the threshold removes stray pieces only: of a recording above it, at most 2 % of the bytes.
func (r *run) judgeFiltered(found *rows) {
	for _, recording := range found.Recordings {
		var all, filtered int64
		for _, s := range found.Segments {
			if s.RecordingID != recording.ID {
				continue
			}
			all += s.SizeBytes
			if s.Publish == "filtered" {
				filtered += s.SizeBytes
			}
		}
		if all >= int64(r.plan.Threshold)*1_000_000 && filtered*50 > all {
			r.fail("recording %d has %d bytes, of which %d are filtered", recording.ID, all, filtered)
		}
	}
}

// judgeLogs wants no panic in any log.
func (r *run) judgeLogs() {
	logs := []string{r.host.logPath}
	_ = filepath.WalkDir(r.data, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && strings.HasSuffix(path, ".log") {
			logs = append(logs, path)
		}
		return nil
	})
	for _, path := range logs {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, "panic") || strings.Contains(line, "fatal error:") || strings.Contains(line, "DATA RACE") {
				r.fail("%s: %s", filepath.Base(path), strings.TrimSpace(line))
			}
		}
	}
}

// place is where a frame was found.
type place struct {
	file  string
	count int
}

// judgeFrames wants every frame that was sent in exactly one file, and the files in the order of the frames.
func (r *run) judgeFrames(found *rows) (sent, lost int) {
	have := map[string]map[string]*place{} // by remark, hash
	for _, recording := range found.Recordings {
		frames := have[recording.Remark]
		if frames == nil {
			frames = map[string]*place{}
			have[recording.Remark] = frames
		}
		for _, s := range found.Segments {
			if s.RecordingID == recording.ID {
				r.collect(found, s, frames)
			}
		}
	}
	for i, room := range r.rooms {
		frames := have[roomName(i)]
		for _, connection := range room.Connections() {
			n, l := r.judgeConnection(i, connection, frames)
			sent, lost = sent+n, lost+l
		}
		doubled := 0
		for _, place := range frames {
			if place.count > 1 {
				doubled++
			}
		}
		if doubled > 0 {
			r.fail("room %d: %d frames were recorded twice", i+1, doubled)
		}
	}
	return sent, lost
}

// collect adds the frames of a segment, from its file or, where that was removed, from what was published.
func (r *run) collect(found *rows, s segment, frames map[string]*place) {
	path := r.path(s)
	content, err := os.ReadFile(path)
	if err != nil {
		content, err = r.published(found, s)
	}
	if err != nil {
		r.fail("read %s: %v", path, err)
		return
	}
	clip, err := live.Parse(content)
	if err != nil {
		r.fail("%s is no sound file: %v", path, err)
		return
	}
	for _, track := range []live.Track{live.Video, live.Audio} {
		for _, hash := range clip.Hashes(track) {
			if frames[hash] == nil {
				frames[hash] = &place{file: path}
			}
			frames[hash].count++
		}
	}
}

func (r *run) published(found *rows, s segment) ([]byte, error) {
	for _, upload := range found.Uploads {
		if upload.SegmentID != s.ID {
			continue
		}
		content, err := r.bili.Open(upload.RemoteName)
		if err != nil {
			return nil, err
		}
		defer func() { _ = content.Close() }()
		return io.ReadAll(content)
	}
	return nil, fmt.Errorf("segment %d was not uploaded", s.ID)
}

// judgeConnection wants the frames of one connection in files. What may be missing is the end of it, when its recorder was
// killed, and what came while a disk was full.
func (r *run) judgeConnection(room int, c live.Connection, frames map[string]*place) (sent, lost int) {
	last := -1
	for i, tag := range c.Tags {
		if !tag.Config && tag.Whole && frames[tag.Hash] != nil {
			last = i
		}
	}
	unable, killed := r.killed[room][c.Number]
	var missing []live.Sent
	for i, tag := range c.Tags {
		if tag.Config || !tag.Whole {
			continue
		}
		sent++
		switch {
		case frames[tag.Hash] != nil:
		case r.wasFull(room, tag):
			lost++
		case i > last && killed && r.sentAt(room, tag).After(unable):
			lost++ // it was held until it could be written
		case i > last && killed:
			lost++
			end := c.Tags[len(c.Tags)-1]
			if end.Media-tag.Media > lostMedia && c.Bytes-tag.Offset > lostBytes {
				missing = append(missing, tag)
			}
		default:
			missing = append(missing, tag)
		}
	}
	if len(missing) > 0 {
		r.fail("room %d, connection %d (%s): %d of %d frames are in no file, from %.2f s to %.2f s of the broadcast",
			room+1, c.Number, c.Ending, len(missing), sent, missing[0].Media.Seconds(), missing[len(missing)-1].Media.Seconds())
	}
	return sent, lost
}

// wasFull reports whether a disk was full when a frame was sent, or when it came to be written: what was held because a folder
// could not be written comes later.
func (r *run) wasFull(room int, tag live.Sent) bool {
	const slack = time.Second
	at := r.sentAt(room, tag)
	return slices.ContainsFunc(r.full, func(w window) bool {
		_, from := r.unableSince(w.from)
		return at.After(from.Add(-slack)) && at.Before(w.to.Add(slack))
	})
}

// sentAt is when a frame was sent.
func (r *run) sentAt(room int, tag live.Sent) time.Time {
	return r.rooms[room].Connections()[0].Started.Add(tag.Media)
}
