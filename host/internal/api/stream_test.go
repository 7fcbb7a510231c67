package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/lubod/lubod/host/internal/events"
	"github.com/lubod/lubod/host/internal/logs"
)

// patience only decides how long a broken test takes to fail.
const patience = time.Minute

// watched is a harness whose server tells of events and logs.
type watched struct {
	*harness
	ring *logs.Ring
	log  *slog.Logger
	// stop ends the server, and wants it to end in order.
	stop func()
}

// newWatched is a server with a bus, changed by set before it serves.
func newWatched(t *testing.T, set ...func(*Server)) *watched {
	t.Helper()
	w := &watched{harness: newLoggedIn(t)}
	w.restart(t, set...)
	return w
}

// restart goes on with another server, and an empty log, on the same database.
func (w *watched) restart(t *testing.T, set ...func(*Server)) {
	t.Helper()
	w.ring = logs.NewRing()
	w.log = slog.New(w.ring.Handler(slog.NewTextHandler(w.harness.log, nil)))
	w.server = w.startWith(t, Deps{Events: runBus(t, w.db), Logs: w.ring})
	for _, set := range set {
		set(w.server)
	}
	w.base, w.stop = serveUntil(t, w.server)
}

// quick makes heartbeats that a test can wait for.
func quick(s *Server) { s.heartbeat = 20 * time.Millisecond }

// sse is an open stream of events.
type sse struct {
	response *http.Response
	lines    *bufio.Scanner
	schema   func(data string) error
}

// message is one event as it came.
type message struct {
	id, kind, data string
	comment        bool
}

// watchEvents opens the stream.
func (b *browser) watchEvents(t *testing.T, query string, headers ...string) *sse {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.base+"/api/v1/events"+query, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := b.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "text/event-stream" || response.Header.Get("X-Accel-Buffering") != "no" {
		t.Fatalf("status %d, %v", response.StatusCode, response.Header)
	}
	spec := theContract().spec
	schema := spec.Components.Schemas["Event"].Value
	return &sse{response: response, lines: bufio.NewScanner(response.Body), schema: func(data string) error {
		var value any
		if err := json.Unmarshal([]byte(data), &value); err != nil {
			return err
		}
		return schema.VisitJSON(value)
	}}
}

// next is the next event or sign of life; false at the end of the stream. Every event is held against the contract.
func (s *sse) next(t *testing.T) (message, bool) {
	t.Helper()
	timer := time.AfterFunc(patience, func() { _ = s.response.Body.Close() })
	defer timer.Stop()
	var m message
	for s.lines.Scan() {
		field, value, _ := strings.Cut(s.lines.Text(), ": ")
		switch field {
		case "id":
			m.id = value
		case "event":
			m.kind = value
		case "data":
			m.data = value
		case "":
			if value != "" {
				m.comment = true
				continue
			}
			if m == (message{}) {
				continue // after retry
			}
			s.check(t, m)
			return m, true
		}
	}
	return message{}, false
}

func (s *sse) check(t *testing.T, m message) {
	t.Helper()
	if m.comment && m.data == "" {
		return
	}
	if err := s.schema(m.data); err != nil {
		t.Errorf("%s\nis not in the contract: %v", m.data, err)
	}
	if !strings.Contains(m.data, fmt.Sprintf(`"type":%q`, m.kind)) || (m.id == "") != (m.kind == events.KindHealth) {
		t.Errorf("event %q has the id %q and the data %s", m.kind, m.id, m.data)
	}
}

// want reads the next event, passing over signs of life, and checks its type and that its data holds the words.
func (s *sse) want(t *testing.T, kind string, words ...string) message {
	t.Helper()
	for {
		m, ok := s.next(t)
		if !ok {
			t.Fatalf("the stream ended before %s", kind)
		}
		if m.comment && m.data == "" {
			continue
		}
		if m.kind != kind {
			t.Fatalf("got %s %s, want %s", m.kind, m.data, kind)
		}
		for _, word := range words {
			if !strings.Contains(m.data, word) {
				t.Errorf("%s does not hold %s", m.data, word)
			}
		}
		return m
	}
}

// wantEnd reads to the end of the stream.
func (s *sse) wantEnd(t *testing.T) {
	t.Helper()
	for {
		if _, ok := s.next(t); !ok {
			return
		}
	}
}

// watchLogs opens the WebSocket.
func (b *browser) watchLogs(t *testing.T, query string, headers ...string) *websocket.Conn {
	t.Helper()
	conn, status := b.dialLogs(t, query, headers...)
	if conn == nil {
		t.Fatalf("the log is answered with %d", status)
	}
	return conn
}

// dialLogs returns no connection when the answer is another one.
func (b *browser) dialLogs(t *testing.T, query string, headers ...string) (*websocket.Conn, int) {
	t.Helper()
	header := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		header.Set(headers[i], headers[i+1])
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, response, err := websocket.Dial(ctx, b.base+"/api/v1/ws/logs"+query, &websocket.DialOptions{HTTPClient: b.client, HTTPHeader: header}) //nolint:bodyclose // the library does
	switch {
	case err == nil:
		t.Cleanup(func() { _ = conn.CloseNow() })
		return conn, response.StatusCode
	case response == nil:
		t.Fatal(err)
	}
	return nil, response.StatusCode
}

// readLine is the next message of the log.
func readLine(t *testing.T, conn *websocket.Conn) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	kind, text, err := conn.Read(ctx)
	if err == nil && kind != websocket.MessageText {
		t.Errorf("a message of kind %v", kind)
	}
	return string(text), err
}

// wantLines reads messages that hold the words, one each.
func wantLines(t *testing.T, conn *websocket.Conn, words ...string) {
	t.Helper()
	for _, word := range words {
		if line, err := readLine(t, conn); err != nil || !strings.Contains(line, word) {
			t.Fatalf("%q, %v, want %q", line, err, word)
		}
	}
}
