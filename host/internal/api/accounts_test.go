package api

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAccountFromAdditionToDeletion(t *testing.T) {
	h := newLoggedIn(t)
	added := h.api(t, "POST", "/users", `{"key":"bilibili-cookies","value":"new_cookies.json"}`).must(t, 200)
	equalJSON(t, added.body, `{"id":1,"name":"new_cookies.json","value":"new_cookies.json","platform":"bilibili-cookies","valid":false,
		"error":"there is no file new_cookies.json in the data directory yet","reason_code":"account.unusable","action":{"kind":"login","target":"account"},
		"reason_args":{"file":"new_cookies.json","cause":"there is no file new_cookies.json in the data directory yet"}}`)
	if got := h.notes.take(); got != "publishing changed" {
		t.Errorf("announced %q", got)
	}
	secret := `{"cookie_info":{"cookies":[{"name":"SESSDATA","value":"SECRET"}]},"token_info":{"access_token":"SECRET","mid":1}}`
	if err := os.WriteFile(filepath.Join(h.dataDir, "new_cookies.json"), []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	list := h.api(t, "GET", "/users", "").must(t, 200)
	equalJSON(t, list.body, `[{"id":1,"name":"new_cookies.json","value":"new_cookies.json","platform":"bilibili-cookies","valid":true,"mid":1}]`)
	h.api(t, "POST", "/users", `{"key":"bilibili-cookies","value":"data/new_cookies.json"}`).refused(t, 409, "new_cookies.json")
	h.api(t, "DELETE", "/users/1", "").must(t, 200)
	h.api(t, "DELETE", "/users/1", "").refused(t, 404, "no account with the id 1")
	h.api(t, "DELETE", "/users/biliup", "").refused(t, 400, "id: must be a whole number")
	if _, err := os.Stat(filepath.Join(h.dataDir, "new_cookies.json")); err != nil {
		t.Errorf("the cookie file is gone: %v", err)
	}
}

func TestBrokenAccountFileIsSaidAndNotShown(t *testing.T) {
	h := newLoggedIn(t)
	if err := os.WriteFile(filepath.Join(h.dataDir, "broken.json"), []byte(`{"SECRET`), 0o600); err != nil {
		t.Fatal(err)
	}
	added := h.api(t, "POST", "/users", `{"key":"bilibili-cookies","value":"broken.json"}`).must(t, 200)
	var account Account
	added.decode(t, &account)
	if account.Valid || account.Error == nil || strings.Contains(added.body, "SECRET") {
		t.Errorf("answered %s", added.body)
	}
}

func TestAccountFilesStayInTheDataDirectory(t *testing.T) {
	h := newLoggedIn(t)
	for value, want := range map[string]string{
		"cookies.json":                       "cookies.json",
		"./sub/a.json":                       "sub/a.json",
		"data/1.json":                        "1.json",
		filepath.Join(h.dataDir, "abs.json"): "abs.json",
	} {
		var account Account
		h.api(t, "POST", "/users", `{"key":"bilibili-cookies","value":"`+value+`"}`).must(t, 200).decode(t, &account)
		if account.Value != want {
			t.Errorf("%s became %s, want %s", value, account.Value, want)
		}
	}
	for _, value := range []string{"../x.json", "a/../../x.json", "data/../../x.json", "/etc/passwd", h.dataDir, h.dataDir + "/../x.json", ".", "data/"} {
		h.api(t, "POST", "/users", `{"key":"bilibili-cookies","value":"`+value+`"}`).refused(t, 400, "value: must be a file inside the data directory")
	}
	h.api(t, "POST", "/users", `{"key":"twitch-cookies","value":"x.json"}`).refused(t, 400, "key: must be bilibili-cookies")
	h.api(t, "POST", "/users", `{"key":"bilibili-cookies"}`).refused(t, 400, "value: is missing")
	h.api(t, "POST", "/users", `{"key":"bilibili-cookies","value":"x.json","name":"x"}`).refused(t, 400, "name: is not known here")
}

func TestAccountFileThatIsALinkOutIsNotRead(t *testing.T) {
	h := newLoggedIn(t)
	outside := filepath.Join(t.TempDir(), "outside.json")
	if err := os.WriteFile(outside, []byte(`{"cookie_info":{"cookies":[{"name":"SESSDATA","value":"SECRET"}]}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(h.dataDir, "link.json")); err != nil {
		t.Fatal(err)
	}
	var account Account
	h.api(t, "POST", "/users", `{"key":"bilibili-cookies","value":"link.json"}`).must(t, 200).decode(t, &account)
	if account.Valid {
		t.Error("a file outside the data directory was read")
	}
}
