package sdk

import (
	"context"
	"log/slog"
)

type loggerKey struct{}

// Logger returns the logger of the call or session that ctx belongs to. What it writes appears in the host's log under
// the plugin's name. Outside a plugin it is slog.Default().
func Logger(ctx context.Context) *slog.Logger {
	if l, ok := ctx.Value(loggerKey{}).(*slog.Logger); ok {
		return l
	}
	return slog.Default()
}

// WithLogger returns a ctx whose Logger is l. The SDK calls it; authors need it only in tests.
func WithLogger(ctx context.Context, l *slog.Logger) context.Context {
	return context.WithValue(ctx, loggerKey{}, l)
}
