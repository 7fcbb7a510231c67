package accounts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/lubod/lubod/host/internal/bilibili"
)

// usualFile is the cookie file that biliup takes where none is named.
const usualFile = "cookies.json"

// ErrNoDefault is the bilibili.ErrNoAccount of a name that is empty, and that nothing stands in for.
var ErrNoDefault = fmt.Errorf(
	"%w: no cookie file is named, there is no %s in the data directory, and /api/v1/users does not have exactly one account", bilibili.ErrNoAccount, usualFile)

// Default is the cookie file that an empty name means: cookies.json if it is there, as for biliup, or else the only account
// of /users. Of several accounts none is taken: which of them publishes is not for this host to choose. ErrNoDefault: there
// is none.
func (k *Keeper) Default(ctx context.Context) (string, error) {
	there, err := k.Files.exists(usualFile)
	if err != nil || there {
		return usualFile, err
	}
	rows, err := k.DB.ListAccounts(ctx)
	switch {
	case err != nil:
		return "", fmt.Errorf("read accounts: %w", err)
	case len(rows) != 1:
		return "", ErrNoDefault
	}
	return rows[0].File, nil
}

// Any is an account for a question that every account may ask: the default, or else the first of /users that can be used.
func (k *Keeper) Any(ctx context.Context) (*bilibili.Account, error) {
	account, err := k.Account(ctx, "")
	if !errors.Is(err, bilibili.ErrNoAccount) {
		return account, err
	}
	rows, err := k.DB.ListAccounts(ctx)
	if err != nil {
		return nil, fmt.Errorf("read accounts: %w", err)
	}
	for _, row := range rows {
		account, err := k.Account(ctx, row.File)
		if !errors.Is(err, bilibili.ErrNoAccount) {
			return account, err
		}
	}
	return nil, ErrNoDefault
}

// exists tells whether there is a cookie file, or one that was written and not put in place yet.
func (f *Files) exists(file string) (bool, error) {
	root, err := os.OpenRoot(f.dataDir)
	if err != nil {
		return false, fmt.Errorf("open data directory: %w", err)
	}
	defer func() { _ = root.Close() }()
	if _, err := root.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		return err == nil, err
	}
	return f.unfinished(file), nil
}
