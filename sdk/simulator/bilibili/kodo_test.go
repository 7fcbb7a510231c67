package bilibili_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lubod/lubod/sdk/simulator/bilibili"
)

const block = 4 << 20

func (c *client) kodoRequest(bucket, name string, size int) *http.Request {
	return c.asBrowser("GET", "/preupload", url.Values{
		"bucket": {bucket}, "probe_version": {"20221109"}, "name": {name}, "r": {"kodo"}, "profile": {"ugcupos/bupfetch"},
		"ssl": {"0"}, "version": {"2.14.0"}, "build": {"2140000"}, "size": {strconv.Itoa(size)},
	}, nil)
}

// kodo is a file that a preupload allowed to be sent by way of a bucket.
type kodo struct {
	c        *client
	reply    reply
	data     []byte
	contexts []string
}

// bucketed is a service that lends out a bucket, and a file of three blocks that may go there.
func bucketed(t *testing.T, options bilibili.Options) *kodo {
	t.Helper()
	options.Buckets, options.LineHosts = bilibili.KnownBuckets()[:1], true
	c := setup(t, options)
	data := make([]byte, 2*block+1000)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data)
	r := c.must(c.kodoRequest("bvcupcdnkodobm", "a.mp4", len(data)))
	if r.status != 200 || r.number("OK") != 1 {
		t.Fatalf("preupload: HTTP %d %s", r.status, r.text)
	}
	return &kodo{c: c, reply: r, data: data}
}

func (k *kodo) toQiniu(path string, body []byte) *http.Request {
	r := k.c.request("POST", "http:"+k.reply.string("endpoint"), path, nil, bytes.NewReader(body))
	r.Header.Set("Authorization", "UpToken "+k.reply.string("uptoken"))
	return r
}

// part is a block by its number, from 1.
func (k *kodo) part(number int) []byte {
	return k.data[(number-1)*block : min(number*block, len(k.data))]
}

func (k *kodo) blockRequest(number int) *http.Request {
	return k.toQiniu(fmt.Sprintf("/mkblk/%d", len(k.part(number))), k.part(number))
}

func (k *kodo) send() {
	k.c.t.Helper()
	for number := 1; number <= 3; number++ {
		r := k.c.must(k.blockRequest(number))
		if r.status != 200 || r.string("ctx") == "" || r.number("expired_at") == 0 {
			k.c.t.Fatalf("mkblk: HTTP %d %s", r.status, r.text)
		}
		k.contexts = append(k.contexts, r.string("ctx"))
	}
}

func (k *kodo) mkfileRequest(contexts ...string) *http.Request {
	path := fmt.Sprintf("/mkfile/%d/key/%s", len(k.data), base64.URLEncoding.EncodeToString([]byte(k.reply.string("key"))))
	return k.toQiniu(path, []byte(strings.Join(contexts, ",")))
}

func (k *kodo) mkfile() {
	k.c.t.Helper()
	if r := k.c.must(k.mkfileRequest(k.contexts...)); r.status != 200 || r.string("key") != k.reply.string("key") {
		k.c.t.Fatalf("mkfile: HTTP %d %s", r.status, r.text)
	}
}

func (k *kodo) fetchRequest(address string) *http.Request {
	r := k.c.request("POST", "http:"+address, "", nil, nil)
	r.URL, _ = url.Parse("http:" + address)
	for name := range k.reply.json["fetch_headers"].(map[string]any) {
		r.Header.Set(name, k.reply.string("fetch_headers."+name))
	}
	return r
}

func (k *kodo) fetch() {
	k.c.t.Helper()
	if r := k.c.must(k.fetchRequest(k.reply.string("fetch_url"))); r.status != 200 || r.number("OK") != 1 {
		k.c.t.Fatalf("fetch: HTTP %d %s", r.status, r.text)
	}
}

func (k *kodo) object() bilibili.Object {
	o, _ := k.c.sim.Object(k.reply.string("bili_filename"))
	return o
}

func TestKodoCarriesAFile(t *testing.T) {
	k := bucketed(t, bilibili.Options{})
	k.send()
	k.mkfile()
	if k.object().Complete {
		t.Error("the file is complete before it was fetched")
	}
	k.mkfile() // the answer to the first one may have been lost
	k.fetch()
	r := k.c.must(k.fetchRequest(k.reply.json["fetch_urls"].([]any)[0].(string)))
	if r.number("OK") != 1 {
		t.Errorf("a second fetch by the other address: %s", r.text)
	}
	o := k.object()
	if !o.Complete || o.Line != "kodo" || o.Bucket != "bvcupcdnkodobm" || o.Blocks != 3 || o.Fetches != 2 || o.BizID != k.reply.number("biz_id") {
		t.Errorf("the object is %+v", o)
	}
	if sum, err := k.c.sim.SHA256(o.Name); err != nil || sum != sha(k.data) {
		t.Errorf("hash %s, %v", sum, err)
	}
	k.c.sim.RequireNoViolations(t)
}

