package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/lubod/lubod/host/internal/bilibili"
)

func TestAnswersAreKeptForAWhile(t *testing.T) {
	now := time.Now()
	kept := newAnswers(func() time.Time { return now })
	asked := 0
	ask := func(context.Context) (bilibili.Fields, error) {
		asked++
		return bilibili.Fields{"n": json.RawMessage(fmt.Sprint(asked))}, nil
	}
	for range 3 {
		fields, err := kept.get(t.Context(), "a", ask)
		if err != nil || string(fields["n"]) != "1" {
			t.Errorf("answered %v, %v", fields, err)
		}
		fields["n"] = nil // the caller's own
	}
	if _, err := kept.get(t.Context(), "b", ask); err != nil || asked != 2 {
		t.Errorf("another name: %v, asked %d times", err, asked)
	}
	now = now.Add(answerLife)
	if fields, _ := kept.get(t.Context(), "a", ask); string(fields["n"]) != "3" {
		t.Errorf("an old answer was given: %v", fields)
	}
}

func TestFailuresAreNotKept(t *testing.T) {
	kept := newAnswers(time.Now)
	broken := errors.New("broken")
	if _, err := kept.get(t.Context(), "a", func(context.Context) (bilibili.Fields, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
	fields, err := kept.get(t.Context(), "a", func(context.Context) (bilibili.Fields, error) { return bilibili.Fields{}, nil })
	if err != nil || fields == nil {
		t.Errorf("answered %v, %v", fields, err)
	}
}

func TestOneAsksForAllWhoWait(t *testing.T) {
	kept := newAnswers(time.Now)
	asking, release := make(chan struct{}), make(chan struct{})
	asked := 0
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			_, err := kept.get(context.Background(), "a", func(context.Context) (bilibili.Fields, error) {
				asked++
				close(asking)
				<-release
				return bilibili.Fields{}, nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	<-asking
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := kept.get(ctx, "a", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("who has gone got %v", err)
	}
	close(release)
	all.Wait()
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

func TestAnswersAreBounded(t *testing.T) {
	now := time.Now()
	kept := newAnswers(func() time.Time { now = now.Add(time.Millisecond); return now })
	for i := range 3 * maxAnswers {
		if _, err := kept.get(t.Context(), fmt.Sprint(i), func(context.Context) (bilibili.Fields, error) { return bilibili.Fields{}, nil }); err != nil {
			t.Fatal(err)
		}
	}
	if len(kept.known) != maxAnswers || kept.known[fmt.Sprint(3*maxAnswers-1)] == nil {
		t.Errorf("%d answers are kept", len(kept.known))
	}
}
