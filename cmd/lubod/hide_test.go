package main

import (
	"slices"
	"testing"
)

func TestURLOfTheDatabaseIsTakenOutOfArguments(t *testing.T) {
	t.Parallel()
	const url = "postgres://u:p@h/d"
	for _, test := range []struct {
		args, rest []string
		url        string
	}{
		{[]string{"lubod", "server", "--database-url", url, "--listen", ":1"}, []string{"lubod", "server", "--listen", ":1"}, url},
		{[]string{"lubod", "server", "--database-url=" + url}, []string{"lubod", "server"}, url},
		{[]string{"lubod", "server", "--database-url"}, []string{"lubod", "server", "--database-url"}, ""},
		{[]string{"lubod", "server", "--database-url-file", "x"}, []string{"lubod", "server", "--database-url-file", "x"}, ""},
		{[]string{"lubod", "user", "--", "--database-url", url}, []string{"lubod", "user", "--", "--database-url", url}, ""},
	} {
		if rest, got := withoutDatabaseURL(test.args); got != test.url || !slices.Equal(rest, test.rest) {
			t.Errorf("%q: %q and %q", test.args, rest, got)
		}
	}
}
