package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/lubod/lubod/sdk"
)

// visitorLife is how long the ids of a visitor are used; browsers keep them for months.
const visitorLife = 24 * time.Hour

// visitor keeps the ids that the platform gives to everybody who opens its page. Requests without them are often taken
// for those of a machine.
type visitor struct {
	b       *bilibili
	lock    chan struct{}
	cookies map[string]string
	got     time.Time
}

func newVisitor(b *bilibili) *visitor { return &visitor{b: b, lock: make(chan struct{}, 1)} }

// ids returns the cookies of the visitor, which the caller must not change.
func (v *visitor) ids(ctx context.Context) (map[string]string, error) {
	return v.current(ctx, visitorLife)
}

// renew gets new ids unless they are as good as new.
func (v *visitor) renew(ctx context.Context) error {
	_, err := v.current(ctx, keyPause)
	return err
}

func (v *visitor) current(ctx context.Context, life time.Duration) (map[string]string, error) {
	if err := acquire(ctx, v.lock); err != nil {
		return nil, err
	}
	defer release(v.lock)
	if v.cookies != nil && v.b.now().Sub(v.got) < life {
		return v.cookies, nil
	}
	cookies, err := v.load(ctx)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		sdk.Logger(ctx).WarnContext(ctx, "bilibili gives no visitor id; made one up", "error", err)
		cookies = inventedIDs()
	}
	v.cookies, v.got = cookies, v.b.now()
	return cookies, nil
}

func (v *visitor) load(ctx context.Context) (map[string]string, error) {
	answer, err := v.b.get(ctx, request{base: v.b.base.APIURL, path: "/x/frontend/finger/spi"})
	if err != nil {
		return nil, err
	}
	var ids struct {
		B3 string `json:"b_3"`
		B4 string `json:"b_4"`
	}
	if err := json.Unmarshal(answer.data, &ids); err != nil {
		return nil, shapeError("finger/spi", err)
	}
	if !cookieValue(ids.B3) || !cookieValue(ids.B4) {
		return nil, sdk.Errorf(sdk.Bug, "finger/spi answered without an id")
	}
	return map[string]string{"buvid3": ids.B3, "buvid4": ids.B4}, nil
}

// inventedIDs have the form of real ones: any plausible value is taken.
func inventedIDs() map[string]string {
	n, err := rand.Int(rand.Reader, big.NewInt(100000))
	if err != nil {
		n = big.NewInt(0)
	}
	return map[string]string{"buvid3": fmt.Sprintf("%s%05dinfoc", strings.ToUpper(uuid.NewString()), n)}
}
