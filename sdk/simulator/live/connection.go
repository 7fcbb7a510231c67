package live

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/http"
	"reflect"
	"time"
)

// viewer sends the stream to one client.
type viewer struct {
	*Server
	w       http.ResponseWriter
	control *http.ResponseController
	request *http.Request
	record  *Connection
	stop    <-chan struct{}
	fired   map[int]bool
	live    bool

	clip     *Clip
	k        int   // the next frame on the endless clock of clip
	shift    int64 // what Switch adds to times
	jump     int64 // what Jump adds to times
	tags     int   // sent whole
	keys     int
	trailer  bool // sizes behind tags are wrong
	switchTo *Switch
	pending  bytes.Buffer // bytes that go out together
}

// endError ends a viewer. The text is the connection's Ending.
type endError string

func (e endError) Error() string { return string(e) }

const (
	errClipOver   = endError("clip over")
	errClientLeft = endError("client left")
)

// ServeHTTP sends the stream.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v, ok := s.admit(w, r)
	if !ok {
		return
	}
	defer s.handler.Done()
	err := v.watched()
	s.mu.Lock()
	v.record.Open = false
	v.record.Ending = err.Error()
	s.open--
	s.announce()
	s.mu.Unlock()
	v.hangUp(err)
}

// admit registers a request. false: it was answered.
func (s *Server) admit(w http.ResponseWriter, r *http.Request) (*viewer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	record := &Connection{Number: len(s.connections) + 1, Path: r.URL.Path, Header: r.Header.Clone(), StartedAt: time.Now(), Open: true}
	if s.closed {
		http.Error(w, "closed", http.StatusServiceUnavailable)
		return nil, false
	}
	if r.Method != http.MethodGet {
		s.mistake("request %d: method %s; a live stream is read with GET", record.Number, r.Method)
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return nil, false
	}
	if r.Header.Get("Range") != "" {
		s.mistake("request %d: a byte range of a live stream", record.Number)
	}
	if s.open > 0 && !s.options.AllowConcurrent {
		s.mistake("request %d: %d connections are open already", record.Number, s.open)
	}
	s.connections = append(s.connections, record)
	s.open++
	s.handler.Add(1)
	s.announce()
	v := &viewer{
		Server: s, w: w, control: http.NewResponseController(w), request: r, record: record,
		stop: s.generation, fired: map[int]bool{}, clip: s.options.Clip,
	}
	if v.live = s.live; v.live {
		v.k = s.join()
	}
	return v, true
}

// watched serves, and sees to it that a client that does not read holds up neither Close nor Break.
func (v *viewer) watched() error {
	done, joined := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(joined)
		select {
		case <-v.stop:
			_ = v.control.SetWriteDeadline(time.Now().Add(v.patience()))
		case <-done:
		}
	}()
	err := v.serve()
	close(done)
	<-joined
	return err
}

// patience is how long the end of the body may take.
func (v *viewer) patience() time.Duration {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ending == endingOver {
		return 10 * time.Second
	}
	return 0
}

func (v *viewer) serve() error {
	if err := v.faults(true); err != nil {
		return err
	}
	if !v.live {
		v.answer(http.StatusNotFound, "text/plain; charset=utf-8", "nobody is live\n")
		return endError("nobody live")
	}
	v.status(http.StatusOK, "video/x-flv")
	v.greet()
	if err := v.faults(false); err != nil {
		return err
	}
	for {
		if err := v.next(); err != nil {
			return err
		}
	}
}

func (v *viewer) status(code int, contentType string) {
	v.mu.Lock()
	v.record.Status = code
	v.mu.Unlock()
	v.w.Header().Set("Content-Type", contentType)
	v.w.Header().Set("Cache-Control", "no-store")
	v.w.WriteHeader(code)
}

func (v *viewer) answer(code int, contentType, body string) {
	v.status(code, contentType)
	_, _ = v.w.Write([]byte(body))
}

// greet puts the file header and the parameter sets in front.
func (v *viewer) greet() {
	flags := byte(0)
	if v.clip.videoHeader != nil {
		flags |= 1
	}
	if v.clip.audioHeader != nil {
		flags |= 4
	}
	v.pending.Write([]byte{'F', 'L', 'V', 1, flags, 0, 0, 0, fileHeader, 0, 0, 0, 0})
	v.headers()
}

