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

// By is the attribute that says on whose behalf something was done; none when nobody asked for it.
func By(ctx context.Context) slog.Attr {
	if who, ok := ctx.Value(actorKey{}).(string); ok {
		return slog.String("by", who)
	}
	return slog.Attr{}
}
