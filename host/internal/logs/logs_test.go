package logs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// logger writes to a ring of its own; the other log goes to the buffer.
func logger(capacity int) (*slog.Logger, *Ring, *bytes.Buffer) {
	ring, other := newRing(capacity), &bytes.Buffer{}
	return slog.New(ring.Handler(Masked(slog.NewTextHandler(other, nil)))), ring, other
}

// write logs a message that only the run knows.
func write(t *testing.T, log *slog.Logger, level slog.Level, message string) {
	t.Helper()
	if err := log.Handler().Handle(t.Context(), slog.NewRecord(time.Now(), level, message, 0)); err != nil {
		t.Fatal(err)
	}
}

// lines is what a reader gets without waiting.
func lines(t *testing.T, r *Reader) []string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var all []string
	for {
		records, dropped, err := r.Next(ctx)
		if errors.Is(err, context.Canceled) {
			return all
		}
		if dropped > 0 {
			all = append(all, fmt.Sprintf("%d dropped", dropped))
		}
		for _, record := range records {
			all = append(all, strings.TrimSpace(record.Line()[len(timeFormat):]))
		}
	}
}

func TestLinesShowWhatWasLogged(t *testing.T) {
	log, ring, other := logger(10)
	log.With("part", "record", "streamer", 7).WithGroup("file").Warn("segment\nclosed", "path", "/a b", "size", 12, slog.Group("by", "line", "bda2"), "empty", "")
	log.Debug("not asked for")
	log.Info("plain", "error", errors.New(`bad "thing"`), "took", time.Second, "at", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), "ratio", 0.5, "yes", true)
	want := []string{
		`WARN record: segment\nclosed streamer=7 file.path="/a b" file.size=12 file.by.line=bda2 file.empty=""`,
		`INFO plain error="bad \"thing\"" took=1s at=2026-01-02T03:04:05Z ratio=0.5 yes=true`,
	}
	if diff := cmp.Diff(want, lines(t, ring.Read(Filter{}, 50))); diff != "" {
		t.Error(diff)
	}
	if strings.Count(other.String(), "\n") != 2 || !strings.Contains(other.String(), "file.by.line=bda2") {
		t.Errorf("the other log has %s", other)
	}
}

func TestRecordsAsJSON(t *testing.T) {
	log, ring, _ := logger(10)
	log.Error("failed", "streamer", 3, "plugin", "line-upos", "token", "abc")
	records, _, err := ring.Read(Filter{}, 1).Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	records[0].Time = time.Date(2026, 1, 2, 4, 4, 5, 0, time.FixedZone("", 3600))
	got, err := json.Marshal(records[0])
	if want := `{"seq":1,"time":"2026-01-02T03:04:05Z","level":"error","message":"failed","attributes":{"plugin":"line-upos","streamer":3,"token":"***"}}`; err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
}

func TestFilters(t *testing.T) {
	log, ring, _ := logger(100)
	log = log.With()
	log.Info("host")
	log.Info("room", "part", "monitor", "streamer", int64(1))
	log.Warn("other room", "part", "record", "streamer", int64(12))
	log.Error("transfer", "part", "upload", "streamer", "1")
	log.Info("chunk", "plugin", "line-upos")
	log.Info("tag", "plugin", "recorder-native")
	for _, tc := range []struct {
		filter Filter
		want   string
	}{
		{Filter{}, "host room other transfer chunk tag"},
		{Filter{Level: slog.LevelWarn}, "other transfer"},
		{Filter{Level: slog.LevelDebug}, "host room other transfer chunk tag"},
		{Filter{Streamer: "1"}, "room transfer"},
		{Filter{Plugin: "line-upos"}, "chunk"},
		{Filter{Plugin: "line"}, ""},
		{Filter{Parts: []string{"upload", "line-"}}, "transfer chunk"},
		{Filter{Parts: []string{"monitor", "record", "recorder-"}}, "room other tag"},
	} {
		var got []string
		for _, line := range lines(t, ring.Read(tc.filter, 50)) {
			for _, word := range []string{"host", "other", "room", "transfer", "chunk", "tag"} {
				if strings.Contains(line, " "+word) {
					got = append(got, word)
					break
				}
			}
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%+v takes %v, want %s", tc.filter, got, tc.want)
		}
	}
}

func TestTheLastLinesAreThoseThatMatch(t *testing.T) {
	log, ring, _ := logger(100)
	for i := range 40 {
		log.Info("noise")
		write(t, log, slog.LevelWarn, fmt.Sprint("w", i))
	}
	if diff := cmp.Diff([]string{"WARN w37", "WARN w38", "WARN w39"}, lines(t, ring.Read(Filter{Level: slog.LevelWarn}, 3))); diff != "" {
		t.Error(diff)
	}
	reader := ring.Read(Filter{}, 0)
	if got := lines(t, reader); got != nil {
		t.Errorf("lines that were there before: %v", got)
	}
	log.Info("new")
	if diff := cmp.Diff([]string{"INFO new"}, lines(t, reader)); diff != "" {
		t.Error(diff)
	}
}

func TestASlowReaderIsToldWhatItMissed(t *testing.T) {
	log, ring, _ := logger(5)
	reader := ring.Read(Filter{}, 50)
	for i := range 12 {
		write(t, log, slog.LevelInfo, fmt.Sprint(i))
	}
	if diff := cmp.Diff([]string{"7 dropped", "INFO 7", "INFO 8", "INFO 9", "INFO 10", "INFO 11"}, lines(t, reader)); diff != "" {
		t.Error(diff)
	}
}

