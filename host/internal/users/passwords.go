package users

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"

	"github.com/alexedwards/argon2id"
)

// ErrBusy is a password that could not be looked at in time, because others are.
var ErrBusy = errors.New("too many passwords are being checked at once")

// Passwords hashes and compares with argon2id. Each computation takes tens of megabytes, so few run at once.
type Passwords struct {
	// Params are what one computation costs.
	Params *argon2id.Params
	slots  chan struct{}
	// decoy is compared with when there is no such user, so that both answers take the same time.
	decoy func() (string, error)
}

// NewPasswords prepares the computations.
func NewPasswords() *Passwords {
	// OWASP's Password Storage Cheat Sheet asks for 19 MiB and two passes at least.
	params := &argon2id.Params{Memory: 32 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}
	return &Passwords{
		Params: params, slots: make(chan struct{}, 2),
		decoy: sync.OnceValues(func() (string, error) { return argon2id.CreateHash(rand.Text(), params) }),
	}
}

// Hash is what is stored of a password.
func (p *Passwords) Hash(ctx context.Context, password string) (string, error) {
	if err := p.acquire(ctx); err != nil {
		return "", err
	}
	defer p.release()
	return argon2id.CreateHash(password, p.Params)
}

// Matches compares a password with a hash; an empty hash matches nothing and takes as long.
func (p *Passwords) Matches(ctx context.Context, password, hash string) (bool, error) {
	if err := p.acquire(ctx); err != nil {
		return false, err
	}
	defer p.release()
	if hash == "" {
		decoy, err := p.decoy()
		if err != nil {
			return false, err
		}
		_, err = argon2id.ComparePasswordAndHash(password, decoy)
		return false, err
	}
	return argon2id.ComparePasswordAndHash(password, hash)
}

func (p *Passwords) acquire(ctx context.Context) error {
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrBusy, ctx.Err())
	}
}

func (p *Passwords) release() { <-p.slots }
