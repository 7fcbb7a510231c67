package events

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/lubod/lubod/db"
)

const (
	channel = "lubod_events"
	// listenerName is what an operator sees in pg_stat_activity.
	listenerName = "lubod events"
	// pageSize is how many events are read at once.
	pageSize = 500
	// pollInterval is how long the bus waits for a notification before it looks all the same.
	pollInterval = 15 * time.Second
	// An event that is committed waits here for older transactions to end.
	shortestWait, longestWait = 5 * time.Millisecond, time.Second
	// After an error, the database is tried again after these times.
	shortestRetry, longestRetry = 250 * time.Millisecond, 5 * time.Second
	// callTimeout bounds each question to the database.
	callTimeout = 10 * time.Second
)

// Options are what a Bus needs.
type Options struct {
	DB     *db.DB
	Logger *slog.Logger
	// MaxSubscribers is how many there may be at once; 0: 64.
	MaxSubscribers int
	// MaxAge and MaxEvents are what is kept for those who come back; 0: a day, and 20000.
	MaxAge    time.Duration
	MaxEvents int
	// CleanInterval is how often old events are looked for; 0: ten minutes.
	CleanInterval time.Duration
}

// Bus reads the events of the database for one host and hands them on. Create it with New, then call Run.
type Bus struct {
	Options

	// ready is closed when the bus knows where it is.
	ready chan struct{}

	mu          sync.Mutex
	position    Position
	subscribers map[*Subscription]struct{}
	stopped     bool
}

// New prepares a bus; nothing runs yet.
func New(options Options) *Bus {
	if options.MaxSubscribers == 0 {
		options.MaxSubscribers = 64
	}
	if options.MaxAge == 0 {
		options.MaxAge = 24 * time.Hour
	}
	if options.MaxEvents == 0 {
		options.MaxEvents = 20000
	}
	if options.CleanInterval == 0 {
		options.CleanInterval = 10 * time.Minute
	}
	return &Bus{Options: options, ready: make(chan struct{}), subscribers: make(map[*Subscription]struct{})}
}

// Run hands events on until ctx ends. While the database is away it tries again; then it goes on where it was.
func (b *Bus) Run(ctx context.Context) error {
	cleaned := make(chan struct{})
	go func() {
		defer close(cleaned)
		b.keepClean(ctx)
	}()
	defer func() {
		<-cleaned
		b.endAll()
	}()
	retry := shortestRetry
	for {
		followed, err := b.follow(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if followed {
			retry = shortestRetry
		}
		b.Logger.Warn("events are late: the database does not answer", "error", err, "retry_in", retry)
		if !sleep(ctx, retry) {
			return nil
		}
		retry = min(2*retry, longestRetry)
	}
}

// follow listens on a connection of its own until that breaks. followed tells whether it had come to work.
func (b *Bus) follow(ctx context.Context) (followed bool, err error) {
	listener, err := b.listen(ctx)
	if err != nil {
		return false, err
	}
	defer listener.close(ctx)
	queries := db.New(listener.conn)
	if err := b.begin(ctx, listener.conn); err != nil {
		return false, err
	}
	wait := shortestWait
	for {
		read, pending, err := b.catchUp(ctx, queries)
		switch {
		case err != nil:
			return followed, err
		case read > 0:
			wait = shortestWait
		case pending:
			wait = min(2*wait, longestWait)
		default:
			wait = pollInterval
		}
		followed = true
		if read == 0 {
			if err := listener.wait(ctx, wait); err != nil {
				return followed, err
			}
		}
		if !pending {
			wait = shortestWait
		}
	}
}

// listener is the connection that hears notifications. It is none of the pool's, which would hand it to others.
type listener struct {
	conn *pgx.Conn
	// heard tells of notifications that came while the connection was used otherwise.
	heard bool
}

func (b *Bus) listen(ctx context.Context) (*listener, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	l := &listener{}
	config := b.DB.Pool.Config().ConnConfig.Copy()
	config.RuntimeParams["application_name"] = listenerName
	config.OnNotification = func(*pgconn.PgConn, *pgconn.Notification) { l.heard = true }
	var err error
	if l.conn, err = pgx.ConnectConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("connect to hear of events: %w", err)
	}
	if _, err := l.conn.Exec(ctx, "LISTEN "+channel); err != nil {
		l.close(ctx)
		return nil, fmt.Errorf("listen for events: %w", err)
	}
	return l, nil
}

