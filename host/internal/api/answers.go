package api

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/lubod/lubod/host/internal/bilibili"
)

const (
	// answerLife is how long an answer of Bilibili is given again.
	answerLife = 5 * time.Minute
	// maxAnswers bounds the memory: the largest answer, the categories, has about 300 KB.
	maxAnswers = 32
)

// answers remembers what Bilibili said, so that pages which ask often cost it, and those who wait, one question.
type answers struct {
	mu    sync.Mutex
	now   func() time.Time
	known map[string]*knownAnswer
}

type knownAnswer struct {
	// turn is held by who asks. What follows is guarded by it, but for used.
	turn   chan struct{}
	fields bilibili.Fields
	until  time.Time
	// used is when it was wanted last. Guarded by answers.mu.
	used time.Time
}

func newAnswers(now func() time.Time) *answers {
	return &answers{now: now, known: make(map[string]*knownAnswer)}
}

// get returns the answer of that name, and asks for it when it is not known. Those who want the same wait for the one who
// asks. The fields are the caller's own.
func (a *answers) get(ctx context.Context, name string, ask func(context.Context) (bilibili.Fields, error)) (bilibili.Fields, error) {
	answer := a.find(name)
	select {
	case answer.turn <- struct{}{}:
		defer func() { <-answer.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if a.now().Before(answer.until) {
		return maps.Clone(answer.fields), nil
	}
	fields, err := ask(ctx)
	if err != nil {
		return nil, err
	}
	answer.fields, answer.until = fields, a.now().Add(answerLife)
	return maps.Clone(fields), nil
}

func (a *answers) find(name string) *knownAnswer {
	a.mu.Lock()
	defer a.mu.Unlock()
	answer := a.known[name]
	if answer == nil {
		if len(a.known) >= maxAnswers {
			delete(a.known, a.oldest())
		}
		answer = &knownAnswer{turn: make(chan struct{}, 1)}
		a.known[name] = answer
	}
	answer.used = a.now()
	return answer
}

func (a *answers) oldest() string {
	oldest := ""
	for name, answer := range a.known {
		if oldest == "" || answer.used.Before(a.known[oldest].used) {
			oldest = name
		}
	}
	return oldest
}