func (v *viewer) headers() {
	v.tag(typeScript, 0, v.clip.script)
	v.tag(typeVideo, 0, v.clip.videoHeader)
	v.tag(typeAudio, 0, v.clip.audioHeader)
}

func (v *viewer) tag(kind byte, ms int64, payload []byte) {
	if payload == nil {
		return
	}
	v.pending.Write(v.encode(kind, ms, payload))
}

func (v *viewer) encode(kind byte, ms int64, payload []byte) []byte {
	n, t := len(payload), uint32(ms)
	b := make([]byte, 0, tagHeader+n+trailer)
	b = append(b, kind, byte(n>>16), byte(n>>8), byte(n), byte(t>>16), byte(t>>8), byte(t), byte(t>>24), 0, 0, 0)
	b = append(b, payload...)
	size := uint32(n + tagHeader)
	if v.trailer {
		size = 0
	}
	return binary.BigEndian.AppendUint32(b, size)
}

// peek returns the next frame and its time on the clip's endless clock. false: the clip is over.
func (v *viewer) peek() (*frame, int64, bool) {
	n := len(v.clip.frames)
	if v.k >= n && !v.options.Loop {
		return nil, 0, false
	}
	f := &v.clip.frames[v.k%n]
	return f, int64(v.k/n)*v.clip.length + f.ms, true
}

// stamp is the time that is written into a tag.
func (v *viewer) stamp(at int64) int64 {
	return at + v.shift + v.jump + v.options.StartAt.Milliseconds()
}

// next sends the next frame when its time has come.
func (v *viewer) next() error {
	f, at, ok := v.peek()
	if !ok {
		return v.over()
	}
	if err := v.pace(at + v.shift); err != nil {
		return err
	}
	if v.follow(f, at) {
		return nil
	}
	ms := v.stamp(at)
	v.tag(f.kind, ms, f.payload)
	// Small writes are collected, unless a client waits for them.
	if v.options.Speed > 0 || v.pending.Len() > 64<<10 {
		if err := v.flush(); err != nil {
			return err
		}
	}
	v.k++
	v.tags++
	if f.key {
		v.keys++
	}
	v.note(f, ms, true)
	return v.faults(false)
}

// follow goes over to the clip of a Switch when its time has come, in place of the frame f.
func (v *viewer) follow(f *frame, at int64) bool {
	to := v.switchTo
	switch {
	case to == nil:
		return false
	case to.Late > 0:
		if f.kind == typeVideo {
			to.Late--
		}
		return false
	}
	v.switchTo = nil
	v.clip, v.k = to.To, to.To.nextEntry(0)
	v.shift += at - v.clip.frames[v.k].ms
	return true
}

// over ends the broadcast at the end of the clip.
func (v *viewer) over() error {
	if err := v.flush(); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.clip == v.options.Clip && v.Server.live {
		v.off()
		v.finished = true
	}
	return errClipOver
}

// pace waits until the frame at ms is due, or says why the viewer ends.
func (v *viewer) pace(ms int64) error {
	select {
	case <-v.stop:
		return v.stopped()
	case <-v.request.Context().Done():
		return errClientLeft
	default:
	}
	if v.options.Speed == 0 {
		return nil
	}
	v.mu.Lock()
	due := v.began.Add(time.Duration(float64(time.Duration(ms-v.resumed)*time.Millisecond) / v.options.Speed))
	v.mu.Unlock()
	wait := time.Until(due)
	if wait <= 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	return v.wait(timer.C)
}

// wait flushes and waits for a signal, or says why the viewer ends.
func (v *viewer) wait(signal <-chan time.Time) error {
	if err := v.flush(); err != nil {
		return err
	}
	select {
	case <-signal:
		return nil
	case <-v.stop:
		return v.stopped()
	case <-v.request.Context().Done():
		return errClientLeft
	}
}

func (v *viewer) stopped() error {
	v.mu.Lock()
	why := v.ending
	v.mu.Unlock()
	if why != endingBroken {
		if err := v.flush(); err != nil {
			return err
		}
	}
	return endError(why)
}

// flush sends what is collected.
func (v *viewer) flush() error {
	n, err := v.w.Write(v.pending.Bytes())
	v.pending.Reset()
	v.mu.Lock()
	v.record.Bytes += int64(n)
	v.mu.Unlock()
	if err == nil {
		err = v.control.Flush()
	}
	if err != nil {
		return errClientLeft
	}
	return nil
}

