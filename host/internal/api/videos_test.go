package api

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// writeVideo puts a file below the recordings folder that changed at the given second.
func writeVideo(t *testing.T, h *harness, name, content string, changed int64) {
	t.Helper()
	file := filepath.Join(h.dataDir, recordingsDir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file, time.Time{}, time.Unix(changed, 0)); err != nil {
		t.Fatal(err)
	}
}

func TestVideosOfAllFoldersTheNewestFirst(t *testing.T) {
	h := newLoggedIn(t)
	equalJSON(t, h.api(t, "GET", "/videos", "").must(t, 200).body, `[]`)
	writeVideo(t, h, "old.mp4", "1234", 1704873600)
	writeVideo(t, h, "房间/2025/b.FLV", "12", 1704873700)
	writeVideo(t, h, "房间/2025/a.flv", "1", 1704873700)
	writeVideo(t, h, "房间/now.flv.part", "123", 1704873800)
	writeVideo(t, h, "房间/cover.jpg", "123", 1704873900)
	writeVideo(t, h, "房间/chat.xml.part", "123", 1704873900)
	equalJSON(t, h.api(t, "GET", "/videos", "").must(t, 200).body, `[
		{"key":1,"name":"房间/now.flv.part","updateTime":1704873800,"size":3,"growing":true},
		{"key":2,"name":"房间/2025/a.flv","updateTime":1704873700,"size":1,"growing":false},
		{"key":3,"name":"房间/2025/b.FLV","updateTime":1704873700,"size":2,"growing":false},
		{"key":4,"name":"old.mp4","updateTime":1704873600,"size":4,"growing":false}]`)
}

func TestVideosNeverLeaveTheRecordingsFolder(t *testing.T) {
	h := newLoggedIn(t)
	writeVideo(t, h, "a.flv", "1", 1704873600)
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret.flv"), []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(h.dataDir, recordingsDir)
	for link, target := range map[string]string{
		"folder": outside, "file.flv": filepath.Join(outside, "secret.flv"), "up": "..", "loop": ".", "dangling.flv": "nothing.flv", "twin.flv": "a.flv",
	} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(root, "pipe.flv"), 0o600); err != nil {
		t.Fatal(err)
	}
	equalJSON(t, h.api(t, "GET", "/videos", "").must(t, 200).body, `[{"key":1,"name":"a.flv","updateTime":1704873600,"size":1,"growing":false}]`)
}

func TestVideosBoundTheirWork(t *testing.T) {
	h := newLoggedIn(t)
	deep := ""
	for range maxVideoDepth + 1 {
		deep = filepath.Join(deep, "d")
	}
	writeVideo(t, h, filepath.Join(filepath.Dir(deep), "in.flv"), "1", 1704873600)
	writeVideo(t, h, filepath.Join(deep, "out.flv"), "1", 1704873600)
	var videos []Video
	h.api(t, "GET", "/videos", "").must(t, 200).decode(t, &videos)
	if len(videos) != 1 || filepath.Base(videos[0].Name) != "in.flv" {
		t.Errorf("listed %v", videos)
	}
	root, err := os.OpenRoot(filepath.Join(h.dataDir, recordingsDir))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	search := videoSearch{root: root, budget: 3}
	if err := search.folder(t.Context(), ".", 0); err != nil || !search.cut {
		t.Errorf("a search of 3 entries: error %v, cut %v", err, search.cut)
	}
}
