package bilibili

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lubod/lubod/host/internal/folders"
)

// maxAccountFile bounds what is read of a cookie file; real ones have about 2 KB.
const maxAccountFile = 1 << 20

// ErrNoAccount means that a cookie file is missing or unusable; its text says which and what to do.
var ErrNoAccount = errors.New("account cannot be used")

// Account is a Bilibili login as its cookie file holds it.
type Account struct {
	// File is the name as the operator wrote it.
	File    string
	Mid     int64
	Cookies map[string]string
	// Platform is the kind of login, which decides whose key pair signs its check and its refresh; empty: not known.
	Platform string
	// Expires is when the session cookie ends; zero: the file does not say.
	Expires time.Time
	// Fingerprint tells one content of the file from another, and nothing about it.
	Fingerprint string

	accessToken, refreshToken string
}

// accountFile is biliup's cookie file: what a login by QR code answers. Some tools keep the tokens at the root, some
// put everything below "data".
type accountFile struct {
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
	AccessToken  string       `json:"access_token"`
	RefreshToken string       `json:"refresh_token"`
	Platform     *string      `json:"platform"`
	Data         *accountFile `json:"data"`
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
	raw, err := readAccountFile(root, local)
	if err != nil {
		return nil, err
	}
	return parseAccount(name, raw)
}

// readAccountFile reads a cookie file by its local name.
func readAccountFile(root *os.Root, local string) ([]byte, error) {
	// A named pipe would wait for a writer for ever.
	file, err := root.OpenFile(local, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: cookie file %q of the data directory: %w; log in again or put the file there", ErrNoAccount, local, folders.Explain(err))
	}
	defer func() { _ = file.Close() }()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: cookie file %q is no regular file", ErrNoAccount, local)
	}
	raw, err := io.ReadAll(io.LimitReader(file, maxAccountFile+1))
	if err != nil {
		return nil, fmt.Errorf("%w: cookie file %q: %w", ErrNoAccount, local, err)
	}
	if len(raw) > maxAccountFile {
		return nil, fmt.Errorf("%w: cookie file %q has more than %d bytes", ErrNoAccount, local, maxAccountFile)
	}
	return raw, nil
}

func parseAccount(name string, raw []byte) (*Account, error) {
	account, err := parseFields(name, raw)
	if err == nil && account.Cookies[sessionCookie] == "" {
		return nil, fmt.Errorf("%w: cookie file %q has no SESSDATA cookie; log in again", ErrNoAccount, name)
	}
	return account, err
}

// parseFields reads what there is of a login, which need not be enough.
func parseFields(name string, raw []byte) (*Account, error) {
	var content accountFile
	// The decoder's own error is left out: it can quote the file, and the file is all secrets.
	if err := json.Unmarshal(raw, &content); err != nil {
		return nil, fmt.Errorf("%w: cookie file %q is not JSON of a Bilibili login", ErrNoAccount, name)
	}
	if content.Data != nil {
		content.Data.Platform = firstNotNil(content.Data.Platform, content.Platform)
		content = *content.Data
	}
	account := &Account{
		File: name, Mid: content.TokenInfo.Mid, Cookies: make(map[string]string), Fingerprint: fingerprint(raw),
		accessToken:  cmp.Or(content.TokenInfo.AccessToken, content.AccessToken),
		refreshToken: cmp.Or(content.TokenInfo.RefreshToken, content.RefreshToken),
	}
	if content.Platform != nil {
		account.Platform = *content.Platform
	}
	for _, cookie := range content.CookieInfo.Cookies {
		account.Cookies[cookie.Name] = cookie.Value
		// A number of seconds; whatever else a tool wrote there tells nothing.
		if seconds, err := strconv.ParseInt(string(cookie.Expires), 10, 64); err == nil && cookie.Name == sessionCookie && seconds > 0 && seconds < 1<<33 {
			account.Expires = time.Unix(seconds, 0)
		}
	}
	if mid, err := strconv.ParseInt(account.Cookies["DedeUserID"], 10, 64); err == nil && account.Mid == 0 {
		account.Mid = mid
	}
	return account, nil
}

// sessionCookie is the cookie that is the login; csrfCookie is what calls that change something repeat as csrf.
const (
	sessionCookie = "SESSDATA"
	csrfCookie    = "bili_jct"
)

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
