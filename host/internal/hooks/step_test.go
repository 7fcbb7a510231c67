package hooks

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lubod/lubod/host/internal/outgoing"
	"github.com/lubod/lubod/sdk/fetch"
)

func TestParse(t *testing.T) {
	for name, tc := range map[string]struct {
		stage Stage
		raw   string
		want  []Step
	}{
		"nothing": {Preprocessor, "", nil},
		"null":    {Preprocessor, "null", nil},
		"none":    {Preprocessor, " [] ", nil},
		"all actions": {Postprocessor, `[{"run":"sha256sum \"$1\""},{"mv":"archive/2025"},"rm",{"rm":true},{"remux":"mp4"},{"webhook":"https://hooks.example/x?y=z"}]`, []Step{
			{Action: Run, Value: `sha256sum "$1"`, OnError: Continue}, {Action: Move, Value: "archive/2025", OnError: Continue},
			{Action: Remove, OnError: Continue}, {Action: Remove, OnError: Continue}, {Action: Remux, Value: "mp4", OnError: Continue},
			{Action: Webhook, Value: "https://hooks.example/x?y=z", OnError: Continue},
		}},
		"all options": {SegmentProcessor, `[{"timeout":90,"retries":3,"on_error":"hold","run":"x"},{"mv":"/mnt/nas","on_error":"stop","retries":0}]`, []Step{
			{Action: Run, Value: "x", Timeout: 90 * time.Second, Retries: 3, OnError: Hold}, {Action: Move, Value: "/mnt/nas", OnError: Stop},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Parse(tc.stage, []byte(tc.raw))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseNamesTheWrongStep(t *testing.T) {
	for raw, want := range map[string]string{
		`{"run":"x"}`: "must be a list of steps",
		`[1`:          "must be a list of steps",
		`["rm"` + strings.Repeat(`,"rm"`, 20) + `]`: "must have at most 20 steps",
		`["rm",7]`:               "step 2: " + forms,
		`[null]`:                 "step 1: " + forms,
		`[""]`:                   "step 1: " + forms,
		`["remove"]`:             "step 1: " + forms,
		`[[]]`:                   "step 1: " + forms,
		`[{}]`:                   "step 1: " + forms,
		`[{"timeout":1}]`:        "step 1: " + forms,
		`[{"run":"a","mv":"b"}]`: "step 1: has both mv and run; make two steps of them",
		`[{"Run":"a"}]`:          "step 1: Run: is not known here; allowed are mv, on_error, remux, retries, rm, run, timeout, webhook",
		`[{"run":""}]`:           "step 1: run: must not be empty",
		`[{"run":null}]`:         "step 1: run: must be a text",
		`[{"run":["a"]}]`:        "step 1: run: must be a text",
		`[{"run":"a\u0000b"}]`:   "step 1: run: must not hold a NUL character",
		`[{"run":"` + strings.Repeat("x", 10_001) + `"}]`: "step 1: run: must have at most 10000 bytes",
		`[{"rm":false}]`:                            "step 1: rm: must be true",
		`[{"rm":"yes"}]`:                            "step 1: rm: must be true",
		`[{"mv":"../x"}]`:                           "step 1: mv: must be a folder below the recordings, or an absolute path",
		`[{"remux":"exe"}]`:                         "step 1: remux: must be mp4, mkv, ts or flv",
		`[{"webhook":"hooks.example"}]`:             "step 1: webhook: must be a complete URL that begins with http:// or https://",
		`[{"webhook":"file:///etc/passwd"}]`:        "step 1: webhook: must be a complete URL that begins with http:// or https://",
		`[{"webhook":"https://u:p@hooks.example"}]`: "step 1: webhook: must not hold a user name or a password: everybody who may list the streamers would read them",
		`[{"run":"a","timeout":0}]`:                 "step 1: timeout: must be a whole number from 1 to 86400 (seconds)",
		`[{"run":"a","timeout":1.5}]`:               "step 1: timeout: must be a whole number from 1 to 86400 (seconds)",
		`[{"run":"a","timeout":null}]`:              "step 1: timeout: must be a whole number from 1 to 86400 (seconds)",
		`[{"run":"a","timeout":"5"}]`:               "step 1: timeout: must be a whole number from 1 to 86400 (seconds)",
		`[{"run":"a","retries":21}]`:                "step 1: retries: must be a whole number from 0 to 20",
		`[{"run":"a","on_error":"explode"}]`:        "step 1: on_error: must be continue, stop or hold",
	} {
		_, err := Parse(Postprocessor, []byte(raw))
		if err == nil || err.Error() != want {
			t.Errorf("%.80s\n got %v\nwant %s", raw, err, want)
		}
	}
}

func TestStepsFitTheirStage(t *testing.T) {
	for _, tc := range []struct {
		stage Stage
		raw   string
		fits  bool
	}{
		{Preprocessor, `[{"run":"x"},{"webhook":"http://a"}]`, true},
		{Preprocessor, `[{"mv":"x"}]`, false},
		{Preprocessor, `[{"remux":"mp4"}]`, false},
		{Preprocessor, `["rm"]`, false},
		{SegmentProcessor, `[{"run":"x"},{"mv":"x"},{"remux":"mp4"},{"webhook":"http://a"}]`, true},
		{SegmentProcessor, `["rm"]`, false},
		{DownloadedProcessor, `[{"run":"x"},{"mv":"x"},{"remux":"mp4"},{"webhook":"http://a"}]`, true},
		{DownloadedProcessor, `["rm"]`, false},
		{Postprocessor, `[{"run":"x"},{"mv":"x"},"rm",{"remux":"mp4"},{"webhook":"http://a"}]`, true},
	} {
		_, err := Parse(tc.stage, []byte(tc.raw))
		var wrong *StepError
		if (err == nil) != tc.fits || err != nil && (!errors.As(err, &wrong) || wrong.Number != 1) {
			t.Errorf("%s %s: %v", tc.stage, tc.raw, err)
		}
	}
}

func TestCheckRefusesWhatWouldAlwaysFail(t *testing.T) {
	root, nas, elsewhere := t.TempDir(), t.TempDir(), t.TempDir()
	for link, target := range map[string]string{"out": elsewhere, "nas": nas, "gone": elsewhere + "/nothing"} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	allowed, err := fetch.ParseAllowed("10.1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	sender := outgoing.New(outgoing.Options{Allowed: allowed})
	defer sender.Close()
	for _, tc := range []struct {
		action Action
		value  string
		words  string // "": it is fine
	}{
		{Move, "new/folder", ""},
		{Move, root + "/x", ""},
		{Move, nas + "/x", ""},
		{Move, "nas/x", ""},
		{Move, "gone/x", ""}, // a disk that is away may come back
		{Move, "/etc/cron.d", "--hook-dirs"},
		{Move, root + "/../postgres", "--hook-dirs"},
		{Move, "out/x", "--hook-dirs"},
		{Webhook, "https://hooks.example/x", ""},
		{Webhook, "http://10.1.2.3/x", ""},
		{Webhook, "http://127.0.0.1:8080/x", "--allow-addresses"},
		{Webhook, "http://[::1]/x", "--allow-addresses"},
		{Webhook, "http://0x7f.1/x", "four decimal numbers"},
		{Webhook, "http://a:99999/x", "port"},
		{Remux, "mp4", ""},
		{Remove, "", ""},
		{Run, "true", ""}, // who may run commands is asked elsewhere
	} {
		s := &Service{Options: Options{Root: root, MoveDirs: []string{nas}, HTTP: sender}}
		err := s.Check([]Step{{Action: Remove}, {Action: tc.action, Value: tc.value}})
		var wrong *StepError
		switch {
		case tc.words == "" && err != nil:
			t.Errorf("%s %s: %v", tc.action, tc.value, err)
		case tc.words != "" && (!errors.As(err, &wrong) || wrong.Number != 2 || !strings.Contains(err.Error(), "step 2: "+string(tc.action)+": ") || !strings.Contains(err.Error(), tc.words)):
			t.Errorf("%s %s: %v, want %q", tc.action, tc.value, err, tc.words)
		}
		s.AllowRun = true
		if err := s.Check([]Step{{Action: tc.action, Value: tc.value}}); tc.action == Move && err != nil {
			t.Errorf("where commands may move files, %s is refused: %v", tc.value, err)
		}
	}
	if made, err := os.ReadDir(root); err != nil || len(made) != 3 {
		t.Errorf("a check made folders: %v %v", made, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`[{"run":"x","timeout":1},"rm",{"rm":true},{"mv":"a"},{"remux":"ts"},{"webhook":"http://a"}]`)
	f.Add(`[{"run":"x","run":"y","on_error":"hold","retries":2}]`)
	f.Fuzz(func(t *testing.T, raw string) {
		steps, err := Parse(Postprocessor, []byte(raw))
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") && !strings.ContainsAny(raw, "\\\n\r") {
				t.Errorf("error of several lines: %q", err)
			}
			return
		}
		for i, s := range steps {
			if s.Action == "" || s.OnError == "" || (s.Value == "") != (s.Action == Remove) || s.Timeout < 0 || s.Timeout > maxTimeout*time.Second ||
				s.Retries < 0 || s.Retries > maxRetries || strings.ContainsRune(s.Value, 0) {
				t.Errorf("step %d of %q: %+v", i+1, raw, s)
			}
		}
	})
}
