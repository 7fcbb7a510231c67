package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/line"
	"github.com/lubod/lubod/sdk/simulator/bilibili"
)

const threeBlocks = 2*blockSize + 1000

func TestSizesAroundABlock(t *testing.T) {
	for _, size := range []int64{1, blockSize - 1, blockSize, blockSize + 1, 2 * blockSize} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			b := newBench(t)
			object, _ := b.mustUpload(t, b.file(writeFile(t, size)))
			if want := blockCount(size); int64(object.Blocks) != want {
				t.Errorf("%d blocks, want %d", object.Blocks, want)
			}
			b.sim.RequireNoViolations(t)
		})
	}
}

func TestAnEmptyFileIsRefusedBeforeAnybodyIsAsked(t *testing.T) {
	b := newBench(t)
	_, err := b.Upload(t.Context(), b.file(writeFile(t, 0)), (&keeper{t: t}).report)
	mustBeKind(t, err, sdk.Corrupt)
	if n := len(b.sim.Requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestFaultsThatPass(t *testing.T) {
	for name, test := range map[string]struct {
		fault  bilibili.Fault
		blocks int // stored in the end
	}{
		"preupload 502":            {bilibili.HTML(bilibili.CallPreupload, 502).For(2), 3},
		"mkblk 502":                {bilibili.BlockBadGateway().For(2), 3},
		"mkblk reset in mid-body":  {bilibili.Fault{Match: bilibili.Match{Call: bilibili.CallBlock}, Action: bilibili.Action{Do: bilibili.DoReset, AfterBytes: 1000}, Times: 2}, 3},
		"mkblk answer lost":        {bilibili.AnswerLost(bilibili.CallBlock).For(1), 4},
		"mkblk 429":                {bilibili.Status(bilibili.CallBlock, 429).For(2), 3},
		"mkblk too frequent":       {bilibili.Status(bilibili.CallBlock, 573).For(2), 3},
		"mkblk damaged on the way": {bilibili.Fault{Match: bilibili.Match{Call: bilibili.CallBlock}, Action: bilibili.Action{Do: bilibili.DoEdit, Set: map[string]any{"crc32": 1}}, Times: 1}, 4},
		"mkfile 503":               {bilibili.Status(bilibili.CallMakeFile, 503).For(2), 3},
		"mkfile answer lost":       {bilibili.AnswerLost(bilibili.CallMakeFile).For(2), 3},
		"mkfile exists":            {bilibili.Fault{Match: bilibili.Match{Call: bilibili.CallMakeFile}, Action: bilibili.Action{Do: bilibili.DoReplace, Status: 614, Body: `{"error":"file exists"}`}, Times: 1}, 3},
		"fetch not OK":             {bilibili.FetchNotOK().For(2), 3},
		"fetch 502":                {bilibili.Status(bilibili.CallFetch, 502).For(2), 3},
		"fetch answer lost":        {bilibili.AnswerLost(bilibili.CallFetch).For(2), 3},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			id := b.sim.AddFault(test.fault)
			object, _ := b.mustUpload(t, b.file(writeFile(t, threeBlocks)))
			if err := b.sim.WaitFault(testContext(t), id, test.fault.Times); err != nil {
				t.Error(err)
			}
			if object.Blocks != test.blocks {
				t.Errorf("%d blocks are stored, want %d", object.Blocks, test.blocks)
			}
			if n := len(b.sim.Objects()); n != 1 {
				t.Errorf("%d files were granted", n)
			}
			b.sim.RequireNoViolations(t)
		})
	}
}

