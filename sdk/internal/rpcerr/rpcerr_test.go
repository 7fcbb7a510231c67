package rpcerr_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"pgregory.net/rapid"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/internal/rpcerr"
)

var kinds = []sdk.Kind{
	sdk.NotFound, sdk.LoginRequired, sdk.Forbidden, sdk.RateLimited, sdk.Challenged, sdk.Unavailable, sdk.InvalidOption,
	sdk.Unsupported, sdk.Corrupt, sdk.Bug,
}

func cross(ctx context.Context, err error) error { return rpcerr.Decode(ctx, rpcerr.Encode(ctx, err)) }

func TestErrorsCrossUnchanged(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		want := &sdk.Error{
			Kind:       rapid.SampledFrom(kinds).Draw(r, "kind"),
			Message:    rapid.String().Draw(r, "message"),
			RetryAfter: time.Duration(rapid.Int64Range(0, 1<<40).Draw(r, "ms")) * time.Millisecond,
			Cause:      rapid.SampledFrom([]sdk.Cause{"", sdk.CausePassword, sdk.CausePaid, sdk.CauseRegion}).Draw(r, "cause"),
			Code:       rapid.SampledFrom([]string{"", sdk.CodeTLS}).Draw(r, "code"),
		}
		if want.Code != "" && rapid.Bool().Draw(r, "with arguments") {
			want.Args = map[string]string{"where": rapid.StringN(0, 20, 100).Draw(r, "where")}
		}
		var got *sdk.Error
		if !errors.As(cross(context.Background(), want), &got) {
			r.Fatal("not an *sdk.Error")
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(sdk.Error{}, "Err")); diff != "" {
			r.Fatal(diff)
		}
		if errors.Is(got, rpcerr.ErrPluginDown) {
			r.Fatal("an author's error is not the plugin's death")
		}
	})
}

func TestWrappedErrorKeepsKindAndWholeText(t *testing.T) {
	inner := &sdk.Error{Kind: sdk.RateLimited, Message: "slow down", RetryAfter: time.Second}
	err := cross(t.Context(), fmt.Errorf("room 5: %w", inner))
	if sdk.KindOf(err) != sdk.RateLimited || sdk.RetryAfter(err) != time.Second || err.Error() != "room 5: slow down" {
		t.Errorf("got %v (%s)", err, sdk.KindOf(err))
	}
}

func TestErrorsWithoutAKind(t *testing.T) {
	expired, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	canceled, stop := context.WithCancel(t.Context())
	stop()
	tests := map[string]struct {
		ctx  context.Context
		err  error
		kind sdk.Kind
		is   error
	}{
		"plain":                     {t.Context(), errors.New("oops"), sdk.Bug, nil},
		"unknown kind":              {t.Context(), &sdk.Error{Kind: "NEW", Message: "m"}, sdk.Bug, nil},
		"author's own deadline":     {t.Context(), context.DeadlineExceeded, sdk.Unavailable, nil},
		"caller gave up":            {canceled, fmt.Errorf("read: %w", context.Canceled), sdk.Unavailable, context.Canceled},
		"caller's deadline":         {expired, fmt.Errorf("read: %w", context.DeadlineExceeded), sdk.Unavailable, context.DeadlineExceeded},
		"status of the author's":    {t.Context(), status.Error(codes.Unavailable, "their server"), sdk.Bug, nil},
		"call that is not served":   {t.Context(), status.Error(codes.Unimplemented, "no such call"), sdk.Unsupported, nil},
		"own error, caller is gone": {canceled, sdk.Errorf(sdk.NotFound, "no room"), sdk.NotFound, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := cross(tt.ctx, tt.err)
			if sdk.KindOf(err) != tt.kind {
				t.Errorf("kind of %v is %s, want %s", err, sdk.KindOf(err), tt.kind)
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("%v does not wrap %v", err, tt.is)
			}
			if errors.Is(err, rpcerr.ErrPluginDown) {
				t.Errorf("%v claims that the plugin is down", err)
			}
		})
	}
}

func TestTransportDeathIsPluginDown(t *testing.T) {
	for _, err := range []error{
		status.Error(codes.Unavailable, "connection refused"),
		status.Error(codes.Canceled, "grpc: the client connection is closing"),
	} {
		if got := rpcerr.Decode(t.Context(), err); !errors.Is(got, rpcerr.ErrPluginDown) || sdk.KindOf(got) != sdk.Unavailable {
			t.Errorf("%v became %v", err, got)
		}
	}
	canceled, stop := context.WithCancel(t.Context())
	stop()
	if got := rpcerr.Decode(canceled, status.Error(codes.Canceled, "x")); errors.Is(got, rpcerr.ErrPluginDown) {
		t.Errorf("the caller gave up, and that became %v", got)
	}
}

func TestLongTextIsCut(t *testing.T) {
	err := cross(t.Context(), errors.New(strings.Repeat("长", 100_000)))
	if len(err.Error()) > 5<<10 {
		t.Errorf("%d bytes crossed", len(err.Error()))
	}
	if err := cross(t.Context(), errors.New("a\xffb")); err.Error() != "a\uFFFDb" {
		t.Errorf("got %q", err)
	}
}

func TestNil(t *testing.T) {
	if err := cross(t.Context(), nil); err != nil {
		t.Error(err)
	}
}
