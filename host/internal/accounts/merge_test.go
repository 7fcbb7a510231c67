package accounts

import (
	"testing"

	"github.com/lubod/lubod/host/internal/bilibili"
)

// FuzzLoginFile: whatever a file held before, the login that is written into it is the one that is read from it.
func FuzzLoginFile(f *testing.F) {
	for _, seed := range []string{
		login, `{"data":` + login + `}`, `{}`, `null`, `[]`, `{"data":[]}`, `{"data":{}}`, `{"cookie_info":{"cookies":[{"name":"SESSDATA"},{"name":5}]}}`,
		`{"token_info":null,"access_token":5,"platform":"Android","sso":null}`, `{"cookie_info":"x"}`, `{"TOKEN_INFO":{"access_token":"x"}}`,
		`{"cookie_info":{"cookies":[{"NAME":"SESSDATA","value":"x"}]}}`,
	} {
		f.Add([]byte(seed))
	}
	fresh := newLogin(f, 10001)
	f.Fuzz(func(t *testing.T, before []byte) {
		if _, err := parseAccount("before", before); err != nil {
			return // only logins are kept
		}
		file, err := fileOf(fresh, before)
		if err != nil {
			return // refused as a whole: nothing is written
		}
		account, err := parseAccount("after", file)
		if err != nil {
			t.Fatalf("%s became %s: %v", before, file, err)
		}
		if account.Cookies[bilibili.SessionCookie] != "S%2CV" || account.AccessToken != "TOKEN" || account.Mid != 10001 || account.Platform != bilibili.PlatformTV {
			t.Errorf("%s became %s", before, file)
		}
	})
}