func TestAServiceWithoutBucketsRefusesKodo(t *testing.T) {
	for _, buckets := range [][]string{nil, {"another"}} {
		c := setup(t, bilibili.Options{Buckets: buckets})
		if r := c.must(c.kodoRequest("bvcupcdnkodobm", "a.mp4", 10)); r.status != 400 || r.string("OK") != "0" {
			t.Errorf("%v: HTTP %d %s", buckets, r.status, r.text)
		}
		c.sim.RequireNoViolations(t) // asking is no mistake
		if n := len(c.sim.Objects()); n != 0 {
			t.Errorf("%d files were granted", n)
		}
	}
}

func TestKodoPreuploadIsChecked(t *testing.T) {
	for name, bend := range map[string]func(*http.Request){
		"no bucket":        drop("bucket"),
		"profile of upos":  set("profile", "ugcupos/bup"),
		"no probe version": drop("probe_version"),
		"no size":          drop("size"),
		"ssl":              set("ssl", "1"),
	} {
		t.Run(name, func(t *testing.T) {
			c := setup(t, bilibili.Options{Buckets: bilibili.KnownBuckets()})
			r := c.kodoRequest("bvcupcdnkodobm", "a.mp4", 10)
			bend(r)
			if out := c.must(r); out.status != 400 {
				t.Errorf("HTTP %d %s", out.status, out.text)
			}
			c.onlyViolation(bilibili.RulePreupload)
		})
	}
}

func TestKodoIsStrict(t *testing.T) {
	resized := func(k *kodo, path string, body []byte) *http.Request { return k.toQiniu(path, body) }
	for name, test := range map[string]struct {
		request func(k *kodo) *http.Request // of a file whose blocks were sent
		status  int
		rule    bilibili.Rule
	}{
		"block without a token":  {bent((*kodo).second, dropHeader("Authorization")), 401, bilibili.RuleToken},
		"block of another token": {bent((*kodo).second, header("Authorization", "UpToken a:b:c")), 401, bilibili.RuleToken},
		"block with cookies":     {bent((*kodo).second, header("Cookie", "SESSDATA=x")), 401, bilibili.RuleToken},
		"block with parameters":  {bent((*kodo).second, set("name", "x")), 400, bilibili.RuleUnknownCall},
		"block to another host":  {bent((*kodo).second, func(r *http.Request) { r.Host = "localhost" }), 400, bilibili.RuleHost},
		"block of a wrong length": {func(k *kodo) *http.Request { return resized(k, "/mkblk/1001", k.data[:1001]) },
			400, bilibili.RuleBlock},
		"block shorter than announced": {func(k *kodo) *http.Request { return resized(k, "/mkblk/1000", k.data[:999]) },
			400, bilibili.RulePartLength},
		"file without a block": {func(k *kodo) *http.Request { return k.mkfileRequest(k.contexts[:2]...) }, 400, bilibili.RuleContexts},
		"file with a block twice": {func(k *kodo) *http.Request { return k.mkfileRequest(k.contexts[0], k.contexts[0], k.contexts[2]) },
			400, bilibili.RuleContexts},
		"file with an unknown block": {func(k *kodo) *http.Request { return k.mkfileRequest(k.contexts[0], "x", k.contexts[2]) },
			400, bilibili.RuleContexts},
		"file in a wrong order": {func(k *kodo) *http.Request { return k.mkfileRequest(k.contexts[2], k.contexts[1], k.contexts[0]) },
			400, bilibili.RuleContexts},
		"file of another size": {func(k *kodo) *http.Request {
			r := k.mkfileRequest(k.contexts...)
			r.URL.Path = strings.Replace(r.URL.Path, "/mkfile/", "/mkfile/1", 1)
			return r
		}, 400, bilibili.RuleMakeFile},
		"file under another key": {func(k *kodo) *http.Request {
			return k.toQiniu(fmt.Sprintf("/mkfile/%d/key/YQ==", len(k.data)), []byte(strings.Join(k.contexts, ",")))
		}, 400, bilibili.RuleMakeFile},
		"block of a file that is made": {func(k *kodo) *http.Request { k.mkfile(); return k.second() }, 400, bilibili.RuleCompleted},
		"file made of others": {func(k *kodo) *http.Request {
			k.mkfile()
			return k.mkfileRequest(k.contexts[1], k.contexts[0], k.contexts[2])
		}, 614, bilibili.RuleCompleted},
		"fetch before the file is made":    {(*kodo).first, 200, bilibili.RuleMissingPart},
		"fetch without a header":           {bent((*kodo).made, dropHeader("X-Upos-Fetch-Source")), 403, bilibili.RuleFetch},
		"fetch without authorisation":      {bent((*kodo).made, dropHeader("X-Upos-Auth")), 403, bilibili.RuleFetch},
		"fetch with cookies":               {bent((*kodo).made, header("Cookie", "SESSDATA=x")), 200, bilibili.RuleFetch},
		"fetch without its parameters":     {bent((*kodo).made, drop("biz_id")), 200, bilibili.RuleFetch},
		"fetch from a host nobody offered": {bent((*kodo).made, func(r *http.Request) { r.Host = "localhost" }), 200, bilibili.RuleHost},
	} {
		t.Run(name, func(t *testing.T) {
			k := bucketed(t, bilibili.Options{})
			k.send()
			if out := k.c.must(test.request(k)); out.status != test.status || out.string("OK") == "1" {
				t.Errorf("HTTP %d %s, want %d", out.status, out.text, test.status)
			}
			k.c.onlyViolation(test.rule)
			if k.object().Complete {
				t.Error("the file is complete")
			}
		})
	}
}

