package live

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"time"
)

// Ending says why a connection ended.
type Ending string

// The endings.
const (
	Ended     Ending = "ended"     // the broadcast did
	ByClose   Ending = "closed"    // a fault
	ByCut     Ending = "cut"       // a fault
	ByReset   Ending = "reset"     // a fault
	Broken    Ending = "broken"    // Server.Break
	Left      Ending = "left"      // the client did
	Shutdown  Ending = "shutdown"  // Server.Close
	unplanned Ending = "unplanned" // a panic
)

// endError carries an ending to where the connection is ended.
type endError struct{ ending Ending }

func (e endError) Error() string { return "connection " + string(e.ending) }

// viewer sends the stream over one connection.
type viewer struct {
	server  *Server
	w       http.ResponseWriter
	control *http.ResponseController
	ctx     context.Context
	cancel  context.CancelCauseFunc
	request *Request
	record  *Connection // guarded by the server's lock

	broadcast int
	started   time.Time     // of the clock it follows
	clip      *Clip         // that of the server, until a fault switches
	origin    time.Duration // where on the media's clock the clip begins
	seq       int           // next tag of the clip

	counted   map[FaultID]bool // faults whose place was reached
	sent      map[Track][]byte // latest metadata and parameter sets
	shift     map[Track]int64  // what faults add to times, in ms
	frames    int
	keyframes int
	groupFrom int // where the latest group of pictures began; behind seq or at it: there is none
	skipping  bool
	skipped   int
	noTrailer bool
	rate      int // bytes a second; 0: any
	offset    int64
	buffer    []byte
}

// serve sends the stream until something ends it.
func (v *viewer) serve() {
	ending := unplanned
	defer func() { v.close(ending) }()
	var end endError
	if err := v.stream(); errors.As(err, &end) {
		ending = end.ending
	}
}

// close notes the end before the client can see it, so that the client's next connection is not one too many.
func (v *viewer) close(ending Ending) {
	v.server.update(func() {
		v.record.Open, v.record.Ending = false, ending
		delete(v.server.viewers, v.record)
		v.server.ended++
	})
	if ending == ByCut || ending == ByReset || ending == Broken {
		sever(v.w, ending == ByReset)
	}
}

func (v *viewer) stream() error {
	v.counted, v.sent, v.shift = map[FaultID]bool{}, map[Track][]byte{}, map[Track]int64{}
	v.groupFrom = -1
	header := v.w.Header()
	header.Set("Content-Type", "video/x-flv")
	header.Set("Cache-Control", "no-store")
	if v.server.options.Identity {
		header.Set("Transfer-Encoding", "identity")
	}
	v.w.WriteHeader(http.StatusOK)
	if err := v.write(fileHeader(v.clip.tracks)); err != nil {
		return err
	}
	if err := v.configure(v.clip.configs(v.seq)); err != nil {
		return err
	}
	for {
		if err := v.next(); err != nil {
			return err
		}
	}
}

// next sends the next tag when its time has come.
func (v *viewer) next() error {
	if err := v.pace(); err != nil {
		return err
	}
	if v.seq >= len(v.clip.tags) && !v.server.options.Loop {
		return v.over()
	}
	t := v.clip.tag(v.seq)
	if t.config {
		defer func() { v.seq++ }()
		if bytes.Equal(v.sent[t.track], t.body) {
			return nil // seen in front of the stream, or on the lap before
		}
		return v.configure([]*tag{t})
	}
	return v.frame()
}

// frame sends the frame at seq, or whatever faults make of it.
func (v *viewer) frame() error {
	shape := shape{}
	for _, fault := range v.server.due(v.request, v.reached) {
		if err := v.apply(fault, &shape); err != nil {
			return err
		}
	}
	t := v.clip.tag(v.seq) // a switch may have changed it
	if v.skip() {
		v.seq++
		return nil
	}
	if v.isKey(t) {
		v.groupFrom = v.seq
	}
	if err := v.send(t, v.seq, shape); err != nil {
		return err
	}
	v.frames++
	if v.isKey(t) {
		v.keyframes++
	}
	v.seq++
	return nil
}

// skip reports whether the frame at seq is to be left out.
func (v *viewer) skip() bool {
	if v.skipping && v.skipped > 0 && v.isKey(v.clip.tag(v.seq)) {
		v.skipping = false
	}
	if v.skipping {
		v.skipped++
	}
	return v.skipping
}

// isKey says whether a client could begin here.
func (v *viewer) isKey(t *tag) bool { return !t.config && (t.key || !v.clip.tracks[Video]) }

// at is the time of a tag on the media's clock.
func (v *viewer) at(seq int) time.Duration { return v.origin + v.clip.at(seq) }

// stamp is the time that is written into a tag of a track that is sent at the place of the frame at seq.
func (v *viewer) stamp(track Track, seq int) uint32 {
	t := v.clip.tag(seq)
	own := int64(int32(t.ms - v.clip.base)) // may be negative
	if t.config {
		own = t.at.Milliseconds()
	}
	ms := own + (v.origin + v.clip.lap(seq)*v.clip.duration + v.server.options.StartAt).Milliseconds()
	return uint32(ms + v.shift[track]) // the format's clock goes round
}

// reached reports whether a fault is due in front of the frame at seq. It runs under the server's lock.
func (v *viewer) reached(r *rule) bool {
	key := v.isKey(v.clip.tag(v.seq))
	groups := v.keyframes > r.At.Keyframes || v.keyframes == r.At.Keyframes && (key || r.At.Keyframes == 0)
	switch {
	case r.Action.asked() || v.counted[r.id] || !groups || v.frames < r.At.Tags || v.at(v.seq) < r.At.Media,
		r.Action.atKeyframe() && !key,
		r.Action.Do == DoRepeatGOP && v.groupFrom < 0:
		return false
	}
	v.counted[r.id] = true
	return true
}

// pace waits until the tag at seq is due.
func (v *viewer) pace() error {
	if v.ctx.Err() != nil {
		return v.cause()
	}
	if v.server.options.Speed == Unpaced {
		return nil
	}
	due := v.started.Add(time.Duration(float64(v.at(v.seq)) / v.server.options.Speed))
	return v.wait(time.Until(due))
}

func (v *viewer) wait(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-v.ctx.Done():
		return v.cause()
	}
}

// cause is why the context ended: what the server said, or else the client left.
func (v *viewer) cause() error {
	var end endError
	if errors.As(context.Cause(v.ctx), &end) {
		return end
	}
	return endError{Left}
}

// over ends the connection with the clip, and the broadcast with it.
func (v *viewer) over() error {
	s := v.server
	s.update(func() {
		whole := s.options.Speed != Unpaced || s.edge >= len(s.options.Clip.tags)
		if s.broadcast == v.broadcast && !s.endless() && whole {
			s.live = false
		}
	})
	return endError{Ended}
}
