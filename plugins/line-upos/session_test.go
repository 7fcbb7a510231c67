package main

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/line"
)

func TestPartSetSurvivesItsText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count := rapid.IntRange(1, 300).Draw(t, "count")
		set := newPartSet(count)
		for _, part := range rapid.SliceOf(rapid.IntRange(1, count)).Draw(t, "parts") {
			set.add(part)
		}
		again, err := parsePartSet(set.String(), count)
		if err != nil {
			t.Fatalf("%q: %v", set, err)
		}
		if again.String() != set.String() || again.n != set.n || len(again.missing()) != count-set.n || again.full() != (set.n == count) {
			t.Fatalf("%q became %q", set, again)
		}
	})
}

func TestPartSetRefusesNonsense(t *testing.T) {
	for _, text := range []string{"0", "11", "1-11", "3-2", "2,2", "2,1", "1-3,3", "a", "1-", "-1", ",", "1,", "1-2-3", "99999999999999999999"} {
		if set, err := parsePartSet(text, 10); err == nil {
			t.Errorf("%q was read as %q", text, set)
		}
	}
}

func TestPartSetStaysCompact(t *testing.T) {
	set := newPartSet(8000)
	for part := 1; part <= 8000; part++ {
		if part != 17 {
			set.add(part)
		}
	}
	if got := set.String(); got != "1-16,18-8000" {
		t.Errorf("got %q", got)
	}
}

func TestAckedBytesCountTheLastChunkAsItIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &session{ChunkSize: rapid.Int64Range(1, 50).Draw(t, "chunk"), File: line.Identity{Size: rapid.Int64Range(1, 500).Draw(t, "size")}}
		s.acked = newPartSet(s.partCount())
		want := int64(0)
		for part := 1; part <= s.partCount(); part++ {
			start, size := s.span(part)
			if size < 1 || size > s.ChunkSize || start != int64(part-1)*s.ChunkSize {
				t.Fatalf("part %d begins at %d and has %d bytes", part, start, size)
			}
			if rapid.Bool().Draw(t, "acknowledged") {
				s.acked.add(part)
				want += size
			}
		}
		if got := s.ackedBytes(); got != want || (s.acked.full() && got != s.File.Size) {
			t.Fatalf("%d bytes, want %d of %d", got, want, s.File.Size)
		}
	})
}

func TestAuthTime(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for auth, want := range map[string]int64{
		"ak=1&timestamp=1767225600.123&uid=1": 1767225600123,
		"ak=1&timestamp=1767225600":           1767225600000,
		"ak=1":                                now.UnixMilli(),
		"timestamp=NaN":                       now.UnixMilli(),
		"timestamp=-5":                        now.UnixMilli(),
		"timestamp=1e300":                     now.UnixMilli(),
		"%zz":                                 now.UnixMilli(),
	} {
		if got := authTime(auth, now).UnixMilli(); got != want {
			t.Errorf("%q: %d, want %d", auth, got, want)
		}
	}
}

func validSession() *session {
	return &session{
		Version: sessionVersion, Line: "bda2", Name: "a.mp4", Profile: profile, Endpoint: "//a.example",
		UposURI: "upos://ugc/n1.mp4", Auth: "ak=1&sign=2", AuthUnixMS: 1767225600123, BizID: 1, ChunkSize: 10, UploadID: "u",
		File: line.Identity{Size: 25, MtimeNS: 1, HeadTailSHA256: "00"}, Parts: "1,3",
	}
}

