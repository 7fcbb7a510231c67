package accounts

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/lubod/lubod/host/internal/bilibili"
	"github.com/lubod/lubod/host/internal/folders"
)

// maxFile bounds what is read of a cookie file; real ones have about 2 KB.
const maxFile = 1 << 20

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
	found, err := parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: cookie file %q: %w", bilibili.ErrNoAccount, name, err)
	}
	return found.account(name, raw)
}

func fingerprint(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}
