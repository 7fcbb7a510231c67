package settings

import (
	"encoding/json"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/lubod/lubod/host/internal/folders"
)

func TestMergeKeepsWhatIsNotNamed(t *testing.T) {
	got, err := DefaultConfiguration().Merge(json.RawMessage(`{"lines":"qn","delay":0,"filtering_threshold":0.5,"submit_api":"app"}`))
	if err != nil {
		t.Fatal(err)
	}
	app := "app"
	want := DefaultConfiguration()
	want.Lines, want.Delay, want.FilteringThreshold, want.SubmitAPI = "qn", 0, 0.5, &app
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestMergeOfNothingChangesNothing(t *testing.T) {
	for _, raw := range []string{"", "  ", "{}", "null"} {
		got, err := DefaultConfiguration().Merge(json.RawMessage(raw))
		if err != nil || got != DefaultConfiguration() {
			t.Errorf("%q: %+v, %v", raw, got, err)
		}
	}
}

func TestMergeNamesTheKeyAndWhatIsAllowed(t *testing.T) {
	for raw, want := range map[string]string{
		`{"thread":3}`:                 "thread: is no configuration key; allowed are ",
		`{"threads":"3"}`:              "threads: must be a whole number, not a string",
		`{"threads":1.5}`:              "threads: must be a whole number, not a number 1.5",
		`{"threads":0}`:                "threads: must be from 1 to 64, not 0",
		`{"threads":65}`:               "threads: must be from 1 to 64, not 65",
		`{"delay":-1}`:                 "delay: must be from 0 to 604800, not -1",
		`{"event_loop_interval":0}`:    "event_loop_interval: must be from 1 to 86400, not 0",
		`{"download_limit":0}`:         "download_limit: must be from 1 to 10000, not 0",
		`{"upload_limit":101}`:         "upload_limit: must be from 1 to 100, not 101",
		`{"filtering_threshold":-1}`:   "filtering_threshold: must be from 0 to 1000000 (MB)",
		`{"lines":" "}`:                `lines: must name an upload line, or "AUTO"`,
		`{"lines":1}`:                  "lines: must be a string, not a number",
		`{"submit_api":"tv"}`:          `submit_api: must be null, "app", "web" or "b-cut-android", not "tv"`,
		`{"submit_api":"client"}`:      `submit_api: must be null, "app", "web" or "b-cut-android", not "client"; Bilibili closed`,
		`{"trash_days":-1}`:            "trash_days: must be from 0 to 3650, not -1",
		`{"file_mode":664}`:            "file_mode: must be a string, not a number",
		`{"file_mode":"0888"}`:         "file_mode: must be empty (as the umask says) or octal text",
		`{"file_mode":"0466"}`:         `file_mode: must be empty (as the umask says) or octal text from "0600" to "0666" that lets the owner read and write, such as "0664"`,
		`{"file_mode":"0775"}`:         "file_mode: must be empty",
		`{"file_mode":"-664"}`:         "file_mode: must be empty",
		`{"folder_mode":"0675"}`:       `folder_mode: must be empty (as the umask says) or octal text from "0700" to "0777" that lets the owner do everything, such as "0775"`,
		`{"folder_mode":"4755"}`:       "folder_mode: must be empty",
		`{"folder_mode":"drwx"}`:       "folder_mode: must be empty",
		`{"time_zone":"Asia/Beijing"}`: "time_zone: must be empty (as the machine has it) or the name of a time zone, such as Asia/Shanghai or UTC",
		`{"time_zone":"Local"}`:        "time_zone: must be empty",
		`{"time_zone":8}`:              "time_zone: must be a string, not a number",
		`{"use_live_cover":1}`:         "use_live_cover: must be a ",
		`{"file_size":"2G"}`:           "file_size: must be a whole number of bytes, at most 1099511627776, or null for no limit",
		`{"file_size":-1}`:             "file_size: must be",
		`{"file_size":1e99}`:           "file_size: must be",
		`{"segment_time":"1 hour"}`:    "segment_time: must be a text of the form HH:MM:SS, at most 168:00:00, or null for no limit",
		`{"segment_time":"169:00:00"}`: "segment_time: must be",
		`{"segment_time":3600}`:        "segment_time: must be",
		`{"segment_time":"1:2:3:4"}`:   "segment_time: must be",
		`{"segment_time":"+1"}`:        "segment_time: must be",
		`[]`:                           "configuration: must be one JSON object",
		`{} {}`:                        "configuration: must be one JSON object",
		`{`:                            "configuration: must be one JSON object",
	} {
		_, err := DefaultConfiguration().Merge(json.RawMessage(raw))
		var key *KeyError
		if !errors.As(err, &key) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s…", raw, err, want)
		}
	}
}

