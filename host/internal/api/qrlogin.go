package api

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"path"
	"sync"
	"time"

	"github.com/lubod/lubod/host/internal/bilibili"
	"github.com/lubod/lubod/host/internal/reason"
)

// Who may log an account in by QR code.
const (
	// QRLoginPublic: everybody who reaches the server. A new login replaces nothing but an older one of the same account.
	QRLoginPublic = "public"
	// QRLoginUsers: users who are logged in.
	QRLoginUsers = "users"
	// QRLoginOff: nobody.
	QRLoginOff = "off"
)

const (
	// maxQRKeys bounds the memory, and how many requests can wait.
	maxQRKeys = 64
	// qrPollInterval is how often Bilibili is asked; its own clients do so once a second.
	qrPollInterval = time.Second
	// qrCallTimeout bounds what goes on for a login after its request was cut: Bilibili hands a login out once.
	qrCallTimeout = 10 * time.Second
)

// qrKeys remembers the logins that this host began. They are worth nothing after three minutes and nothing to another
// host, so memory is the place for them.
type qrKeys struct {
	mu   sync.Mutex
	now  func() time.Time
	keys map[string]*qrKey
}

type qrKey struct {
	authCode string
	expires  time.Time
	// turn is held by the request that waits for the confirmation.
	turn chan struct{}
	// filename is set once the login is done, for requests that ask again. Guarded by turn.
	filename string
}

func newQRKeys(now func() time.Time) *qrKeys { return &qrKeys{now: now, keys: make(map[string]*qrKey)} }

// add remembers a login under a new key. When there are too many, evict says whether the oldest one has to go or the new
// one is refused.
func (k *qrKeys) add(authCode string, evict bool) (key string, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.forgetExpired(); len(k.keys) >= maxQRKeys {
		if !evict {
			return "", false
		}
		delete(k.keys, k.oldest())
	}
	key = rand.Text()
	k.keys[key] = &qrKey{authCode: authCode, expires: k.now().Add(bilibili.QRLife), turn: make(chan struct{}, 1)}
	return key, true
}

// full tells whether add would refuse.
func (k *qrKeys) full() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.forgetExpired()
	return len(k.keys) >= maxQRKeys
}

func (k *qrKeys) find(key string) *qrKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.forgetExpired()
	return k.keys[key]
}

func (k *qrKeys) forgetExpired() {
	now := k.now()
	for name, key := range k.keys {
		if now.After(key.expires) {
			delete(k.keys, name)
		}
	}
}

func (k *qrKeys) oldest() string {
	oldest := ""
	for name, key := range k.keys {
		if oldest == "" || key.expires.Before(k.keys[oldest].expires) {
			oldest = name
		}
	}
	return oldest
}

// GetQRCode begins a login.
func (s *Server) GetQRCode(ctx context.Context, _ GetQRCodeRequestObject) (GetQRCodeResponseObject, error) {
	who := callerOf(ctx)
	if err := s.mayUseQR(who); err != nil {
		return nil, err
	}
	address := attemptKey{"qr code " + who.address, perAddress}
	if who.userID == 0 {
		if wait := s.attempts.attempt(address); wait > 0 {
			return nil, tooMany(wait)
		}
		if s.qrKeys.full() {
			return nil, tooMany(bilibili.QRLife)
		}
	}
	code, err := s.bilibili.BeginQR(ctx)
	if err != nil {
		return nil, fromBilibili(err, "")
	}
	key, ok := s.qrKeys.add(code.AuthCode, who.userID != 0)
	if !ok {
		return nil, tooMany(bilibili.QRLife)
	}
	return GetQRCode200JSONResponse{URL: code.URL, QrcodeKey: key}, nil
}

func (s *Server) mayUseQR(who *caller) error {
	switch {
	case s.qrLogin == QRLoginOff:
		return &problem{status: http.StatusForbidden, code: codeClosed, why: reason.New(reason.APIQRClosed)}
	case s.qrLogin == QRLoginUsers && who.userID == 0:
		return &problem{status: http.StatusUnauthorized, code: codeUnauthenticated, why: reason.New(reason.APILogInForQR)}
	}
	return nil
}

// LoginByQRCode waits for the confirmation of a login and writes its cookie file.
func (s *Server) LoginByQRCode(ctx context.Context, request LoginByQRCodeRequestObject) (LoginByQRCodeResponseObject, error) {
	who := callerOf(ctx)
	if err := s.mayUseQR(who); err != nil {
		return nil, err
	}
	// A right key is forgiven: only guessing counts.
	address := attemptKey{"qr key " + who.address, perAddress}
	if wait := s.attempts.attempt(address); wait > 0 {
		return nil, tooMany(wait)
	}
	key := s.qrKeys.find(request.Body.QrcodeKey)
	if key == nil {
		return nil, qrExpired()
	}
	s.attempts.forget(address)
	select {
	case key.turn <- struct{}{}:
		defer func() { <-key.turn }()
	default:
		return nil, qrPending(reason.APIQRWaited)
	}
	if key.filename == "" {
		if err := s.awaitQR(ctx, key); err != nil {
			return nil, err
		}
	}
	return LoginByQRCode200JSONResponse{Filename: key.filename}, nil
}

// awaitQR polls until the login is done, cannot be done any more, or the request ends.
func (s *Server) awaitQR(ctx context.Context, key *qrKey) error {
	ticker := time.NewTicker(qrPollInterval)
	defer ticker.Stop()
	for {
		err := s.pollQR(ctx, key)
		if !errors.Is(err, bilibili.ErrQRPending) && !errors.Is(err, bilibili.ErrQRScanned) {
			return err
		}
		if s.qrKeys.now().After(key.expires) {
			return qrExpired()
		}
		select {
		case <-ticker.C:
		case <-s.stopping.Done():
			return qrPending(qrState(err))
		case <-ctx.Done():
			return qrPending(qrState(err))
		}
	}
}

// pollQR asks once, and writes the login when it is there. Both go on when the request is cut meanwhile: Bilibili hands a
// login out once, and the request that is sent again finds it.
func (s *Server) pollQR(ctx context.Context, key *qrKey) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), qrCallTimeout)
	defer cancel()
	login, err := s.bilibili.PollQR(ctx, key.authCode)
	switch {
	case errors.Is(err, bilibili.ErrQRExpired):
		return qrExpired()
	case errors.Is(err, bilibili.ErrQRPending), errors.Is(err, bilibili.ErrQRScanned):
		return err
	case err != nil:
		return fromBilibili(err, "")
	}
	file, err := s.accounts.Save(ctx, login)
	if err != nil {
		return err
	}
	key.filename = path.Join("data", file)
	s.wrote(ctx, "a Bilibili account logged in by QR code", "file", file, "mid", login.Mid)
	s.uploads.PublishingChanged()
	return nil
}

// qrState is what a code waits for.
func qrState(err error) string {
	if errors.Is(err, bilibili.ErrQRScanned) {
		return reason.APIQRScanned
	}
	return reason.APIQRPending
}

func qrPending(code string) *problem {
	return &problem{status: http.StatusConflict, code: codeQRPending, why: reason.New(code), retryAfter: time.Second}
}

func qrExpired() *problem {
	return &problem{status: http.StatusNotFound, code: codeQRExpired, field: "qrcode_key", why: reason.New(reason.APIQRExpired)}
}
