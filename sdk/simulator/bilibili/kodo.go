package bilibili

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// KodoLine is the line whose files go to a bucket of Qiniu first, from which the service fetches them.
const KodoLine = "kodo"

// KnownBuckets are the buckets of Qiniu that the real service lent out while it offered the line.
func KnownBuckets() []string {
	return []string{"bvcupcdnkodobm", "bvcupcdnkodohd", "bvcupcdnkodohb", "bvcupcdnkodohn"}
}

const (
	// kodoProfile is what a preupload for this line asks for; the fetch that follows has one of its own.
	kodoProfile  = "ugcupos/bupfetch"
	fetchProfile = "ugcupos/fetch"
	// blockSize is Qiniu's; only the last block of a file is shorter.
	blockSize = 4 << 20
	// blockLife is how long Qiniu keeps a block that is in no file, and how long it takes an upload token.
	blockLife = 7 * 24 * time.Hour
	// Statuses of Qiniu that HTTP does not know.
	statusFileExists = 614
	statusNoBucket   = 631
	statusBadContext = 701
)

// kodoFile is what of an object lies at Qiniu.
type kodoFile struct {
	bucket  string
	key     string
	token   string
	headers map[string]string // that a fetch has to carry
	hosts   []string          // that a fetch may go to
	query   string            // of a fetch
	blocks  map[string]*kodoBlock
	list    string  // the contexts that the file was made of
	made    *upload // nil: mkfile did not succeed yet
	fetches int
}

type kodoBlock struct {
	part    *part
	expires time.Time
}

// preuploadKodo grants the upload of one file by way of a bucket. A service that does not offer this, or not with this bucket,
// says so: asking is no mistake.
func (x *exchange) preuploadKodo(owner *account) *answer {
	x.only(x.query)
	q := x.query
	x.checkPreupload("probe_version", "version", "build", "bucket")
	x.check(q.Get("profile") == kodoProfile, RulePreupload, "profile is %q, this line has %s", q.Get("profile"), kodoProfile)
	name, size := x.announced()
	if x.refused() {
		return x.uposFailure(http.StatusBadRequest, codeBadRequest, "请求错误")
	}
	if !slices.Contains(x.s.options.Buckets, q.Get("bucket")) {
		return x.uposFailure(http.StatusBadRequest, codeBadRequest, "no such bucket")
	}
	o := x.newKodoObject(owner, name, size)
	st := x.s.state
	st.objects = append(st.objects, o)
	st.byPath[o.path], st.byName[o.name], st.byToken[o.kodo.token] = o, o, o
	return jsonAnswer(http.StatusOK, o.kodo.offer(x.s, o))
}

func (x *exchange) newKodoObject(owner *account, name string, size int64) *object {
	now := x.s.now()
	key := "n" + now.UTC().Format("060102") + "qn" + randomKey(22)
	bucket := x.query.Get("bucket")
	o := &object{
		mid: owner.MID, line: KodoLine, name: key, path: "/ugc/" + key + path.Ext(name), bucket: "ugc", fileName: name,
		profile: kodoProfile, size: size, chunkSize: blockSize, bizID: x.s.state.nextBiz, granted: now, uploads: map[string]*upload{},
	}
	x.s.state.nextBiz++
	policy := fmt.Appendf(nil, `{"scope":%q,"deadline":%d}`, bucket+":"+key+path.Ext(name), now.Add(blockLife).Unix())
	o.kodo = &kodoFile{
		bucket: bucket, key: key + path.Ext(name), blocks: map[string]*kodoBlock{},
		token: "simulated:" + randomHex(14) + ":" + base64.URLEncoding.EncodeToString(policy),
		headers: map[string]string{
			"X-Upos-Auth": fmt.Sprintf("access_id=1&cdn=%s&os=kodo&sign=%s&timestamp=%d", bucket, randomHex(16), now.Unix()),
		},
		query: url.Values{
			"biz_id": {strconv.FormatInt(o.bizID, 10)}, "fetch": {""}, "name": {name}, "output": {"json"}, "profile": {fetchProfile},
		}.Encode(),
	}
	o.kodo.headers["X-Upos-Fetch-Source"] = "https://" + bucket + ".qbox.me/" + o.kodo.key
	o.kodo.hosts = []string{x.s.host("qn")}
	if len(x.s.options.ProbeLines) > 0 {
		if other := x.s.host(x.s.options.ProbeLines[0]); other != o.kodo.hosts[0] {
			o.kodo.hosts = append(o.kodo.hosts, other)
		}
	}
	return o
}

// offer is the answer to the preupload. The first host of a fetch is the usual one, the others are alternatives.
func (k *kodoFile) offer(s *Server, o *object) map[string]any {
	urls := []string{}
	for _, host := range k.hosts {
		urls = append(urls, "//"+host+o.path+"?"+k.query)
	}
	return map[string]any{
		"OK": 1, "bili_filename": o.name, "biz_id": o.bizID, "endpoint": s.endpoint(KodoLine), "fetch_headers": k.headers,
		"fetch_url": urls[0], "fetch_urls": urls[1:], "key": k.key, "uptoken": k.token,
	}
}

