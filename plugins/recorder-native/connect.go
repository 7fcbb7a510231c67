package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/lubod/lubod/sdk/recorder"
)

// errIdle ends a connection over which nothing came for too long.
var errIdle = errors.New("nothing was sent for too long")

// connect opens one stream. Whatever keeps it from being opened means that nothing is being sent there.
func (n *native) connect(ctx context.Context, stream recorder.Stream) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, stream.URL, http.NoBody)
	if err != nil {
		cancel(nil)
		return nil, fmt.Errorf("%w: %w", recorder.ErrOffline, err)
	}
	request.Header.Set("User-Agent", n.options.UserAgent)
	for name, value := range stream.Headers {
		request.Header.Set(name, value)
	}
	response, err := n.http.Do(request)
	if err != nil {
		cancel(nil)
		return nil, fmt.Errorf("%w: %w", recorder.ErrOffline, err)
	}
	if response.StatusCode != http.StatusOK {
		cancel(nil)
		_ = response.Body.Close()
		return nil, fmt.Errorf("%w: the server answered %s", recorder.ErrOffline, response.Status)
	}
	patience := time.Duration(n.options.IdleTimeout) * time.Second
	return &guardedBody{
		body: response.Body, ctx: ctx, cancel: cancel, patience: patience,
		watchdog: time.AfterFunc(patience, func() { cancel(errIdle) }),
	}, nil
}

// guardedBody is a body whose reads are cut when nothing comes for too long.
type guardedBody struct {
	body     io.ReadCloser
	ctx      context.Context //nolint:containedctx // ends with this body
	cancel   context.CancelCauseFunc
	patience time.Duration
	watchdog *time.Timer
}

func (g *guardedBody) Read(p []byte) (int, error) {
	n, err := g.body.Read(p)
	switch {
	case n > 0:
		g.watchdog.Reset(g.patience)
	case err != nil && errors.Is(context.Cause(g.ctx), errIdle):
		err = errIdle
	}
	return n, err
}

func (g *guardedBody) Close() error {
	g.watchdog.Stop()
	err := g.body.Close()
	g.cancel(nil)
	return err
}