func TestFaultsThatStay(t *testing.T) {
	for name, test := range map[string]struct {
		fault bilibili.Fault
		kind  sdk.Kind
		calls map[bilibili.Call]int
	}{
		"upload limit 406":  {bilibili.RateLimited406(), sdk.RateLimited, map[bilibili.Call]int{bilibili.CallPreupload: 1}},
		"voucher 601":       {bilibili.Voucher601OK(), sdk.RateLimited, map[bilibili.Call]int{bilibili.CallPreupload: 1}},
		"risk control 412":  {bilibili.RiskControl412(), sdk.RateLimited, map[bilibili.Call]int{bilibili.CallPreupload: 1}},
		"not logged in":     {bilibili.NotLoggedIn(), sdk.LoginRequired, map[bilibili.Call]int{bilibili.CallPreupload: 1}},
		"no key":            {bilibili.Fault{Match: bilibili.Match{Call: bilibili.CallPreupload}, Action: bilibili.Action{Do: bilibili.DoEdit, Drop: []string{"key"}}}, sdk.Bug, map[bilibili.Call]int{bilibili.CallPreupload: 1}},
		"preupload is HTML": {bilibili.HTML(bilibili.CallPreupload, 200), sdk.Bug, map[bilibili.Call]int{bilibili.CallPreupload: 1}},
		"mkblk 502":         {bilibili.BlockBadGateway(), sdk.Unavailable, map[bilibili.Call]int{bilibili.CallPreupload: 1, bilibili.CallBlock: 5}},
		"mkfile 400":        {bilibili.MakeFileBadRequest(), sdk.Unavailable, map[bilibili.Call]int{bilibili.CallPreupload: 1, bilibili.CallMakeFile: 1}},
		"no such bucket":    {bilibili.NoSuchBucket(), sdk.Unsupported, map[bilibili.Call]int{bilibili.CallPreupload: 1, bilibili.CallBlock: 1}},
		"fetch not OK":      {bilibili.FetchNotOK(), sdk.Unavailable, map[bilibili.Call]int{bilibili.CallPreupload: 1, bilibili.CallFetch: 8}}, // four by each address
		"nothing to fetch":  {bilibili.NoSuchBucket().On(bilibili.CallFetch), sdk.Unsupported, map[bilibili.Call]int{bilibili.CallPreupload: 1, bilibili.CallFetch: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.sim.AddFault(test.fault.Always())
			file := b.file(writeFile(t, threeBlocks))
			file.Threads = 1
			_, err := b.Upload(t.Context(), file, (&keeper{t: t}).report)
			mustBeKind(t, err, test.kind)
			for call, want := range test.calls {
				if n := b.count(call); n != want {
					t.Errorf("%d requests for %s, want %d", n, call, want)
				}
			}
			b.sim.RequireNoViolations(t)
		})
	}
}

func TestAServiceThatDoesNotOfferTheLine(t *testing.T) {
	sim := bilibili.New(t, bilibili.Options{})
	b := &bench{kodo: newTestKodo(t, options{MemberURL: sim.URL()}), sim: sim, account: sim.AddAccount(bilibili.AccountOptions{})}
	_, err := b.Upload(t.Context(), b.file(writeFile(t, 1)), (&keeper{t: t}).report)
	mustBeKind(t, err, sdk.Unsupported)
	if n := b.count(bilibili.CallPreupload); n != 1 {
		t.Errorf("%d preuploads, want 1", n)
	}
}

func TestTheNextBucketIsTaken(t *testing.T) {
	for name, fault := range map[string]*bilibili.Fault{
		"one that is not offered": nil,
		"one that is gone":        new(bilibili.NoSuchBucket()),
	} {
		t.Run(name, func(t *testing.T) {
			offered := []string{"bvcupcdnkodohd"}
			if fault != nil {
				offered = append(offered, bucket)
			}
			b := newBench(t, offered...)
			if fault != nil {
				b.sim.AddFault(*fault)
			}
			b.kodo = newTestKodo(t, options{MemberURL: b.sim.URL(), Buckets: []string{bucket, "bvcupcdnkodohd"}})
			object, _ := b.mustUpload(t, b.file(writeFile(t, 1000)))
			if object.Bucket != "bvcupcdnkodohd" || b.count(bilibili.CallPreupload) != 2 {
				t.Errorf("stored in %s after %d preuploads", object.Bucket, b.count(bilibili.CallPreupload))
			}
			b.sim.RequireNoViolations(t)
		})
	}
}

func TestTheNextHostIsTaken(t *testing.T) {
	dead, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	b := newBench(t)
	alive := strings.TrimPrefix(b.sim.LineURL(bilibili.KodoLine), "http://")
	b.kodo = newTestKodo(t, options{MemberURL: b.sim.URL(), Hosts: []string{dead.Addr().String(), alive}})
	b.mustUpload(t, b.file(writeFile(t, threeBlocks)))
	b.sim.RequireNoViolations(t)
}

func TestAFetchGoesOnByTheOtherAddress(t *testing.T) {
	b := newBench(t)
	fault := bilibili.Reset(bilibili.CallFetch).Always()
	fault.Match.Host = strings.TrimPrefix(b.sim.LineURL("qn"), "http://")
	b.sim.AddFault(fault)
	object, _ := b.mustUpload(t, b.file(writeFile(t, 1000)))
	if n := b.count(bilibili.CallFetch); object.Fetches != 1 || n != 5 {
		t.Errorf("%d fetches of %d succeeded, want 1 of 5", object.Fetches, n)
	}
	b.sim.RequireNoViolations(t)
}

func TestAFileThatChangesIsNotCompleted(t *testing.T) {
	b := newBench(t)
	file := b.file(writeFile(t, threeBlocks))
	k := &keeper{t: t, each: func(p line.Progress) error {
		if p.AcknowledgedBytes == 0 {
			return os.Chtimes(file.Path, time.Now(), time.Now().Add(-time.Minute))
		}
		return nil
	}}
	_, err := b.Upload(t.Context(), file, k.report)
	mustBeKind(t, err, sdk.Corrupt)
	if n := b.count(bilibili.CallMakeFile); n != 0 {
		t.Errorf("%d files were made", n)
	}
}