func (v *viewer) note(f *frame, ms int64, whole bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.record.Tags = append(v.record.Tags, f.sent(ms, whole))
	if v.clip == v.options.Clip {
		v.edge = max(v.edge, v.k)
	}
	v.announce()
}

// faults does what is due after the tags sent so far. asked: only what replaces the answer to the request.
func (v *viewer) faults(asked bool) error {
	for i, f := range v.options.Faults {
		if asked != answers(f.Do) || v.fired[i] || v.tags < f.AfterTags || v.keys < f.AfterKeyframes ||
			f.Connection != 0 && f.Connection != v.record.Number {
			continue
		}
		v.fired[i] = true
		if err := v.do(f.Do); err != nil {
			return err
		}
	}
	return nil
}

func answers(a Action) bool {
	switch a.(type) {
	case Refuse, Answer, Redirect:
		return true
	}
	return false
}

func (v *viewer) do(a Action) error {
	why := endError(reflect.TypeOf(a).Name())
	switch a := a.(type) {
	case Refuse:
		v.answer(a.Status, "text/plain; charset=utf-8", http.StatusText(a.Status))
		return why
	case Answer:
		v.answer(http.StatusOK, a.ContentType, a.Body)
		return why
	case Redirect:
		v.w.Header().Set("Location", a.To)
		v.answer(http.StatusFound, "text/plain; charset=utf-8", "")
		return why
	case CloseCleanly, Abort:
		return v.last(why)
	case CutMidTag:
		return v.half(why)
	case Reset:
		if a.MidTag {
			return v.half(why)
		}
		return v.last(why)
	case Stall:
		return v.stall()
	default:
		v.disturb(a)
	}
	return nil
}

// disturb changes what is sent, without ending or holding anything.
func (v *viewer) disturb(a Action) {
	switch a := a.(type) {
	case Garbage:
		random := rand.NewChaCha8([32]byte{})
		noise := make([]byte, a.Bytes)
		_, _ = random.Read(noise)
		v.pending.Write(noise)
	case DamageTag:
		v.damage(a.Size)
	case WrongTrailers:
		v.trailer = true
	case RepeatHeaders:
		v.headers()
	case Switch:
		v.tag(typeScript, 0, a.To.script)
		v.tag(typeVideo, 0, a.To.videoHeader)
		v.tag(typeAudio, 0, a.To.audioHeader)
		v.switchTo = &a
	case Jump:
		v.jump += a.By.Milliseconds()
	}
}

// damage sends the next tag with a wrong size in its header.
func (v *viewer) damage(size int) {
	f, at, ok := v.peek()
	if !ok {
		return
	}
	b := v.encode(f.kind, v.stamp(at), f.payload)
	b[1], b[2], b[3] = byte(size>>16), byte(size>>8), byte(size)
	v.pending.Write(b)
	v.k++
	v.note(f, v.stamp(at), false)
}

func (v *viewer) stall() error {
	if err := v.flush(); err != nil {
		return err
	}
	v.mu.Lock()
	released := v.release
	v.record.Stalled = true
	v.announce()
	v.mu.Unlock()
	select {
	case <-released:
		v.mu.Lock()
		v.record.Stalled = false
		v.mu.Unlock()
		return nil
	case <-v.stop:
		return v.stopped()
	case <-v.request.Context().Done():
		return errClientLeft
	}
}

// half sends the first half of the next tag.
func (v *viewer) half(why endError) error {
	if f, at, ok := v.peek(); ok {
		b := v.encode(f.kind, v.stamp(at), f.payload)
		v.pending.Write(b[:tagHeader+len(f.payload)/2])
		v.note(f, v.stamp(at), false)
	}
	return v.last(why)
}

// last sends what is collected before the end.
func (v *viewer) last(why endError) error {
	if err := v.flush(); err != nil {
		return err
	}
	return why
}

// hangUp ends the TCP connection as the ending demands. A clean ending is left to the HTTP server.
func (v *viewer) hangUp(why error) {
	switch why.Error() {
	case "Abort":
		panic(http.ErrAbortHandler)
	case "Reset", endingBroken:
		conn, _, err := v.control.Hijack()
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		reset(conn)
	}
}

// reset waits until the peer has everything and resets the connection.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		drained(tcp)
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
