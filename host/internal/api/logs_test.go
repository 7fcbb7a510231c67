package api

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/lubod/lubod/host/internal/logs"
)

func TestLogsShowTheLastLinesAndThenNewOnes(t *testing.T) {
	h := newWatched(t)
	for i := range 60 {
		h.log.Info("line", "n", i)
	}
	conn := h.watchLogs(t, "")
	for i := 10; i < 60; i++ {
		wantLines(t, conn, fmt.Sprintf("INFO line n=%d", i))
	}
	h.log.Warn("new")
	wantLines(t, conn, "WARN new")
	// Whatever a client says is passed over.
	if err := conn.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	h.log.Warn("newer")
	wantLines(t, conn, "WARN newer")
}

func TestLogsAreFiltered(t *testing.T) {
	h := newWatched(t)
	for query, want := range map[string][]string{
		"":                        {"monitor: room", "upload: transfer", "chunk"},
		"?lines=2":                {"upload: transfer", "chunk"},
		"?lines=0":                nil,
		"?level=warn":             {"upload: transfer", "chunk"},
		"?level=error&lines=1000": {"upload: transfer"},
		"?streamer=1":             {"monitor: room"},
		"?plugin=line-upos":       {"chunk"},
		"?file=upload.log":        {"upload: transfer", "chunk"},
		"?file=download.log":      {"monitor: room"},
		"?file=ds_update.log":     {"monitor: room", "upload: transfer", "chunk"},
	} {
		h.restart(t)
		h.log.Info("room", "part", "monitor", "streamer", 1)
		h.log.Error("transfer", "part", "upload", "streamer", 2)
		h.log.Warn("chunk", "plugin", "line-upos")
		h.log.Debug("nothing")
		conn := h.watchLogs(t, query)
		// A line that every filter takes.
		h.log.Error("end", "part", "monitor", "plugin", "line-upos", "streamer", 1)
		wantLines(t, conn, append(want, "monitor: end")...)
	}
	for _, query := range []string{"?level=loud", "?lines=1001", "?lines=-1", "?lines=x", "?format=xml", "?file=../etc/passwd", "?streamer=0"} {
		if _, status := h.dialLogs(t, query); status != http.StatusBadRequest {
			t.Errorf("%s: status %d", query, status)
		}
	}
}

func TestLogsAsText(t *testing.T) {
	h := newWatched(t)
	for query, want := range map[string][]string{
		"":                   {"monitor: room", "upload: transfer", "chunk", "end token=***"},
		"?lines=2":           {"chunk", "end token=***"},
		"?level=error":       {"upload: transfer"},
		"?file=upload.log":   {"upload: transfer", "chunk"},
		"?file=download.log": {"monitor: room"},
	} {
		h.restart(t)
		h.log.Info("room", "part", "monitor")
		h.log.Error("transfer", "part", "upload")
		h.log.Warn("chunk", "plugin", "line-upos")
		h.log.Info("end", "token", "abc")
		answer := h.api(t, "GET", "/logs"+query, "")
		lines := strings.Split(strings.TrimSuffix(answer.body, "\n"), "\n")
		if answer.status != http.StatusOK || len(lines) != len(want) {
			t.Errorf("%s: %d %q", query, answer.status, answer.body)
			continue
		}
		for i, line := range lines {
			if !strings.Contains(line, want[i]) {
				t.Errorf("%s: line %d is %q, want %q", query, i, line, want[i])
			}
		}
	}
}

func TestLogsAsJSON(t *testing.T) {
	h := newWatched(t)
	h.log.Warn("segment closed", "part", "record", "streamer", 7, "took", time.Second, "token", "abc")
	line, err := readLine(t, h.watchLogs(t, "?format=json"))
	if err != nil {
		t.Fatal(err)
	}
	var value any
	if err := json.Unmarshal([]byte(line), &value); err != nil {
		t.Fatal(err)
	}
	if err := h.server.spec.Components.Schemas["LogRecord"].Value.VisitJSON(value); err != nil {
		t.Errorf("%s: %v", line, err)
	}
	if !strings.Contains(line, `"message":"segment closed","attributes":{"part":"record","streamer":7,"token":"***","took":"1s"}`) {
		t.Error(line)
	}
}

