package bilibili

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	sim "github.com/lubod/lubod/sdk/simulator/bilibili"
)

func TestPollOfAQRCodeThatExpired(t *testing.T) {
	bilibili := sim.New(t, sim.Options{})
	client := New(Options{PassportURL: bilibili.URL()})
	defer client.Close()
	code, err := client.BeginQR(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	bilibili.Advance(QRLife)
	if _, err := client.PollQR(t.Context(), code.AuthCode); !errors.Is(err, ErrQRExpired) {
		t.Errorf("PollQR: %v", err)
	}
	var refused *RefusedError
	if _, err := client.PollQR(t.Context(), "another"); !errors.As(err, &refused) {
		t.Errorf("PollQR of an unknown code: %v", err)
	}
}

func TestLoginAnswersThatCannotBeUsed(t *testing.T) {
	for name, data := range map[string]string{
		"nothing": `{}`, "null": `null`, "no cookies": `{"token_info":{"mid":1,"access_token":"a"}}`,
		"no token": `{"cookie_info":{"cookies":[{"name":"SESSDATA","value":"s"}]},"token_info":{"mid":1}}`,
		"no mid":   `{"cookie_info":{"cookies":[{"name":"SESSDATA","value":"s"}]},"token_info":{"access_token":"a"}}`,
		"bad mid":  `{"cookie_info":{"cookies":[{"name":"SESSDATA","value":"s"}]},"token_info":{"mid":-1,"access_token":"a"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte(`{"code":0,"data":` + data + `}`))
			}))
			defer server.Close()
			client := New(Options{PassportURL: server.URL})
			defer client.Close()
			if login, err := client.PollQR(t.Context(), "x"); !errors.Is(err, ErrAnswerLost) {
				t.Errorf("PollQR = %v, %v", login, err)
			}
			if code, err := client.BeginQR(t.Context()); !errors.Is(err, ErrAnswerLost) {
				t.Errorf("BeginQR = %v, %v", code, err)
			}
		})
	}
}
