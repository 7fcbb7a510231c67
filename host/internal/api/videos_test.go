package api

import (
	"maps"
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

// A recorder may write its files under their final names, and so does any other program.
func TestVideosThatAreWrittenUnderTheirFinalNames(t *testing.T) {
	h := newLoggedIn(t)
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/1"}`).must(t, 200)
	writeVideo(t, h, "room/live_001.flv", "1", 1704873600)
	writeVideo(t, h, "room/live_002.flv", "1", 1704873600) // its stream stands still
	writeVideo(t, h, "copied.mp4", "1", time.Now().Unix())
	writeVideo(t, h, "recorded.flv", "1", time.Now().Unix())
	folder := filepath.Join(h.dataDir, recordingsDir)
	recording := insertRecording(t, h.db, 1, "recording")
	for _, name := range []string{"room/live_001.flv", "recorded.flv"} {
		segment := insertSegment(t, h.db, recording, "never", "")
		if _, err := h.db.Pool.Exec(t.Context(), "UPDATE segments SET path = $2 WHERE id = $1", segment, filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.db.Pool.Exec(t.Context(), `INSERT INTO recorder_sessions (id, host_id, plugin, instance, path_prefix, first_index, room)
		VALUES (gen_random_uuid(), gen_random_uuid(), 'r', '1', $1, 1, '{}')`, filepath.Join(folder, "room/live")); err != nil {
		t.Fatal(err)
	}
	var videos []Video
	h.api(t, "GET", "/videos", "").must(t, 200).decode(t, &videos)
	growing := make(map[string]bool)
	for _, video := range videos {
		growing[video.Name] = video.Growing
	}
	want := map[string]bool{"room/live_001.flv": false, "room/live_002.flv": true, "copied.mp4": true, "recorded.flv": false}
	if !maps.Equal(growing, want) {
		t.Errorf("growing are %v, want %v", growing, want)
	}
}

// The recordings may be on another disk.
func TestVideosOfALinkedRecordingsFolder(t *testing.T) {
	h := newLoggedIn(t)
	if err := os.Symlink(t.TempDir(), filepath.Join(h.dataDir, recordingsDir)); err != nil {
		t.Fatal(err)
	}
	writeVideo(t, h, "room/a.flv", "1", 1704873600)
	equalJSON(t, h.api(t, "GET", "/videos", "").must(t, 200).body, `[{"key":1,"name":"room/a.flv","updateTime":1704873600,"size":1,"growing":false}]`)
	h.api(t, "POST", "/uploads", order([]string{filepath.Join(h.dataDir, recordingsDir, "room/a.flv")})).must(t, 200)
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

// What was removed lies in the trash until it goes for good: it is no video, and no order can rely on it.
func TestVideosLeaveTheTrashOut(t *testing.T) {
	h := newLoggedIn(t)
	writeVideo(t, h, "a.flv", "1", 1704873600)
	writeVideo(t, h, ".trash/20250110T080000Z-1-b.flv", "1", 1704873600)
	writeVideo(t, h, "room/.trash/20250110T080000Z-2-c.flv", "1", 1704873600)
	equalJSON(t, h.api(t, "GET", "/videos", "").must(t, 200).body, `[{"key":1,"name":"a.flv","updateTime":1704873600,"size":1,"growing":false}]`)
	for _, name := range []string{".trash/20250110T080000Z-1-b.flv", "recordings/room/.trash/20250110T080000Z-2-c.flv", "./room/../.trash/20250110T080000Z-1-b.flv"} {
		h.api(t, "POST", "/uploads", order([]string{name})).refused(t, 422, "trash")
	}
}
