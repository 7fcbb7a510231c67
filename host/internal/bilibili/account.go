package bilibili

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// maxAccountFile bounds what is read of a cookie file; real ones have about 2 KB.
const maxAccountFile = 1 << 20

// ErrNoAccount means that a cookie file is missing or unusable; its text says which and what to do.
var ErrNoAccount = errors.New("account cannot be used")

// Account is a Bilibili login as its cookie file holds it.
type Account struct {
	// File is the name as the operator wrote it.
	File        string
	Mid         int64
	Cookies     map[string]string
	accessToken string
}

// accountFile is biliup's cookie file: what a login by QR code answers. Some tools keep the tokens at the root, some
// put everything below "data".
type accountFile struct {
	CookieInfo struct {
		Cookies []struct{ Name, Value string } `json:"cookies"`
	} `json:"cookie_info"`
	TokenInfo struct {
		AccessToken string `json:"access_token"`
		Mid         int64  `json:"mid"`
	} `json:"token_info"`
	AccessToken string       `json:"access_token"`
	Data        *accountFile `json:"data"`
}

// LocalName turns an operator's name of a cookie file into one that is relative to the data directory: "data/1.json",
// the form that a QR login answers, means 1.json in it. Names that lead out of the directory are refused.
func LocalName(name string) (string, error) {
	cleaned := path.Clean(strings.TrimPrefix(filepath.ToSlash(strings.TrimSpace(name)), "data/"))
	if cleaned == "." || !filepath.IsLocal(cleaned) || strings.ContainsRune(cleaned, 0) {
		return "", fmt.Errorf("%w: %q is no file name inside the data directory", ErrNoAccount, name)
	}
	return cleaned, nil
}

// LoadAccount reads a cookie file of the data directory. It never follows a link out of it.
func LoadAccount(dataDir, name string) (*Account, error) {
	local, err := LocalName(name)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dataDir)
	if err != nil {
		return nil, fmt.Errorf("open data directory: %w", err)
	}
	defer func() { _ = root.Close() }()
	file, err := root.Open(local)
	if err != nil {
		return nil, fmt.Errorf("%w: cookie file %q: %w; log in again or put the file there", ErrNoAccount, local, err)
	}
	defer func() { _ = file.Close() }()
	raw, err := io.ReadAll(io.LimitReader(file, maxAccountFile))
	if err != nil {
		return nil, fmt.Errorf("%w: cookie file %q: %w", ErrNoAccount, local, err)
	}
	return parseAccount(name, raw)
}

func parseAccount(name string, raw []byte) (*Account, error) {
	var content accountFile
	// The decoder's own error is left out: it can quote the file, and the file is all secrets.
	if err := json.Unmarshal(raw, &content); err != nil {
		return nil, fmt.Errorf("%w: cookie file %q is not JSON of a Bilibili login", ErrNoAccount, name)
	}
	if content.Data != nil {
		content = *content.Data
	}
	account := &Account{File: name, Mid: content.TokenInfo.Mid, Cookies: make(map[string]string), accessToken: content.TokenInfo.AccessToken}
	if account.accessToken == "" {
		account.accessToken = content.AccessToken
	}
	for _, cookie := range content.CookieInfo.Cookies {
		account.Cookies[cookie.Name] = cookie.Value
	}
	if account.Cookies["SESSDATA"] == "" {
		return nil, fmt.Errorf("%w: cookie file %q has no SESSDATA cookie; log in again", ErrNoAccount, name)
	}
	return account, nil
}
