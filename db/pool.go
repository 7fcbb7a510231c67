package db

import (
	"context"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sys/unix"
)

const (
	// maxConns leaves room for a second host and a person with psql below the 100 connections of a default server, and
	// for one host below the 40 of the embedded one.
	maxConns = 16

	connectTimeout = 5 * time.Second

	// deadPeer is how long a connection may stay without any answer of the other machine's kernel. Without it, a query
	// sent just before the network failed would hang for the quarter of an hour that TCP retransmits.
	deadPeer = 20 * time.Second
)

// sessionLimits are applied to each connection unless the connection string sets them. They are far above what any
// query here needs, and keep one that is stuck from holding its locks for ever.
var sessionLimits = map[string]string{
	"statement_timeout":                   "30s",
	"lock_timeout":                        "20s",
	"idle_in_transaction_session_timeout": "60s",
	"application_name":                    "lubod",
	"timezone":                            "GMT", // UTC by the name that PostgreSQL knows without tzdata
}

func poolConfig(url string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		// The parser masks passwords in the string that it repeats.
		return nil, fmt.Errorf("database URL, expected as postgres://user:password@host:5432/database: %w", err)
	}
	if !strings.Contains(url, "pool_max_conns") {
		config.MaxConns = maxConns
	}
	config.MaxConnIdleTime = 5 * time.Minute
	config.MaxConnLifetimeJitter = 5 * time.Minute
	config.PingTimeout = connectTimeout
	connect := config.ConnConfig
	if connect.ConnectTimeout == 0 || connect.ConnectTimeout > time.Minute {
		connect.ConnectTimeout = connectTimeout
	}
	connect.DialFunc = dialer(connect.ConnectTimeout).DialContext
	for name, value := range sessionLimits {
		if _, set := connect.RuntimeParams[name]; !set {
			connect.RuntimeParams[name] = value
		}
	}
	return config, nil
}

// dialer notices a peer that vanished without a word: by keep-alives while a connection is idle, by the user timeout
// while something is under way.
func dialer(timeout time.Duration) *net.Dialer {
	return &net.Dialer{
		Timeout:         timeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 2},
		ControlContext: func(_ context.Context, network, _ string, conn syscall.RawConn) error {
			if !strings.HasPrefix(network, "tcp") {
				return nil
			}
			var failed error
			if err := conn.Control(func(fd uintptr) {
				failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(deadPeer.Milliseconds()))
			}); err != nil {
				return err
			}
			return failed
		},
	}
}

// describe names the database for messages, without the password.
func describe(config *pgxpool.Config) string {
	c := config.ConnConfig
	if strings.HasPrefix(c.Host, "/") {
		return fmt.Sprintf("%s on socket %s", c.Database, c.Host)
	}
	return fmt.Sprintf("%s on %s", c.Database, net.JoinHostPort(c.Host, fmt.Sprint(c.Port)))
}
