package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/line"
	"github.com/lubod/lubod/sdk/simulator/bilibili"
)

const (
	mib       = 1 << 20
	smallPart = 64 << 10
)

func TestThreeChunksArriveOverEachLine(t *testing.T) {
	path := writeFile(t, 25*mib)
	b := newBench(t, bilibili.Options{LineHosts: true})
	for _, name := range lineNames() {
		t.Run(name, func(t *testing.T) {
			file := b.file(path)
			file.Line = name
			object, k := b.mustUpload(t, file)
			if object.Line != name {
				t.Errorf("it went over line %q", object.Line)
			}
			var sizes []int64
			for _, p := range object.Parts {
				sizes = append(sizes, p.Size)
			}
			if fmt.Sprint(sizes) != fmt.Sprint([]int64{10 * mib, 10 * mib, 5 * mib}) {
				t.Errorf("parts are %v", sizes)
			}
			before := int64(0)
			for _, p := range k.progress {
				if p.AcknowledgedBytes < before {
					t.Errorf("progress fell from %d to %d", before, p.AcknowledgedBytes)
				}
				before = p.AcknowledgedBytes
			}
		})
	}
	b.sim.RequireNoViolations(t)
}

func TestSizesAroundTheChunkSize(t *testing.T) {
	b := newBench(t, bilibili.Options{ChunkSize: smallPart})
	for size, parts := range map[int64]int{1: 1, smallPart - 1: 1, smallPart: 1, smallPart + 1: 2, 3 * smallPart: 3} {
		object, _ := b.mustUpload(t, b.file(writeFile(t, size)))
		if len(object.Parts) != parts {
			t.Errorf("%d bytes made %d parts, want %d", size, len(object.Parts), parts)
		}
	}
	b.sim.RequireNoViolations(t)
}

func TestUnreadableFilesAreRefusedBeforeAnyRequest(t *testing.T) {
	b := newBench(t, bilibili.Options{})
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe.mp4")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, kind := range map[string]sdk.Kind{
		writeFile(t, 0):                   sdk.Corrupt,
		dir:                               sdk.Corrupt,
		pipe:                              sdk.Corrupt,
		filepath.Join(dir, "missing.mp4"): sdk.NotFound,
	} {
		_, err := b.Upload(testContext(t), b.file(path), (&keeper{t: t}).report)
		mustBeKind(t, err, kind)
	}
	if n := len(b.sim.Requests()); n != 0 {
		t.Errorf("%d requests were made", n)
	}
}

func TestUnknownLineIsUnsupported(t *testing.T) {
	b := newBench(t, bilibili.Options{})
	file := b.file(writeFile(t, 1))
	file.Line = "kodo"
	_, err := b.Upload(t.Context(), file, (&keeper{t: t}).report)
	mustBeKind(t, err, sdk.Unsupported)
}

func TestNameThatIsNotUTF8IsRepaired(t *testing.T) {
	b := newBench(t, bilibili.Options{})
	file := b.file(writeFile(t, 10))
	file.Name = "a\xff\xfeb.mp4"
	object, _ := b.mustUpload(t, file)
	if object.FileName != "a_b.mp4" {
		t.Errorf("name is %q", object.FileName)
	}
	b.sim.RequireNoViolations(t)
}

func TestFailingChunkIsSentAgainAlone(t *testing.T) {
	for name, action := range map[string]bilibili.Action{
		"server error":    {Do: bilibili.DoAnswer, Status: 500},
		"gateway timeout": {Do: bilibili.DoAnswer, Status: 504, Body: "<html>504</html>"},
		"gateway 400":     {Do: bilibili.DoAnswer, Status: 400, Body: "<html>400</html>"},
		"too parallel":    {Do: bilibili.DoAnswer, Status: 429},
		"reset at once":   {Do: bilibili.DoReset},
		"reset mid-body":  {Do: bilibili.DoReset, AfterBytes: smallPart / 2},
		"answer lost":     {Do: bilibili.DoLose},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, bilibili.Options{ChunkSize: smallPart})
			b.sim.AddFault(bilibili.Fault{Match: bilibili.Match{Call: bilibili.CallPart, Part: 2}, Action: action, Times: 2})
			b.mustUpload(t, b.file(writeFile(t, 5*smallPart-7)))
			if got, want := b.puts(), map[int]int{1: 1, 2: 3, 3: 1, 4: 1, 5: 1}; !maps.Equal(got, want) {
				t.Errorf("chunks were sent %v times, want %v", got, want)
			}
			b.sim.RequireNoViolations(t)
		})
	}
}

