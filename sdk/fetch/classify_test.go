package fetch

import (
	"strings"
	"testing"
	"time"
)

func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"", "7", "-1", "4294967296", "Wed, 25 Nov 2026 02:00:00 GMT", "1.5", " 3 "} {
		f.Add(seed)
	}
	now := time.Date(2026, 11, 25, 1, 59, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, value string) {
		if d := retryAfter(value, now); d < 0 || d > 24*time.Hour {
			t.Errorf("%q means %s", value, d)
		}
	})
}

func FuzzPlaceKeepsSecrets(f *testing.F) {
	f.Add("https", "user:hidden", "token=hidden")
	f.Add("http", "", "a=hidden&b=%zz")
	f.Fuzz(func(t *testing.T, scheme, user, query string) {
		if user != "" {
			user += "hidden@"
		}
		if got := Place(scheme + "://" + user + "host/path?" + query + "hidden"); strings.Contains(got, "hidden") {
			if !strings.Contains(scheme, "hidden") && !strings.Contains(user, "/") && !strings.Contains(user, "?") {
				t.Errorf("%q tells a secret", got)
			}
		}
	})
}
