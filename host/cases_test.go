package host_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lubod/lubod/host/internal/hosttest"
	"github.com/lubod/lubod/sdk/simulator/bilibili"
	"github.com/lubod/lubod/sdk/simulator/live"
)

// The situations of public bug reports, each as its reporter met it: what a user does, and what is right. Waits for the
// outside world are scaled, so that a day passes in minutes.

// casesPace is how many times as fast as in real life lubod waits in these tests.
const casesPace = 600

// newCases sets a daemon up whose waits, and whose Bilibili's archives, are fast.
func newCases(t *testing.T, sim bilibili.Options) *cases {
	t.Helper()
	options := fastArchives()
	options.Sim = sim
	options.Sim.ArchiveSpeed = casesPace
	daemon := hosttest.New(t, options)
	prepare(t, daemon)
	return &cases{Daemon: daemon, t: t}
}

// fastArchives are a daemon whose waits are fast, with environment variables, and a Bilibili that publishes within moments.
func fastArchives(env ...string) hosttest.Options {
	return hosttest.Options{
		Sim: bilibili.Options{ArchiveSpeed: casesPace}, Env: append(env, fmt.Sprintf("LUBOD_TEST_PACE=%f", 1/float64(casesPace))),
	}
}

type cases struct {
	*hosttest.Daemon
	t      *testing.T
	orders int
}

// submission is one as GET /status shows it.
type submission struct {
	Recording int64  `json:"streamer_info_id"`
	State     string `json:"state"`
	Title     string `json:"title"`
	BVID      string `json:"bvid"`
	Error     string `json:"error"`
	Archive   string `json:"archive"`
	Words     string `json:"archive_text"`
}

func (c *cases) submissions() []submission {
	c.t.Helper()
	var status struct{ Submissions []submission }
	c.Client.Do(http.MethodGet, "/status", nil, http.StatusOK, &status)
	return status.Submissions
}

// untilSubmission waits for a submission whose title begins with title to be as wanted.
func (c *cases) untilSubmission(title string, wanted func(submission) bool) submission {
	c.t.Helper()
	var found submission
	hosttest.Until(c.t, "submission of "+title, func() bool {
		for _, s := range c.submissions() {
			if strings.HasPrefix(s.Title, title) && wanted(s) {
				found = s
				return true
			}
		}
		return false
	}, func() string { return fmt.Sprintf("%+v; %s", c.submissions(), c.Log().Tail()) })
	return found
}

// order uploads n small files by hand, under a title, and returns their contents' names in order.
func (c *cases) order(title string, n int) []string {
	c.t.Helper()
	c.orders++
	var names []string
	for i := range n {
		name := fmt.Sprintf("order%d_%03d.flv", c.orders, i+1)
		path := filepath.Join(c.DataDir, "recordings", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			c.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("FLV "+name), 0o644); err != nil {
			c.t.Fatal(err)
		}
		hosttest.Settle(c.t, path)
		names = append(names, name)
	}
	c.Client.Do(http.MethodPost, "/uploads", map[string]any{"files": names, "params": map[string]any{
		"template_name": "默认模板", "title": title, "tid": 171, "tag": "测试", "user_cookie": "cookies.json", "desc": "x",
	}}, http.StatusOK, nil)
	return names
}

// archivesOf waits for n archives whose title begins with title.
func (c *cases) archivesOf(title string, n int) []bilibili.Archive {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 90*time.Second)
	defer cancel()
	var found []bilibili.Archive
	err := c.Sim.Wait(ctx, func() bool {
		found = nil
		for _, archive := range c.Sim.Archives() {
			if strings.HasPrefix(archive.Title, title) {
				found = append(found, archive)
			}
		}
		return len(found) >= n
	})
	if err != nil {
		c.t.Fatalf("%d archives of %q, want %d: %v: %s", len(found), title, n, err, c.Log().Tail())
	}
	return found
}

// wantParts waits until archives hold the files, in order, one archive after the other.
func (c *cases) wantParts(title string, archives int, names []string) []bilibili.Archive {
	c.t.Helper()
	var found []bilibili.Archive
	titles := func() []string {
		var parts []string
		found = c.archivesOf(title, archives)
		for _, archive := range found {
			for _, video := range archive.Videos {
				parts = append(parts, video.Title)
			}
		}
		return parts
	}
	hosttest.Until(c.t, fmt.Sprintf("%d parts of %s", len(names), title), func() bool { return len(titles()) >= len(names) },
		func() string { return fmt.Sprintf("%d parts; %s", len(titles()), c.Log().Tail()) })
	for i, part := range titles() {
		if i >= len(names) || part+".flv" != names[i] {
			c.t.Fatalf("part %d of %s is %q; the files are %q", i+1, title, part, names)
		}
	}
	if len(found) != archives {
		c.t.Errorf("%d archives of %s, want %d", len(found), title, archives)
	}
	return found
}

