package upload

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lubod/lubod/host/internal/bilibili"
	simulator "github.com/lubod/lubod/sdk/simulator/bilibili"
)

// fakePictures is a web with some pictures.
type fakePictures map[string][]byte

func (f fakePictures) Picture(_ context.Context, url string, most int64) ([]byte, error) {
	picture, ok := f[url]
	if !ok || int64(len(picture)) > most {
		return nil, errors.New("HTTP status 404")
	}
	return picture, nil
}

// pixel is a picture that Bilibili takes, of a width that tells pictures apart.
func pixel(t *testing.T, width int) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := png.Encode(&out, image.NewGray(image.Rect(0, 0, 960+width, 600))); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// cover sets the template's cover.
func (h *harness) cover(source string) { h.exec("UPDATE templates SET cover = $1", []any{source}) }

func (h *harness) put(name string, content []byte) {
	h.t.Helper()
	path := filepath.Join(h.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// ended is a recording that has ended and waits for its submission.
func (h *harness) ended(s *Service) int64 {
	h.t.Helper()
	recording := h.recording("recording")
	h.closed(s, recording, 1)
	h.end(s, recording)
	return recording
}

func TestACoverOfTheDataDirectoryIsUploadedOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	sim := h.real(simulator.Options{})
	h.put("covers/a.png", pixel(t, 7))
	h.cover("data/covers/a.png")
	sim.AddFault(simulator.Code(21070)) // the first submit is refused, and made again with the cover that is there
	s := h.service()
	h.start(s)
	for range 2 { // one after the other: two at once may both upload before the address is saved, which costs only time
		recording := h.ended(s)
		h.until("accepted", func() bool {
			h.exec("UPDATE river_job SET scheduled_at = now(), state = 'available' WHERE kind = 'submit' AND state = 'scheduled'", nil)
			submission, _ := h.submission(recording)
			return submission.State == "accepted"
		})
	}
	covers := sim.Covers()
	if len(covers) != 1 || covers[0].Width != 967 {
		t.Errorf("covers %+v", covers)
	}
	for _, archive := range sim.Archives() {
		if archive.Cover != covers[0].URL {
			t.Errorf("archive %+v", archive)
		}
	}
	submits := 0
	for _, request := range sim.Requests() {
		if request.Call == simulator.CallSubmit {
			submits++
		}
	}
	if submits != 3 {
		t.Errorf("%d submits", submits)
	}
	sim.RequireNoViolations(t)
}

func TestACoverThatCannotBeUsedHoldsTheSubmissionUntilItIsMended(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		source  string
		content []byte
		want    string
	}{
		"missing":   {"missing.png", nil, `the cover "missing.png" of template "t" cannot be used: there is no such file;`},
		"a text":    {"a.json", nil, "picture, and is text/plain"},
		"a folder":  {"folder", nil, "no file"},
		"outside":   {"../a.png", nil, "no file name inside the data directory"},
		"a link":    {"link.png", nil, "a link that leads out"},
		"too large": {"large.png", append(pixel(t, 1), make([]byte, bilibili.MaxCover)...), "more than 8 MiB"},
		"web":       {"https://example.com/a.png", nil, "404"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.pace.Cover = time.Hour
			h.pictures = fakePictures{}
			h.put("folder/x", nil)
			if test.content != nil {
				h.put(test.source, test.content)
			}
			outside := filepath.Join(t.TempDir(), "outside.png") // a picture: only where it lies keeps it from being used
			if err := os.WriteFile(outside, pixel(t, 1), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(outside, filepath.Join(h.dir, "link.png")); err != nil {
				t.Fatal(err)
			}
			h.cover(test.source)
			s := h.service()
			recording := h.ended(s)
			h.start(s)
			h.until("held", func() bool { submission, _ := h.submission(recording); return submission.Error != "" })
			submission, _ := h.submission(recording)
			if submission.State != "waiting" || submission.Attempts != 0 || !strings.Contains(submission.Error, test.want) ||
				!strings.Contains(submission.Error, "mend it") || strings.Contains(submission.Error, "SESSDATA") {
				t.Errorf("submission %+v", submission)
			}
			h.cover("")
			h.untilSubmission(recording, "accepted")
		})
	}
}

