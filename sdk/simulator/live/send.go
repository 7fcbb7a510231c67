package live

import (
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"net"
	"net/http"
	"time"
)

// shape is what faults do to one frame.
type shape struct {
	damage int // bytes that are turned over
	size   *int
}

// apply does what a fault is for, in front of the frame at seq.
func (v *viewer) apply(fault strike, shape *shape) error {
	switch fault.Do {
	case DoClose, DoCut, DoReset:
		return v.end(fault.Action)
	case DoStall:
		if err := hold(v.ctx, fault); err != nil {
			return v.cause()
		}
	case DoGarbage:
		noise := make([]byte, fault.Bytes)
		_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
		return v.write(noise)
	case DoChangeHeader, DoRepeatHeaders:
		return v.reconfigure(fault.Do == DoChangeHeader)
	case DoSwitch:
		return v.switchTo(fault.Clip)
	case DoRepeatGOP:
		return v.repeatGroup()
	case DoDrip:
		v.rate = fault.Bytes
	case DoDamage:
		shape.damage = fault.Bytes
	case DoWrongSize:
		shape.size = &fault.Bytes
	case DoNoTrailers:
		v.noTrailer = true
	case DoJump, DoRestart:
		v.turnClock(fault.Action)
	case DoSkipGOP:
		v.skipping, v.skipped = true, 0
	case DoAnswer, DoHang, DoRefuse: // happened before there was a stream
	}
	return nil
}

// end sends what a fault lets through before it ends the connection.
func (v *viewer) end(a Action) error {
	if a.MidTag {
		t := v.clip.tag(v.seq)
		b := v.encode(t, v.seq, shape{})
		begin := v.offset
		if err := v.write(b[:len(b)/2]); err != nil {
			return err
		}
		v.note(t, v.seq, Sent{Offset: begin, Size: len(t.body), Hash: t.hash})
	}
	return endError{map[Do]Ending{DoClose: ByClose, DoCut: ByCut, DoReset: ByReset}[a.Do]}
}

func (v *viewer) turnClock(a Action) {
	by := a.Shift.Milliseconds()
	if a.Do == DoRestart {
		by = -int64(int32(v.stamp(v.clip.tag(v.seq).track, v.seq)))
	}
	for _, track := range []Track{Script, Video, Audio} {
		if a.Track == "" || a.Track == track {
			v.shift[track] += by
		}
	}
}

// reconfigure sends metadata and parameter sets again, or other parameter sets.
func (v *viewer) reconfigure(other bool) error {
	configs := v.clip.configs(v.seq)
	if other {
		var changed []*tag
		for _, t := range configs {
			if o, ok := t.otherLevel(); ok {
				changed = append(changed, o)
			}
		}
		configs = changed
	}
	return v.configure(configs)
}

// switchTo goes on with another clip, from its first keyframe, at the time of the frame at seq.
func (v *viewer) switchTo(clip *Clip) error {
	at := v.at(v.seq)
	v.clip, v.seq, v.groupFrom = clip, clip.keys[0], -1
	v.origin = 0
	v.origin = at - v.at(v.seq)
	return v.configure(clip.configs(v.seq))
}

// repeatGroup sends the latest group of pictures again.
func (v *viewer) repeatGroup() error {
	for seq := v.groupFrom; seq < v.seq; seq++ {
		t := v.clip.tag(seq)
		if t.config {
			continue
		}
		if err := v.send(t, seq, shape{}); err != nil {
			return err
		}
	}
	return nil
}

// configure sends metadata and parameter sets, with the time of the next frame.
func (v *viewer) configure(configs []*tag) error {
	for _, t := range configs {
		if err := v.send(t, v.seq, shape{}); err != nil {
			return err
		}
		v.sent[t.track] = t.body
	}
	return nil
}

// send sends a tag and remembers it, also when not all of it got out.
func (v *viewer) send(t *tag, seq int, shape shape) error {
	b := v.encode(t, seq, shape)
	sent := Sent{Offset: v.offset, Size: len(t.body), Hash: t.hash}
	if shape.damage > 0 {
		sum := sha256.Sum256(b[tagHeaderSize+t.payload : tagHeaderSize+len(t.body)])
		sent.Hash = hex.EncodeToString(sum[:])
	}
	err := v.write(b)
	sent.Whole = err == nil && shape.size == nil
	if v.offset > sent.Offset {
		v.note(t, seq, sent)
	}
	return err
}

func (v *viewer) encode(t *tag, seq int, shape shape) []byte {
	b := t.append(v.buffer[:0], v.stamp(t.track, seq))
	v.buffer = b
	if shape.damage > 0 {
		payload := b[tagHeaderSize+t.payload : tagHeaderSize+len(t.body)]
		from := len(payload) / 2
		for i := from; i < min(from+shape.damage, len(payload)); i++ {
			payload[i] ^= 0xff
		}
	}
	if shape.size != nil {
		size := *shape.size
		b[1], b[2], b[3] = byte(size>>16), byte(size>>8), byte(size)
	}
	if v.noTrailer {
		clear(b[len(b)-trailerSize:])
	}
	return b
}

// write sends bytes at once, or as slowly as a fault wants it.
func (v *viewer) write(b []byte) error {
	const piecesPerSecond = 10
	for len(b) > 0 {
		piece := b
		if v.rate > 0 {
			piece = b[:min(len(b), max(1, v.rate/piecesPerSecond))]
		}
		n, err := v.w.Write(piece)
		if err == nil {
			err = v.control.Flush()
		}
		v.offset += int64(n)
		v.server.update(func() { v.record.Bytes += int64(n) })
		if err != nil {
			return v.cause()
		}
		b = b[n:]
		if v.rate > 0 {
			if err := v.wait(time.Duration(n) * time.Second / time.Duration(v.rate)); err != nil {
				return err
			}
		}
	}
	return nil
}

// sever ends the TCP connection of a request without the end of its body: as if the other side had crashed, or by a reset
// once everything sent has arrived.
func sever(w http.ResponseWriter, reset bool) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // what is left where connections are shared
	}
	if tls, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = tls.NetConn() // no farewell
	}
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		drain(tcp)
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