func TestCheckpointsThatCannotBeTrustedAreRefused(t *testing.T) {
	for name, damage := range map[string]func(*session){
		"version":                 func(s *session) { s.Version = 2 },
		"no upload id":            func(s *session) { s.UploadID = "" },
		"no name":                 func(s *session) { s.Name = "" },
		"no size":                 func(s *session) { s.File.Size = 0 },
		"chunk size 0":            func(s *session) { s.ChunkSize = 0 },
		"chunk size huge":         func(s *session) { s.ChunkSize = math.MaxInt64 },
		"too many parts":          func(s *session) { s.File.Size, s.ChunkSize = math.MaxInt64, 1 },
		"part out of range":       func(s *session) { s.Parts = "4" },
		"auth with a line break":  func(s *session) { s.Auth = "a\nb" },
		"object outside":          func(s *session) { s.UposURI = "upos://ugc/../../x" },
		"object without a name":   func(s *session) { s.UposURI = "upos://ugc/.mp4" },
		"completed without parts": func(s *session) { s.Completed = true },
	} {
		s := validSession()
		damage(s)
		if _, err := decodeSession(mustJSON(t, s)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := decodeSession(mustJSON(t, validSession())); err != nil {
		t.Errorf("the one without damage: %v", err)
	}
}

// What decodeSession accepts must be usable without a panic and mean the same after another round.
func FuzzDecodeSession(f *testing.F) {
	f.Add([]byte(`{}`))
	s := validSession()
	f.Add(mustJSON(f, s))
	s.Parts, s.Completed = "1-3", true
	f.Add(mustJSON(f, s))
	f.Fuzz(func(t *testing.T, checkpoint []byte) {
		s, err := decodeSession(checkpoint)
		if err != nil {
			return
		}
		first, err := s.encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodeSession(first)
		if err != nil {
			t.Fatalf("%s became %s: %v", checkpoint, first, err)
		}
		if second, _ := again.encode(); string(first) != string(second) {
			t.Fatalf("%s became %s", first, second)
		}
		if bytes := s.ackedBytes(); bytes < 0 || bytes > s.File.Size || s.acked.full() != (bytes == s.File.Size) {
			t.Fatalf("%d of %d bytes are acknowledged", bytes, s.File.Size)
		}
		for _, part := range s.acked.missing() {
			if start, size := s.span(part); start < 0 || size < 1 || start+size > s.File.Size {
				t.Fatalf("part %d is %d bytes at %d", part, size, start)
			}
		}
		if s.remoteName() == "" {
			t.Fatal("no remote name")
		}
		if s.locate("https") == nil && !strings.HasPrefix(s.object, "https://") {
			t.Fatalf("object is at %s", s.object)
		}
	})
}

// Whatever a server answers, every step returns success or an error of a kind.
func FuzzDecodeAnswers(f *testing.F) {
	for _, body := range []string{
		``, `{}`, `null`, `[]`, `{"OK":1,"upload_id":"x"}`, `{"OK":"1"}`, `{"code":601}`, `{"code":"-101","message":null}`,
		`{"OK":1,"auth":"a","biz_id":1,"chunk_size":5,"endpoint":"//a","endpoints":["//b"],"upos_uri":"upos://ugc/n.mp4"}`,
		`{"OK":1,"lines":[{"os":"upos","query":"upcdn=tx","probe_url":"//a/OK"}],"probe":{"post":0.1}}`, `<html>`,
	} {
		f.Add(200, []byte(body))
		f.Add(403, []byte(body))
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		a := answer{status: status, header: http.Header{}, body: body}
		pre, err := decodePreupload(a)
		if err == nil && pre.ChunkSize == 0 {
			t.Fatal("a place without a chunk size")
		}
		list, listErr := decodeProbeList(a)
		if n := list.postSize(); n < 0 || n > mostProbeMiB*mebibyte {
			t.Fatalf("a probe of %d bytes", n)
		}
		for _, err := range []error{err, listErr, a.chunkVerdict(), completeVerdict(a)} {
			if err != nil && sdk.KindOf(publicError(err)) == "" {
				t.Fatalf("no kind: %v", err)
			}
		}
		if n := len([]rune(a.excerpt())); n > 2000 {
			t.Fatalf("an excerpt of %d characters", n)
		}
	})
}

func TestExcerptKeepsSecrets(t *testing.T) {
	a := answer{status: 200, header: http.Header{"Content-Type": {"text/plain"}}}
	for _, body := range []string{
		`{"OK":0,"auth":"hidden","detail":{"v_voucher":"hidden"},"message":"a\nb"}`, `auth=hidden`, `["hidden"]`, `{"endpoint":"hidden"`,
	} {
		a.body = []byte(body)
		if got := a.excerpt(); strings.Contains(got, "hidden") || strings.ContainsAny(got, "\r\n") {
			t.Errorf("%s: %s", body, got)
		}
	}
	a.body = fmt.Appendf(nil, `{"message":%q}`, strings.Repeat("长", 500))
	if got := a.excerpt(); len([]rune(got)) > 200 {
		t.Errorf("excerpt has %d characters", len([]rune(got)))
	}
}
