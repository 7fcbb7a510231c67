package main

import (
	"os"
	"strings"
	"syscall"

	"github.com/lubod/lubod/host"
)

const databaseFlag = "--database-url"

// hidePassword begins this program anew when its arguments hold the URL of a database with a password: everybody on the machine
// can read those, and only its own user its environment. It returns when there is nothing to hide, or nothing can be done.
func hidePassword(args []string) {
	program, err := os.Executable()
	if err != nil {
		return
	}
	rest, url := withoutDatabaseURL(args)
	if url == "" || !host.HoldsPassword(url) {
		return
	}
	_ = syscall.Exec(program, rest, append(os.Environ(), host.DatabaseURLVariable+"="+url)) //nolint:gosec // this program, as it was called
}

// withoutDatabaseURL takes the flag of the database out of arguments.
func withoutDatabaseURL(args []string) (rest []string, url string) {
	for i := 0; i < len(args); i++ {
		value, inline := strings.CutPrefix(args[i], databaseFlag+"=")
		switch {
		case args[i] == "--":
			return append(rest, args[i:]...), url
		case inline:
			url = value
		case args[i] == databaseFlag && i+1 < len(args):
			i++
			url = args[i]
		default:
			rest = append(rest, args[i])
		}
	}
	return rest, url
}
