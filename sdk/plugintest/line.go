package plugintest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/internal/serve"
	"github.com/lubod/lubod/sdk/line"
)

// defaultFileSize in bytes of the files that the suite sends, when a case names no size.
const defaultFileSize = 9<<20 + 12345

// LineCase is one transfer over a line. The storage behind it is the test's own server.
type LineCase struct {
	Name string
	// Line is one of the plugin's names; empty: its first.
	Line string
	// Size in bytes of the file; 0: a little more than 9 MiB. It should be three chunks of the line or more.
	Size    int64
	Cookies map[string]string
	// Threads; 0: 3.
	Threads int

	// Prepare is called before each transfer, for example to make the server fail in some way; nil: nothing to do.
	Prepare func(t *testing.T)
	// Stored returns what the server holds under the name that the line gave back; nil: not compared.
	Stored func(t *testing.T, stored line.Result) []byte
	// Received counts the bytes of all chunks that the server accepted so far, over all transfers; nil: not counted. With it
	// the suite proves that a transfer goes on from its checkpoint.
	Received func() int64
	// WantKind expects an error of this kind; the steps that need a working server are left out then.
	WantKind sdk.Kind
}

// Line runs the conformance suite for a line. Each case that expects no error is also interrupted and taken up again by
// another process, with the file unchanged, with the file changed, and with a checkpoint that is no use.
func Line[C any, L line.Line](
	t *testing.T, info sdk.Info, factory func(context.Context, C) (L, error), options C, cases ...LineCase,
) {
	t.Helper()
	build := func() *serve.Plugin { return line.Plugin(info, factory) }
	common(t, build, options)
	t.Run("line of another plugin", func(t *testing.T) {
		in := configured(t, build(), options)
		file := newFile(t, LineCase{Line: "no-such-line", Size: 1}, info)
		_, err := in.Line().Upload(deadline(t), file, func(line.Progress) error { return nil })
		wantError(t, err, sdk.Unsupported, 0)
	})
	t.Run("probe", func(t *testing.T) { testProbe(t, configured(t, build(), options), info) })
	for _, c := range cases {
		fresh := func(t *testing.T) *instance {
			if c.Prepare != nil {
				c.Prepare(t)
			}
			return configured(t, build(), options)
		}
		t.Run(c.Name, func(t *testing.T) { c.run(t, info, fresh) })
	}
}

func testProbe(t *testing.T, in *instance, info sdk.Info) {
	d, err := in.Describe(deadline(t))
	if err != nil {
		t.Fatalf("describe: %v", err)
	}
	results, err := in.Line().Probe(deadline(t))
	if !has(d, sdk.CapabilityProbe) {
		wantError(t, err, sdk.Unsupported, 0)
		return
	}
	if err != nil {
		t.Fatalf("probe: %v", err)
	}
	for _, r := range results {
		if !slices.Contains(info.Lines, r.Line) || r.LatencyMS < 0 || r.BytesPerSecond < 0 {
			t.Errorf("probe answers %+v; lines are %v and numbers are not negative", r, info.Lines)
		}
	}
}

func (c LineCase) run(t *testing.T, info sdk.Info, fresh func(*testing.T) *instance) {
	file := newFile(t, c, info)
	if c.WantKind != "" {
		_, err := upload(t, fresh(t), file, nil)
		wantError(t, err, c.WantKind, 0)
		return
	}
	t.Run("whole", func(t *testing.T) { c.whole(t, fresh(t), file) })
	t.Run("missing file", func(t *testing.T) {
		missing := file
		missing.Path = filepath.Join(t.TempDir(), "missing.flv")
		_, err := upload(t, fresh(t), missing, nil)
		wantError(t, err, sdk.NotFound, 0)
	})
	t.Run("useless checkpoint", func(t *testing.T) {
		useless := file
		useless.Checkpoint = []byte("\x00 not a checkpoint")
		c.whole(t, fresh(t), useless)
	})
	t.Run("interrupted and resumed", func(t *testing.T) { c.resume(t, fresh, file) })
	t.Run("changed while interrupted", func(t *testing.T) { c.changed(t, fresh, newFile(t, c, info)) })
}

func (c LineCase) whole(t *testing.T, in *instance, file line.File) {
	var last line.Progress
	result, err := upload(t, in, file, func(p line.Progress) error { last = p; return nil })
	wantError(t, err, "", 0)
	if size := sizeOf(t, file); last.AcknowledgedBytes != size {
		t.Errorf("last progress is %d of %d bytes; report each acknowledged chunk, the last one too", last.AcknowledgedBytes, size)
	}
	c.compare(t, file, result)
}

