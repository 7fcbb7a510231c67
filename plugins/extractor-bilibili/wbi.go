package main

import (
	"context"
	"crypto/md5" //nolint:gosec // the platform's signature is defined with it
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lubod/lubod/sdk"
)

// mixing picks the characters of the two published keys that make the signing key.
var mixing = [32]int{46, 47, 18, 2, 53, 8, 23, 32, 15, 50, 10, 31, 58, 3, 45, 35, 27, 43, 5, 49, 33, 9, 42, 19, 29, 28, 14, 39, 12, 38, 41, 13}

// mixedKey makes the signing key; false when the parts are too short.
func mixedKey(img, sub string) (string, bool) {
	raw, key := img+sub, make([]byte, len(mixing))
	if len(raw) < 64 {
		return "", false
	}
	for i, from := range mixing {
		key[i] = raw[from]
	}
	return string(key), true
}

// signed encodes a query with its signature. Signed and sent is the same text: the order and the escapes count.
func signed(query map[string]string, key string, at time.Time) string {
	all := maps.Clone(query)
	if all == nil {
		all = map[string]string{}
	}
	all["wts"] = strconv.FormatInt(at.Unix(), 10)
	text := encoded(all)
	sum := md5.Sum([]byte(text + key)) //nolint:gosec // see above
	return text + "&w_rid=" + hex.EncodeToString(sum[:])
}

var unsigned = strings.NewReplacer("!", "", "'", "", "(", "", ")", "", "*", "")

func encoded(query map[string]string) string {
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if out.Len() > 0 {
			out.WriteByte('&')
		}
		out.WriteString(escaped(name) + "=" + escaped(unsigned.Replace(query[name])))
	}
	return out.String()
}

func escaped(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

const (
	keyLife  = 2 * time.Hour
	keyPause = time.Minute // between two renewals, however often signatures are refused
)

// keyring keeps the signing key, which is the same for everybody and changes rarely.
type keyring struct {
	b    *bilibili
	lock chan struct{} // a mutex that waiting callers can leave
	key  string
	got  time.Time
	// skew is how much the platform's clock is ahead: it looks at the time in the signature.
	skew time.Duration
}

func newKeyring(b *bilibili) *keyring { return &keyring{b: b, lock: make(chan struct{}, 1)} }

// sign signs a query, with a new key when there is none that is recent.
func (k *keyring) sign(ctx context.Context, query map[string]string) (string, error) {
	if err := acquire(ctx, k.lock); err != nil {
		return "", err
	}
	defer release(k.lock)
	if k.key == "" || k.b.now().Sub(k.got) >= keyLife {
		if err := k.load(ctx); err != nil {
			return "", err
		}
	}
	return signed(query, k.key, k.b.now().Add(k.skew)), nil
}

// renew gets the key anew and reports whether it did: not when it is as good as new.
func (k *keyring) renew(ctx context.Context) (bool, error) {
	if err := acquire(ctx, k.lock); err != nil {
		return false, err
	}
	defer release(k.lock)
	if k.key != "" && k.b.now().Sub(k.got) < keyPause {
		return false, nil
	}
	return true, k.load(ctx)
}

func (k *keyring) load(ctx context.Context) error {
	answer, err := k.b.get(ctx, request{base: k.b.base.APIURL, path: "/x/web-interface/nav", anyCode: true})
	if err != nil {
		return err
	}
	var nav struct {
		Images struct {
			Img string `json:"img_url"`
			Sub string `json:"sub_url"`
		} `json:"wbi_img"`
	}
	if err := json.Unmarshal(answer.data, &nav); err != nil {
		return shapeError("nav", err)
	}
	key, ok := mixedKey(stem(nav.Images.Img), stem(nav.Images.Sub))
	if !ok {
		return sdk.Errorf(sdk.Bug, "nav answered without the keys for signatures")
	}
	k.key, k.got, k.skew = key, k.b.now(), 0
	if at, err := http.ParseTime(answer.date); err == nil {
		// The header counts whole seconds: less than two is no difference.
		if skew := at.Sub(k.got); skew.Abs() >= 2*time.Second {
			k.skew = skew
		}
	}
	return nil
}

// stem is a file's name without its extension.
func stem(raw string) string {
	name := path.Base(raw)
	return strings.TrimSuffix(name, path.Ext(name))
}

func acquire(ctx context.Context, lock chan struct{}) error {
	select {
	case lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func release(lock chan struct{}) { <-lock }