func TestLayeredLetsTheLaterLayerWin(t *testing.T) {
	got, err := Layered([]byte(`{"delay":10,"threads":4}`), nil, []byte(`{"delay":20}`))
	if err != nil || got.Delay != 20 || got.Threads != 4 || got.Lines != LineAuto {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := Layered([]byte(`{"delay":10}`), []byte(`{"delay":"x"}`)); err == nil {
		t.Error("a wrong layer was accepted")
	}
}

func TestModes(t *testing.T) {
	for raw, want := range map[string]folders.Modes{
		`{}`: {}, `{"file_mode":"","folder_mode":""}`: {},
		`{"file_mode":"664","folder_mode":"0775"}`:     {File: 0o664, Folder: 0o775},
		`{"file_mode":"0o600","folder_mode":"0o2770"}`: {File: 0o600, Folder: 0o770 | fs.ModeSetgid},
	} {
		got, err := Layered([]byte(raw))
		if err != nil || got.Modes() != want {
			t.Errorf("%s: %+v, %v", raw, got.Modes(), err)
		}
	}
}

func TestZone(t *testing.T) {
	global := []byte(`{"time_zone":"Asia/Shanghai"}`)
	for override, want := range map[string]string{`{}`: "Asia/Shanghai", `{"time_zone":"America/New_York"}`: "America/New_York", `{"time_zone":""}`: "Local"} {
		got, err := Layered(global, []byte(override))
		if err != nil || got.Zone().String() != want {
			t.Errorf("%s: %s, %v", override, got.Zone(), err)
		}
	}
	if again, err := zone("Asia/Shanghai"); err != nil || again != DefaultConfiguration().with("Asia/Shanghai").Zone() {
		t.Errorf("a zone is read again for every room: %v", err)
	}
}

func (c Configuration) with(zone string) Configuration { c.TimeZone = zone; return c }

// TZ of an environment can be many things; Go takes what it does not know for UTC and says nothing.
func TestCheckMachineZone(t *testing.T) {
	for tz, good := range map[string]bool{
		"": true, "UTC": true, "Asia/Shanghai": true, ":UTC": true, "/nowhere/zone": false, "/etc/passwd": false, ":Asia/Beijing": false,
		"Asia/Beijing": false, "CST-8": false, "Beijing": false, "../etc/passwd": false,
	} {
		err := CheckMachineZone(tz)
		if (err == nil) != good || err != nil && (!strings.Contains(err.Error(), "TZ="+tz) || !strings.Contains(err.Error(), "time_zone")) {
			t.Errorf("%q: %v", tz, err)
		}
	}
}

func TestConfigurationUnits(t *testing.T) {
	c := Configuration{Delay: 300, EventLoopInterval: 30, FilteringThreshold: 1.5, TrashDays: 3}
	if c.TrashTime() != 72*time.Hour {
		t.Errorf("%v", c.TrashTime())
	}
	if c.DelayDuration() != 5*time.Minute || c.PollInterval() != 30*time.Second || c.FilteringBytes() != 1_500_000 {
		t.Errorf("%v %v %v", c.DelayDuration(), c.PollInterval(), c.FilteringBytes())
	}
}

// What a configuration is written as reads back as the same.
func TestConfigurationSurvivesJSON(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		want := Configuration{
			Lines: rapid.StringMatching(`[a-z]{2,6}`).Draw(rt, "lines"), Threads: rapid.IntRange(1, 64).Draw(rt, "threads"),
			DownloadLimit: rapid.IntRange(1, 10_000).Draw(rt, "download"), UploadLimit: rapid.IntRange(1, MaxUploadLimit).Draw(rt, "upload"),
			Delay: rapid.IntRange(0, 604_800).Draw(rt, "delay"), EventLoopInterval: rapid.IntRange(1, 86_400).Draw(rt, "interval"),
			FilteringThreshold: rapid.Float64Range(0, 1e6).Draw(rt, "threshold"), FilenamePrefix: rapid.SampledFrom([]string{"{streamer}", "a/{{title}}%Y"}).Draw(rt, "prefix"),
		}
		raw, err := json.Marshal(want)
		if err != nil {
			rt.Fatal(err)
		}
		got, err := DefaultConfiguration().Merge(raw)
		if err != nil || got != want {
			rt.Fatalf("%s became %+v, %v", raw, got, err)
		}
	})
}

func FuzzMerge(f *testing.F) {
	for _, seed := range []string{`{"lines":"qn"}`, `null`, `{"threads":1e99}`, `{"a":{}}`, `[[`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, err := DefaultConfiguration().Merge(raw)
		var key *KeyError
		if err != nil && !errors.As(err, &key) {
			t.Fatalf("%q: %v is no *KeyError", raw, err)
		}
	})
}

func TestSubmitViaHasOneSpelling(t *testing.T) {
	for raw, want := range map[string]string{
		`{}`: "app", `{"submit_api":null}`: "app", `{"submit_api":"app"}`: "app", `{"submit_api":"web"}`: "web",
		`{"submit_api":"bcutandroid"}`: "b-cut-android", `{"submit_api":"bcut_android"}`: "b-cut-android", `{"submit_api":"b-cut-android"}`: "b-cut-android",
	} {
		got, err := DefaultConfiguration().Merge(json.RawMessage(raw))
		if err != nil || got.SubmitVia() != want {
			t.Errorf("%s: %q, %v", raw, got.SubmitVia(), err)
		}
	}
}