// A host whose database is away does not listen for a while: that holds up nothing for longer than a moment a block.
func TestABusyHostHoldsUpNothing(t *testing.T) {
	b := newBench(t)
	listens := make(chan struct{})
	k := &keeper{t: t}
	k.each = func(p line.Progress) error {
		if p.AcknowledgedBytes > 0 {
			<-listens
		}
		return nil
	}
	done := make(chan error, 1)
	file := b.file(writeFile(t, 5*blockSize))
	go func() {
		_, err := b.Upload(t.Context(), file, k.report)
		done <- err
	}()
	_, err := b.sim.WaitRequests(testContext(t), bilibili.Match{Call: bilibili.CallBlock}, 5)
	close(listens)
	if err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := len(k.progress); n > 7 {
		t.Errorf("%d reports", n)
	}
}

func TestAHostThatIsGoneEndsTheTransfer(t *testing.T) {
	b := newBench(t)
	gone := fmt.Errorf("gone")
	k := &keeper{t: t}
	k.each = func(p line.Progress) error {
		if p.AcknowledgedBytes > 0 {
			return gone
		}
		return nil
	}
	file := b.file(writeFile(t, 8*blockSize))
	file.Threads = 1
	if _, err := b.Upload(t.Context(), file, k.report); err == nil || !strings.Contains(err.Error(), "gone") {
		t.Errorf("error is %v", err)
	}
	if n := b.count(bilibili.CallBlock); n > 2 {
		t.Errorf("%d blocks were sent", n)
	}
}

func TestSecretsStayInside(t *testing.T) {
	for name, fault := range map[string]bilibili.Fault{
		"mkblk":     bilibili.BlockBadGateway().Always(),
		"mkfile":    bilibili.MakeFileBadRequest().Always(),
		"bucket":    bilibili.NoSuchBucket().Always(),
		"fetch":     bilibili.FetchNotOK().Always(),
		"reset":     bilibili.Reset(bilibili.CallFetch).Always(),
		"redirect":  {Match: bilibili.Match{Call: bilibili.CallBlock}, Action: bilibili.Action{Do: bilibili.DoAnswer, Status: 302, Header: map[string]string{"Location": "http://127.0.0.1:1/?secret"}}},
		"token":     {Match: bilibili.Match{Call: bilibili.CallBlock}, Action: bilibili.Action{Do: bilibili.DoAnswer, Status: 401, Body: `{"error":"bad token simulated:"}`}},
		"preupload": bilibili.HTML(bilibili.CallPreupload, 502).Always(),
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			var log bytes.Buffer
			b.log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			b.sim.AddFault(fault)
			k := &keeper{t: t}
			file := b.file(writeFile(t, 1000))
			_, err := b.Upload(t.Context(), file, k.report)
			if err == nil {
				t.Fatal("it succeeded")
			}
			file.Checkpoint = nil
			if len(k.progress) > 0 {
				file.Checkpoint = k.last().Checkpoint
			}
			_, again := b.Upload(t.Context(), file, k.report)
			secrets := []string{"sign=", "simulated:", "secret", file.Cookies["SESSDATA"], file.Cookies["bili_jct"]}
			for _, text := range []string{err.Error(), fmt.Sprint(again), log.String()} {
				if i := slices.IndexFunc(secrets, func(s string) bool { return strings.Contains(text, s) }); i >= 0 {
					t.Errorf("a secret (%d) is in %q", i, text)
				}
			}
		})
	}
}

func TestOptionsThatCannotWork(t *testing.T) {
	for name, o := range map[string]options{
		"no URL":              {MemberURL: "member.bilibili.com", Buckets: []string{bucket}},
		"a URL with a secret": {MemberURL: "https://a:b@member.bilibili.com", Buckets: []string{bucket}},
		"no bucket":           {MemberURL: "https://member.bilibili.com"},
	} {
		if _, err := newKodo(context.Background(), o); sdk.KindOf(err) != sdk.InvalidOption {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A redirect would carry the token to a host that nobody granted.
func TestRedirectsAreNotFollowed(t *testing.T) {
	asked := make(chan string, 100)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.URL.Path }))
	defer elsewhere.Close()
	b := newBench(t)
	b.sim.AddFault(bilibili.Fault{Match: bilibili.Match{Call: bilibili.CallFetch}, Action: bilibili.Action{
		Do: bilibili.DoAnswer, Status: 307, Header: map[string]string{"Location": elsewhere.URL + "/stolen"},
	}})
	_, err := b.Upload(t.Context(), b.file(writeFile(t, 1000)), (&keeper{t: t}).report)
	mustBeKind(t, err, sdk.Unavailable)
	if len(asked) > 0 {
		t.Errorf("it went on to %s", <-asked)
	}
}
