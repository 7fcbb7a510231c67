package plugins

import (
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/lubod/lubod/host/internal/reason"
	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/extractor"
	"github.com/lubod/lubod/sdk/line"
	"github.com/lubod/lubod/sdk/wire"
)

// answerHostile is an extractor, or a line, that answers what no SDK would send. Its last word in the URL, or the name of the
// file, says what.
func answerHostile(method string, asked []byte) (fields []byte, err error) {
	wanted := func(word string) bool { return strings.Contains(string(asked), word) }
	number := func(to []byte, field protowire.Number, value uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(to, field, protowire.VarintType), value)
	}
	switch method {
	case "Describe":
		kind := uint64(1)
		fields = text(fields, 4, `^fake://h/`)
		if os.Getenv("FAKE_LINES") != "" {
			kind, fields = 3, text(nil, 5, "h")
		}
		fields = text(text(number(fields, 3, kind), 1, "h"), 2, "1.0.0")
		fields = text(number(fields, 13, wire.MinRevision+7), 8, os.Getenv(wire.EnvInstance))
		fields = text(fields, 7, string(number(text(nil, 1, "from_the_future"), 2, 99))) // an option
	case "Resolve":
		status := number(nil, 1, 3) // live
		switch {
		case wanted("huge"):
			status = text(status, 4, strings.Repeat("x", 17<<20))
		case wanted("long"):
			status = text(status, 4, strings.Repeat("直", 5<<20))
		case wanted("state"):
			status = number(nil, 1, 99)
		}
		status = text(status, 99, "a field of the future")
		streams := 1
		if wanted("many") {
			streams = 200_000
		}
		for range streams {
			status = text(status, 12, string(text(nil, 1, "http://x")))
		}
		fields = text(nil, 1, string(status))
	case "Upload":
		switch {
		case wanted("checkpoint"):
			fields = text(nil, 1, string(text(nil, 2, strings.Repeat("x", 5<<20))))
		case wanted("name"):
			fields = text(nil, 2, string(text(nil, 1, strings.Repeat("x", 1<<20))))
		}
	case "Configure", "Health", "Drain":
	default:
		return nil, grpcstatus.Errorf(codes.Unimplemented, "%s", method)
	}
	return fields, nil
}

// Whatever an extractor answers, it costs the host one answer, which says what is wrong with it; another extractor answers on.
func TestHostileExtractor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("extractor-h", "FAKE_KIND=hostile")
	w.install("extractor-a")
	m := w.load("plugin \"extractor-h\" {}\nplugin \"extractor-a\" {}\n")
	resolve := func(word string) (extractor.Status, error) {
		lease, err := m.Extractor(w.ctx(), "fake://h/"+word)
		if err != nil {
			t.Fatal(err)
		}
		defer lease.Release()
		return lease.Resolve(w.ctx(), ref("fake://h/"+word))
	}
	if _, err := resolve("huge"); reason.Of(err).Code != sdk.CodeOversized {
		t.Errorf("an answer of 17 MiB: %v", err)
	}
	if got, err := resolve("long"); err != nil || utf8.RuneCountInString(got.Title) > 512 || !got.Live() {
		t.Errorf("a title of 5 million characters: %d, %v", utf8.RuneCountInString(got.Title), err)
	}
	if got, err := resolve("many"); err != nil || len(got.Streams) > 256 || len(got.Streams) == 0 {
		t.Errorf("200,000 streams: %d, %v", len(got.Streams), err)
	}
	if got, err := resolve("state"); sdk.KindOf(err) != sdk.Bug {
		t.Errorf("a state of the future: %+v, %v", got, err)
	}
	if s := status(t, m, "extractor-h"); s.State != Ready || len(s.Options) != 1 || s.Options[0].Type != sdk.TypeUnknown {
		t.Errorf("an option type of the future: %+v", s)
	}
	w.mustResolve(m, "a", "greeting")
}

func TestHostileLine(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("line-h", "FAKE_KIND=hostile", "FAKE_LINES=h")
	m := w.load("plugin \"line-h\" {}\n")
	lease, err := m.Line(w.ctx(), "h")
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Release()
	for _, word := range []string{"checkpoint", "name", "nothing"} {
		_, err := lease.Upload(w.ctx(), line.File{Line: "h", Path: "/x", Name: word}, func(line.Progress) error { return nil })
		if sdk.KindOf(err) != sdk.Bug {
			t.Errorf("%s: %v", word, err)
		}
	}
}