func TestAnArchiveIsNotLostForItsCover(t *testing.T) {
	t.Parallel()
	h := newHarness(t) // without patience
	h.cover("missing.png")
	s := h.service()
	recording := h.ended(s)
	h.start(s)
	h.untilSubmission(recording, "accepted")
	if !strings.Contains(h.logged(), "without the cover that was wanted") {
		t.Error("nothing was logged")
	}
}

func TestACoverThatBilibiliDoesNotTake(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]simulator.Fault{
		"refused": simulator.Code(-400).On(simulator.CallCover), "no address": simulator.CoverNull(), "page": simulator.HTML(simulator.CallCover, 502),
		"cut": simulator.AnswerLost(simulator.CallCover),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.pace.Cover, h.pace.CoverAway = time.Hour, time.Hour
			sim := h.real(simulator.Options{})
			h.put("a.png", pixel(t, 7))
			h.cover("a.png")
			sim.AddFault(fault.For(2))
			_, submission := h.published(1, "accepted")
			if covers, archives := sim.Covers(), sim.Archives(); submission.Attempts != 1 || archives[0].Cover == "" || archives[0].Cover != covers[len(covers)-1].URL {
				t.Errorf("submission %+v, covers %+v, archives %+v", submission, covers, archives)
			}
			sim.RequireNoViolations(t)
		})
	}
}

func TestALoginThatIsRefusedForACoverIsChecked(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	sim := h.real(simulator.Options{})
	h.put("a.png", pixel(t, 7))
	h.cover("a.png")
	rejected := make(chan string, 100)
	h.accounts.(*fakeAccounts).rejected = func(account *bilibili.Account) { rejected <- account.File }
	sim.AddFault(simulator.Code(-111).On(simulator.CallCover))
	_, submission := h.published(1, "accepted")
	if file := <-rejected; file != "a.json" || submission.Attempts != 1 || sim.Archives()[0].Cover == "" {
		t.Errorf("%s, submission %+v", file, submission)
	}
}

// webp is a red picture of 320×200 pixels; there is no encoder for Go.
const webp = "UklGRuQAAABXRUJQVlA4INgAAABQEQCdASpAAcgAP5nM42s5Mi6pICgDIDMJaW7hd2EHw4AAnsA99snIe+2TkPfbJyHvtk5D32ych77ZOQ99snIe+2TkPfbJyHvtk5D32ych77ZOQ99snIe+2TkPfbJyHvtk5D32ych77ZOQ99snIe+2TkPfbJyHvtk5D32ych77ZOQ99snIe+2TkPfbJyHvtk5D3pAA/v9hw/pPW3MTv/4c/1P/1PcV4q7jwGNcVdx4DGhgQDD/sgCBKJkMdGIYomjK9+higxH4ETbC3Mj/3ZqUDDA2urFiAAA="