func TestCaseP04ManyFilesBecomeOneArchiveByEdits(t *testing.T) {
	t.Parallel()
	c := newCases(t, bilibili.Options{MaxArchiveParts: 105})
	c.wantParts("a hundred and one", 1, c.order("a hundred and one", 101))
	// Bilibili takes no more than 105 here: what is beyond them is a second archive, with its number.
	archives := c.wantParts("too many", 2, c.order("too many", 108))
	if first, second := archives[0], archives[1]; len(first.Videos) < 100 || len(first.Videos) > 105 || first.Title == second.Title || !strings.Contains(second.Title, "2") {
		t.Errorf("%q has %d parts, %q has %d", first.Title, len(first.Videos), second.Title, len(second.Videos))
	}
	c.Sim.RequireNoViolations(t)
	c.Stop()
}

func TestCaseP04ABroadcastThatChangesItsPictureAHundredTimes(t *testing.T) {
	t.Parallel()
	c := newCases(t, bilibili.Options{})
	small := encode(t, live.Encoding{Length: 22 * time.Second, FrameRate: 10, GOP: 2})
	room := live.New(t, live.Options{Clip: small, Speed: 2})
	const changes = 105
	for i := range changes {
		// The parameter sets change, as they do when the resolution does: a file can only hold one of them.
		change := live.DoChangeHeader
		if i%2 == 1 {
			change = live.DoRepeatHeaders
		}
		room.AddFault(live.Fault{At: live.AfterKeyframes(i + 1), Action: live.Action{Do: change}})
	}
	addStreamer(c.Daemon, room.URL(), 3600)
	archives := c.archivesOf("测试主播", 1)
	c.untilSubmission("测试主播", func(s submission) bool { return s.State == "accepted" })
	_, paths := theRecording(t, c.Daemon)
	if len(paths) < changes {
		t.Errorf("%d files for %d changes", len(paths), changes)
	}
	var names []string
	for _, path := range paths {
		names = append(names, filepath.Base(path))
	}
	c.wantParts(archives[0].Title, 1, names)
	c.Sim.RequireNoViolations(t)
	c.Stop()
}

func encode(t *testing.T, encoding live.Encoding) *live.Clip {
	t.Helper()
	clip, err := live.Encode(t.Context(), encoding)
	if err != nil {
		t.Fatal(err)
	}
	return clip
}

// One daemon meets what Bilibili answers to submits, one refusal after the other.
func TestCasesOfRefusedSubmits(t *testing.T) {
	t.Parallel()
	c := newCases(t, bilibili.Options{})
	for _, code := range []int{-352, -509, -799, -403, -405, 20042, 21111, 21171, -412, -702, 21070, 424242} {
		t.Run(fmt.Sprintf("TestCaseP06/%d passes", code), func(t *testing.T) {
			title := fmt.Sprintf("refused with %d.", code)
			refusal := c.Sim.AddFault(bilibili.Code(code))
			names := c.order(title, 1)
			c.wantParts(title, 1, names)
			if hit := c.hits(refusal); hit != 1 {
				t.Errorf("it was refused %d times, want once", hit)
			}
		})
	}
	for _, code := range []int{-502, -504} {
		t.Run(fmt.Sprintf("TestCaseP07/%d made it all the same", code), func(t *testing.T) {
			before := len(c.Sim.Submits())
			title := fmt.Sprintf("made with %d.", code)
			c.Sim.AddFault(bilibili.CodeButMade(code))
			c.wantParts(title, 1, c.order(title, 1))
			c.untilSubmission(title, func(s submission) bool { return s.State == "accepted" })
			if submits := len(c.Sim.Submits()) - before; submits != 1 {
				t.Errorf("%d submits, want 1: it was not looked up first", submits)
			}
		})
	}
	t.Run("TestCaseP05 a waive that cures goes on by itself", func(t *testing.T) {
		refusal := c.Sim.AddFault(bilibili.Code(-400))
		names := c.order("cured", 8)
		failed := c.untilSubmission("cured", func(s submission) bool { return s.State == "failed" })
		c.Sim.RemoveFault(refusal)
		var files []struct{ ID int64 }
		c.Client.Do(http.MethodGet, fmt.Sprintf("/streamer_info/%d/files", failed.Recording), nil, http.StatusOK, &files)
		c.Client.Do(http.MethodPost, fmt.Sprintf("/segments/%d/waive", files[7].ID), nil, http.StatusOK, nil)
		c.wantParts("cured", 1, names[:7])
	})
	c.Sim.RequireNoViolations(t)
	c.Stop()
}

// hits is how often a fault struck.
func (c *cases) hits(id bilibili.FaultID) int {
	for _, fault := range c.Sim.Faults() {
		if fault.ID == id {
			return fault.Hits
		}
	}
	return 0
}

