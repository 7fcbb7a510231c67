package convert

import "fmt"

// Enum maps the values of one enumeration between Go and protobuf. Either side may know values that the other does not: a
// reader says what it takes those for.
type Enum[G, P comparable] struct {
	to   map[G]P
	from map[P]G
}

// NewEnum reads a table. It panics when two Go values are the same on the wire.
func NewEnum[G, P comparable](table map[G]P) Enum[G, P] {
	e := Enum[G, P]{to: table, from: make(map[P]G, len(table))}
	for g, p := range table {
		if other, twice := e.from[p]; twice {
			panic(fmt.Sprintf("%v and %v are both %v on the wire", other, g, p))
		}
		e.from[p] = g
	}
	return e
}

// To returns the value for the wire.
func (e Enum[G, P]) To(g G, otherwise P) P {
	if p, ok := e.to[g]; ok {
		return p
	}
	return otherwise
}

// From returns the Go value of what the other side sent, and otherwise for what this version does not know.
func (e Enum[G, P]) From(p P, otherwise G) G {
	if g, ok := e.from[p]; ok {
		return g
	}
	return otherwise
}

// Known is From for what cannot be taken for anything else.
func (e Enum[G, P]) Known(p P) (G, bool) {
	g, ok := e.from[p]
	return g, ok
}
