package main

import (
	"context"
	"errors"
	"maps"
	"os"
	"testing"
	"time"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/line"
	"github.com/lubod/lubod/sdk/simulator/bilibili"
)

// interrupted is an upload of ten chunks that ended after four.
func interrupted(t *testing.T) (*bench, line.File) {
	t.Helper()
	b := newBench(t, bilibili.Options{ChunkSize: smallPart})
	file := b.file(writeFile(t, 10*smallPart-1))
	file.Threads = 1
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	k := &keeper{t: t}
	k.each = func(p line.Progress) error {
		if p.AcknowledgedBytes == 4*smallPart {
			kill()
		}
		return nil
	}
	if _, err := b.Upload(ctx, file, k.report); !errors.Is(err, context.Canceled) {
		t.Fatalf("error is %v", err)
	}
	b.sim.ClearLog()
	file.Checkpoint = k.last().Checkpoint
	return b.restarted(t), file
}

var (
	onlyMissing = map[int]int{5: 1, 6: 1, 7: 1, 8: 1, 9: 1, 10: 1}
	fromStart   = map[int]int{1: 1, 2: 1, 3: 1, 4: 1, 5: 1, 6: 1, 7: 1, 8: 1, 9: 1, 10: 1}
)

func TestResumeSendsOnlyMissingChunks(t *testing.T) {
	b, file := interrupted(t)
	_, k := b.mustUpload(t, file)
	if got := b.puts(); !maps.Equal(got, onlyMissing) {
		t.Errorf("chunks were sent %v times, want %v", got, onlyMissing)
	}
	if k.progress[0].AcknowledgedBytes != 4*smallPart {
		t.Errorf("it began at byte %d", k.progress[0].AcknowledgedBytes)
	}
	if b.count(bilibili.CallPreupload)+b.count(bilibili.CallInit) != 0 {
		t.Error("a resumed upload asked for another place")
	}
	b.sim.RequireNoViolations(t)
}

func TestResumeStartsOver(t *testing.T) {
	cases := map[string]func(t *testing.T, b *bench, file *line.File){
		"clock is six days ahead": func(_ *testing.T, b *bench, _ *line.File) {
			b.sim.Advance(6 * 24 * time.Hour)
			b.now = b.sim.Now
		},
		"file changed": func(t *testing.T, _ *bench, file *line.File) {
			if err := os.Chtimes(file.Path, time.Now(), time.Now().Add(-time.Minute)); err != nil {
				t.Fatal(err)
			}
		},
		"another line": func(_ *testing.T, _ *bench, file *line.File) { file.Line = "ws" },
		"another account": func(_ *testing.T, b *bench, file *line.File) {
			file.Cookies = b.sim.AddAccount(bilibili.AccountOptions{Name: "other"}).Cookies
		},
		"damaged": func(_ *testing.T, _ *bench, file *line.File) { file.Checkpoint = file.Checkpoint[:20] },
		"format of the future": func(t *testing.T, _ *bench, file *line.File) {
			s := mustDecode(t, file.Checkpoint)
			s.Version++
			file.Checkpoint = mustJSON(t, s)
		},
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			b, file := interrupted(t)
			change(t, b, &file)
			b.mustUpload(t, file)
			if got := b.puts(); !maps.Equal(got, fromStart) {
				t.Errorf("chunks were sent %v times, want each once", got)
			}
			b.sim.RequireNoViolations(t)
		})
	}
}

func TestAuthorisationThatExpiredForTheServerStartsOver(t *testing.T) {
	b, file := interrupted(t)
	b.sim.Advance(6 * 24 * time.Hour) // this machine's clock says otherwise
	_, k := b.mustUpload(t, file)
	if got := b.puts()[5]; got != 2 {
		t.Errorf("chunk 5 was sent %d times, want once in vain and once again", got)
	}
	if k.progress[1].AcknowledgedBytes != 0 {
		t.Errorf("the second report says %d bytes, want 0", k.progress[1].AcknowledgedBytes)
	}
	b.sim.RequireNoViolations(t)
}

