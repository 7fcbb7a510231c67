// Package rpcerr carries sdk errors over gRPC and back: a status for tools, one google.rpc.ErrorInfo for the host.
package rpcerr

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"

	"github.com/lubod/lubod/sdk"
)

// ErrPluginDown means that the plugin's process or the connection to it is gone: the call may or may not have happened.
var ErrPluginDown = errors.New("the plugin process or its connection is gone")

const (
	domain        = "lubod"
	keyRetryAfter = "retry_after_ms"
	keyCause      = "cause"
	keyCode       = "code"
	keyArg        = "arg." // and the argument's name
	// maxMessage bounds a text in bytes: it travels twice in HTTP/2 trailers, which are limited, and ends up in a log line.
	maxMessage = 4 << 10
)

// kinds is the whole vocabulary of contract version 1, with the gRPC code that generic tools see.
var kinds = map[sdk.Kind]codes.Code{
	sdk.NotFound:      codes.NotFound,
	sdk.LoginRequired: codes.Unauthenticated,
	sdk.Forbidden:     codes.PermissionDenied,
	sdk.RateLimited:   codes.ResourceExhausted,
	sdk.Challenged:    codes.FailedPrecondition,
	sdk.Unavailable:   codes.Unavailable,
	sdk.InvalidOption: codes.InvalidArgument,
	sdk.Unsupported:   codes.Unimplemented,
	sdk.Corrupt:       codes.DataLoss,
	sdk.Bug:           codes.Internal,
}

// Encode turns what a handler returned into what goes on the wire. ctx is the call's: an error that only says that the
// caller gave up is told apart from a timeout that the author set.
func Encode(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil && isContextError(err) {
		return status.FromContextError(ctx.Err()).Err()
	}
	if st, ok := status.FromError(err); ok && st.Code() == codes.Unimplemented {
		return err // from generated code: a call that this plugin does not serve
	}
	kind := sdk.KindOf(err)
	code, known := kinds[kind]
	if !known {
		kind, code = sdk.Bug, codes.Internal
	}
	info := &errdetails.ErrorInfo{Reason: string(kind), Domain: domain, Metadata: map[string]string{}}
	var typed *sdk.Error
	if errors.As(err, &typed) {
		if typed.RetryAfter > 0 {
			info.Metadata[keyRetryAfter] = strconv.FormatInt(max(typed.RetryAfter.Milliseconds(), 1), 10)
		}
		if typed.Cause != "" {
			info.Metadata[keyCause] = text(string(typed.Cause))
		}
		encodeCode(info.Metadata, typed)
	}
	plain := status.New(code, text(err.Error()))
	detailed, detailErr := plain.WithDetails(protoadapt.MessageV1Of(info))
	if detailErr != nil {
		return plain.Err()
	}
	return detailed.Err()
}

// Decode turns what a call returned into an *sdk.Error, or into an error that wraps the context's when the caller gave up.
func Decode(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	st, ok := status.FromError(err)
	if !ok {
		if errors.Is(err, io.EOF) {
			return &sdk.Error{Kind: sdk.Bug, Message: "the plugin ended its answer too early", Err: err}
		}
		return callerError(ctx, err, err.Error())
	}
	for _, detail := range st.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.GetDomain() == domain {
			return typedError(st, info)
		}
	}
	return transportError(ctx, st)
}

func typedError(st *status.Status, info *errdetails.ErrorInfo) error {
	e := &sdk.Error{Kind: sdk.Kind(info.GetReason()), Message: text(st.Message())}
	if _, known := kinds[e.Kind]; !known {
		e.Kind = sdk.Bug
	}
	if ms, err := strconv.ParseInt(info.GetMetadata()[keyRetryAfter], 10, 64); err == nil && ms > 0 {
		const longest = int64(1<<63-1) / int64(time.Millisecond)
		e.RetryAfter = time.Duration(min(ms, longest)) * time.Millisecond
	}
	e.Cause = sdk.Cause(bounded(info.GetMetadata()[keyCause], maxArg))
	e.Code = bounded(info.GetMetadata()[keyCode], maxArg)
	for key, value := range info.GetMetadata() {
		if name, ok := strings.CutPrefix(key, keyArg); ok && e.Code != "" && len(e.Args) < maxArgs {
			if e.Args == nil {
				e.Args = make(map[string]string)
			}
			e.Args[bounded(name, maxArg)] = bounded(value, maxArg)
		}
	}
	return e
}

// maxArg bounds an argument, and with maxArgs how much of an answer they take.
const (
	maxArg  = 512
	maxArgs = 8
)

func encodeCode(metadata map[string]string, e *sdk.Error) {
	if e.Code == "" {
		return
	}
	metadata[keyCode] = bounded(e.Code, maxArg)
	for i, name := range slices.Sorted(maps.Keys(e.Args)) {
		if i == maxArgs {
			return
		}
		metadata[keyArg+bounded(name, maxArg)] = bounded(e.Args[name], maxArg)
	}
}

// limit is handshake.MaxMessage for people.
const limit = "16 MiB"

// transportError reads a status that no author wrote: gRPC itself made it.
func transportError(ctx context.Context, st *status.Status) error {
	switch st.Code() {
	case codes.Canceled, codes.DeadlineExceeded:
		if ctx.Err() == nil && st.Code() == codes.Canceled {
			// gRPC says so when its own side of the connection was closed under a call.
			return down(st)
		}
		return callerError(ctx, contextErrorOf(st.Code()), st.Message())
	case codes.Unavailable:
		if ctx.Err() != nil {
			return callerError(ctx, ctx.Err(), st.Message())
		}
		return down(st)
	case codes.Unimplemented:
		return &sdk.Error{Kind: sdk.Unsupported, Message: text(st.Message())}
	case codes.ResourceExhausted: // of gRPC itself: no author's error comes without its kind
		return &sdk.Error{
			Kind: sdk.Bug, Code: sdk.CodeOversized, Args: map[string]string{"limit": limit},
			Message: "the plugin's answer is larger than " + limit + ": " + text(st.Message()), Err: st.Err(),
		}
	}
	return &sdk.Error{Kind: sdk.Bug, Message: "call to plugin failed: " + text(st.Message()), Err: st.Err()}
}

func down(st *status.Status) error {
	return &sdk.Error{Kind: sdk.Unavailable, Message: ErrPluginDown.Error() + ": " + st.Message(), Err: ErrPluginDown}
}

func callerError(ctx context.Context, cause error, message string) error {
	if ctx.Err() != nil {
		cause = ctx.Err()
	}
	return &sdk.Error{Kind: sdk.Unavailable, Message: "call to plugin: " + message, Err: cause}
}

func contextErrorOf(code codes.Code) error {
	if code == codes.DeadlineExceeded {
		return context.DeadlineExceeded
	}
	return context.Canceled
}

func isContextError(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// text makes a message fit for the wire: protobuf refuses strings that are not UTF-8, and with them the whole answer.
func text(s string) string { return bounded(s, maxMessage) }

func bounded(s string, most int) string {
	if len(s) > most {
		for most > 0 && !utf8.RuneStart(s[most]) { // no half a character
			most--
		}
		s = s[:most] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