func (l *listener) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = l.conn.Close(ctx)
}

// wait returns after a notification, or after the time. However many came, they are one.
func (l *listener) wait(ctx context.Context, atMost time.Duration) error {
	waiting, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	if !l.heard {
		err := l.conn.PgConn().WaitForNotification(waiting)
		if err != nil && (ctx.Err() != nil || !pgconn.Timeout(err)) {
			return fmt.Errorf("wait for events: %w", err)
		}
	}
	l.heard = false
	return nil
}

// begin finds the first position, and makes sure that the table's transactions are those of this server.
func (b *Bus) begin(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		queries := db.New(tx)
		foreign, err := queries.LockEventLog(ctx)
		if err != nil || !foreign {
			return err
		}
		b.Logger.Warn("the database comes from a backup: events from before it are forgotten")
		return queries.BeginEventEpoch(ctx)
	})
	if err != nil {
		return fmt.Errorf("look at the events: %w", err)
	}
	if !b.at().IsZero() {
		return nil
	}
	head, err := head(ctx, db.New(conn))
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.position = head
	close(b.ready)
	return nil
}

// head is the position of the last event that can be read, or of the last that was removed.
func head(ctx context.Context, queries *db.Queries) (Position, error) {
	last, err := queries.LastEvent(ctx)
	if err != nil {
		return Position{}, fmt.Errorf("look for the last event: %w", err)
	}
	log, err := queries.EventLog(ctx, db.EventLogParams{})
	if err != nil {
		return Position{}, fmt.Errorf("look for the last event: %w", err)
	}
	position := Position{log.Epoch, log.RemovedXid, log.RemovedID}
	for _, row := range last {
		if event := (Position{log.Epoch, row.Xid, row.ID}); event.after(position) {
			position = event
		}
	}
	return position, nil
}

func (b *Bus) at() Position {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.position
}

// catchUp reads one page and hands it on. pending tells of events that may be readable in a moment.
func (b *Bus) catchUp(ctx context.Context, queries *db.Queries) (read int, pending bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	page, err := readAfter(ctx, queries, b.at())
	if errors.Is(err, errGap) {
		position, err := head(ctx, queries)
		if err != nil {
			return 0, false, err
		}
		b.Logger.Warn("events were missed: those who watch read everything again")
		b.hand(Batch{Events: []Event{bare(KindReset, position)}, Position: position})
		return 1, true, nil
	}
	if err != nil {
		return 0, false, err
	}
	if len(page.Events) > 0 {
		b.hand(page.Batch)
	}
	return len(page.Events), page.pending, nil
}

// errGap is a position whose next events are not there any more, or that never was one.
var errGap = errors.New("events after this position have been removed")

type page struct {
	Batch
	// pending tells of more events after the page.
	pending bool
}

// readAfter reads the next events after a position.
func readAfter(ctx context.Context, queries *db.Queries, from Position) (page, error) {
	rows, err := queries.EventsAfter(ctx, db.EventsAfterParams{Xid: from.xid, ID: from.id, MaxRows: pageSize})
	if err != nil {
		return page{}, fmt.Errorf("read events: %w", err)
	}
	next := page{Batch: Batch{Position: from}}
	for _, row := range rows {
		event := fromRow(from.epoch, row)
		next.Events = append(next.Events, event)
		next.Position = event.Position
	}
	// Afterwards, so that what was removed while the page was read counts too.
	log, err := queries.EventLog(ctx, db.EventLogParams{Xid: next.Position.xid, ID: next.Position.id})
	if err != nil {
		return page{}, fmt.Errorf("read events: %w", err)
	}
	removed := Position{log.Epoch, log.RemovedXid, log.RemovedID}
	if log.Epoch != from.epoch || removed.after(from) || log.FromTheFuture {
		return page{}, errGap
	}
	next.pending = log.Pending
	return next, nil
}

// bare is an event that the bus makes itself.
func bare(kind string, at Position) Event { return Event{Position: at, Kind: kind, Time: time.Now()} }

// sleep tells whether the whole time passed.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
