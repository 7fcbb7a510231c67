package bilibili

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
)

func (s *Server) routeStorage(x *exchange) route {
	x.object = s.state.byPath[x.r.URL.Path]
	switch x.r.Method {
	case http.MethodPut:
		x.part, _ = strconv.Atoi(x.query.Get("partNumber")) // verified by the call itself
		return route{"PUT", CallPart, nil, (*exchange).putPart}
	case http.MethodPost:
		switch {
		case x.query.Has("uploadId"):
			return route{"POST", CallComplete, nil, (*exchange).complete}
		case x.query.Has("fetch"):
			return route{"POST", CallFetch, nil, (*exchange).fetchKodo}
		}
		return route{"POST", CallInit, (*exchange).initUpload, nil}
	case http.MethodHead, http.MethodGet:
		return route{"", CallObject, nil, (*exchange).getObject}
	}
	return route{"PUT", CallOther, (*exchange).initUpload, nil}
}

// authorise checks the authorisation of a storage call. The answer is nil when all is well.
func (x *exchange) authorise() *answer {
	auth := x.r.Header.Get("X-Upos-Auth")
	o := x.object
	switch {
	case o == nil:
		x.check(false, RuleAuth, "%s was never granted", x.r.URL.Path)
	case auth == "":
		x.check(false, RuleAuth, "header X-Upos-Auth is missing")
	case auth != o.auth:
		x.check(false, RuleAuth, "X-Upos-Auth is not the one that was granted for %s", o.path)
	case x.s.now().Sub(o.granted) > authLife:
		// No mistake of the client: it may not know for how long its computer was off.
		return x.tooOld()
	}
	if x.refused() {
		return text(http.StatusForbidden, "")
	}
	return nil
}

func (x *exchange) tooOld() *answer {
	a := text(http.StatusForbidden, "")
	now := x.s.now()
	a.header.Set("X-Upos-Auth", fmt.Sprintf("AUTH_TS_GT_5DAY AUTH=%s Now=%s DURATION=%d",
		seconds(x.object.granted), seconds(now), int64(now.Sub(x.object.granted).Seconds())))
	return a
}

// initUpload begins a multi-part upload.
func (x *exchange) initUpload() *answer {
	if a := x.authorise(); a != nil {
		return a
	}
	o := x.object
	if !x.query.Has("uploads") {
		x.check(false, RuleUnknownCall, "init without the parameter uploads")
		return text(http.StatusNotFound, "")
	}
	x.only(x.query)
	x.check(len(x.body) == 0, RuleInit, "init has a body of %d bytes", len(x.body))
	x.check(x.query.Get("output") == "json", RuleInit, "output is %q, without json the answer would be XML", x.query.Get("output"))
	x.check(slices.Contains(o.endpoints, "//"+x.r.Host), RuleHost, "host %s was not offered, but %v", x.r.Host, o.endpoints)
	x.check(o.completed == nil, RuleCompleted, "init of %s, which is complete", o.path)
	for name, want := range map[string]string{
		"profile": o.profile, "filesize": strconv.FormatInt(o.size, 10), "partsize": strconv.FormatInt(o.chunkSize, 10),
		"biz_id": strconv.FormatInt(o.bizID, 10),
	} {
		got := x.query.Get(name)
		x.check(!x.query.Has(name) || got == want, RuleInit, "%s is %q, granted was %q", name, got, want)
	}
	if x.refused() {
		return x.uposFailure(http.StatusBadRequest, codeBadRequest, "bad request")
	}
	u := &upload{id: randomHex(16), host: x.r.Host, parts: map[int]*part{}, puts: map[int]int{}}
	o.uploads[u.id] = u
	key := strings.TrimPrefix(o.path, "/"+o.bucket)
	if x.query.Get("output") != "json" {
		return xmlAnswer(http.StatusOK, "<InitiateMultipartUploadResult><Bucket>"+o.bucket+"</Bucket><Key>"+key+
			"</Key><UploadId>"+u.id+"</UploadId></InitiateMultipartUploadResult>")
	}
	return jsonAnswer(http.StatusOK, map[string]any{"OK": 1, "bucket": o.bucket, "key": key, "upload_id": u.id})
}

