package logs

import (
	"context"
	"log/slog"
)

type actorKey struct{}

// WithActor marks what is done on behalf of a user.
func WithActor(ctx context.Context, who string) context.Context {
	return context.WithValue(ctx, actorKey{}, who)
}

// By is a log whose lines say on whose behalf something was done; the same log when nobody asked for it.
func By(ctx context.Context, logger *slog.Logger) *slog.Logger {
	if who, ok := ctx.Value(actorKey{}).(string); ok {
		return logger.With("by", who)
	}
	return logger
}