func TestStalledChunkIsGivenUpAtItsDeadline(t *testing.T) {
	t.Parallel()
	b := newBench(t, bilibili.Options{ChunkSize: 1024})
	b.chunkRetry.timeout, b.chunkRetry.tries = time.Second, 100
	fault := b.sim.AddFault(bilibili.Fault{
		Match: bilibili.Match{Call: bilibili.CallPart, Part: 2}, Action: bilibili.Action{Do: bilibili.DoStallAnswer}, Times: 1,
	})
	b.mustUpload(t, b.file(writeFile(t, 3000)))
	b.sim.ReleaseFault(fault)
	if n := b.puts()[2]; n < 2 {
		t.Errorf("chunk 2 was sent %d times", n)
	}
}

func TestChunkThatKeepsFailingIsUnavailable(t *testing.T) {
	b := newBench(t, bilibili.Options{ChunkSize: smallPart})
	b.sim.AddFault(bilibili.Fault{
		Match: bilibili.Match{Call: bilibili.CallPart, Part: 3}, Action: bilibili.Action{Do: bilibili.DoAnswer, Status: 502},
	})
	k := &keeper{t: t}
	file := b.file(writeFile(t, 3*smallPart))
	file.Threads = 1
	_, err := b.Upload(t.Context(), file, k.report)
	mustBeKind(t, err, sdk.Unavailable)
	if n := b.puts()[3]; n != 5 {
		t.Errorf("chunk 3 was tried %d times, want 5", n)
	}
	if s := mustDecode(t, k.last().Checkpoint); s.Parts != "1-2" {
		t.Errorf("the checkpoint holds parts %q", s.Parts)
	}
}

func TestRefusedChunkIsNotRepeated(t *testing.T) {
	b := newBench(t, bilibili.Options{ChunkSize: smallPart})
	b.sim.AddFault(bilibili.Fault{Match: bilibili.Match{Call: bilibili.CallPart}, Action: bilibili.Action{Do: bilibili.DoAnswer, Status: 403}})
	_, err := b.Upload(t.Context(), b.file(writeFile(t, 10)), (&keeper{t: t}).report)
	mustBeKind(t, err, sdk.Unavailable)
	if parts, grants := b.count(bilibili.CallPart), b.count(bilibili.CallPreupload); parts != 1 || grants != 1 {
		t.Errorf("%d chunks and %d preuploads were sent, want 1 and 1", parts, grants)
	}
}

func TestThreadsAreBounded(t *testing.T) {
	for asked, want := range map[int]int{-1: 1, 0: 1, 1: 1, 3: 3, 8: 8, 9: 8, 100: 8} {
		if got := atOnce(asked); got != want {
			t.Errorf("%d chunks at once for %d threads, want %d", got, asked, want)
		}
	}
	b := newBench(t, bilibili.Options{ChunkSize: 4096})
	file := b.file(writeFile(t, 200*4096))
	file.Threads = 100
	b.mustUpload(t, file)
	b.sim.RequireNoViolations(t) // the simulator refuses more than eight at once
}

func TestCompleteIsRepeated(t *testing.T) {
	for name, action := range map[string]bilibili.Action{
		"not OK":        {Do: bilibili.DoAnswer, Status: 200, Body: `{"OK":0}`},
		"server error":  {Do: bilibili.DoAnswer, Status: 500},
		"XML error":     {Do: bilibili.DoAnswer, Status: 200, Body: `<?xml version="1.0"?><Error/>`},
		"reset":         {Do: bilibili.DoReset},
		"answer broken": {Do: bilibili.DoReplace, Status: 200, Body: `{"OK":`},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, bilibili.Options{})
			b.sim.AddFault(bilibili.Fault{Match: bilibili.Match{Call: bilibili.CallComplete}, Action: action, Times: 3})
			b.mustUpload(t, b.file(writeFile(t, 10)))
			if n := b.count(bilibili.CallComplete); n != 4 {
				t.Errorf("%d completes, want 4", n)
			}
			b.sim.RequireNoViolations(t)
		})
	}
}

func TestCompleteWhoseAnswersAreAllLostIsLookedUp(t *testing.T) {
	b := newBench(t, bilibili.Options{})
	b.sim.AddFault(bilibili.Fault{Match: bilibili.Match{Call: bilibili.CallComplete}, Action: bilibili.Action{Do: bilibili.DoLose}})
	b.mustUpload(t, b.file(writeFile(t, 10)))
	if n := b.count(bilibili.CallComplete); n != 1 {
		t.Errorf("%d completes, want 1 and a look", n)
	}
}

