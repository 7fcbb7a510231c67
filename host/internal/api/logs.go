package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/lubod/lubod/host/internal/logs"
	"github.com/lubod/lubod/host/internal/reason"
)

const (
	maxLogClients = 32
	// defaultLogLines is how much of the past a client gets.
	defaultLogLines = 50
	// closeTimeout is how long a client may take to agree to the end.
	closeTimeout = 500 * time.Millisecond
	// statusLoggedOut ends the log of a client that is not logged in any more; codes from 4000 on belong to applications.
	statusLoggedOut websocket.StatusCode = 4401
)

// logParts are the parts of the log that were files of their own in biliup.
var logParts = map[StreamLogsParamsFile][]string{
	LogFileAll:      nil,
	LogFileDownload: {"monitor", "record", "extractor-", "recorder-"},
	LogFileUpload:   {"upload", "line-"},
}

// StreamLogs answers the last lines of the log and then new ones, over a WebSocket.
func (s *Server) StreamLogs(ctx context.Context, request StreamLogsRequestObject) (StreamLogsResponseObject, error) {
	params, of := request.Params, streamOf(ctx)
	if err := checkUpgrade(of.request); err != nil {
		return nil, err
	}
	filter, last := logs.Filter{}, defaultLogLines
	if params.Level != nil {
		level, err := logs.ParseLevel(string(*params.Level))
		if err != nil {
			return nil, invalid("level", said(err, reason.APIRefused))
		}
		filter.Level = level
	}
	if params.Plugin != nil {
		filter.Plugin = *params.Plugin
	}
	if params.Streamer != nil {
		filter.Streamer = strconv.FormatInt(*params.Streamer, 10)
	}
	if params.File != nil {
		filter.Parts = logParts[*params.File]
	}
	if params.Lines != nil {
		last = *params.Lines
	}
	if !s.logClients.enter() {
		p := unavailable(nil, reason.New(reason.APILogFull))
		p.retryAfter = joinTimeout
		return nil, p
	}
	asJSON := params.Format != nil && *params.Format == LogFormatJSON
	return logStream{stream: of, reader: s.logs.Read(filter, last), asJSON: asJSON}, nil
}

// logTextParts are logParts for those who want a text.
var logTextParts = map[GetLogsParamsFile][]string{
	LogTextAll: logParts[LogFileAll], LogTextDownload: logParts[LogFileDownload], LogTextUpload: logParts[LogFileUpload],
}

// GetLogs answers the last lines of the log.
func (s *Server) GetLogs(_ context.Context, request GetLogsRequestObject) (GetLogsResponseObject, error) {
	params, filter, most := request.Params, logs.Filter{}, logs.Capacity
	if params.Level != nil {
		level, err := logs.ParseLevel(string(*params.Level))
		if err != nil {
			return nil, invalid("level", said(err, reason.APIRefused))
		}
		filter.Level = level
	}
	if params.File != nil {
		filter.Parts = logTextParts[*params.File]
	}
	if params.Lines != nil {
		most = *params.Lines
	}
	var text strings.Builder
	for _, line := range s.logs.Last(filter, most) {
		text.WriteString(line.Line() + "\n")
	}
	return GetLogs200TextResponse(text.String()), nil
}

// checkUpgrade refuses what is no WebSocket in the form of all other errors.
func checkUpgrade(r *http.Request) error {
	holds := func(header, word string) bool {
		return slices.ContainsFunc(strings.Split(strings.Join(r.Header.Values(header), ","), ","), func(value string) bool {
			return strings.EqualFold(strings.TrimSpace(value), word)
		})
	}
	if !holds("Connection", "upgrade") || !holds("Upgrade", "websocket") || !holds("Sec-WebSocket-Version", "13") {
		return &problem{status: http.StatusUpgradeRequired, code: codeUpgrade, why: reason.New(reason.APILogUpgrade)}
	}
	key := r.Header.Get("Sec-WebSocket-Key")
	if raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(key)); err != nil || len(raw) != 16 || len(r.Header.Values("Sec-WebSocket-Key")) != 1 || !r.ProtoAtLeast(1, 1) {
		return invalid("Sec-WebSocket-Key", reason.New(reason.APIWebSocketKey))
	}
	return nil
}

