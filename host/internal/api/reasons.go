package api

import (
	"context"
	"maps"

	"github.com/labstack/echo/v4"

	"github.com/lubod/lubod/host/internal/reason"
)

type languageKey struct{}

// speak finds out in which language the caller reads.
func (s *Server) speak(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if asked := reason.Language(language(c)); asked != reason.English {
			c.SetRequest(c.Request().WithContext(context.WithValue(c.Request().Context(), languageKey{}, asked)))
		}
		return next(c)
	}
}

// languageOf is the caller's; English when nothing was asked for.
func languageOf(ctx context.Context) reason.Language {
	if asked, ok := ctx.Value(languageKey{}).(reason.Language); ok {
		return asked
	}
	return reason.English
}

// told is a reason as answers show it. All is nil or empty when there is none.
type told struct {
	text   string
	code   *string
	args   *ReasonArgs
	action *Action
}

// textOrNil is the text where it may be absent.
func (t told) textOrNil() *string { return unlessZero(t.text) }

// tell shows a reason in one language.
func tell(in reason.Language, why reason.Reason) told {
	if why.IsZero() {
		return told{}
	}
	helps := why.Action()
	t := told{
		text: why.Text(in), code: &why.Code,
		action: &Action{Kind: ActionKind(helps.Kind), Target: unlessZero(helps.Target)},
	}
	if len(why.Args) > 0 {
		args := ReasonArgs(maps.Clone(why.Args))
		t.args = &args
	}
	return t
}

// why is the reason that a column holds; nil when there is none.
func why(in reason.Language, column []byte) *Why {
	t := tell(in, reason.Parse(column))
	if t.code == nil {
		return nil
	}
	return &Why{Text: t.text, Code: *t.code, Args: t.args, Action: *t.action}
}

// because is the reason of a row: the column that holds it, beside the text that may be older than the column.
func because(column []byte, text string) reason.Reason {
	if text == "" {
		return reason.Reason{}
	}
	if why := reason.Parse(column); !why.IsZero() {
		return why
	}
	return reason.New(reason.ErrorOther, "text", text)
}
