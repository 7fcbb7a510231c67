package accounts

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/lubod/lubod/host/internal/bilibili"
)

const login = `{"cookie_info":{"cookies":[{"name":"SESSDATA","value":"S%2CV"},{"name":"bili_jct","value":"csrf"}]},"token_info":{"access_token":"TOKEN","mid":10001}}`

func TestLoadAcceptsTheKnownShapes(t *testing.T) {
	utf16 := func(text, mark string, order binary.AppendByteOrder) string {
		out := []byte(mark)
		for _, unit := range utf16.Encode([]rune(text)) {
			out = order.AppendUint16(out, unit)
		}
		return string(out)
	}
	shapes := map[string]string{
		"as a login answers it":         login,
		"below data":                    `{"code":0,"data":` + login + `}`,
		"platform beside data":          `{"platform":"BiliTV","data":` + login + `}`,
		"tokens at the root":            `{"cookie_info":{"cookies":[{"name":"SESSDATA","value":"S%2CV"}]},"access_token":"TOKEN"}`,
		"Windows Notepad":               "\xef\xbb\xbf" + login,
		"Notepad's Unicode":             utf16(login, "\xff\xfe", binary.LittleEndian),
		"Notepad's Unicode, big-endian": utf16(login, "\xfe\xff", binary.BigEndian),
		"null where nothing is":         `{"cookie_info":{"cookies":[{"name":"SESSDATA","value":"S%2CV","expires":null}],"domains":null},"sso":null,"token_info":{"access_token":"TOKEN","mid":null},"platform":null}`,
		"numbers as texts":              `{"cookie_info":{"cookies":[{"name":"SESSDATA","value":"S%2CV","expires":"1782777600"},{"name":"DedeUserID","value":10001}]},"token_info":{"access_token":"TOKEN","mid":"10001"}}`,
		"biliup's old configuration":    `{"cookies":{"SESSDATA":"S%2CV","bili_jct":"csrf","DedeUserID":10001,"access_token":"TOKEN"}}`,
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
				if strings.Contains(content, "BiliTV") != (account.Platform == "BiliTV") {
					t.Errorf("%s: platform %q", file, account.Platform)
				}
				if account.Cookies["SESSDATA"] != "S%2CV" || account.AccessToken != "TOKEN" {
					t.Errorf("%s: not all of the login was read", file)
				}
			}
		})
	}
}

// What browsers export has cookies only, and those of other sites.
func TestCookiesOfABrowserAreTaken(t *testing.T) {
	const other = `{"domain":".example.com","name":"SESSDATA","value":"theirs"}`
	list := `[` + other + `,{"domain":".bilibili.com","expirationDate":1782777600.345,"hostOnly":false,"httpOnly":true,"name":"SESSDATA","path":"/","sameSite":"unspecified","secure":true,"session":false,"storeId":"0","value":"S%2CV","id":1},` +
		`{"domain":"passport.bilibili.com","name":"SESSDATA","value":"older"},{"domain":".notbilibili.com","name":"SESSDATA","value":"theirs"},{"domain":".bilibili.com","name":"bili_jct","value":"csrf"},{"domain":".bilibili.com","name":"DedeUserID","value":"10001"},{"domain":"www.bilibili.com","name":"odd","value":"a b"}]`
	table := "# Netscape HTTP Cookie File\r\n# https://curl.se/docs/http-cookies.html\r\n\r\n.example.com\tTRUE\t/\tFALSE\t0\tSESSDATA\ttheirs\r\n" +
		"#HttpOnly_.bilibili.com\tTRUE\t/\tTRUE\t1782777600\tSESSDATA\tS%2CV\r\n.bilibili.com\tTRUE\t/\tFALSE\t1782777600\tbili_jct\tcsrf\r\n.bilibili.com\tTRUE\t/\tFALSE\t1782777600\tDedeUserID\t10001\r\n"
	const header = "buvid3=x; SESSDATA=S%2CV; bili_jct=csrf; DedeUserID=10001; empty="
	for name, content := range map[string]string{
		"EditThisCookie":               list,
		"EditThisCookie from Notepad":  "\xef\xbb\xbf" + strings.ReplaceAll(list, ",", ",\r\n"),
		"Playwright":                   `{"cookies":` + list + `,"origins":[]}`,
		"J2TEAM":                       `{"url":"https://www.bilibili.com","cookies":` + list + `}`,
		"cookies.txt":                  table,
		"cookies.txt from Notepad":     "\xef\xbb\xbf" + table,
		"cookies.txt with spaces":      strings.ReplaceAll(table, "\t", "  "),
		"header":                       header,
		"header with its name":         "Cookie: " + header + "\n",
		"header in quotes":             `"` + header + `"`,
		"header over lines":            strings.ReplaceAll(header, "; ", ";\n"),
		"header in JSON":               `{"cookie":"` + header + `"}`,
		"header in JSON, several":      `{"cookies":"` + header + `"}`,
		"names and values":             `{"SESSDATA":"S%2CV","bili_jct":"csrf","DedeUserID":"10001"}`,
		"names and values, from below": `{"data":{"cookies":{"SESSDATA":"S%2CV","bili_jct":"csrf","DedeUserID":"10001"}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "a.txt"), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			account, err := Load(dir, "a.txt")
			if err != nil {
				t.Fatal(err)
			}
			if account.Cookies["SESSDATA"] != "S%2CV" || account.Cookies["bili_jct"] != "csrf" || account.Mid != 10001 || account.AccessToken != "" {
				t.Errorf("not all of the login was read: %v of %d", account.Cookies, account.Mid)
			}
			if _, odd := account.Cookies["odd"]; odd {
				t.Error("a value that cannot be sent was taken")
			}
			if strings.Contains(content, "1782777600") && account.Expires.Unix() != 1782777600 {
				t.Errorf("it ends %v", account.Expires)
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
	for name, content := range map[string]string{"broken.json": `{"SESSDATA": "topsecret"`, "empty.json": `{}`,
		"list.json": `[{"name":"SESSDATA","value":"topsecret","domain":".example.com"}]`, "cut.json": `[{"name":"SESSDATA","value":"topsecret"`, "nothing.json": "\xef\xbb\xbf",
		"other.txt": "topsecret", "lines.json": `{"SESSDATA":"top\r\nsecret: topsecret"}`, "odd.txt": "SESSDATA=播topsecret"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"missing.json", "../a.json", outside + "/a.json", "data/../../a.json", "", "link.json", "broken.json", "empty.json", "list.json", "cut.json", "nothing.json", "other.txt", "lines.json", "odd.txt", "nul\x00.json"} {
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
	f.Add([]byte("SESSDATA=a; b=c"))
	f.Add([]byte(".bilibili.com\tTRUE\t/\tTRUE\t1\tSESSDATA\ta"))
	f.Add([]byte(`[{"name":"SESSDATA","value":"a"}]`))
	f.Add([]byte("\xff\xfeS\x00"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		account, err := parseAccount("x", raw)
		if err == nil && account.Cookies["SESSDATA"] == "" {
			t.Error("an account without a login was accepted")
		}
		if err == nil && !loose(account.Cookies["SESSDATA"]).fit() {
			t.Errorf("the cookie %q cannot be sent", account.Cookies["SESSDATA"])
		}
	})
}