func TestCompleteWithoutAnswerIsAskedAgainWhereTheObjectCannotBeSeen(t *testing.T) {
	b := newBench(t, bilibili.Options{})
	b.sim.AddFault(bilibili.AnswerLost(bilibili.CallComplete).For(2))
	b.sim.AddFault(bilibili.Fault{
		Match: bilibili.Match{Call: bilibili.CallObject}, Action: bilibili.Action{Do: bilibili.DoAnswer, Status: 405},
	})
	b.mustUpload(t, b.file(writeFile(t, 10)))
	if n := b.count(bilibili.CallComplete); n != 3 {
		t.Errorf("%d completes, want 3", n)
	}
}

func TestCompleteThatIsDoneAndThenForgottenIsLookedUp(t *testing.T) {
	b := newBench(t, bilibili.Options{})
	b.sim.AddFault(bilibili.Fault{
		Match: bilibili.Match{Call: bilibili.CallComplete}, Action: bilibili.Action{Do: bilibili.DoLose}, Times: 1,
	})
	b.sim.AddFault(bilibili.Fault{
		Match: bilibili.Match{Call: bilibili.CallComplete}, Action: bilibili.Action{Do: bilibili.DoAnswer, Status: 404},
	})
	b.mustUpload(t, b.file(writeFile(t, 10)))
}

func TestCompleteThatNeverHappensIsUnavailable(t *testing.T) {
	b := newBench(t, bilibili.Options{})
	b.sim.AddFault(bilibili.Fault{
		Match: bilibili.Match{Call: bilibili.CallComplete}, Action: bilibili.Action{Do: bilibili.DoAnswer, Status: 200, Body: `{"OK":0}`},
	})
	k := &keeper{t: t}
	file := b.file(writeFile(t, 10))
	_, err := b.Upload(t.Context(), file, k.report)
	mustBeKind(t, err, sdk.Unavailable)

	// Another run asks again, and then gives the session up instead of circling in it.
	file.Checkpoint = k.last().Checkpoint
	_, err = b.restarted(t).Upload(t.Context(), file, k.report)
	mustBeKind(t, err, sdk.Unavailable)
	if n := b.count(bilibili.CallPreupload); n != 2 {
		t.Errorf("%d preuploads, want 2", n)
	}
}

func TestChangedFileIsNotCompleted(t *testing.T) {
	changes := map[string]func(path string) error{
		"grown": func(path string) error {
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteString("more")
			return errors.Join(err, f.Close())
		},
		"touched":   func(path string) error { return os.Chtimes(path, time.Now(), time.Now().Add(-time.Hour)) },
		"truncated": func(path string) error { return os.Truncate(path, smallPart+1) },
		"replaced": func(path string) error {
			if err := os.Rename(path, path+".old"); err != nil {
				return err
			}
			return os.WriteFile(path, []byte("another"), 0o600)
		},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, bilibili.Options{ChunkSize: smallPart})
			file := b.file(writeFile(t, 3*smallPart))
			file.Threads = 1
			k := &keeper{t: t}
			k.each = func(p line.Progress) error {
				if p.AcknowledgedBytes != smallPart {
					return nil
				}
				return change(file.Path)
			}
			_, err := b.Upload(t.Context(), file, k.report)
			mustBeKind(t, err, sdk.Corrupt)
			if n := b.count(bilibili.CallComplete); n != 0 {
				t.Error("it was completed")
			}
		})
	}
}

func TestFileThatIsMovedAwayIsStillCompleted(t *testing.T) {
	b := newBench(t, bilibili.Options{ChunkSize: smallPart})
	file := b.file(writeFile(t, 3*smallPart))
	moved := file.Path + ".moved"
	k := &keeper{t: t}
	k.each = func(p line.Progress) error {
		if p.AcknowledgedBytes != smallPart {
			return nil
		}
		return os.Rename(file.Path, moved)
	}
	file.Threads = 1
	result, err := b.Upload(t.Context(), file, k.report)
	if err != nil {
		t.Fatal(err)
	}
	b.mustBeStored(t, result, moved)
}