func TestCaseP08FilesStayUntilTheirArchiveIsPublic(t *testing.T) {
	t.Parallel()
	c := newCases(t, bilibili.Options{Transcode: 10 * time.Minute, Review: 20 * time.Minute})
	for _, state := range []int{bilibili.StateTranscodeFailed, bilibili.StateReturned, bilibili.StateLocked} {
		if err := c.Sim.AddFate(bilibili.Fate{Times: 1, After: 2 * time.Hour, State: state, Reason: fmt.Sprintf("because of %d", state)}); err != nil {
			t.Fatal(err)
		}
	}
	events := watchEvents(t, c.Daemon, "submission,segment")
	clip := encode(t, live.Encoding{Length: 3 * time.Second})
	for i := range 4 { // the last one becomes public
		room := live.New(t, live.Options{Clip: clip})
		c.Client.Do(http.MethodPost, "/streamers", map[string]any{
			"url": room.URL(), "template_name": "默认模板", "remark": fmt.Sprintf("room %d", i+1), "postprocessor": []any{"rm"},
		}, http.StatusOK, nil)
		title := fmt.Sprintf("room %d", i+1)
		archive := c.archivesOf(title, 1)[0]
		if i < 3 {
			refused := c.untilSubmission(title, func(s submission) bool { return s.Archive == "rejected" })
			if !strings.Contains(refused.Words, "because of") {
				t.Errorf("%s is refused with the words %q", title, refused.Words)
			}
			events.until("submission.archive", map[string]string{"archive": "rejected"})
			c.wantFiles(title, 1)
			continue
		}
		c.untilSubmission(title, func(s submission) bool { return s.Archive == "public" })
		events.until("segment.removed", nil)
		if got := c.Sim.Archives()[3]; got.BVID != archive.BVID || got.State != bilibili.StatePublic {
			t.Errorf("%s was removed while its archive is %+v", title, got)
		}
		c.wantFiles(title, 0)
	}
	c.Stop()
}

// wantFiles wants so many files in the folder of a room.
func (c *cases) wantFiles(room string, want int) {
	c.t.Helper()
	files, err := filepath.Glob(filepath.Join(c.DataDir, "recordings", room, "*.flv"))
	if err != nil {
		c.t.Fatal(err)
	}
	if len(files) != want {
		c.t.Errorf("%s has %d files, want %d: %v", room, len(files), want, files)
	}
}

// A minute and 62 MB, in pieces that are each below the default threshold of 20 MB.
func TestCaseP16ABroadcastInShortPiecesIsPublishedWhole(t *testing.T) {
	t.Parallel()
	c := newCases(t, bilibili.Options{})
	c.Client.Do(http.MethodPut, "/configuration", map[string]any{"filtering_threshold": 20}, http.StatusOK, nil)
	const pieces, piece = 5, 12 * time.Second
	clip := encode(t, live.Encoding{Length: pieces * piece, Width: 640, Height: 360, FrameRate: 10, VideoBitrate: 8_200_000})
	for _, test := range []struct {
		name  string
		fault live.Action
	}{
		{"reset", live.Action{Do: live.DoReset}},
		{"jump", live.Action{Do: live.DoJump, Shift: 13 * time.Second}},
	} {
		t.Run(test.name, func(t *testing.T) {
			room := live.New(t, live.Options{Clip: clip, Speed: 8})
			for i := 1; i < pieces; i++ {
				room.AddFault(live.Fault{At: live.AtMedia(time.Duration(i) * piece), Action: test.fault, Times: 1})
			}
			c.Client.Do(http.MethodPost, "/streamers", map[string]any{
				"url": room.URL(), "template_name": "默认模板", "remark": test.name, "split_time": 3600,
			}, http.StatusOK, nil)
			archive := c.archivesOf(test.name, 1)[0]
			c.untilSubmission(test.name, func(s submission) bool { return s.State == "accepted" })
			frames := map[string]int{}
			for _, video := range archive.Videos {
				for _, hash := range c.frames(video.Filename) {
					frames[hash]++
				}
			}
			missing, twice := 0, 0
			for _, hash := range room.Expected(live.Video) {
				switch frames[hash] {
				case 0:
					missing++
				case 1:
				default:
					twice++
				}
			}
			if sent := len(room.Expected(live.Video)); missing > 0 || twice > 0 || sent < 500 {
				t.Errorf("of %d frames that were sent %d are missing and %d are there twice, in %d parts", sent, missing, twice, len(archive.Videos))
			}
			if len(archive.Videos) < 2 {
				t.Errorf("%d part: there were no pieces", len(archive.Videos))
			}
		})
	}
	c.Stop()
}

// frames are the hashes of the video frames of a part.
func (c *cases) frames(name string) []string {
	c.t.Helper()
	content, err := c.Sim.Open(name)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = content.Close() }()
	whole, err := io.ReadAll(content)
	if err != nil {
		c.t.Fatal(err)
	}
	clip, err := live.Parse(whole)
	if err != nil {
		c.t.Fatalf("part %s: %v", name, err)
	}
	return clip.Hashes(live.Video)
}
