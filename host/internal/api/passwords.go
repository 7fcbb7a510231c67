package api

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"strings"

	"github.com/lubod/lubod/host/internal/reason"
	"github.com/lubod/lubod/host/internal/users"
)

// hash is what is stored of a new password.
func (s *Server) hash(ctx context.Context, password string) (string, error) {
	hash, err := s.passwords.Hash(ctx, password)
	return hash, orBusy(err)
}

// orBusy tells a caller whose password could not be looked at in time that he may come again.
func orBusy(err error) error {
	if errors.Is(err, users.ErrBusy) {
		return unavailable(err, reason.New(reason.APIBusyLogins))
	}
	return err
}

func newSetupToken() string {
	var raw [20]byte
	_, _ = rand.Read(raw[:]) // never fails
	return strings.ToLower(base32.StdEncoding.EncodeToString(raw[:]))
}

func sameToken(a, b string) bool {
	return subtle.ConstantTimeCompare([]byte(strings.TrimSpace(a)), []byte(b)) == 1
}