func TestCancellationStopsWithinAChunk(t *testing.T) {
	b := newBench(t, bilibili.Options{ChunkSize: smallPart})
	fault := b.sim.AddFault(bilibili.Fault{
		Match:  bilibili.Match{Call: bilibili.CallPart, Part: 3},
		Action: bilibili.Action{Do: bilibili.DoStall, AfterBytes: 100}, Times: 1,
	})
	ctx, cancel := context.WithCancel(testContext(t))
	go func() {
		defer cancel()
		if err := b.sim.WaitFault(ctx, fault, 1); err != nil {
			t.Error(err)
		}
	}()
	k := &keeper{t: t}
	file := b.file(writeFile(t, 4*smallPart))
	file.Threads = 1
	if _, err := b.Upload(ctx, file, k.report); !errors.Is(err, context.Canceled) {
		t.Fatalf("error is %v", err)
	}
	b.sim.ReleaseFault(fault)

	file.Checkpoint = k.last().Checkpoint
	b.restarted(t).mustUpload(t, file)
	if puts := b.puts(); puts[1] != 1 || puts[2] != 1 {
		t.Errorf("chunks that were acknowledged have been sent again: %v", puts)
	}
}

func TestCancellationStopsABackoff(t *testing.T) {
	b := newBench(t, bilibili.Options{})
	b.callRetry.first, b.callRetry.most = time.Hour, time.Hour
	fault := b.sim.AddFault(bilibili.Fault{Match: bilibili.Match{Call: bilibili.CallPreupload}, Action: bilibili.Action{Do: bilibili.DoAnswer, Status: 500}})
	ctx, cancel := context.WithCancel(testContext(t))
	go func() {
		defer cancel()
		if err := b.sim.WaitFault(ctx, fault, 1); err != nil {
			t.Error(err)
		}
	}()
	if _, err := b.Upload(ctx, b.file(writeFile(t, 1)), (&keeper{t: t}).report); !errors.Is(err, context.Canceled) {
		t.Fatalf("error is %v", err)
	}
}

func TestErrorOfReportStopsTheTransfer(t *testing.T) {
	b := newBench(t, bilibili.Options{ChunkSize: smallPart})
	hostIsGone := errors.New("host is gone")
	k := &keeper{t: t}
	k.each = func(p line.Progress) error {
		if p.AcknowledgedBytes > 0 {
			return hostIsGone
		}
		return nil
	}
	_, err := b.Upload(t.Context(), b.file(writeFile(t, 20*smallPart)), k.report)
	if !errors.Is(err, hostIsGone) {
		t.Fatalf("error is %v", err)
	}
	mustBeKind(t, err, sdk.Unavailable)
	if len(k.progress) != 2 || b.count(bilibili.CallPart) > 3+3 {
		t.Errorf("%d reports and %d chunks after the host was gone", len(k.progress), b.count(bilibili.CallPart))
	}
}

// A host that does not listen, because its database is away, holds up no chunk; when it listens again it hears the newest state.
func TestHostThatDoesNotListenHoldsUpNoChunk(t *testing.T) {
	b := newBench(t, bilibili.Options{ChunkSize: smallPart})
	listen := make(chan struct{})
	k := &keeper{t: t}
	k.each = func(p line.Progress) error {
		if p.AcknowledgedBytes == smallPart {
			<-listen
		}
		return nil
	}
	file := b.file(writeFile(t, 4*smallPart))
	file.Threads = 1
	go func() {
		defer close(listen)
		if _, err := b.sim.WaitRequests(testContext(t), bilibili.Match{Call: bilibili.CallPart, Part: 4}, 1); err != nil {
			t.Error(err)
		}
	}()
	result, err := b.Upload(t.Context(), file, k.report)
	if err != nil {
		t.Fatal(err)
	}
	b.mustBeStored(t, result, file.Path)
	if s := mustDecode(t, k.last().Checkpoint); !s.Completed || k.last().AcknowledgedBytes != 4*smallPart {
		t.Errorf("the last report is %+v", k.last())
	}
}

// What a disk that is away says is no verdict about the file.
func TestFileThatCannotBeReadNowIsTriedAgain(t *testing.T) {
	b := newBench(t, bilibili.Options{})
	loop := filepath.Join(t.TempDir(), "loop.mp4")
	if err := os.Symlink(loop, loop); err != nil { // neither there nor missing
		t.Fatal(err)
	}
	_, err := b.Upload(t.Context(), b.file(loop), (&keeper{t: t}).report)
	mustBeKind(t, err, sdk.Unavailable)
}
