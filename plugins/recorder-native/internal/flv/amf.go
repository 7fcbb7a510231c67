package flv

import (
	"encoding/binary"
	"math"
)

// AMF0 markers (Adobe "Action Message Format -- AMF 0").
const (
	amfNumber      = 0x00
	amfBoolean     = 0x01
	amfString      = 0x02
	amfObject      = 0x03
	amfNull        = 0x05
	amfUndefined   = 0x06
	amfReference   = 0x07
	amfECMAArray   = 0x08
	amfObjectEnd   = 0x09
	amfStrictArray = 0x0a
	amfDate        = 0x0b
	amfLongString  = 0x0c
	amfUnsupported = 0x0d

	amfMaxDepth = 16
)

// amfReader walks AMF0 values. Once the input makes no sense, bad stays true and all reads return zero values: broken
// metadata must never stop a recording.
type amfReader struct {
	b   []byte
	bad bool
}

func (r *amfReader) take(n int) []byte {
	if r.bad || n < 0 || n > len(r.b) {
		r.bad = true
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *amfReader) marker() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return amfObjectEnd
}

func (r *amfReader) number() float64 {
	if b := r.take(8); b != nil {
		return math.Float64frombits(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (r *amfReader) count() int {
	if b := r.take(4); b != nil {
		return int(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (r *amfReader) text() string {
	if b := r.take(2); b != nil {
		return string(r.take(int(binary.BigEndian.Uint16(b))))
	}
	return ""
}

// properties calls visit for each property of an object or ECMA array whose marker was read already. visit consumes the
// value, whose marker it gets.
func (r *amfReader) properties(visit func(key string, marker byte)) {
	for !r.bad {
		key := r.text()
		marker := r.marker()
		if r.bad || key == "" && marker == amfObjectEnd {
			return
		}
		visit(key, marker)
	}
}

// skip consumes a value of any type.
func (r *amfReader) skip(marker byte, depth int) {
	if depth > amfMaxDepth {
		r.bad = true
		return
	}
	inner := func(_ string, m byte) { r.skip(m, depth+1) }
	switch marker {
	case amfNumber:
		r.take(8)
	case amfBoolean:
		r.take(1)
	case amfString:
		r.text()
	case amfLongString:
		r.take(r.count())
	case amfNull, amfUndefined, amfUnsupported:
	case amfReference:
		r.take(2)
	case amfDate:
		r.take(10)
	case amfECMAArray:
		r.count()
		r.properties(inner)
	case amfObject:
		r.properties(inner)
	case amfStrictArray:
		for n := r.count(); n > 0 && !r.bad; n-- {
			r.skip(r.marker(), depth+1)
		}
	default:
		r.bad = true
	}
}

// amfWriter appends properties and counts them.
type amfWriter struct {
	b     []byte
	count uint32
}

func appendText(b []byte, text string) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(text)))
	return append(b, text...)
}

func (w *amfWriter) key(key string, marker byte) {
	w.count++
	w.b = append(appendText(w.b, key), marker)
}

func (w *amfWriter) number(key string, v float64) {
	w.key(key, amfNumber)
	w.b = binary.BigEndian.AppendUint64(w.b, math.Float64bits(v))
}

// known writes v unless it is 0, which stands for "not known".
func (w *amfWriter) known(key string, v float64) {
	if v != 0 {
		w.number(key, v)
	}
}

func (w *amfWriter) boolean(key string, v bool) {
	w.key(key, amfBoolean)
	if v {
		w.b = append(w.b, 1)
	} else {
		w.b = append(w.b, 0)
	}
}

func (w *amfWriter) text(key, v string) {
	w.key(key, amfString)
	w.b = appendText(w.b, v)
}

func (w *amfWriter) numbers(key string, n int, value func(i int) float64) {
	w.key(key, amfStrictArray)
	w.b = binary.BigEndian.AppendUint32(w.b, uint32(n))
	for i := range n {
		w.b = append(w.b, amfNumber)
		w.b = binary.BigEndian.AppendUint64(w.b, math.Float64bits(value(i)))
	}
}

func (w *amfWriter) end() { w.b = append(w.b, 0, 0, amfObjectEnd) }
