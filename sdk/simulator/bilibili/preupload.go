package bilibili

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// profiles that may be asked for, with the bucket their files go to.
var profiles = map[string]string{"ugcupos/bup": "ugc", "ugcfx/bup": "ugcfx2lf"}

var buckets = []string{"ugc", "ugcfx2lf"}

// authLife is how long the real service accepts an upload authorisation.
const authLife = 5 * 24 * time.Hour

func (s *Server) routePreupload(x *exchange) route {
	switch x.query.Get("r") {
	case "probe":
		return route{"GET", CallProbe, (*exchange).probe, nil}
	case "ping":
		return route{"GET", CallOther, (*exchange).ping, nil}
	}
	return route{"GET", CallPreupload, (*exchange).preupload, nil}
}

// preupload grants the upload of one file.
func (x *exchange) preupload() *answer {
	owner, ok := x.byCookies()
	if !ok {
		return x.uposFailure(http.StatusForbidden, codeNotLoggedIn, "账号未登录")
	}
	if x.query.Get("r") == KodoLine {
		return x.preuploadKodo(owner)
	}
	o := x.newObject(owner)
	if x.refused() {
		return x.uposFailure(http.StatusBadRequest, codeBadRequest, "请求错误")
	}
	offer := x.offer(o)
	// What a fault changes in the offer is what the client has to keep to.
	body := x.edited(offer.body)
	var granted struct {
		ChunkSize int64    `json:"chunk_size"`
		BizID     int64    `json:"biz_id"`
		Endpoint  string   `json:"endpoint"`
		Endpoints []string `json:"endpoints"`
	}
	if err := json.Unmarshal(body, &granted); err == nil {
		setDefault(&granted.ChunkSize, o.chunkSize)
		setDefault(&granted.BizID, o.bizID)
		o.chunkSize, o.bizID, o.endpoints = granted.ChunkSize, granted.BizID, append(granted.Endpoints, granted.Endpoint)
	}
	st := x.s.state
	st.objects = append(st.objects, o)
	st.byPath[o.path], st.byName[o.name] = o, o
	return &answer{status: offer.status, header: offer.header, body: body}
}

// newObject checks what was asked for and makes the entry for the file to come.
func (x *exchange) newObject(owner *account) *object {
	x.only(x.query)
	q := x.query
	x.checkPreupload("zone", "probe_version", "version", "build")
	x.check(q.Get("r") == "upos", RulePreupload, "r is %q, only upos and kodo are served", q.Get("r"))
	line := q.Get("upcdn")
	x.check(slices.Contains(x.s.options.Lines, line), RulePreupload, "upcdn %q is not a line", line)
	bucket, ok := profiles[q.Get("profile")]
	x.check(ok, RulePreupload, "profile %q is not known", q.Get("profile"))
	name, size := x.announced()

	now := x.s.now()
	key := "n" + now.UTC().Format("060102") + (line + "xx")[:2] + randomKey(22)
	o := &object{
		mid: owner.MID, line: line, name: key, path: "/" + bucket + "/" + key + path.Ext(name), bucket: bucket,
		fileName: name, profile: q.Get("profile"), size: size, chunkSize: x.s.options.ChunkSize, bizID: x.s.state.nextBiz,
		granted: now, uploads: map[string]*upload{},
	}
	x.s.state.nextBiz++
	o.auth = x.authorisation(o, owner)
	return o
}

// checkPreupload wants parameters to be there, and what every preupload has in common.
func (x *exchange) checkPreupload(names ...string) {
	for _, name := range names {
		x.check(x.query.Get(name) != "", RulePreupload, "parameter %s is missing", name)
	}
	x.check(x.query.Get("ssl") == "0", RulePreupload, "ssl is %q, not 0", x.query.Get("ssl"))
	x.check(len(x.body) == 0, RuleBody, "a GET has a body of %d bytes", len(x.body))
}

// announced is the file that a preupload is for.
func (x *exchange) announced() (name string, size int64) {
	name = x.query.Get("name")
	x.check(utf8.ValidString(name), RulePreupload, "name %q is not UTF-8", name)
	x.check(len(path.Ext(name)) > 1 && !strings.Contains(name, "/"), RulePreupload, "name %q is not a file name with an extension", name)
	size, err := strconv.ParseInt(x.query.Get("size"), 10, 64)
	x.check(err == nil && size > 0, RulePreupload, "size %q is not a positive number of bytes", x.query.Get("size"))
	return name, size
}

// offer is the answer that describes a granted file.
func (x *exchange) offer(o *object) *answer {
	endpoints := []string{x.s.endpoint(o.line)}
	for _, other := range x.s.options.ProbeLines {
		if e := x.s.endpoint(other); !slices.Contains(endpoints, e) {
			endpoints = append(endpoints, e)
			break
		}
	}
	return jsonAnswer(http.StatusOK, map[string]any{
		"OK": 1, "auth": o.auth, "biz_id": o.bizID, "chunk_retry": 10, "chunk_retry_delay": 3, "chunk_size": o.chunkSize,
		"endpoint": endpoints[0], "endpoints": endpoints, "expose_params": nil,
		"put_query": "os=upos&profile=" + url.QueryEscape(o.profile), "threads": 3, "timeout": 1200, "uip": "127.0.0.1",
		"upos_uri": "upos:/" + o.path,
	})
}

// authorisation has the fields of the real one in the same order. Clients have to treat it as opaque.
func (x *exchange) authorisation(o *object, owner *account) string {
	return fmt.Sprintf("ak=1494471752&cdn=%s&os=upos&sign=%s&timestamp=%s&uid=%d&uip=127.0.0.1&uport=0&use_dqp=0",
		url.QueryEscape(x.s.endpoint(o.line)), randomHex(16), seconds(o.granted), owner.MID)
}

func seconds(t time.Time) string {
	return fmt.Sprintf("%d.%03d", t.Unix(), t.Nanosecond()/int(time.Millisecond))
}

func randomKey(n int) string {
	const letters = "0123456789abcdefghijklmnopqrstuvwxyz"
	key := make([]byte, n)
	for i := range key {
		k, _ := rand.Int(rand.Reader, big.NewInt(int64(len(letters)))) // never fails
		key[i] = letters[k.Int64()]
	}
	return string(key)
}