var errInterrupted = errors.New("interrupted by the test")

// interrupt stops a transfer in the middle and returns its last progress. One chunk is sent at a time: those under way
// at the end can arrive without being acknowledged, and would look as if they were sent twice for nothing.
func (c LineCase) interrupt(t *testing.T, in *instance, file line.File) line.Progress {
	t.Helper()
	file.Threads = 1
	size := sizeOf(t, file)
	var kept line.Progress
	_, err := upload(t, in, file, func(p line.Progress) error {
		kept = p
		if p.AcknowledgedBytes >= size/2 && len(p.Checkpoint) > 0 {
			return errInterrupted
		}
		return nil
	})
	if !errors.Is(err, errInterrupted) {
		t.Fatalf("the transfer ended (%v) before it reported anything worth resuming; report a checkpoint after each chunk", err)
	}
	in.returnsPromptly(t)
	in.Stop()
	return kept
}

func (c LineCase) resume(t *testing.T, fresh func(*testing.T) *instance, file line.File) {
	kept := c.interrupt(t, fresh(t), file)
	if kept.AcknowledgedBytes == sizeOf(t, file) {
		t.Skip("the file was acknowledged in one piece; give the case a larger Size")
	}
	before := c.received()
	file.Checkpoint = kept.Checkpoint
	result, err := upload(t, fresh(t), file, nil)
	wantError(t, err, "", 0)
	c.compare(t, file, result)
	if sent, size := c.received()-before, sizeOf(t, file); c.Received != nil && sent >= size {
		t.Errorf("the resumed transfer sent %d bytes, though %d of %d were acknowledged before", sent, kept.AcknowledgedBytes, size)
	}
}

func (c LineCase) received() int64 {
	if c.Received == nil {
		return 0
	}
	return c.Received()
}

// changed: a checkpoint of one content must never complete another.
func (c LineCase) changed(t *testing.T, fresh func(*testing.T) *instance, file line.File) {
	kept := c.interrupt(t, fresh(t), file)
	fill(t, file.Path, sizeOf(t, file)-1000)
	file.Checkpoint = kept.Checkpoint
	result, err := upload(t, fresh(t), file, nil)
	if err != nil {
		return // refusing is right, too
	}
	c.compare(t, file, result)
}

func (c LineCase) compare(t *testing.T, file line.File, result line.Result) {
	t.Helper()
	if result.RemoteName == "" {
		t.Error("the result names nothing to submit the file by")
	}
	if c.Stored == nil {
		return
	}
	local, err := os.ReadFile(file.Path)
	if err != nil {
		t.Fatal(err)
	}
	stored := c.Stored(t, result)
	if sha256.Sum256(local) != sha256.Sum256(stored) {
		t.Errorf("the server holds %d bytes that are not the %d of the file", len(stored), len(local))
	}
}

// upload checks what holds for every transfer, whatever comes of it.
func upload(t *testing.T, in *instance, file line.File, each func(line.Progress) error) (line.Result, error) {
	t.Helper()
	size := sizeOf(t, file)
	var once sync.Once
	return in.Line().Upload(deadline(t), file, func(p line.Progress) error {
		if p.AcknowledgedBytes < 0 || p.AcknowledgedBytes > size {
			once.Do(func() { t.Errorf("progress of %d bytes for a file of %d", p.AcknowledgedBytes, size) })
		}
		if each == nil {
			return nil
		}
		return each(p)
	})
}

func newFile(t *testing.T, c LineCase, info sdk.Info) line.File {
	t.Helper()
	file := line.File{Line: c.Line, Name: "case.flv", Cookies: c.Cookies, Threads: c.Threads}
	if file.Line == "" {
		file.Line = info.Lines[0]
	}
	if file.Threads == 0 {
		file.Threads = 3
	}
	size := c.Size
	if size == 0 {
		size = defaultFileSize
	}
	file.Path = filepath.Join(t.TempDir(), file.Name)
	fill(t, file.Path, size)
	return file
}

// fill writes random bytes, so that chunks in a wrong order or place show.
func fill(t *testing.T, path string, size int64) {
	t.Helper()
	content := make([]byte, size)
	random := rand.NewChaCha8([32]byte([]byte(fmt.Sprintf("%032d", rand.Int64()))[:32]))
	_, _ = random.Read(content)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatalf("write test file: %v", err)
	}
}

func sizeOf(t *testing.T, file line.File) int64 {
	t.Helper()
	info, err := os.Stat(file.Path)
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	if err != nil {
		t.Fatalf("test file: %v", err)
	}
	return info.Size()
}
