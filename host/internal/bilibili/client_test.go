package bilibili

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/lubod/lubod/host/internal/hosttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func testAccount() *Account {
	return &Account{File: "a.json", Cookies: map[string]string{"SESSDATA": "sess", "bili_jct": "csrf"}, AccessToken: "SECRET"}
}

func submitTo(t *testing.T, handler http.HandlerFunc) error {
	t.Helper()
	server := httptest.NewServer(handler)
	defer server.Close()
	client := New(Options{MemberURL: server.URL})
	defer client.Close()
	_, err := client.Submit(t.Context(), testAccount(), Archive{Title: "t"})
	return err
}

// What an answer means for the archive decides whether another submit may ever follow.
func TestSubmitTellsRefusedFromLost(t *testing.T) {
	answer := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	cut := func(w http.ResponseWriter, _ *http.Request) {
		connection, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = connection.Close()
		}
	}
	tests := map[string]struct {
		handler http.HandlerFunc
		lost    bool
		code    int
	}{
		"refused":                    {handler: answer(200, `{"code":21070,"message":"too fast"}`), code: 21070},
		"refused with error status":  {handler: answer(400, `{"code":-400,"message":"bad"}`), code: -400},
		"risk control page":          {handler: answer(412, "<html>"), code: -412},
		"gateway page":               {handler: answer(502, "<html>"), lost: true},
		"success status and garbage": {handler: answer(200, "<html>"), lost: true},
		"success without archive":    {handler: answer(200, `{"code":0,"data":{}}`), lost: true},
		"success without data":       {handler: answer(200, `{"code":0}`), lost: true},
		"connection cut":             {handler: cut, lost: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := submitTo(t, test.handler)
			var refused *RefusedError
			if got := errors.As(err, &refused); got != (test.code != 0) || got && refused.Code != test.code {
				t.Errorf("refused = %v (%v), want code %d", got, err, test.code)
			}
			if got := errors.Is(err, ErrAnswerLost); got != test.lost {
				t.Errorf("lost = %v (%v), want %v", got, err, test.lost)
			}
			if strings.Contains(err.Error(), "SECRET") {
				t.Errorf("the error shows the token: %v", err)
			}
		})
	}
}

func TestSubmitThatNeverLeftIsNotLost(t *testing.T) {
	client := New(Options{MemberURL: "http://" + hosttest.ReservePort(t)})
	defer client.Close()
	_, err := client.Submit(t.Context(), testAccount(), Archive{})
	if !errors.Is(err, ErrNotSent) || errors.Is(err, ErrAnswerLost) {
		t.Errorf("error = %v, want ErrNotSent", err)
	}
}

func TestSubmitCutByTheCallerIsLost(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { cancel(); <-release }))
	defer server.Close()
	defer close(release)
	client := New(Options{MemberURL: server.URL})
	defer client.Close()
	if _, err := client.Submit(ctx, testAccount(), Archive{}); !errors.Is(err, ErrAnswerLost) {
		t.Errorf("error = %v, want ErrAnswerLost", err)
	}
}

func TestRedirectsCarryNoSecrets(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	defer elsewhere.Close()
	err := submitTo(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) })
	if !errors.Is(err, ErrAnswerLost) {
		t.Errorf("error = %v, want ErrAnswerLost", err)
	}
}

func TestRefererIsForPicturesOnly(t *testing.T) {
	for host, want := range map[string]string{
		"i0.hdslb.com": "https://live.bilibili.com/", "I1.HDSLB.com": "https://live.bilibili.com/", "hdslb.com.evil.example": "", "evilhdslb.com": "", "example.com": "",
	} {
		if got := Referer(host); got != want {
			t.Errorf("%s: %q", host, got)
		}
	}
}
