package hooks

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/lubod/lubod/host/internal/outgoing"
)

const (
	// maxAnswer is how much of a webhook's answer is read.
	maxAnswer = 64 << 10
	// maxPayload bounds what is sent.
	maxPayload = 4 << 20
)

// call posts the payload.
func (a attempt) call(ctx context.Context, limit time.Duration) error {
	key := fmt.Sprintf("%s-hook-%d-%d", a.HostID, a.run.ID, a.run.NextStep+1)
	return a.callWebhook(ctx, limit, a.step.Value, key, a.facts.payload)
}

// callWebhook posts a payload; any answer from 200 to 299 is success. The key is the same for all attempts at one step: a
// receiver can tell a repetition by it.
func (s *Service) callWebhook(ctx context.Context, limit time.Duration, address, key string, payload Payload) error {
	body, err := payload.encode()
	if err != nil {
		return err
	}
	if len(body) > maxPayload {
		return &hopelessError{fmt.Sprintf("the recording has too many segments for one message (%d bytes)", len(body))}
	}
	header := http.Header{
		"Content-Type": {"application/json"}, "Idempotency-Key": {key}, "X-Lubod-Event": {string(payload.Event)},
	}
	answer, err := s.HTTP.Do(ctx, outgoing.Request{Method: http.MethodPost, URL: address, Header: header, Body: body, Timeout: limit, MaxBytes: maxAnswer})
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	_, _ = io.Copy(io.Discard, answer.Body) // so that the connection can be used again
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return fmt.Errorf("the webhook answered with status %d; 200 to 299 is success", answer.StatusCode)
	}
	return nil
}