// logStream is an answer over a WebSocket, one line per message.
type logStream struct {
	stream *stream
	reader *logs.Reader
	asJSON bool
}

// VisitStreamLogsResponse writes lines until one side ends.
func (l logStream) VisitStreamLogsResponse(w http.ResponseWriter) error {
	server := l.stream.server
	defer server.logClients.leave()
	ctx, cancel := l.stream.context()
	defer cancel()
	// The origin was checked like that of every request that changes something.
	conn, err := websocket.Accept(w, l.stream.request, &websocket.AcceptOptions{InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		server.log.Debug("a WebSocket was not opened", "error", err)
		return nil
	}
	listened := make(chan struct{})
	go func() {
		defer close(listened)
		defer cancel()
		ignoreMessages(ctx, conn)
	}()
	code, reason := l.send(ctx, conn)
	// Either the client agrees to the end in time, or it is not asked any longer.
	cut := time.AfterFunc(closeTimeout, func() { _ = conn.CloseNow() })
	_ = conn.Close(code, reason)
	cut.Stop()
	_ = conn.CloseNow()
	<-listened
	return nil
}

// ignoreMessages reads what the client sends, so that pings, pongs and its end are noticed. It is asked for nothing.
func ignoreMessages(ctx context.Context, conn *websocket.Conn) {
	conn.SetReadLimit(4 << 10)
	// The end of ctx would cut the connection without a word: send says good-bye first, and closes it.
	ctx = context.WithoutCancel(ctx)
	for {
		if _, _, err := conn.Read(ctx); err != nil {
			return
		}
	}
}

// send writes lines until there is a reason to end.
func (l logStream) send(ctx context.Context, conn *websocket.Conn) (websocket.StatusCode, string) {
	checked := time.Now()
	for {
		waiting, cancel := context.WithDeadline(ctx, checked.Add(l.stream.server.heartbeat))
		lines, dropped, err := l.reader.Next(waiting)
		due := waiting.Err() != nil
		cancel()
		if ctx.Err() != nil {
			return websocket.StatusGoingAway, "the server stops"
		}
		if err == nil && l.write(ctx, conn, lines, dropped) != nil {
			return websocket.StatusGoingAway, "too slow"
		}
		if !due {
			continue
		}
		if !l.stream.allowed() {
			return statusLoggedOut, "not logged in any more"
		}
		if ping(ctx, conn) != nil {
			return websocket.StatusGoingAway, "no answer"
		}
		checked = time.Now()
	}
}

func ping(ctx context.Context, conn *websocket.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, streamWriteTimeout)
	defer cancel()
	return conn.Ping(ctx) //nolint:wrapcheck // only whether matters
}

func (l logStream) write(ctx context.Context, conn *websocket.Conn, lines []logs.Record, dropped uint64) error {
	// One limit for all of them: a client that is slower than that learns from the ring what it missed.
	ctx, cancel := context.WithTimeout(ctx, streamWriteTimeout)
	defer cancel()
	if dropped > 0 {
		if err := conn.Write(ctx, websocket.MessageText, l.droppedLine(dropped)); err != nil {
			return err //nolint:wrapcheck // only whether matters
		}
	}
	for _, line := range lines {
		text := []byte(line.Line())
		if l.asJSON {
			var err error
			if text, err = json.Marshal(line); err != nil {
				return err //nolint:wrapcheck // cannot be
			}
		}
		if err := conn.Write(ctx, websocket.MessageText, text); err != nil {
			return err //nolint:wrapcheck // only whether matters
		}
	}
	return nil
}

func (l logStream) droppedLine(n uint64) []byte {
	if l.asJSON {
		return fmt.Appendf(nil, `{"dropped":%d}`, n)
	}
	return fmt.Appendf(nil, "… %d lines dropped", n)
}
