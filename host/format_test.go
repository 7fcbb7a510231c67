package host_test

import (
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lubod/lubod/host/internal/hosttest"
)

// frames are the hashes of the decoded pictures of files, one after the other: the same in every container.
func frames(t *testing.T, files ...string) []string {
	t.Helper()
	var hashes []string
	for _, file := range files {
		output, err := exec.Command("ffmpeg", "-v", "error", "-i", file, "-map", "0:v", "-fps_mode", "passthrough", "-f", "framehash", "-hash", "md5", "-").Output()
		if err != nil {
			t.Fatalf("decode %s: %v", file, err)
		}
		for line := range strings.Lines(string(output)) {
			if !strings.HasPrefix(line, "#") {
				hashes = append(hashes, strings.TrimSpace(line[strings.LastIndexByte(line, ',')+1:]))
			}
		}
	}
	return hashes
}

// A room's files are kept and published in the container that it asks for, with every picture and every sound that was sent.
func TestFormatOfTheRoomIsWhatIsKeptAndPublished(t *testing.T) {
	t.Parallel()
	clip := hosttest.EncodeClip(t, 24)
	sent := hosttest.Packets(t, clip.Path)
	for format, name := range map[string]string{"mp4": "mov,mp4", "mkv": "matroska", "ts": "mpegts"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			daemon := hosttest.New(t, hosttest.Options{})
			prepare(t, daemon)
			live := hosttest.ServeLive(t, clip)
			daemon.Client.Do(http.MethodPost, "/streamers", map[string]any{
				"url": live.URL, "template_name": "默认模板", "remark": "测试主播", "split_time": 8, "format": format,
			}, http.StatusOK, nil)
			live.Wait(t)
			archives, err := daemon.Sim.WaitArchives(t.Context(), 1)
			if err != nil {
				t.Fatalf("no archive: %v: %s", err, daemon.Log().Tail())
			}
			daemon.Log().Wait(1, "archive accepted")
			_, paths := theRecording(t, daemon)
			if len(paths) < 2 || len(archives[0].Videos) != len(paths) {
				t.Fatalf("%d files and %d parts", len(paths), len(archives[0].Videos))
			}
			for i, path := range paths {
				if filepath.Ext(path) != "."+format {
					t.Errorf("%s does not end as %s", path, format)
				}
				if kind, err := exec.Command("ffprobe", "-v", "error", "-show_entries", "format=format_name", "-of", "csv=p=0", path).Output(); err != nil || !strings.Contains(string(kind), name) {
					t.Errorf("%s holds %s (%v), want %s", path, kind, err, name)
				}
				if stored, err := daemon.Sim.SHA256(archives[0].Videos[i].Filename); err != nil || stored != sha256Of(t, path) {
					t.Errorf("%s is not what was published (%v)", path, err)
				}
			}
			if left, _ := filepath.Glob(filepath.Join(daemon.DataDir, "recordings", "*.flv*")); len(left) != 0 {
				t.Errorf("what was recorded is left beside it: %v", left)
			}
			got := hosttest.Packets(t, paths...)
			if len(got["audio"]) != len(sent["audio"]) {
				t.Errorf("%d packets of sound, want %d", len(got["audio"]), len(sent["audio"]))
			}
			if format == "ts" { // frames its packets in another way
				if !slices.Equal(frames(t, paths...), frames(t, clip.Path)) {
					t.Error("other pictures than those that were sent")
				}
			} else if diff := cmp.Diff(sent, got); diff != "" {
				t.Errorf("other packets (-sent +kept):\n%.2000s", diff)
			}
			daemon.Stop()
		})
	}
}
