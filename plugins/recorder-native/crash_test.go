package main

import (
	"context"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"github.com/lubod/lubod/sdk/recorder"
	"github.com/lubod/lubod/sdk/simulator/live"
)

// crashPrefix and crashURL tell the test binary to be a recorder that is going to be killed.
const (
	crashPrefix = "LUBOD_TEST_CRASH_PREFIX"
	crashURL    = "LUBOD_TEST_CRASH_URL"
)

func recordUntilKilled() {
	n := &native{options: testOptions()}
	err := n.Record(context.Background(), recorder.Request{
		Streams: at(os.Getenv(crashURL)), PathPrefix: os.Getenv(crashPrefix), FirstIndex: 1, SplitDuration: 2e9,
	}, newSession())
	panic(err) // nobody killed it
}

// A killed recorder loses nothing but what it had not received, and an incomplete tag.
func TestKilledAndRecovered(t *testing.T) {
	const tags = 300
	s := serve(t, live.Options{})
	stall := s.AddFault(live.Stall(live.AfterTags(tags)))
	prefix := t.TempDir() + "/room"
	command := exec.Command(os.Args[0], "-test.run=^$")
	command.Env = append(os.Environ(), crashPrefix+"="+prefix, crashURL+"="+s.URL())
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	if err := s.WaitFault(t.Context(), stall, 1); err != nil {
		t.Fatal(err)
	}
	waitForTags(t, prefix, tags)
	if err := command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = command.Wait()
	tear(t, prefix)

	n := &native{options: testOptions()}
	segments, err := n.Recover(t.Context(), prefix)
	if err != nil {
		t.Fatal(err)
	}
	for i, segment := range segments {
		last := i == len(segments)-1
		if segment.Index != i+1 || last && !segment.Recovered || segment.StartedAt.IsZero() || segment.EndedAt.IsZero() {
			t.Errorf("segment %+v", segment)
		}
	}
	wantAll(t, s, segments)
	wantSound(t, segments)
	again, err := n.Recover(t.Context(), prefix)
	if err != nil || !reflect.DeepEqual(again, segments) {
		t.Errorf("recovering again: %v\n%+v\nat first:\n%+v", err, again, segments)
	}
}

// waitForTags returns when the files of the running recorder hold n media tags. The recorder is another process, and a
// file gives no signal, so that there is nothing to do but look again.
func waitForTags(t *testing.T, prefix string, n int) {
	t.Helper()
	for have := 0; have < n; {
		if err := t.Context().Err(); err != nil {
			t.Fatal(err)
		}
		have = 0
		files, err := os.ReadDir(prefix[:strings.LastIndex(prefix, "/")])
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			have += mediaTags(t, prefix[:strings.LastIndex(prefix, "/")]+"/"+f.Name())
		}
	}
}

// mediaTags counts the whole tags of sound and picture that are no headers.
func mediaTags(t *testing.T, path string) int {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		return 0 // it was just renamed
	}
	n := 0
	for at := 13; at+15 <= len(b); {
		size := int(b[at+1])<<16 | int(b[at+2])<<8 | int(b[at+3])
		if at+15+size > len(b) {
			break
		}
		if b[at] != 18 && b[at+12] != 0 {
			n++
		}
		at += 15 + size
	}
	return n
}

// tear adds half a tag, as a kill in the middle of a write leaves it.
func tear(t *testing.T, prefix string) {
	t.Helper()
	dir := prefix[:strings.LastIndex(prefix, "/")]
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".part") {
			continue
		}
		file, err := os.OpenFile(dir+"/"+f.Name(), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.Write([]byte{9, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0x27, 1, 0}); err != nil {
			t.Fatal(err)
		}
		_ = file.Close()
		return
	}
	t.Fatal("no unfinished file")
}
