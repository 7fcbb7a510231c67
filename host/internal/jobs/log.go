package jobs

import (
	"context"
	"log/slog"
)

// Quiet passes on what the job library says from warnings up: its routine messages are not for operators.
func Quiet(logger *slog.Logger) *slog.Logger { return slog.New(quiet{logger.Handler()}) }

type quiet struct{ slog.Handler }

func (h quiet) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && h.Handler.Enabled(ctx, level)
}

func (h quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{h.Handler.WithAttrs(attrs)} }

func (h quiet) WithGroup(name string) slog.Handler { return quiet{h.Handler.WithGroup(name)} }
