// Package names is a name server for tests of what a program does with the addresses that a name leads to: it answers what a test
// says, another answer each time if it likes, and asks nobody.
package names

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

// Server answers questions for addresses.
type Server struct {
	// Answer is asked for every question, so that answers may change: question counts the look-ups of all names, from 1.
	Answer func(name string, question int) []netip.Addr

	mu     sync.Mutex
	asked  int
	served sync.WaitGroup
}

// Fixed answers the same addresses for every name.
func Fixed(addresses ...string) *Server {
	parsed := make([]netip.Addr, len(addresses))
	for i, address := range addresses {
		parsed[i] = netip.MustParseAddr(address)
	}
	return &Server{Answer: func(string, int) []netip.Addr { return parsed }}
}

// Resolver is a resolver that knows this server only.
func (s *Server) Resolver(t testing.TB) *net.Resolver {
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
func (s *Server) serve(t testing.TB, conn net.Conn) {
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

func (s *Server) reply(question dnsmessage.Message) *dnsmessage.Message {
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
func (s *Server) addresses(asked dnsmessage.Question) []netip.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if asked.Type == dnsmessage.TypeA {
		s.asked++
	}
	return s.Answer(strings.TrimSuffix(asked.Name.String(), "."), s.asked)
}
