package outgoing

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// nameServer is a name server of a test. Its answers are asked for anew each time, and so may change between two questions.
type nameServer struct {
	mu     sync.Mutex
	asked  int
	answer func(name string, question int) []netip.Addr
	served sync.WaitGroup
}

// resolver is a resolver that knows this server only.
func (s *nameServer) resolver(t *testing.T) *net.Resolver {
	t.Helper()
	t.Cleanup(s.served.Wait)
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		s.served.Go(func() {
			defer func() { _ = ours.Close() }()
			s.serve(t, ours)
		})
		return theirs, nil
	}}
}

// serve answers questions as they come over TCP: each with its length before it.
func (s *nameServer) serve(t *testing.T, conn net.Conn) {
	for {
		var length [2]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return
		}
		raw := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(conn, raw); err != nil {
			return
		}
		var question dnsmessage.Message
		if err := question.Unpack(raw); err != nil {
			t.Errorf("unpack question: %v", err)
			return
		}
		packed, err := s.reply(question).Pack()
		if err != nil {
			t.Errorf("pack answer: %v", err)
			return
		}
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(packed))), packed...)); err != nil {
			return
		}
	}
}

func (s *nameServer) reply(question dnsmessage.Message) *dnsmessage.Message {
	asked := question.Questions[0]
	reply := &dnsmessage.Message{
		Header: dnsmessage.Header{ID: question.ID, Response: true, RecursionAvailable: true}, Questions: question.Questions,
	}
	header := dnsmessage.ResourceHeader{Name: asked.Name, Type: asked.Type, Class: asked.Class, TTL: 0}
	for _, addr := range s.addresses(asked) {
		switch {
		case addr.Is4() && asked.Type == dnsmessage.TypeA:
			reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: addr.As4()}})
		case addr.Is6() && asked.Type == dnsmessage.TypeAAAA:
			reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}})
		}
	}
	return reply
}

// addresses counts questions for IPv4 addresses: there is one in every look-up.
func (s *nameServer) addresses(asked dnsmessage.Question) []netip.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if asked.Type == dnsmessage.TypeA {
		s.asked++
	}
	return s.answer(strings.TrimSuffix(asked.Name.String(), "."), s.asked)
}
