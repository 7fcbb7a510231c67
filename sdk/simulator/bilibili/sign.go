package bilibili

import (
	"crypto/md5"
	"encoding/hex"
	"net/url"
)

// AppKey is one of the key pairs that apps sign their requests with. They are printed in the source of public clients.
type AppKey struct {
	Name   string
	Key    string
	Secret string
}

// The key pairs that the simulator accepts.
var (
	// BiliTV belongs to QR logins and to the app submission.
	BiliTV = AppKey{"BiliTV", "4409e2ce8ffd12b8", "59b43e04ad6965f34319062b478f83dd"}
	// Android belongs to SMS and password logins.
	Android = AppKey{"Android", "783bbb7264451d82", "2653583c8873dea268ab9386918b1d65"}
	// BCutAndroid signs the submission of the BCut app.
	BCutAndroid = AppKey{"BCutAndroid", "5dce947fe22167f9", "5491a31c6bc11fb764a9b1f8d4acf092"}
)

func appKey(key string) (AppKey, bool) {
	for _, k := range []AppKey{BiliTV, Android, BCutAndroid} {
		if k.Key == key {
			return k, true
		}
	}
	return AppKey{}, false
}

// Sign computes the signature over the form-encoded parameters in ascending order of their names; a parameter named
// sign is left out.
func (k AppKey) Sign(parameters url.Values) string {
	signed := make(url.Values, len(parameters))
	for name, values := range parameters {
		if name != "sign" {
			signed[name] = values
		}
	}
	sum := md5.Sum([]byte(signed.Encode() + k.Secret))
	return hex.EncodeToString(sum[:])
}
