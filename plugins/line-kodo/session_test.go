package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/line"
)

func validSession() *session {
	return &session{
		Version: sessionVersion, Bucket: bucket, GrantedUnixMS: 1767225600123,
		grant: grant{
			Endpoint: "//upload.example", Key: "n1.mp4", Token: "a:b:c", Name: "n1", BizID: 1, FetchURL: "//fetch.example/ugc/n1.mp4?fetch=",
			FetchURLs: []string{"//other.example/ugc/n1.mp4?fetch="}, FetchHeaders: map[string]string{"X-Upos-Auth": "x"},
		},
		File:   line.Identity{Size: 2*blockSize + 1, MtimeNS: 1, HeadTailSHA256: "00"},
		Blocks: []block{{Context: "one", Expires: 1767830400}, {}, {Context: "three"}},
	}
}

func TestCheckpointsThatCannotBeTrustedAreRefused(t *testing.T) {
	for name, damage := range map[string]func(*session){
		"version":               func(s *session) { s.Version = 2 },
		"no bucket":             func(s *session) { s.Bucket = "" },
		"no size":               func(s *session) { s.File.Size = 0 },
		"a block too few":       func(s *session) { s.Blocks = s.Blocks[:2] },
		"context with a comma":  func(s *session) { s.Blocks[0].Context = "a,b" },
		"context with a break":  func(s *session) { s.Blocks[0].Context = "a\nb" },
		"fetched but not made":  func(s *session) { s.Blocks[1].Context, s.Fetched = "two", true },
		"no key":                func(s *session) { s.Key = "" },
		"token with a break":    func(s *session) { s.Token = "a\r\nb" },
		"no name":               func(s *session) { s.Name = "" },
		"no number":             func(s *session) { s.BizID = 0 },
		"no headers":            func(s *session) { s.FetchHeaders = nil },
		"header with a break":   func(s *session) { s.FetchHeaders["A"] = "b\nc" },
		"header without a name": func(s *session) { s.FetchHeaders[""] = "b" },
		"endpoint with a path":  func(s *session) { s.Endpoint = "//upload.example/path" },
		"endpoint of a file":    func(s *session) { s.Endpoint = "file:///etc/passwd" },
		"no address to fetch":   func(s *session) { s.FetchURL = "" },
		"address with a login":  func(s *session) { s.FetchURLs = []string{"//a:b@other.example/"} },
		"too many addresses":    func(s *session) { s.FetchURLs = make([]string, 100) },
	} {
		s := validSession()
		damage(s)
		decoded, err := decodeSession(mustJSON(t, s))
		if err == nil {
			err = decoded.locate("https")
		}
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	s, err := decodeSession(mustJSON(t, validSession()))
	if err == nil {
		err = s.locate("https")
	}
	if err != nil {
		t.Errorf("the one without damage: %v", err)
	}
}

// Tokens never travel in the clear because of an answer.
func TestAddressesAreNeverWeakerThanTheCreatorCentres(t *testing.T) {
	s := validSession()
	s.Endpoint, s.FetchURL = "http://upload.example", "http://fetch.example/ugc/n1.mp4"
	if err := s.locate("https"); err != nil {
		t.Fatal(err)
	}
	if s.qiniu != "https://upload.example" || s.fetches[0] != "https://fetch.example/ugc/n1.mp4" {
		t.Errorf("they became %s and %v", s.qiniu, s.fetches)
	}
}

// A host keeps only so much: what names the last blocks of a very long file is left out, and sent again by a later run.
func TestACheckpointIsNeverTooLarge(t *testing.T) {
	s := validSession()
	s.File.Size = maxBlocks * blockSize
	s.Blocks = make([]block, maxBlocks)
	for i := range s.Blocks {
		s.Blocks[i] = block{Context: strings.Repeat("x", 500), Expires: 1767830400}
	}
	encoded, err := s.checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	kept := mustDecode(t, encoded)
	if n := len(kept.missing()); len(encoded) > maxCheckpoint || n == 0 || n > maxBlocks*3/4 || kept.missing()[0] != maxBlocks-n {
		t.Errorf("%d bytes with %d of %d blocks left out", len(encoded), n, maxBlocks)
	}
	if len(s.missing()) != 0 {
		t.Error("the session itself forgot them")
	}
	s.Made = true
	if encoded, err = s.checkpoint(); err != nil || strings.Contains(string(encoded), "xxx") {
		t.Errorf("a file that is made keeps what named its blocks (%v)", err)
	}
	if kept = mustDecode(t, encoded); kept.ackedBytes() != s.File.Size || kept.chunks().Marked() != maxBlocks {
		t.Errorf("%d of %d bytes are acknowledged", kept.ackedBytes(), s.File.Size)
	}
}

// What decodeSession accepts must be usable without a panic.
func FuzzDecodeSession(f *testing.F) {
	f.Add([]byte(`{}`))
	f.Add(mustJSON(f, validSession()))
	f.Fuzz(func(t *testing.T, checkpoint []byte) {
		s, err := decodeSession(checkpoint)
		if err != nil {
			return
		}
		s.forgetExpired(time.Now())
		if bytes := s.ackedBytes(); bytes < 0 || bytes > s.File.Size || (s.Made || len(s.missing()) == 0) != (bytes == s.File.Size) {
			t.Fatalf("%d of %d bytes are acknowledged", bytes, s.File.Size)
		}
		for _, index := range s.missing() {
			if start, size := s.span(index); start < 0 || size < 1 || start+size > s.File.Size {
				t.Fatalf("block %d is %d bytes at %d", index, size, start)
			}
		}
		if s.locate("https") == nil && (s.Name == "" || len(s.fetches) == 0) {
			t.Fatal("it can be used and names nothing")
		}
	})
}

// Whatever a server answers, every step returns success or an error of a kind.
func FuzzAnswers(f *testing.F) {
	for _, body := range []string{``, `{}`, `null`, `[]`, `{"OK":1}`, `{"code":601}`, `{"code":"-101"}`, `{"error":"no such bucket"}`, `{"ctx":"a,b"}`, `<html>`} {
		for _, status := range []int{200, 302, 400, 401, 403, 573, 614, 631, 701} {
			f.Add(status, []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		a := answer{status: status, header: http.Header{}, body: body}
		if status < 200 || status > 299 {
			a.err = sdk.Errorf(sdk.Unavailable, "status %d", status)
		}
		_, preErr := decodePreupload(a, bucket)
		_, blockErr := blockOf(a, &checksum{})
		for _, err := range []error{preErr, blockErr, a.verdict("mkblk"), a.fetched()} {
			if err != nil && (sdk.KindOf(err) == "" || err.Error() == "") {
				t.Fatalf("no kind: %v", err)
			}
		}
	})
}
