package api

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"strings"
	"sync"

	"github.com/alexedwards/argon2id"

	"github.com/lubod/lubod/host/internal/reason"
)

// passwords hashes and compares with argon2id. Each computation takes tens of megabytes, so few run at once.
type passwords struct {
	params *argon2id.Params
	slots  chan struct{}
	// decoy is compared with when there is no such user, so that both answers take the same time.
	decoy func() (string, error)
}

func newPasswords() *passwords {
	// OWASP's Password Storage Cheat Sheet asks for 19 MiB and two passes at least.
	params := &argon2id.Params{Memory: 32 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}
	return &passwords{
		params: params, slots: make(chan struct{}, 2),
		decoy: sync.OnceValues(func() (string, error) { return argon2id.CreateHash(rand.Text(), params) }),
	}
}

func (p *passwords) hash(ctx context.Context, password string) (string, error) {
	if err := p.acquire(ctx); err != nil {
		return "", err
	}
	defer p.release()
	return argon2id.CreateHash(password, p.params)
}

// matches compares a password with a hash; an empty hash matches nothing and takes as long.
func (p *passwords) matches(ctx context.Context, password, hash string) (bool, error) {
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

func (p *passwords) acquire(ctx context.Context) error {
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return unavailable(ctx.Err(), reason.New(reason.APIBusyLogins))
	}
}

func (p *passwords) release() { <-p.slots }

func newSetupToken() string {
	var raw [20]byte
	_, _ = rand.Read(raw[:]) // never fails
	return strings.ToLower(base32.StdEncoding.EncodeToString(raw[:]))
}

func sameToken(a, b string) bool {
	return subtle.ConstantTimeCompare([]byte(strings.TrimSpace(a)), []byte(b)) == 1
}
