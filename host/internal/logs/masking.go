package logs

import (
	"context"
	"encoding"
	"fmt"
	"log/slog"
)

// keySetupToken is the one secret that is logged to be read: whoever reads the log of the host may register its first user.
const keySetupToken = "setup_token"

// Masked passes records on to next without the secrets that are in them, but for the set-up token. What holds none comes
// through as it is.
func Masked(next slog.Handler) slog.Handler { return masking{next} }

type masking struct{ next slog.Handler }

func (m masking) Enabled(ctx context.Context, level slog.Level) bool {
	return m.next.Enabled(ctx, level)
}

func (m masking) Handle(ctx context.Context, record slog.Record) error {
	clean := slog.NewRecord(record.Time, record.Level, Mask(record.Message), record.PC)
	record.Attrs(func(attr slog.Attr) bool {
		clean.AddAttrs(maskedAttr(attr))
		return true
	})
	return m.next.Handle(ctx, clean) //nolint:wrapcheck // a handler adds nothing to what it passes on
}

func (m masking) WithAttrs(attrs []slog.Attr) slog.Handler {
	return masking{m.next.WithAttrs(maskedAttrs(attrs))}
}

func (m masking) WithGroup(name string) slog.Handler { return masking{m.next.WithGroup(name)} }

func maskedAttrs(attrs []slog.Attr) []slog.Attr {
	clean := make([]slog.Attr, 0, len(attrs))
	for _, attr := range attrs {
		clean = append(clean, maskedAttr(attr))
	}
	return clean
}

func maskedAttr(attr slog.Attr) slog.Attr {
	value := attr.Value.Resolve()
	switch {
	case attr.Key == keySetupToken:
		return attr
	case isSecretName(attr.Key):
		return slog.String(attr.Key, masked)
	case value.Kind() == slog.KindGroup:
		return slog.Attr{Key: attr.Key, Value: slog.GroupValue(maskedAttrs(value.Group())...)}
	}
	shown := shownText(value)
	if clean := Mask(shown); clean != shown {
		return slog.String(attr.Key, clean)
	}
	return slog.Attr{Key: attr.Key, Value: value}
}

// shownText is a value as a log shows it; empty: it cannot hold a secret.
func shownText(value slog.Value) string {
	switch value.Kind() {
	case slog.KindString:
		return value.String()
	case slog.KindAny:
		switch any := value.Any().(type) {
		case []byte:
			return string(any)
		case encoding.TextMarshaler:
			if text, err := any.MarshalText(); err == nil {
				return string(text)
			}
		}
		return fmt.Sprintf("%+v", value.Any())
	}
	return ""
}
