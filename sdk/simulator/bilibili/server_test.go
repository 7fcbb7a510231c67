package bilibili_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/lubod/lubod/sdk/simulator/bilibili"
)

func TestStartRefusesWrongOptions(t *testing.T) {
	for name, options := range map[string]bilibili.Options{
		"mode":       {Mode: "harsh"},
		"chunk size": {ChunkSize: -1},
		"probe line": {ProbeLines: []string{"nowhere"}},
		"address":    {Listen: "nowhere:x"},
		"folder":     {Dir: "/nowhere/at/all"},
	} {
		if s, err := bilibili.Start(options); err == nil {
			t.Errorf("%s was accepted", name)
			s.Close()
		}
	}
}

func TestCloseRemovesWhatWasStored(t *testing.T) {
	dir := t.TempDir()
	c := setup(t, bilibili.Options{Dir: dir})
	c.upload("tx", "a.mp4", content(2500))
	stored, err := filepath.Glob(filepath.Join(dir, "*", "part-*"))
	if err != nil || len(stored) != 3 {
		t.Errorf("stored %v, %v", stored, err)
	}
	for range 2 {
		if err := c.sim.Close(); err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestDiscardedBytesLeaveTheirHash(t *testing.T) {
	dir := t.TempDir()
	c := setup(t, bilibili.Options{Dir: dir, DiscardBytes: true})
	data := content(2500)
	name := c.upload("tx", "a.mp4", data)
	if sum, err := c.sim.SHA256(name); err != nil || sum != sha(data) {
		t.Errorf("hash %s, %v", sum, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*", "part-*")); len(left) != 0 {
		t.Errorf("left %v", left)
	}
	if _, err := c.sim.Open(name); err == nil {
		t.Error("bytes that were discarded can be read")
	}
}

func TestSessionOutlivesTheSimulator(t *testing.T) {
	first := setup(t, bilibili.Options{})
	path := filepath.Join(t.TempDir(), "cookies.json")
	if err := first.account.CookieFile().WriteFile(path); err != nil {
		t.Fatal(err)
	}
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file bilibili.CookieFile
	if err := json.Unmarshal(body, &file); err != nil {
		t.Fatal(err)
	}
	second := setup(t, bilibili.Options{})
	if _, err := second.sim.RestoreAccount(file); err != nil {
		t.Fatal(err)
	}
	second.account = first.account
	second.upload("tx", "a.mp4", content(10))
	second.sim.RequireNoViolations(t)
	if _, err := second.sim.RestoreAccount(bilibili.CookieFile{}); err == nil {
		t.Error("an empty cookie file was taken over")
	}
}

func TestRequestLogIsBounded(t *testing.T) {
	c := setup(t, bilibili.Options{RequestLog: 10})
	for range 100 {
		c.must(c.request("GET", c.sim.URL(), "/x/web-interface/nav", nil, nil))
	}
	requests := c.sim.Requests()
	if len(requests) > 10 || requests[len(requests)-1].Number != 100 || requests[len(requests)-1].Attempt != 100 {
		t.Errorf("%d requests, the last is %+v", len(requests), requests[len(requests)-1])
	}
}

func TestManyClientsAtOnce(t *testing.T) {
	c := setup(t, bilibili.Options{LineHosts: true})
	var clients sync.WaitGroup
	for i := range 8 {
		mine := *c
		mine.account = c.sim.AddAccount(bilibili.AccountOptions{})
		clients.Go(func() {
			data := content(5000 + i)
			name := mine.upload([]string{"tx", "bda2"}[i%2], "a.mp4", data)
			if sum, err := c.sim.SHA256(name); sum != sha(data) {
				t.Errorf("hash %s, %v", sum, err)
			}
			mine.wantCode(mine.must(mine.submitRequest(archiveBody(nil, name))), 0)
			c.sim.Objects()
			c.sim.Requests()
		})
	}
	if _, err := c.sim.WaitArchives(within(t), 8); err != nil {
		t.Error(err)
	}
	clients.Wait()
	c.sim.RequireNoViolations(t)
}

// recorder is a test that is not this one.
type recorder struct {
	failed   int
	cleanups []func()
}

func (r *recorder) Helper()               {}
func (r *recorder) Cleanup(f func())      { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Errorf(string, ...any) { r.failed++ }
func (r *recorder) Fatalf(string, ...any) { r.failed++ }

func TestRequireNoViolationsFailsATest(t *testing.T) {
	r := &recorder{}
	sim := bilibili.New(r, bilibili.Options{})
	response, err := http.Get(sim.URL() + "/x/nothing")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	sim.RequireNoViolations(r)
	for _, f := range r.cleanups {
		f()
	}
	if r.failed != 1 {
		t.Errorf("%d failures, want 1", r.failed)
	}
	if bilibili.New(r, bilibili.Options{Mode: "harsh"}); r.failed != 2 {
		t.Errorf("%d failures, want 2", r.failed)
	}
}

func TestAnySizeOfFileAndChunkInAnyOrder(t *testing.T) {
	c := setup(t, bilibili.Options{})
	rapid.Check(t, func(rt *rapid.T) {
		chunk := rapid.Int64Range(1, 300).Draw(rt, "chunk")
		data := rapid.SliceOfN(rapid.Byte(), 1, 2000).Draw(rt, "data")
		c.sim.AddFault(bilibili.ChunkSize(chunk))
		if (int64(len(data))+chunk-1)/chunk > 40 {
			data = data[:min(int64(len(data)), 40*chunk)]
		}
		g := c.grant("tx", "a.mp4", data)
		g.init()
		numbers := make([]int, g.parts())
		for i := range numbers {
			numbers[i] = i + 1
		}
		for _, number := range rapid.Permutation(numbers).Draw(rt, "order") {
			g.put(number)
		}
		g.complete()
		if sum, err := c.sim.SHA256(g.filename()); err != nil || sum != sha(data) {
			rt.Fatalf("hash %s, %v", sum, err)
		}
	})
	c.sim.RequireNoViolations(t)
}

// Whatever a body looks like: it becomes an archive, or is refused with a code, and a violation says why.
func FuzzSubmission(f *testing.F) {
	for _, seed := range []string{
		``, `null`, `[]`, `{}`, `{"videos":null}`, `{"videos":[{}]}`, `{"title":"a","tid":171,"copyright":1,"tag":"a","videos":[{"filename":"n"}]}`,
		`{"dtime":1e99}`, `{"dtime":-1}`, `{"desc_v2":[null]}`, `{"subtitle":null}`, `{"aid":9223372036854775807}`, `{} {}`,
	} {
		f.Add([]byte(seed))
	}
	sim, err := bilibili.Start(bilibili.Options{})
	if err != nil {
		f.Fatal(err)
	}
	transport := &http.Transport{}
	f.Cleanup(func() {
		transport.CloseIdleConnections()
		sim.Close()
	})
	account := sim.AddAccount(bilibili.AccountOptions{})
	f.Fuzz(func(t *testing.T, body []byte) {
		sim.ClearLog()
		c := &client{t: t, sim: sim, account: account, http: &http.Client{Transport: transport, Timeout: 10 * time.Second}}
		r := c.submitRequest(nil)
		r.Body, r.ContentLength, r.GetBody = readCloser{bytes.NewReader(body)}, int64(len(body)), nil
		out := c.must(r)
		if out.status != 200 || out.string("code") == "" || out.number("code") == 0 {
			t.Errorf("HTTP %d %s", out.status, out.text)
		}
		if len(sim.Violations()) == 0 {
			t.Errorf("refused without a reason: %s", out.text)
		}
	})
}

// Whatever the numbers of a chunk look like: only right ones are stored.
func FuzzPartQuery(f *testing.F) {
	const right = "partNumber=1&chunk=0&chunks=2&size=4&start=0&end=4&total=6"
	for _, seed := range []string{
		right, "", "partNumber=1", "partNumber=99999999999999999999", "partNumber=-1&chunk=-2", "%zz", strings.ReplaceAll(right, "=0", "=00"),
		right + "&chunk=0", "partNumber=1;chunk=0",
	} {
		f.Add(seed)
	}
	sim, err := bilibili.Start(bilibili.Options{ChunkSize: 4})
	if err != nil {
		f.Fatal(err)
	}
	transport := &http.Transport{}
	f.Cleanup(func() {
		transport.CloseIdleConnections()
		sim.Close()
	})
	account := sim.AddAccount(bilibili.AccountOptions{})
	f.Fuzz(func(t *testing.T, query string) {
		if strings.ContainsAny(query, " #\r\n\x00\x7f") {
			t.Skip("not a request line")
		}
		sim.ClearLog()
		c := &client{t: t, sim: sim, account: account, http: &http.Client{Transport: transport, Timeout: 10 * time.Second}}
		g := c.grant("tx", "a.mp4", []byte("abcdef"))
		g.init()
		r := g.partRequest(1)
		r.URL.RawQuery = "uploadId=" + g.uploadID + "&" + query
		out, err := c.do(r)
		if err != nil {
			t.Skip("not a request line")
		}
		stored, _ := sim.Object(g.filename())
		if (out.status == 200) != (len(stored.Parts) == 1) || (out.status == 200) != (len(sim.Violations()) == 0) {
			t.Errorf("HTTP %d, %d parts, violations %v", out.status, len(stored.Parts), sim.Violations())
		}
	})
}
