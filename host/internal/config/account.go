package config

import (
	"fmt"
	"os"
	"os/user"
	"strconv"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Account is a user of the machine that a plugin runs as.
type Account struct {
	Name string
	Home string
	UID  int
	GID  int
	// Groups are those that the user is in besides.
	Groups []uint32
}

// account reads the user that a plugin runs as; nil: that of the host.
func (r *pluginsReader) account(attribute *hclsyntax.Attribute) *Account {
	name, ok := r.text(attribute)
	if !ok {
		return nil
	}
	if !r.root {
		r.add(attribute.Expr.Range(), "only root can run a plugin as another user; lubod runs as user %d: leave user out", os.Geteuid())
		return nil
	}
	account, err := lookUp(name)
	if err != nil {
		r.add(attribute.Expr.Range(), "there is no user %q on this machine that a plugin can run as: %v", name, err)
		return nil
	}
	return account
}

func lookUp(name string) (*Account, error) {
	found, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	account := &Account{Name: found.Username, Home: found.HomeDir}
	if account.UID, err = strconv.Atoi(found.Uid); err != nil {
		return nil, fmt.Errorf("user number %q: %w", found.Uid, err)
	}
	if account.GID, err = strconv.Atoi(found.Gid); err != nil {
		return nil, fmt.Errorf("group number %q: %w", found.Gid, err)
	}
	groups, err := found.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("groups: %w", err)
	}
	for _, text := range groups {
		if number, err := strconv.ParseUint(text, 10, 32); err == nil {
			account.Groups = append(account.Groups, uint32(number))
		}
	}
	return account, nil
}
