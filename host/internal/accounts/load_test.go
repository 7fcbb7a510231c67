package accounts

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lubod/lubod/host/internal/bilibili"
)

const login = `{"cookie_info":{"cookies":[{"name":"SESSDATA","value":"S%2CV"},{"name":"bili_jct","value":"csrf"}]},"token_info":{"access_token":"TOKEN","mid":10001}}`

func TestLoadAcceptsTheKnownShapes(t *testing.T) {
	shapes := map[string]string{
		"as a login answers it": login,
		"below data":            `{"code":0,"data":` + login + `}`,
		"tokens at the root":    `{"cookie_info":{"cookies":[{"name":"SESSDATA","value":"S%2CV"}]},"access_token":"TOKEN"}`,
	}
	for name, content := range shapes {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "10001.json"), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, file := range []string{"10001.json", "data/10001.json", "./10001.json"} {
				account, err := Load(dir, file)
				if err != nil {
					t.Fatalf("%s: %v", file, err)
				}
				if account.Cookies["SESSDATA"] != "S%2CV" || account.AccessToken != "TOKEN" {
					t.Errorf("%s: not all of the login was read", file)
				}
			}
		})
	}
}

func TestLoadRefuses(t *testing.T) {
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "a.json"), []byte(login), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(outside, "a.json"), filepath.Join(dir, "link.json")); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"broken.json": `{"SESSDATA": "topsecret"`, "empty.json": `{}`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"missing.json", "../a.json", outside + "/a.json", "data/../../a.json", "", "link.json", "broken.json", "empty.json", "nul\x00.json"} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(dir, name)
			if !errors.Is(err, bilibili.ErrNoAccount) {
				t.Fatalf("error = %v, want bilibili.ErrNoAccount", err)
			}
			if strings.Contains(err.Error(), "topsecret") {
				t.Error("the error quotes the file")
			}
			if text := err.Error(); strings.Contains(text, "openat") || strings.Contains(text, "escapes") || name == "missing.json" && !strings.Contains(text, "there is no such file") {
				t.Errorf("the error is not written for people: %s", text)
			}
		})
	}
}

func FuzzParseAccount(f *testing.F) {
	f.Add([]byte(login))
	f.Add([]byte(`{"data":{"data":{}}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		account, err := parseAccount("x", raw)
		if err == nil && account.Cookies["SESSDATA"] == "" {
			t.Error("an account without a login was accepted")
		}
	})
}