func xmlAnswer(status int, body string) *answer {
	return &answer{
		status: status, body: []byte(`<?xml version="1.0" encoding="UTF-8"?>` + "\n" + body),
		header: http.Header{"Content-Type": {"application/xml"}},
	}
}

// upload finds the multi-part upload a call is for.
func (x *exchange) upload() (*upload, *answer) {
	id := x.query.Get("uploadId")
	u := x.object.uploads[id]
	if u == nil {
		x.check(false, RuleUploadID, "uploadId %q was not given for %s", id, x.object.path)
	}
	if u == nil || u.expired {
		return nil, x.uposFailure(http.StatusNotFound, http.StatusNotFound, "no such upload")
	}
	x.check(x.r.Host == u.host, RuleHost, "host changed from %s at init to %s", u.host, x.r.Host)
	return u, nil
}

// putPart stores one chunk.
func (x *exchange) putPart() (refusal *answer) {
	var u *upload
	x.s.update(func(st *state) { u, refusal = x.checkPart(st) })
	if refusal != nil {
		return refusal
	}
	p, err := x.s.receive(x.r.Body)
	if err != nil { // most likely the client or a fault broke the connection
		x.s.options.Logger.Debug("a chunk did not arrive", "path", x.r.URL.Path, "part", x.part, "error", err)
		return nil
	}
	x.s.update(func(*state) {
		if x.object.completed == u { // a chunk that hung for so long that its client sent it again and went on
			os.Remove(p.file)
			return
		}
		if old := u.parts[x.part]; old != nil && old.file != "" {
			os.Remove(old.file)
		}
		u.parts[x.part] = p
		u.puts[x.part]++
	})
	return text(http.StatusOK, "MULTIPART_PUT_SUCCESS")
}

func (x *exchange) checkPart(st *state) (*upload, *answer) {
	if a := x.authorise(); a != nil {
		return nil, a
	}
	u, a := x.upload()
	if a != nil {
		return nil, a
	}
	o := x.object
	x.only(x.query)
	x.checkPartNumbers(o)
	x.check(x.r.ContentLength >= 0, RulePartLength, "a chunk needs a Content-Length")
	x.check(o.completed == nil, RuleCompleted, "chunk %d of %s, which is complete", x.part, o.path)
	parallel := len(st.inFlight["part "+x.r.URL.Path])
	tooMany := !x.check(parallel <= x.s.options.MaxParallel, RuleParallel,
		"%d chunks at once, this line takes %d", parallel, x.s.options.MaxParallel)
	switch {
	case tooMany:
		return nil, text(http.StatusTooManyRequests, "")
	case x.refused():
		return nil, x.uposFailure(http.StatusBadRequest, codeBadRequest, "bad request")
	case x.r.ContentLength < 0 || x.part < 1:
		return nil, text(http.StatusBadRequest, "")
	}
	return u, nil
}

// checkPartNumbers wants each number of a chunk to be what the announced size and the granted chunk size make it.
func (x *exchange) checkPartNumbers(o *object) {
	number, ok := x.number("partNumber")
	if !ok || !x.check(number >= 1 && number <= int64(o.parts()), RulePartNumbers,
		"partNumber is %d, the file has %d parts", number, o.parts()) {
		return
	}
	size := o.partSize(int(number))
	start := (number - 1) * o.chunkSize
	for _, expect := range []struct {
		name string
		want int64
	}{
		{"chunk", number - 1}, {"chunks", int64(o.parts())}, {"size", size}, {"start", start}, {"end", start + size}, {"total", o.size},
	} {
		got, ok := x.number(expect.name)
		x.check(!ok || got == expect.want, RulePartNumbers, "%s of part %d is %d, it must be %d", expect.name, number, got, expect.want)
	}
	announced, ok := x.number("size")
	x.check(!ok || x.r.ContentLength == announced, RulePartLength,
		"part %d is announced with %d bytes and has %d", number, announced, x.r.ContentLength)
}

func (x *exchange) number(name string) (int64, bool) {
	n, err := strconv.ParseInt(x.query.Get(name), 10, 64)
	return n, x.check(err == nil, RulePartNumbers, "%s %q is not a number", name, x.query.Get(name))
}