// Whatever stands in the data directory under a cover's name, nothing outside of it is read.
func TestACoverIsReadInTheDataDirectoryOnly(t *testing.T) {
	t.Parallel()
	dir, outside := t.TempDir(), t.TempDir()
	for _, path := range []string{filepath.Join(outside, "a.png"), filepath.Join(dir, "own.png")} {
		if err := os.WriteFile(path, pixel(t, 1), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{"link.png": filepath.Join(outside, "a.png"), "folder": outside, "inside.png": "own.png"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.png"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"link.png", "folder/a.png", "folder/../../" + filepath.Base(outside) + "/a.png", filepath.Join(outside, "a.png"), "pipe.png"} {
		if picture, err := readCover(dir, name); err == nil {
			t.Errorf("%s: %d bytes were read", name, len(picture))
		}
		if CheckCoverFile(dir, name) == nil {
			t.Errorf("%s was found good", name)
		}
	}
	for _, name := range []string{"own.png", "inside.png", "data/own.png"} {
		if _, err := readCover(dir, name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := CheckCoverFile(dir, "to-come.png"); err != nil {
		t.Errorf("a cover that is not there yet: %v", err)
	}
}

func TestTheCoverOfTheLiveRoom(t *testing.T) {
	t.Parallel()
	const live = "https://cdn.example/live.png"
	small, err := base64.StdEncoding.DecodeString(webp)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		use      bool
		template string
		room     string
		want     func(sim *simulator.Server, cover string) error
	}{
		"off": {false, "", live, func(_ *simulator.Server, cover string) error { return differs(cover, "") }},
		"on": {true, "", live, func(sim *simulator.Server, cover string) error {
			if covers := sim.Covers(); len(covers) != 1 || covers[0].Width != 969 || covers[0].URL != cover {
				return fmt.Errorf("covers %+v, cover %q", covers, cover)
			}
			return nil
		}},
		"WebP, and too small": {true, "", "https://cdn.example/live.webp", func(sim *simulator.Server, cover string) error {
			if covers := sim.Covers(); len(covers) != 1 || covers[0].Format != "jpeg" || covers[0].Width != 960 || covers[0].URL != cover {
				return fmt.Errorf("covers %+v, cover %q", covers, cover)
			}
			return nil
		}},
		"Bilibili's own": {true, "", "http://i0.hdslb.com/bfs/live/a.jpg", func(_ *simulator.Server, cover string) error {
			return differs(cover, "http://i0.hdslb.com/bfs/live/a.jpg")
		}},
		"none":       {true, "", "", func(_ *simulator.Server, cover string) error { return differs(cover, "") }},
		"gone":       {true, "", "https://cdn.example/gone.png", func(_ *simulator.Server, cover string) error { return differs(cover, "") }},
		"no picture": {true, "", "https://cdn.example/page", func(_ *simulator.Server, cover string) error { return differs(cover, "") }},
		"the template's first": {true, "a.png", live, func(sim *simulator.Server, cover string) error {
			return differs(fmt.Sprint(sim.Covers()[0].Width), "967")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			sim := h.real(simulator.Options{})
			h.put("a.png", pixel(t, 7))
			h.pictures = fakePictures{"https://cdn.example/live.webp": small, live: pixel(t, 9), "https://cdn.example/page": []byte("<html>")}
			h.cover(test.template)
			h.configure(map[string]any{"lines": "bda2", "use_live_cover": test.use})
			s := h.service()
			recording := h.ended(s)
			h.exec("UPDATE recordings SET cover_url = $1", []any{test.room})
			h.start(s)
			h.untilSubmission(recording, "accepted")
			if err := test.want(sim, sim.Archives()[0].Cover); err != nil {
				t.Error(err)
			}
			sim.RequireNoViolations(t)
		})
	}
}

func differs(got, want string) error {
	if got == want {
		return nil
	}
	return fmt.Errorf("%q, want %q", got, want)
}

func TestSubmitAPIIsThatOfTheRoom(t *testing.T) {
	t.Parallel()
	for value, path := range map[string]string{"web": "/x/vu/web/add/v3", "bcut_android": "/x/vu/mvp/add", "app": "/x/vu/app/add"} {
		t.Run(value, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			sim := h.real(simulator.Options{})
			override, err := json.Marshal(map[string]string{"submit_api": value})
			if err != nil {
				t.Fatal(err)
			}
			h.exec("UPDATE streamers SET override = $1", []any{override})
			h.published(1, "accepted")
			for _, request := range sim.Requests() {
				if request.Call == simulator.CallSubmit && request.Path != path {
					t.Errorf("submitted by %s", request.Path)
				}
			}
			sim.RequireNoViolations(t)
		})
	}
}