func (k *kodo) second() *http.Request { return k.blockRequest(2) }

func (k *kodo) first() *http.Request { return k.fetchRequest(k.reply.string("fetch_url")) }

// made is the fetch of a file whose time has come.
func (k *kodo) made() *http.Request {
	k.mkfile()
	return k.first()
}

func bent(request func(*kodo) *http.Request, bends ...func(*http.Request)) func(*kodo) *http.Request {
	return func(k *kodo) *http.Request {
		r := request(k)
		for _, bend := range bends {
			bend(r)
		}
		return r
	}
}

func dropHeader(name string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Del(name) }
}

// What grows old is no mistake of the client.
func TestWhatKodoGrantsGrowsOld(t *testing.T) {
	k := bucketed(t, bilibili.Options{})
	first := k.c.must(k.blockRequest(1)).string("ctx")
	k.c.sim.Advance(6 * 24 * time.Hour)
	second := k.c.must(k.blockRequest(2)).string("ctx")
	third := k.c.must(k.blockRequest(3)).string("ctx")
	if r := k.c.must(k.mkfileRequest(first, second, third)); r.status != 200 {
		t.Errorf("blocks that live: HTTP %d %s", r.status, r.text)
	}
	if r := k.c.must(k.first()); r.status != 403 || !strings.HasPrefix(r.header.Get("X-Upos-Auth"), "AUTH_TS_GT_5DAY") {
		t.Errorf("a fetch after six days: HTTP %d %v", r.status, r.header)
	}
	k.c.sim.Advance(2 * 24 * time.Hour)
	if r := k.c.must(k.mkfileRequest(first, second, third)); r.status != 401 {
		t.Errorf("a token after eight days: HTTP %d %s", r.status, r.text)
	}
	k.c.sim.RequireNoViolations(t)
}

func TestTooManyBlocksAtOnceAreRefused(t *testing.T) {
	k := bucketed(t, bilibili.Options{MaxParallel: 1})
	hang := k.c.sim.AddFault(bilibili.Hang(bilibili.CallBlock))
	done := make(chan reply, 1)
	go func() {
		r, _ := k.c.do(k.blockRequest(1))
		done <- r
	}()
	if err := k.c.sim.WaitFault(within(t), hang, 1); err != nil {
		t.Fatal(err)
	}
	if r := k.c.must(k.blockRequest(2)); r.status != 429 {
		t.Errorf("HTTP %d %s", r.status, r.text)
	}
	k.c.sim.ReleaseFault(hang)
	if r := <-done; r.status != 200 {
		t.Errorf("the first one: HTTP %d %s", r.status, r.text)
	}
	k.c.onlyViolation(bilibili.RuleParallel)
}

func TestFaultsOfKodo(t *testing.T) {
	for name, test := range map[string]struct {
		fault  bilibili.Fault
		status int
		text   string
	}{
		"mkblk":      {bilibili.BlockBadGateway(), 502, "gateway"},
		"mkfile":     {bilibili.MakeFileBadRequest(), 400, "invalid argument"},
		"bucket":     {bilibili.NoSuchBucket(), 631, "no such bucket"},
		"fetch":      {bilibili.FetchNotOK(), 200, `"OK":0`},
		"fetch gone": {bilibili.NoSuchBucket().On(bilibili.CallFetch), 631, "no such bucket"},
	} {
		t.Run(name, func(t *testing.T) {
			k := bucketed(t, bilibili.Options{})
			calls := map[bilibili.Call]func() *http.Request{
				bilibili.CallBlock:    k.second,
				bilibili.CallMakeFile: func() *http.Request { return k.mkfileRequest(k.contexts...) },
				bilibili.CallFetch:    k.first,
			}
			k.send()
			if test.fault.Match.Call == bilibili.CallFetch {
				k.mkfile()
			}
			k.c.sim.AddFault(test.fault)
			request := calls[test.fault.Match.Call]
			if r := k.c.must(request()); r.status != test.status || !strings.Contains(r.text, test.text) {
				t.Errorf("HTTP %d %s", r.status, r.text)
			}
			if r := k.c.must(request()); r.status != 200 {
				t.Errorf("the next try: HTTP %d %s", r.status, r.text)
			}
			k.c.sim.RequireNoViolations(t)
		})
	}
	for _, name := range []string{"mkblk_502", "mkfile_400", "no_such_bucket", "fetch_not_ok"} {
		if _, err := bilibili.NamedFault(name); err != nil {
			t.Error(err)
		}
	}
}