// complete joins the chunks of a file.
func (x *exchange) complete() (out *answer) {
	body, err := io.ReadAll(io.LimitReader(x.r.Body, smallBody))
	if err != nil {
		return nil
	}
	first := false
	x.s.update(func(*state) {
		first = x.object != nil && x.object.completed == nil
		out = x.completeLocked(body)
		first = first && x.object.completed != nil
	})
	if first && x.s.options.DiscardBytes {
		x.s.discard(x.object)
	}
	return out
}

func (x *exchange) completeLocked(body []byte) *answer {
	if a := x.authorise(); a != nil {
		return a
	}
	u, a := x.upload()
	if a != nil {
		return a
	}
	o := x.object
	x.only(x.query)
	for name, want := range map[string]string{
		"output": "json", "name": o.fileName, "profile": o.profile, "biz_id": strconv.FormatInt(o.bizID, 10),
	} {
		got := x.query.Get(name)
		x.check(got == want, RuleComplete, "%s is %q, it must be %q", name, got, want)
	}
	kind, parameters, err := mime.ParseMediaType(x.r.Header.Get("Content-Type"))
	x.check(err == nil && kind == "application/json" && strings.EqualFold(parameters["charset"], "utf-8"), RuleContentType,
		"Content-Type of complete is %q, not application/json; charset=UTF-8", x.r.Header.Get("Content-Type"))
	x.checkPartList(o, body)
	for number := 1; number <= o.parts(); number++ {
		x.check(u.parts[number] != nil, RuleMissingPart, "part %d of %d was never stored", number, o.parts())
	}
	// The answer to a first complete may have been lost, so the same one again is right.
	x.check(o.completed == nil || o.completed == u, RuleCompleted, "%s is complete by another upload id", o.path)
	if x.refused() {
		return x.uposFailure(http.StatusBadRequest, codeBadRequest, "bad request")
	}
	o.completed = u
	key := strings.TrimPrefix(o.path, "/"+o.bucket)
	return jsonAnswer(http.StatusOK, map[string]any{
		"OK": 1, "bucket": "ugcboss", "etag": strconv.FormatInt(o.bizID%1e9, 10), "key": key, "location": o.path[1:],
	})
}

// checkPartList wants {"parts":[{"partNumber":1,"eTag":"etag"},…]} with every part once, in ascending order.
func (x *exchange) checkPartList(o *object, body []byte) {
	var list struct {
		Parts []struct {
			PartNumber json.RawMessage `json:"partNumber"`
			ETag       *string         `json:"eTag"`
		} `json:"parts"`
	}
	err := decodeJSON(body, &list)
	if !x.check(err == nil, RuleParts, "the body of complete is not a part list: %v", err) {
		return
	}
	x.check(len(list.Parts) == o.parts(), RuleParts, "the list has %d parts, the file has %d", len(list.Parts), o.parts())
	for i, entry := range list.Parts {
		want := strconv.Itoa(i + 1)
		x.check(string(entry.PartNumber) == want, RuleParts, "entry %d of the list is part %s, it must be %s", i+1, entry.PartNumber, want)
		x.check(entry.ETag != nil && *entry.ETag != "", RuleParts, "entry %d of the list has no eTag", i+1)
	}
}

// getObject shows the uploader what is stored.
func (x *exchange) getObject() (out *answer) {
	var o *object
	x.s.update(func(*state) {
		if out = x.authorise(); out == nil && x.object.completed == nil {
			out = text(http.StatusNotFound, "")
		}
		o = x.object
	})
	if out != nil {
		return out
	}
	out = text(http.StatusOK, "")
	out.header.Set("Content-Type", "application/octet-stream")
	x.s.mu.Lock()
	out.header.Set("Content-Length", strconv.FormatInt(o.snapshot().StoredBytes(), 10))
	x.s.mu.Unlock()
	if x.r.Method == http.MethodHead {
		return out
	}
	content, err := x.s.openObject(o)
	if err != nil {
		return text(http.StatusNotFound, err.Error())
	}
	out.file = func(w http.ResponseWriter, _ *http.Request) {
		defer content.Close()
		_, _ = io.Copy(w, content) // a client that went away is its own business
	}
	return out
}