func TestSessionThatTheStorageForgotStartsOver(t *testing.T) {
	b, file := interrupted(t)
	b.sim.ExpireUploads()
	b.mustUpload(t, file)
	if n := b.count(bilibili.CallPreupload); n != 1 {
		t.Errorf("%d preuploads, want 1", n)
	}
}

func TestStartingOverIsBounded(t *testing.T) {
	b, file := interrupted(t)
	b.sim.AddFault(bilibili.Fault{Match: bilibili.Match{Call: bilibili.CallPart}, Action: bilibili.Action{
		Do: bilibili.DoAnswer, Status: 403, Header: map[string]string{"X-Upos-Auth": "AUTH_TS_GT_5DAY AUTH=1.1 Now=2.2 DURATION=525599"},
	}})
	_, err := b.Upload(t.Context(), file, (&keeper{t: t}).report)
	mustBeKind(t, err, sdk.Unavailable)
	if n := b.count(bilibili.CallPreupload); n != 1 {
		t.Errorf("%d preuploads, want 1", n)
	}
}

func TestResultThatTheHostDidNotStoreIsGivenAgain(t *testing.T) {
	b := newBench(t, bilibili.Options{ChunkSize: smallPart})
	file := b.file(writeFile(t, 3*smallPart))
	_, k := b.mustUpload(t, file)
	requests := len(b.sim.Requests())

	file.Checkpoint = k.last().Checkpoint
	b.restarted(t).mustUpload(t, file)
	if n := len(b.sim.Requests()); n != requests {
		t.Errorf("%d more requests for a finished upload", n-requests)
	}

	// The process may also have died before it could tell.
	file.Checkpoint = k.progress[len(k.progress)-2].Checkpoint
	b.restarted(t).mustUpload(t, file)
	if n := b.count(bilibili.CallPart); n != 3 {
		t.Errorf("%d chunks, want 3", n)
	}
	b.sim.RequireNoViolations(t)
}

func TestObjectThatWasCompletedWithoutTheHostKnowingIsRecognised(t *testing.T) {
	for name, test := range map[string]struct {
		faults []bilibili.Fault
		chunks int
	}{
		"at the first look": {nil, 0},
		"at the first chunk, when the storage completed it only now": {[]bilibili.Fault{{
			Match: bilibili.Match{Call: bilibili.CallObject}, Action: bilibili.Action{Do: bilibili.DoAnswer, Status: 404}, Times: 1,
		}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, bilibili.Options{ChunkSize: smallPart})
			file := b.file(writeFile(t, 5*smallPart-1))
			file.Threads = 1
			first, k := b.mustUpload(t, file)
			for _, p := range k.progress {
				if p.AcknowledgedBytes == 2*smallPart {
					file.Checkpoint = p.Checkpoint
				}
			}
			b.sim.ClearLog()
			for _, fault := range test.faults {
				b.sim.AddFault(fault)
			}

			again := b.restarted(t)
			again.chunkRetry.tries = 1 // it is seen at the first refusal, not after all tries
			second, k := again.mustUpload(t, file)
			if second.BizID != first.BizID {
				t.Errorf("the second run filled object %d, the first %d", second.BizID, first.BizID)
			}
			if n := b.count(bilibili.CallPreupload) + b.count(bilibili.CallComplete); n != 0 || b.count(bilibili.CallPart) != test.chunks {
				t.Errorf("%d chunks and %d other requests for an object that is complete", b.count(bilibili.CallPart), n)
			}
			if last := k.last(); last.AcknowledgedBytes != 5*smallPart-1 || !mustDecode(t, last.Checkpoint).Completed {
				t.Errorf("the last report says %d bytes", last.AcknowledgedBytes)
			}
		})
	}
}
