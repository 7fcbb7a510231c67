package host_test

import (
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lubod/lubod/host/internal/hosttest"
)

// permissions of a path, without what kind of file it is.
func permissions(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode() &^ fs.ModeDir
}

// private wants that nobody but the owner gets at accounts and the database.
func private(t *testing.T, daemon *hosttest.Daemon) {
	t.Helper()
	for _, name := range []string{"cookies.json", "host-id", "postgres", "run", "logs"} {
		if mode := permissions(t, filepath.Join(daemon.DataDir, name)); mode&0o077 != 0 {
			t.Errorf("%s has %v", name, mode)
		}
	}
}

// A player or a file server under another account reads the recordings: a umask that allows that is followed, and so are
// file_mode and folder_mode, from the first byte of a file on.
func TestRecordingsFollowTheUmaskOrTheModesThatAreSet(t *testing.T) {
	t.Parallel()
	daemon := hosttest.New(t, hosttest.Options{Wrap: []string{"sh", "-c", `umask 002; exec "$@"`, "sh"}})
	prepare(t, daemon)
	recordings := filepath.Join(daemon.DataDir, "recordings")
	record := func(folder string, wantFolder, wantFile fs.FileMode) {
		t.Helper()
		live := hosttest.ServeLive(t, hosttest.EncodeClip(t, 24))
		daemon.Client.Do(http.MethodPost, "/streamers", map[string]any{
			"url": live.URL, "remark": folder, "template_name": "默认模板", "filename_prefix": folder + "/deep/x",
		}, http.StatusOK, nil)
		part := filepath.Join(recordings, folder, "deep", "x_001.flv.part")
		hosttest.Until(t, "a file is being recorded", func() bool { _, err := os.Stat(part); return err == nil }, daemon.Log().Tail)
		daemon.Log().Wait(1, "segment opened", folder+"/deep/x_001.flv.part")
		for path, want := range map[string]fs.FileMode{
			part: wantFile, filepath.Join(recordings, folder): wantFolder, filepath.Join(recordings, folder, "deep"): wantFolder,
		} {
			if mode := permissions(t, path); mode != want {
				t.Errorf("%s has %v, want %v", path, mode, want)
			}
		}
		live.Wait(t)
		daemon.Log().Wait(1, "segment closed", folder+"/deep/x_001.flv")
		if mode := permissions(t, strings.TrimSuffix(part, ".part")); mode != wantFile {
			t.Errorf("the finished file has %v, want %v", mode, wantFile)
		}
	}
	record("umask", 0o775, 0o664)
	if mode := permissions(t, recordings); mode != 0o775 {
		t.Errorf("the folder of recordings has %v", mode)
	}
	daemon.Client.Do(http.MethodPut, "/configuration", map[string]any{"file_mode": "0640", "folder_mode": "2750"}, http.StatusOK, nil)
	record("modes", 0o750|fs.ModeSetgid, 0o640)
	private(t, daemon)
	daemon.Stop()
}

// A data directory that lubod makes lets others pass to the recordings, as far as the umask does, and see nothing else.
func TestNewDataDirectoryCanBePassedThrough(t *testing.T) {
	t.Parallel()
	daemon := hosttest.New(t, hosttest.Options{Wrap: []string{"sh", "-c", `umask 022; exec "$@"`, "sh"}})
	daemon.DataDir = filepath.Join(daemon.Dir, "made", "by", "lubod")
	daemon.Start()
	for path, want := range map[string]fs.FileMode{daemon.DataDir: 0o711, filepath.Join(daemon.DataDir, "recordings"): 0o755} {
		if mode := permissions(t, path); mode != want {
			t.Errorf("%s has %v, want %v", path, mode, want)
		}
	}
	for _, name := range []string{"host-id", "postgres", "run", "logs"} {
		if mode := permissions(t, filepath.Join(daemon.DataDir, name)); mode&0o077 != 0 {
			t.Errorf("%s has %v", name, mode)
		}
	}
	daemon.Stop()
}

// An image without tzdata, and a variable TZ that names no zone: the host starts, says so, and time_zone is what counts.
func TestTimeZoneOfNamesAndTitles(t *testing.T) {
	t.Parallel()
	const zone, offset = "Pacific/Kiritimati", 14 * time.Hour
	wrap := []string{"unshare", "--mount", "sh", "-c", `mount -t tmpfs none /usr/share/zoneinfo && exec "$@"`, "sh"}
	if err := exec.Command(wrap[0], append(wrap[1:], "true")...).Run(); err != nil {
		t.Logf("tzdata cannot be hidden here (%v): the test goes on with it", err)
		wrap = nil
	}
	daemon := hosttest.New(t, hosttest.Options{Wrap: wrap, Env: []string{"TZ=Asia/Beijing"}})
	prepare(t, daemon)
	wantAll(t, daemon.Log().Text(), "TZ=Asia/Beijing names no time zone", "time_zone")
	daemon.Client.Do(http.MethodPut, "/configuration", map[string]any{"time_zone": zone, "filename_prefix": "%Y-%m-%dT%H_%M_%S"}, http.StatusOK, nil)
	live := hosttest.ServeLive(t, hosttest.EncodeClip(t, 24))
	addStreamer(daemon, live.URL, 3600)
	live.Wait(t)
	archives, err := daemon.Sim.WaitArchives(t.Context(), 1)
	if err != nil {
		t.Fatalf("no archive: %v: %s", err, daemon.Log().Tail())
	}
	_, paths := theRecording(t, daemon)
	name := strings.TrimSuffix(filepath.Base(paths[0]), "_001.flv")
	named, err := time.Parse("2006-01-02T15_04_05", name)
	if behind := time.Since(named.Add(-offset)); err != nil || behind < 0 || behind > 10*time.Minute {
		t.Errorf("the file is called %s, which is no time of %s a moment ago (%v)", name, zone, err)
	}
	// The recording may have begun a moment before midnight, and its file after it.
	if title := archives[0].Title; !strings.Contains(title, named.Format("2006-01-02")) && !strings.Contains(title, named.Add(-time.Minute).Format("2006-01-02")) {
		t.Errorf("the title is %q, the file %s", title, name)
	}
	daemon.Stop()
}

// A window of a room that names no time zone follows the configuration's, also when that changes.
func TestTimeZoneOfWindows(t *testing.T) {
	t.Parallel()
	daemon := hosttest.New(t, hosttest.Options{})
	prepare(t, daemon)
	now := time.Now().UTC()
	window := func(from, to time.Duration) map[string]string {
		return map[string]string{"start": now.Add(from).Format("15:04"), "end": now.Add(to).Format("15:04")}
	}
	daemon.Client.Do(http.MethodPut, "/configuration", map[string]any{"time_zone": "UTC"}, http.StatusOK, nil)
	live := hosttest.ServeLive(t, hosttest.EncodeClip(t, 24))
	daemon.Client.Do(http.MethodPost, "/streamers", map[string]any{
		"url": live.URL, "remark": "x", "time_range": window(11*time.Hour, 13*time.Hour),
	}, http.StatusOK, nil)
	daemon.Log().Wait(1, "room is not recorded", "outside its time window", "(UTC)")
	// Half a day ahead, it is open now.
	daemon.Client.Do(http.MethodPut, "/configuration", map[string]any{"time_zone": "Etc/GMT-12"}, http.StatusOK, nil)
	daemon.Log().Wait(1, "segment opened")
	daemon.Stop()
}