func (s *Server) routeKodo(x *exchange) route {
	x.object = s.state.byToken[strings.TrimPrefix(x.r.Header.Get("Authorization"), "UpToken ")]
	if strings.HasPrefix(x.r.URL.Path, mkblkPath) {
		return route{"POST", CallBlock, nil, (*exchange).makeBlock}
	}
	return route{"POST", CallMakeFile, (*exchange).makeFile, nil}
}

const (
	mkblkPath  = "/mkblk/"
	mkfilePath = "/mkfile/"
)

// authoriseKodo checks the token of a call to Qiniu. The answer is nil when all is well.
func (x *exchange) authoriseKodo() *answer {
	given := x.r.Header.Get("Authorization")
	x.check(len(x.r.Header.Values("Authorization")) == 1 && strings.HasPrefix(given, "UpToken "), RuleToken,
		"header Authorization is not one UpToken")
	x.check(x.object != nil, RuleToken, "the upload token was never granted")
	x.check(x.r.Header.Get("Cookie") == "", RuleToken, "cookies are none of Qiniu's business")
	if x.refused() || x.object == nil {
		return qiniuFailure(http.StatusUnauthorized, "bad token")
	}
	x.check(x.r.Host == x.s.host(KodoLine), RuleHost, "host %s was not offered, but %s", x.r.Host, x.s.host(KodoLine))
	x.check(len(x.query) == 0, RuleUnknownCall, "calls to Qiniu have no parameters")
	if x.s.now().Sub(x.object.granted) > blockLife {
		return qiniuFailure(http.StatusUnauthorized, "expired token") // no mistake: the client may not know
	}
	return nil
}

func qiniuFailure(status int, message string) *answer {
	return jsonAnswer(status, map[string]string{"error": message})
}

// makeBlock stores one block. Which block of the file it is shows only when the file is made.
func (x *exchange) makeBlock() (out *answer) {
	x.s.update(func(st *state) { out = x.checkBlock(st) })
	if out != nil {
		return out
	}
	sum := crc32.NewIEEE()
	p, err := x.s.receive(io.TeeReader(x.r.Body, sum))
	if err != nil { // most likely the client or a fault broke the connection
		x.s.options.Logger.Debug("a block did not arrive", "error", err)
		return nil
	}
	x.s.update(func(*state) { out = x.keepBlock(p, sum.Sum32()) })
	return out
}

func (x *exchange) keepBlock(p *part, crc uint32) *answer {
	k, expires := x.object.kodo, x.s.now().Add(blockLife)
	context := base64.URLEncoding.EncodeToString([]byte(randomHex(24)))
	if k.made == nil {
		k.blocks[context] = &kodoBlock{part: p, expires: expires}
	} else { // a block that hung for so long that its client sent it again and went on
		p.remove()
	}
	checksum, _ := hex.DecodeString(p.sum[:40]) // opaque to clients
	return jsonAnswer(http.StatusOK, map[string]any{
		"ctx": context, "checksum": base64.URLEncoding.EncodeToString(checksum), "crc32": crc, "offset": p.size,
		"host": "http://" + x.r.Host, "expired_at": expires.Unix(),
	})
}

func (x *exchange) checkBlock(st *state) *answer {
	if a := x.authoriseKodo(); a != nil {
		return a
	}
	o := x.object
	length, err := strconv.ParseInt(strings.TrimPrefix(x.r.URL.Path, mkblkPath), 10, 64)
	last := (o.size-1)%blockSize + 1
	x.check(err == nil && (length == last || (length == blockSize && o.size > blockSize)), RuleBlock,
		"a block of %q bytes, the file has blocks of %d and a last one of %d", strings.TrimPrefix(x.r.URL.Path, mkblkPath), blockSize, last)
	x.check(x.r.ContentLength == length, RulePartLength, "the block is announced with %d bytes and has %d", length, x.r.ContentLength)
	x.check(o.kodo.made == nil, RuleCompleted, "a block of %s, which is made", o.kodo.key)
	parallel := len(st.inFlight[x.blockGroup()])
	tooMany := !x.check(parallel <= x.s.options.MaxParallel, RuleParallel,
		"%d blocks at once, this line takes %d", parallel, x.s.options.MaxParallel)
	switch {
	case tooMany:
		return qiniuFailure(http.StatusTooManyRequests, "too many requests")
	case x.refused() || x.r.ContentLength < 0:
		return qiniuFailure(http.StatusBadRequest, "invalid block")
	}
	return nil
}

func (x *exchange) blockGroup() string { return "block " + x.object.path }

