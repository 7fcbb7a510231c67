package jobs

import (
	"context"
	"log/slog"
)

// quiet passes on what the job library says from warnings up: its routine messages are not for operators.
func quiet(logger *slog.Logger) *slog.Logger { return slog.New(silent{logger.Handler()}) }

type silent struct{ slog.Handler }

func (h silent) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && h.Handler.Enabled(ctx, level)
}

func (h silent) WithAttrs(attrs []slog.Attr) slog.Handler { return silent{h.Handler.WithAttrs(attrs)} }

func (h silent) WithGroup(name string) slog.Handler { return silent{h.Handler.WithGroup(name)} }
