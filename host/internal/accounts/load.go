package accounts

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/lubod/lubod/host/internal/bilibili"
	"github.com/lubod/lubod/host/internal/folders"
)

// maxFile bounds what is read of a cookie file; real ones have about 2 KB.
const maxFile = 1 << 20

// cookieFile is biliup's cookie file: what a login by QR code answers. Some tools keep the tokens at the root, some
// put everything below "data".
type cookieFile struct {
	CookieInfo struct {
		Cookies []struct {
			Name, Value string
			Expires     json.RawMessage
		} `json:"cookies"`
	} `json:"cookie_info"`
	TokenInfo struct {
		AccessToken  string `json:"access_token"`
		RefreshToken string `json:"refresh_token"`
		Mid          int64  `json:"mid"`
	} `json:"token_info"`
	AccessToken  string      `json:"access_token"`
	RefreshToken string      `json:"refresh_token"`
	Platform     *string     `json:"platform"`
	Data         *cookieFile `json:"data"`
}

// LocalName turns an operator's name of a cookie file into one that is relative to the data directory: "data/1.json",
// the form that a QR login answers, means 1.json in it. Names that lead out of the directory are refused.
func LocalName(name string) (string, error) {
	cleaned := path.Clean(strings.TrimPrefix(filepath.ToSlash(strings.TrimSpace(name)), "data/"))
	if cleaned == "." || !filepath.IsLocal(cleaned) || strings.ContainsRune(cleaned, 0) {
		return "", fmt.Errorf("%w: %q is no file name inside the data directory", bilibili.ErrNoAccount, name)
	}
	return cleaned, nil
}

// Load reads a cookie file of the data directory. It never follows a link out of it.
func Load(dataDir, name string) (*bilibili.Account, error) {
	local, err := LocalName(name)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dataDir)
	if err != nil {
		return nil, fmt.Errorf("open data directory: %w", err)
	}
	defer func() { _ = root.Close() }()
	raw, err := readFile(root, local)
	if err != nil {
		return nil, err
	}
	return parseAccount(name, raw)
}

// readFile reads a cookie file by its local name.
func readFile(root *os.Root, local string) ([]byte, error) {
	raw, err := folders.ReadFile(root, local, maxFile)
	if err != nil {
		return nil, fmt.Errorf("%w: cookie file %q of the data directory: %w; log in again or put the file there", bilibili.ErrNoAccount, local, err)
	}
	return raw, nil
}

func parseAccount(name string, raw []byte) (*bilibili.Account, error) {
	account, err := parseFields(name, raw)
	if err == nil && account.Cookies[bilibili.SessionCookie] == "" {
		return nil, fmt.Errorf("%w: cookie file %q has no SESSDATA cookie; log in again", bilibili.ErrNoAccount, name)
	}
	return account, err
}

// parseFields reads what there is of a login, which need not be enough.
func parseFields(name string, raw []byte) (*bilibili.Account, error) {
	var content cookieFile
	// The decoder's own error is left out: it can quote the file, and the file is all secrets.
	if err := json.Unmarshal(raw, &content); err != nil {
		return nil, fmt.Errorf("%w: cookie file %q is not JSON of a Bilibili login", bilibili.ErrNoAccount, name)
	}
	if content.Data != nil {
		content.Data.Platform = firstNotNil(content.Data.Platform, content.Platform)
		content = *content.Data
	}
	account := &bilibili.Account{
		File: name, Mid: content.TokenInfo.Mid, Cookies: make(map[string]string), Fingerprint: fingerprint(raw),
		AccessToken:  cmp.Or(content.TokenInfo.AccessToken, content.AccessToken),
		RefreshToken: cmp.Or(content.TokenInfo.RefreshToken, content.RefreshToken),
	}
	if content.Platform != nil {
		account.Platform = *content.Platform
	}
	for _, cookie := range content.CookieInfo.Cookies {
		account.Cookies[cookie.Name] = cookie.Value
		// A number of seconds; whatever else a tool wrote there tells nothing.
		if seconds, err := strconv.ParseInt(string(cookie.Expires), 10, 64); err == nil && cookie.Name == bilibili.SessionCookie && seconds > 0 && seconds < 1<<33 {
			account.Expires = time.Unix(seconds, 0)
		}
	}
	if mid, err := strconv.ParseInt(account.Cookies["DedeUserID"], 10, 64); err == nil && account.Mid == 0 {
		account.Mid = mid
	}
	return account, nil
}

func fingerprint(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

func firstNotNil(first, second *string) *string {
	if first != nil {
		return first
	}
	return second
}
