package plugintest

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/extractor"
	"github.com/lubod/lubod/sdk/internal/serve"
)

// ExtractorCase is one question to an extractor and the answer that is expected. The platform behind it is the test's
// own server.
type ExtractorCase struct {
	Name string
	URL  string
	// Options of the room over those of the plugin; nil: none.
	Options map[string]any
	// Credentials as an operator would have configured them; nil: none.
	Credentials *extractor.Credentials

	// Want is the whole expected answer; the zero Status expects offline. Not used with WantKind, Check or Hangs.
	Want extractor.Status
	// Check looks at the answer instead of comparing it with Want.
	Check func(t *testing.T, got extractor.Status)
	// WantKind expects an error of this kind, RetryAfter one that says how long to wait.
	WantKind   sdk.Kind
	RetryAfter time.Duration
	// Hangs makes this a test of cancellation: the server sends on it (or closes it) when the question has arrived, and
	// does not answer. The suite then gives up, and the extractor must return.
	Hangs <-chan struct{}
}

// Extractor runs the conformance suite for an extractor.
func Extractor[C any, E extractor.Extractor](
	t *testing.T, info sdk.Info, factory func(context.Context, C) (E, error), options C, cases ...ExtractorCase,
) {
	t.Helper()
	build := func() *serve.Plugin { return extractor.Plugin(info, factory) }
	common(t, build, options)
	t.Run("URL of another platform", func(t *testing.T) {
		in := configured(t, build(), options)
		_, err := in.Extractor().Resolve(deadline(t), extractor.Ref{URL: "gopher://example.invalid/"})
		wantError(t, err, sdk.Unsupported, 0)
	})
	t.Run("not configured", func(t *testing.T) {
		in := start(t, build())
		_, err := in.Extractor().Resolve(deadline(t), extractor.Ref{URL: "gopher://example.invalid/"})
		wantError(t, err, sdk.Bug, 0)
	})
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) { c.run(t, configured(t, build(), options)) })
	}
	t.Run("batch", func(t *testing.T) { batch(t, configured(t, build(), options), cases) })
	t.Run("many at once", func(t *testing.T) {
		in := configured(t, build(), options)
		for _, c := range cases {
			if c.WantKind != "" || c.Hangs != nil {
				continue
			}
			t.Run(c.Name, func(t *testing.T) {
				t.Parallel()
				c.run(t, in)
			})
		}
	})
}

// batch asks for all cases at once: what is known of a room must be what Resolve answers.
func batch(t *testing.T, in *instance, cases []ExtractorCase) {
	t.Helper()
	refs := []extractor.Ref{{URL: "gopher://example.invalid/"}}
	asked := []ExtractorCase{{Name: "URL of another platform", WantKind: sdk.Unsupported}}
	for _, c := range cases {
		if c.Hangs == nil {
			refs, asked = append(refs, c.ref(t)), append(asked, c)
		}
	}
	description, err := in.Describe(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, when := range []string{"at first", "when rooms are known"} {
		answers, err := in.Extractor().ResolveBatch(deadline(t), refs)
		if !has(description, sdk.CapabilityResolveBatch) {
			wantError(t, err, sdk.Unsupported, 0)
			return
		}
		if err != nil && sdk.KindOf(err) != sdk.RateLimited {
			t.Errorf("%s: rooms that are in trouble by themselves made the whole batch fail: %v", when, err)
		}
		for i, answer := range answers {
			switch c := asked[i]; {
			case !answer.Known:
			case c.WantKind != "":
				t.Errorf("%s: %s: the batch knows %+v, and Resolve fails", when, c.Name, answer.Status)
			case answer.Status.Live() && len(answer.Status.Streams) == 0: // are asked for one by one
				if c.Check == nil && c.Want.RoomID != answer.Status.RoomID {
					t.Errorf("%s: %s: the batch calls the room %q, Resolve %q", when, c.Name, answer.Status.RoomID, c.Want.RoomID)
				}
			default:
				c.check(t, answer.Status)
			}
		}
		for _, c := range asked {
			_, _ = in.Extractor().Resolve(deadline(t), extractor.Ref{URL: c.URL, Options: c.ref(t).Options, Credentials: c.Credentials})
		}
	}
}

func (c ExtractorCase) ref(t *testing.T) extractor.Ref {
	t.Helper()
	ref := extractor.Ref{URL: c.URL, Credentials: c.Credentials}
	if c.Options != nil {
		ref.Options = json.RawMessage(marshal(t, c.Options))
	}
	return ref
}

func (c ExtractorCase) run(t *testing.T, in *instance) {
	if c.Hangs != nil {
		c.cancel(t, in)
		return
	}
	got, err := in.Extractor().Resolve(deadline(t), c.ref(t))
	if wantError(t, err, c.WantKind, c.RetryAfter) {
		return
	}
	c.check(t, got)
	for _, purpose := range []extractor.Purpose{extractor.PurposePoll, extractor.PurposeStart, extractor.PurposeRefresh} {
		ref := c.ref(t)
		ref.Purpose = purpose
		again, err := in.Extractor().Resolve(deadline(t), ref)
		if err != nil || again.State != got.State || again.RoomID != got.RoomID {
			t.Errorf("%s: asked to %s it is %q, room %q, %v; asked for everything %q, room %q", c.Name, purpose, again.State, again.RoomID, err, got.State, got.RoomID)
		}
	}
}

func (c ExtractorCase) check(t *testing.T, got extractor.Status) {
	if c.Check != nil {
		c.Check(t, got)
		return
	}
	if diff := cmp.Diff(c.Want, got); diff != "" {
		t.Errorf("%s: the answer differs (-want +got):\n%s", c.Name, diff)
	}
}

func (c ExtractorCase) cancel(t *testing.T, in *instance) {
	ctx, cancel := context.WithCancel(deadline(t))
	defer cancel()
	answered := make(chan error, 1)
	go func() {
		_, err := in.Extractor().Resolve(ctx, c.ref(t))
		answered <- err
	}()
	select {
	case <-c.Hangs:
	case err := <-answered:
		t.Fatalf("answered without asking the server: %v", err)
	}
	cancel()
	if err := <-answered; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want one that wraps context.Canceled", err)
	}
	in.returnsPromptly(t)
}
