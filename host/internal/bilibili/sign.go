package bilibili

import (
	"crypto/md5" //nolint:gosec // the protocol asks for MD5; nothing here relies on its strength
	"encoding/hex"
	"net/url"
)

// appKey is a public pair of constants by which an official app signs its requests. The pairs are printed in the public
// sources of biliup (crates/biliup/src/uploader/credential.rs) and of bilibili-API-collect (misc/sign/APP.md).
type appKey struct{ key, secret string }

var (
	keyTV      = appKey{"4409e2ce8ffd12b8", "59b43e04ad6965f34319062b478f83dd"}
	keyAndroid = appKey{"783bbb7264451d82", "2653583c8873dea268ab9386918b1d65"}
	keyBCut    = appKey{"5dce947fe22167f9", "5491a31c6bc11fb764a9b1f8d4acf092"}
)

// The kinds of login that a cookie file can name.
const (
	PlatformTV      = "BiliTV"
	PlatformAndroid = "Android"
)

// loginKey is the key pair that belongs to a kind of login. A wrong one makes checks and refreshes fail, so there is none
// for a kind that is not known.
func loginKey(platform string) (key appKey, known bool) {
	switch platform {
	case PlatformTV:
		return keyTV, true
	case PlatformAndroid:
		return keyAndroid, true
	}
	return appKey{}, false
}

// sign adds appkey and sign to the parameters: the MD5 of the encoded, key-sorted parameters followed by the secret.
func (k appKey) sign(parameters url.Values) url.Values {
	parameters.Del("sign")
	parameters.Set("appkey", k.key)
	sum := md5.Sum([]byte(parameters.Encode() + k.secret)) //nolint:gosec // see the import
	parameters.Set("sign", hex.EncodeToString(sum[:]))
	return parameters
}
