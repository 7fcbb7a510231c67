package bilibili

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	sim "github.com/lubod/lubod/sdk/simulator/bilibili"
)

func TestMyInfoAndArchivePreOfAnAccount(t *testing.T) {
	bilibili := sim.New(t, sim.Options{})
	client := New(Options{MemberURL: bilibili.URL(), APIURL: bilibili.URL(), PassportURL: bilibili.URL()})
	defer client.Close()
	account := &Account{File: "1.json", Cookies: bilibili.AddAccount(sim.AccountOptions{MID: 7, Name: "主播"}).Cookies}
	info, err := client.MyInfo(t.Context(), account)
	if err != nil || string(info["mid"]) != "7" || string(info["name"]) != `"主播"` {
		t.Errorf("MyInfo = %v, %v", info, err)
	}
	if pre, err := client.ArchivePre(t.Context(), account); err != nil || len(pre["typelist"]) == 0 {
		t.Errorf("ArchivePre = %v, %v", pre, err)
	}
	bilibili.Revoke(7)
	var refused *RefusedError
	if _, err := client.MyInfo(t.Context(), account); !errors.As(err, &refused) || refused.Code != CodeNotLoggedIn {
		t.Errorf("MyInfo of a revoked login: %v", err)
	}
	bilibili.RequireNoViolations(t)
}

func TestAnswersOfAnotherShapeAreLost(t *testing.T) {
	for _, data := range []string{`null`, `[]`, `{}`, `{"mid":"7","name":"a","face":""}`, `{"mid":7}`, `{"typelist":null}`, `{"typelist":[1]}`} {
		t.Run(data, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte(`{"code":0,"data":` + data + `}`))
			}))
			defer server.Close()
			client := New(Options{MemberURL: server.URL, APIURL: server.URL})
			defer client.Close()
			if _, err := client.MyInfo(t.Context(), &Account{}); !errors.Is(err, ErrAnswerLost) {
				t.Errorf("MyInfo: %v", err)
			}
			if _, err := client.ArchivePre(t.Context(), &Account{}); !errors.Is(err, ErrAnswerLost) {
				t.Errorf("ArchivePre: %v", err)
			}
		})
	}
}
