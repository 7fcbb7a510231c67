package plugins

import (
	"bytes"
	"log/slog"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func atoi(t *testing.T, text string) int {
	t.Helper()
	number, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return number
}

func logged(t *testing.T, input string) []string {
	t.Helper()
	book := newLogBook()
	l := newLines(slog.New(book), "line-x")
	l.setPid(7)
	for _, b := range []byte(input) { // the worst way to get it
		if n, err := l.Write([]byte{b}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	l.Flush()
	return strings.Split(book.String(), "\n")
}

func TestLinesKeepLevelNameAndValues(t *testing.T) {
	got := logged(t, `{"@level":"warn","@message":"slow","@timestamp":"2026-01-02T03:04:05.678901Z","@module":"line-x","ms":12,"list":[1,"a"],"pid":99}
{"@level":"trace","@message":"t"}
{"@level":"debug","@message":"d"}
{"@level":"error","@message":"e"}
{"@message":"none"}
`)
	want := []string{
		`WARN slow plugin=line-x pid=7 list=[1,"a"] ms=12 plugin_pid=99`,
		`DEBUG t plugin=line-x pid=7`,
		`DEBUG d plugin=line-x pid=7`,
		`ERROR e plugin=line-x pid=7`,
		`INFO none plugin=line-x pid=7`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// go-plugin's own parser panics at the first two.
func TestLinesTakeWhatIsMalformedAsText(t *testing.T) {
	input := []string{
		`{"@message":1}`, `{"@message":"m","@timestamp":5}`, `{"@level":7,"@message":"m"}`, `{"@message":null}`, `{`, `{}`, `[1]`,
		`{"a":1} trailing`, "plain", `{"@message":"a"} {"@message":"b"}`,
	}
	got := logged(t, strings.Join(input, "\n"))
	want := []string{
		`INFO {"@message":1}`, `INFO m`, `INFO m`, `INFO {"@message":null}`, `INFO {`, `INFO {}`, `INFO [1]`,
		`INFO {"a":1} trailing`, `INFO plain`, `INFO {"@message":"a"} {"@message":"b"}`,
	}
	for i := range want {
		want[i] += " plugin=line-x pid=7"
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLinesRaiseTheWordsOfACrash(t *testing.T) {
	for _, first := range []string{"panic: oh", "fatal error: all goroutines are asleep"} {
		got := logged(t, "before\n"+first+"\n\ngoroutine 1 [running]:\n{\"@level\":\"info\",\"@message\":\"m\"}\nmain.go:5")
		want := []string{"INFO before", "ERROR " + first, "ERROR goroutine 1 [running]:", "INFO m", "ERROR main.go:5"}
		for i := range want {
			want[i] += " plugin=line-x pid=7"
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestLinesAreCappedAndCleaned(t *testing.T) {
	got := logged(t, strings.Repeat("x", 2*maxLine)+"\n\x1b[31mred\xff\r\n")
	if len(got) != 2 || len(got[0]) > maxLine+100 || !strings.Contains(got[0], "… (line cut)") || got[1] != "INFO \uFFFD[31mred\uFFFD plugin=line-x pid=7" {
		t.Errorf("%d lines, the last is %q", len(got), got[len(got)-1])
	}
}

func TestLinesAreLimitedInNumber(t *testing.T) {
	book := newLogBook()
	l := newLines(slog.New(book), "line-x")
	const many = 3 * lineBurst
	for range many {
		_, _ = l.Write([]byte("again\n"))
	}
	l.Flush()
	shown := book.count("again")
	if shown < lineBurst || shown == many || book.count("lines were dropped") == 0 {
		t.Errorf("%d of %d lines, %d reports", shown, many, book.count("lines were dropped"))
	}
}

func TestLinesRespectTheLevelOfTheHost(t *testing.T) {
	var out bytes.Buffer
	l := newLines(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelWarn})), "line-x")
	_, _ = l.Write([]byte("{\"@level\":\"info\",\"@message\":\"quiet\"}\n{\"@level\":\"warn\",\"@message\":\"loud\"}\n"))
	if strings.Contains(out.String(), "quiet") || !strings.Contains(out.String(), "loud") {
		t.Error(out.String())
	}
}

func FuzzLines(f *testing.F) {
	f.Add([]byte(`{"@message":1}` + "\n"))
	f.Add([]byte(`{"@level":"warn","@message":"m","@timestamp":"2026-01-02T03:04:05Z","a":{"b":[1e999]}}` + "\n"))
	f.Add([]byte("panic: \n\n\xff{"))
	f.Fuzz(func(t *testing.T, input []byte) {
		book := newLogBook()
		l := newLines(slog.New(book), "line-x")
		half := len(input) / 2
		_, _ = l.Write(input[:half])
		_, _ = l.Write(input[half:])
		l.Flush()
		if l.Pending() != 0 {
			t.Fatal("something was kept back")
		}
	})
}

func TestMalformedLogLineOfARealPlugin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("extractor-a")
	m := w.load(`plugin "extractor-a" {}`)
	w.mustResolve(m, "a", `stderr:{"@message":1}`)
	w.mustResolve(m, "a", "log:hello")
	pid := "pid=" + strconv.Itoa(status(t, m, "extractor-a").Process.PID)
	w.log.await(t, 1, `INFO {"@message":1}`, "plugin=extractor-a", pid)
	w.log.await(t, 1, "WARN hello", "plugin=extractor-a", pid, "room=7")
}

func TestPanicOfARealPluginIsAnError(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.options.clock = newTestClock()
	w.install("extractor-a")
	m := w.load(`plugin "extractor-a" {}`)
	_, _ = w.resolve(m, "a", "panic")
	w.log.await(t, 1, "ERROR panic: goroutine of the author", "plugin=extractor-a")
}
