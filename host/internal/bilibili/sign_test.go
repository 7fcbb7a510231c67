package bilibili

import (
	"net/url"
	"testing"
)

// The vectors were computed with other clients' implementations of the same rule.
func TestSign(t *testing.T) {
	tests := map[string]struct {
		key   appKey
		query string
		want  string
	}{
		"QR code request":   {keyTV, "local_id=0&ts=0", "e134154ed6add881d28fbdf68653cd9c"},
		"QR code poll":      {keyTV, "auth_code=0123456789abcdef0123456789abcdef&local_id=0&ts=1700000000", "b4716bc0bd192c9e47e2bb9efbc06bcf"},
		"nothing but key":   {keyAndroid, "", "577c647f61d6168b48fb941a1dfc57cc"},
		"token check":       {keyTV, "access_key=TESTTOKEN&actionKey=appkey&ts=1700000000", "8fd281caec21fe18fbc5ff6aa7d3386c"},
		"old sign replaced": {keyAndroid, "sign=old", "577c647f61d6168b48fb941a1dfc57cc"},
		"app submission": {
			keyTV, "access_key=TESTTOKEN&build=7800300&c_locale=zh-Hans_CN&channel=bili&disable_rcmd=0&mobi_app=android&platform=android" +
				"&s_locale=zh-Hans_CN&statistics=" + url.QueryEscape(appStatistics) + "&ts=1700000000",
			"c6e6a59410eba8322d00b91c1e307242",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			parameters, err := url.ParseQuery(test.query)
			if err != nil {
				t.Fatal(err)
			}
			if got := test.key.sign(parameters).Get("sign"); got != test.want {
				t.Errorf("sign = %s, want %s", got, test.want)
			}
		})
	}
}