func TestAReaderWaits(t *testing.T) {
	log, ring, _ := logger(5)
	reader := ring.Read(Filter{Level: slog.LevelError}, 50)
	got := make(chan string)
	go func() {
		records, _, err := reader.Next(t.Context())
		got <- fmt.Sprint(len(records), err)
	}()
	log.Info("no")
	log.Error("yes")
	if text := <-got; text != "1 <nil>" {
		t.Error(text)
	}
}

// TestManyReadersSeeEveryLine checks the ring against a plain list.
func TestManyReadersSeeEveryLine(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		log, ring, _ := logger(rapid.IntRange(1, 8).Draw(rt, "capacity"))
		reader, expected, read := ring.Read(Filter{}, 1000), 0, 0
		for range rapid.IntRange(0, 40).Draw(rt, "steps") {
			if rapid.Bool().Draw(rt, "write") {
				write(t, log, slog.LevelInfo, fmt.Sprint(expected))
				expected++
				continue
			}
			for _, line := range lines(t, reader) {
				var dropped int
				if n, _ := fmt.Sscanf(line, "%d dropped", &dropped); n == 1 {
					read += dropped
					continue
				}
				if line != fmt.Sprint("INFO ", read) {
					rt.Fatalf("%s, want %d", line, read)
				}
				read++
			}
			if read != expected {
				rt.Fatalf("read %d of %d", read, expected)
			}
		}
	})
}

func TestSecretsAreMasked(t *testing.T) {
	const secret = "s3cr3t-Value_1"
	log, ring, other := logger(100)
	log.Warn("first start", "setup_token", secret, "authorization", secret, "cookie", secret, slog.Group("account", "password", secret))
	for _, text := range []string{
		"GET https://api.example/x?a=1&access_token=" + secret + "&b=2: 403",
		"postgres://user:" + secret + "@host/db",
		"Cookie: SESSDATA=" + secret + "; bili_jct=" + secret,
		`{"SESSDATA": "` + secret + `", "x": 1}`,
		`{\"refresh_token\":\"` + secret + `\"}`,
		"Authorization: Bearer " + secret,
		"header bearer " + secret,
		"setup_token=" + secret,
		`token="` + secret + ` with spaces"`,
	} {
		write(t, log, slog.LevelInfo, text)
		log.Info("failed", "error", errors.New(text))
		log.Info("raw", "body", []byte(text), "any", map[string]string{"token": secret})
	}
	log.With("url", "http://a.example/live.flv?token="+secret).WithGroup("g").Info("begins", "of", slog.GroupValue(slog.String("cookie", secret)))
	log.Info("masks itself", "by", lazy("token="+secret))
	for _, line := range append(lines(t, ring.Read(Filter{}, 100)), strings.Split(strings.Replace(other.String(), "setup_token="+secret, "", 1), "\n")...) {
		if strings.Contains(line, secret) {
			t.Error(line)
		}
	}
	if !strings.Contains(other.String(), `msg="first start" setup_token=`+secret+" authorization=*** cookie=*** account.password=***") {
		t.Error("the operator cannot read the set-up token in the log")
	}
}

type lazy string

func (l lazy) LogValue() slog.Value { return slog.StringValue(string(l)) }

func TestWhatIsNoSecretIsPassedOnAsItIs(t *testing.T) {
	var plain, through bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewJSONHandler(&plain, nil), Masked(slog.NewJSONHandler(&through, nil))} {
		record := slog.NewRecord(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), slog.LevelInfo, "segment closed", 0)
		record.AddAttrs(slog.Int("size", 12), slog.Duration("took", time.Second), slog.Any("error", errors.New("x: y")), slog.Any("nothing", nil),
			slog.Any("list", []int{1}), slog.Group("by", "line", "bda2"), slog.Time("at", time.Unix(0, 0).UTC()), slog.Bool("yes", true))
		handler = handler.WithAttrs([]slog.Attr{slog.Int64("streamer", 7)}).WithGroup("file").WithAttrs([]slog.Attr{slog.String("path", "/a b")})
		if err := handler.Handle(t.Context(), record); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(plain.String(), through.String()); diff != "" || plain.Len() == 0 {
		t.Error(diff)
	}
}

func TestWhatIsNoSecretStays(t *testing.T) {
	for _, text := range []string{
		"", "the token is wrong: log in again", "path=/a/token.txt", "http://127.0.0.1:8080/live.flv?x=1", "10:20:30 a:b@c", "split_time: must be a whole number, not a text",
		"streamer=1 line=bda2", `{"title": "token"}`,
	} {
		if got := Mask(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestLongTextsAreCut(t *testing.T) {
	log, ring, _ := logger(5)
	write(t, log.With("value", strings.Repeat("x", 10000), "broken", "a\xffb"), slog.LevelInfo, strings.Repeat("长", 5000))
	line := lines(t, ring.Read(Filter{}, 1))[0]
	if len(line) > 2*maxValue+200 || !strings.Contains(line, "bytes more)") || !strings.Contains(line, "a\uFFFDb") {
		t.Errorf("%d bytes: …%s", len(line), line[len(line)-100:])
	}
}

func TestLevels(t *testing.T) {
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if got, err := ParseLevel(levelName(level + 1)); err != nil || got != level {
			t.Errorf("%v: %v, %v", level, got, err)
		}
	}
	if _, err := ParseLevel("INFO"); err == nil || !strings.Contains(err.Error(), "debug, info, warn and error") {
		t.Error(err)
	}
}

func TestByNamesOnWhoseBehalf(t *testing.T) {
	log, ring, _ := logger(10)
	By(WithActor(t.Context(), "admin (token script)"), log).Info("changed", "n", 1)
	By(t.Context(), log).Info("by itself")
	want := []string{`INFO changed by="admin (token script)" n=1`, "INFO by itself"}
	if diff := cmp.Diff(want, lines(t, ring.Read(Filter{}, 10))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