func TestTheSetUpTokenIsNotShown(t *testing.T) {
	h := newWatched(t)
	server, err := New(Deps{DB: h.db, Logger: h.log})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.db.Pool.Exec(t.Context(), "DELETE FROM users"); err != nil {
		t.Fatal(err)
	}
	if err := server.announceSetup(t.Context(), &net.TCPAddr{}); err != nil {
		t.Fatal(err)
	}
	h.register(t, "admin", "password123")
	h.login(t, "admin", "password123")
	conn := h.watchLogs(t, "?level=warn")
	line, err := readLine(t, conn)
	if err != nil || !strings.Contains(line, "setup_token=***") || strings.Contains(line, server.setupToken) {
		t.Errorf("%s, %v", line, err)
	}
	if !strings.Contains(h.harness.log.take(), server.setupToken) {
		t.Error("the operator cannot read it")
	}
}

func TestLogsEndWithTheSession(t *testing.T) {
	h := newWatched(t, quick)
	conn := h.watchLogs(t, "?lines=0")
	h.log.Info("before")
	wantLines(t, conn, "before")
	h.api(t, "GET", "/logout", "").must(t, 303)
	if _, err := readLine(t, conn); websocket.CloseStatus(err) != statusLoggedOut {
		t.Errorf("the end is %v", err)
	}
	if _, status := h.dialLogs(t, ""); status != http.StatusUnauthorized {
		t.Errorf("status %d", status)
	}
}

func TestLogsEndWithTheServer(t *testing.T) {
	h := newWatched(t)
	conn := h.watchLogs(t, "?lines=0")
	silent := h.watchLogs(t, "?lines=0") // does not agree to the end
	ended := make(chan error, 1)
	go func() {
		_, err := readLine(t, conn)
		ended <- err
	}()
	began := time.Now()
	h.stop()
	if took := time.Since(began); took > shutdownGrace+time.Second {
		t.Errorf("the stop took %v", took)
	}
	if err := <-ended; websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("the end is %v", err)
	}
	_ = silent.CloseNow()
}

func TestLogsWithoutAWebSocket(t *testing.T) {
	h := newWatched(t)
	good := []string{"Connection", "keep-alive, Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "bHVib2QgbG9ncyBndWlkZQ=="}
	h.api(t, "GET", "/ws/logs", "").refused(t, 426, "WebSocket")
	for i := 0; i < len(good); i += 2 {
		headers := append([]string{}, good...)
		headers[i+1] = "x"
		if a := h.api(t, "GET", "/ws/logs", "", headers...); a.status != 426 && a.status != 400 {
			t.Errorf("%s: x is answered with %d", headers[i], a.status)
		}
	}
}

func TestTooManyReadersOfTheLog(t *testing.T) {
	h := newWatched(t, func(s *Server) { s.logClients = newClients(1) })
	first := h.watchLogs(t, "")
	if _, status := h.dialLogs(t, ""); status != http.StatusServiceUnavailable {
		t.Errorf("status %d", status)
	}
	_ = first.Close(websocket.StatusNormalClosure, "")
	for deadline := time.Now().Add(patience); ; {
		if conn, _ := h.dialLogs(t, ""); conn != nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the place of a client that left is not free")
		}
	}
}

// TestASlowClientMissesLines does not read while more is logged than the ring and the buffers of the network hold.
func TestASlowClientMissesLines(t *testing.T) {
	h := newWatched(t)
	conn := h.watchLogs(t, "?lines=0&format=json")
	quiet := h.ring.Handler(slog.DiscardHandler)
	for range 15 * logs.Capacity {
		if err := quiet.Handle(t.Context(), slog.NewRecord(time.Now(), slog.LevelInfo, strings.Repeat("x", 3000), 0)); err != nil {
			t.Fatal(err)
		}
	}
	for {
		line, err := readLine(t, conn)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(line, `{"dropped":`) {
			return
		}
	}
}
