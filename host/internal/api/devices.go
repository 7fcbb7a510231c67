package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
)

const (
	// deviceCookie tells a browser from which a user has logged in before. It opens nothing: it says for whom attempts are counted.
	deviceCookie = "lubod_device"
	// deviceLifetime is the longest that browsers keep a cookie; DeleteOldDevices goes by it.
	deviceLifetime = 400 * 24 * time.Hour
	// maxDevices bounds what one user can store.
	maxDevices = 50
)

var deviceLength = base64.RawURLEncoding.EncodedLen(tokenBytes)

// knowsDevice tells whether a user has logged in from a device before.
func (s *Server) knowsDevice(ctx context.Context, device, username string) (bool, error) {
	if len(device) != deviceLength {
		return false, nil
	}
	return s.db.KnowsDevice(ctx, db.KnowsDeviceParams{TokenHash: hashToken(device), Username: username})
}

// loginKeys are what an attempt to log in is counted for, the narrowest first. A known device stands for itself: whatever others
// try, from the same address or for the same user, does not hold it, and it is held by what it tries itself.
func loginKeys(who *caller, username string, known bool) []attemptKey {
	if known {
		return []attemptKey{{"device " + who.device + " " + username, perLogin}}
	}
	return []attemptKey{
		{"login " + who.address + " " + username, perLogin},
		{"address " + who.address, perSubscriber},
		{"user " + username, perUser},
	}
}

// rememberDevice makes the caller's browser a known one and returns the value of Set-Cookie.
func (s *Server) rememberDevice(ctx context.Context, userID int64, known bool) (string, error) {
	who := callerOf(ctx)
	device := who.device
	if !known {
		// A value that was known before the login must not become worth anything by it.
		var raw [tokenBytes]byte
		_, _ = rand.Read(raw[:]) // never fails
		device = base64.RawURLEncoding.EncodeToString(raw[:])
	}
	err := s.db.InTx(ctx, func(_ pgx.Tx, q *db.Queries) error {
		if err := q.SaveDevice(ctx, db.SaveDeviceParams{TokenHash: hashToken(device), UserID: userID}); err != nil {
			return err
		}
		return q.TrimDevices(ctx, db.TrimDevicesParams{UserID: userID, Keep: maxDevices})
	})
	return newCookie(ctx, deviceCookie, device, time.Now().Add(deviceLifetime)), err
}

// loginAnswer sets more than one cookie, which the generated answer cannot.
type loginAnswer struct {
	body    LoggedIn
	cookies []string
}

var _ LoginUserResponseObject = loginAnswer{}

// VisitLoginUserResponse implements LoginUserResponseObject.
func (a loginAnswer) VisitLoginUserResponse(w http.ResponseWriter) error {
	var body bytes.Buffer
	if err := json.NewEncoder(&body).Encode(a.body); err != nil {
		return err
	}
	for _, cookie := range a.cookies {
		w.Header().Add("Set-Cookie", cookie)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_, err := body.WriteTo(w)
	return err
}
