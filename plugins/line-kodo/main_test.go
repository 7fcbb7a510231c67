package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/line"
	"github.com/lubod/lubod/sdk/simulator/bilibili"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const bucket = "bvcupcdnkodobm"

// newTestKodo does not wait between tries.
func newTestKodo(t testing.TB, o options) *kodo {
	t.Helper()
	if o.UserAgent == "" {
		o.UserAgent = "Mozilla/5.0 (X11; Linux x86_64)"
	}
	if o.Buckets == nil {
		o.Buckets = []string{bucket}
	}
	k, err := newKodo(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	k.log = slog.New(slog.DiscardHandler)
	for _, p := range []*patience{&k.callRetry, &k.blockRetry, &k.finishRetry} {
		p.first, p.most = 0, 0
	}
	t.Cleanup(k.client.close)
	return k
}

// bench is one simulated Bilibili that lends out a bucket, an account and a plugin that talks to them.
type bench struct {
	*kodo
	sim     *bilibili.Server
	account bilibili.Account
}

func newBench(t testing.TB, buckets ...string) *bench {
	t.Helper()
	if buckets == nil {
		buckets = []string{bucket}
	}
	sim := bilibili.New(t, bilibili.Options{LineHosts: true, Buckets: buckets})
	return &bench{
		kodo: newTestKodo(t, options{MemberURL: sim.URL()}), sim: sim,
		account: sim.AddAccount(bilibili.AccountOptions{Name: "tester"}),
	}
}

// restarted is a new process of the plugin, with nothing in memory.
func (b *bench) restarted(t testing.TB) *bench {
	return &bench{kodo: newTestKodo(t, options{MemberURL: b.sim.URL()}), sim: b.sim, account: b.account}
}

func (b *bench) file(path string) line.File {
	return line.File{Line: lineName, Path: path, Name: "直播 part01.mp4", Cookies: b.account.Cookies, Threads: 3}
}

func writeFile(t testing.TB, size int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "part01.mp4")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(f, rand.NewChaCha8([32]byte{byte(size)}), size); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func sumOfFile(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// keeper is the host's side of progress. It fails the test when reports overlap.
type keeper struct {
	t        testing.TB
	busy     sync.Mutex
	progress []line.Progress
	// each is called with every report, after it was kept.
	each func(line.Progress) error
}

func (k *keeper) report(p line.Progress) error {
	if !k.busy.TryLock() {
		k.t.Error("two reports at once")
		return errors.New("two reports at once")
	}
	defer k.busy.Unlock()
	k.progress = append(k.progress, line.Progress{AcknowledgedBytes: p.AcknowledgedBytes, Checkpoint: bytes.Clone(p.Checkpoint)})
	if k.each != nil {
		return k.each(p)
	}
	return nil
}

func (k *keeper) last() line.Progress {
	k.t.Helper()
	if len(k.progress) == 0 {
		k.t.Fatal("nothing was reported")
	}
	return k.progress[len(k.progress)-1]
}

// mustUpload uploads and compares what arrived with what was sent.
func (b *bench) mustUpload(t testing.TB, file line.File) (bilibili.Object, *keeper) {
	t.Helper()
	k := &keeper{t: t}
	result, err := b.Upload(t.Context(), file, k.report)
	if err != nil {
		t.Fatalf("upload: %v", err)
	}
	object := b.mustBeStored(t, result, file.Path)
	if got := k.last().AcknowledgedBytes; got != object.Size {
		t.Errorf("last report has %d of %d bytes", got, object.Size)
	}
	return object, k
}

func (b *bench) mustBeStored(t testing.TB, result line.Result, path string) bilibili.Object {
	t.Helper()
	object, ok := b.sim.Object(result.RemoteName)
	if !ok || !object.Complete {
		t.Fatalf("%+v is not complete in the storage", result)
	}
	if result.RemoteID != object.BizID {
		t.Errorf("remote id is %d, want %d", result.RemoteID, object.BizID)
	}
	sum, err := b.sim.SHA256(result.RemoteName)
	if err != nil {
		t.Fatal(err)
	}
	if want := sumOfFile(t, path); sum != want {
		t.Errorf("what arrived has SHA-256 %s, the file %s", sum, want)
	}
	return object
}

// mustBeOne wants one file to be complete, of all that were ever granted.
func (b *bench) mustBeOne(t testing.TB) {
	t.Helper()
	complete := 0
	for _, o := range b.sim.Objects() {
		if o.Complete {
			complete++
		}
	}
	if complete != 1 {
		t.Errorf("%d files are complete, want 1", complete)
	}
}

// count returns how many requests for a call arrived.
func (b *bench) count(call bilibili.Call) int {
	n := 0
	for _, r := range b.sim.Requests() {
		if r.Call == call {
			n++
		}
	}
	return n
}

func mustBeKind(t testing.TB, err error, want sdk.Kind) {
	t.Helper()
	if got := sdk.KindOf(err); got != want {
		t.Fatalf("error is %q (%v), want %q", got, err, want)
	}
}

func mustDecode(t testing.TB, checkpoint []byte) *session {
	t.Helper()
	s, err := decodeSession(checkpoint)
	if err != nil {
		t.Fatalf("checkpoint %s: %v", checkpoint, err)
	}
	return s
}

func mustJSON(t testing.TB, value any) []byte {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}