// makeFile joins blocks at Qiniu. The answer to a first call may have been lost, so the same one again is right.
func (x *exchange) makeFile() *answer {
	if a := x.authoriseKodo(); a != nil {
		return a
	}
	o, k := x.object, x.object.kodo
	x.check(x.r.ContentLength == int64(len(x.body)), RulePartLength, "mkfile is announced with %d bytes and has %d", x.r.ContentLength, len(x.body))
	x.checkFileName()
	list := string(x.body)
	if k.made != nil && list != k.list {
		x.check(false, RuleCompleted, "%s is made of other blocks", k.key)
		return qiniuFailure(statusFileExists, "file exists")
	}
	joined, expired := x.joinBlocks(list)
	switch {
	case x.refused():
		return qiniuFailure(http.StatusBadRequest, x.explain("invalid file"))
	case expired:
		return qiniuFailure(statusBadContext, "context expired") // no mistake: clocks differ
	}
	if k.made == nil {
		k.made, k.list = joined, list
		o.uploads[joined.id] = joined
	}
	return jsonAnswer(http.StatusOK, map[string]string{"hash": "l" + randomKey(27), "key": k.key})
}

// checkFileName wants /mkfile/<size>/key/<base64 of the key>, padded or not.
func (x *exchange) checkFileName() {
	o := x.object
	size, name, found := strings.Cut(strings.TrimPrefix(x.r.URL.Path, mkfilePath), "/key/")
	x.check(found && size == strconv.FormatInt(o.size, 10), RuleMakeFile, "mkfile is for %q bytes, %d were announced", size, o.size)
	key, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(name, "="))
	x.check(err == nil && string(key) == o.kodo.key, RuleMakeFile, "mkfile is for the key %q, granted was %s", key, o.kodo.key)
}

// joinBlocks wants every block of the file once, by its context.
func (x *exchange) joinBlocks(list string) (joined *upload, expired bool) {
	o := x.object
	joined = &upload{id: randomHex(16), host: x.r.Host, parts: map[int]*part{}, puts: map[int]int{}}
	contexts := strings.Split(list, ",")
	x.check(len(contexts) == o.parts(), RuleContexts, "mkfile names %d blocks, the file has %d", len(contexts), o.parts())
	seen := map[string]bool{}
	for i, context := range contexts {
		x.check(!seen[context], RuleContexts, "mkfile names block %d a second time", i+1)
		seen[context] = true
		block := o.kodo.blocks[context]
		if !x.check(block != nil, RuleContexts, "the context of block %d was never given for this file", i+1) || block == nil {
			continue
		}
		expired = expired || x.s.now().After(block.expires)
		if i < o.parts() {
			want := o.partSize(i + 1)
			x.check(block.part.size == want, RuleContexts, "block %d has %d bytes, it must have %d", i+1, block.part.size, want)
		}
		joined.parts[i+1], joined.puts[i+1] = block.part, 1
	}
	return joined, expired
}

// fetchKodo has the service take a file over from Qiniu. Doing so again makes the same file.
func (x *exchange) fetchKodo() (out *answer) {
	first := false
	x.s.update(func(*state) {
		first = x.object != nil && x.object.completed == nil
		out = x.fetchLocked()
		first = first && x.object.completed != nil
	})
	if first && x.s.options.DiscardBytes {
		x.s.discard(x.object)
	}
	return out
}

func (x *exchange) fetchLocked() *answer {
	o := x.object
	if !x.check(o != nil && o.kodo != nil, RuleFetch, "%s was never granted for a fetch", x.r.URL.Path) || o == nil || o.kodo == nil {
		return text(http.StatusForbidden, "")
	}
	for name, want := range o.kodo.headers {
		values := x.r.Header.Values(name)
		x.check(len(values) == 1 && values[0] == want, RuleFetch, "header %s is not the one that was granted", name)
	}
	if x.refused() {
		return text(http.StatusForbidden, "")
	}
	if x.s.now().Sub(o.granted) > authLife {
		return x.tooOld()
	}
	x.only(x.query)
	x.check(x.query.Encode() == o.kodo.query, RuleFetch, "the parameters are not those that were granted")
	x.check(slices.Contains(o.kodo.hosts, x.r.Host), RuleHost, "host %s was not offered, but %v", x.r.Host, o.kodo.hosts)
	x.check(x.r.ContentLength == 0, RuleBody, "fetch has a body of %d bytes", x.r.ContentLength)
	x.check(x.r.Header.Get("Cookie") == "", RuleFetch, "cookies do not belong into a fetch")
	x.check(o.kodo.made != nil, RuleMissingPart, "fetch of %s, which is not made", o.kodo.key)
	if x.refused() || o.kodo.made == nil {
		return x.uposFailure(http.StatusOK, codeBadRequest, "fetch failed")
	}
	o.kodo.fetches++
	o.completed = o.kodo.made
	return jsonAnswer(http.StatusOK, map[string]any{"OK": 1, "info": "Success."})
}
