package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// programs is one installation of PostgreSQL.
type programs struct {
	dir     string
	major   int
	version string // as it names itself, for messages
}

func (p programs) postgres() string { return filepath.Join(p.dir, "postgres") }
func (p programs) initdb() string   { return filepath.Join(p.dir, "initdb") }

// oldestMajor is the oldest version whose settings and client protocol are known to do.
const oldestMajor = 14

// Folders of PostgreSQL's programs, which most distributions keep out of PATH.
var packagedDirs = []string{
	"/usr/lib/postgresql/*/bin", // Debian, Ubuntu
	"/usr/pgsql-*/bin",          // PostgreSQL's own RPM packages
	"/usr/libexec/postgresql*",  // Alpine
	"/usr/local/pgsql/bin",      // built from source
}

// findPrograms returns the newest installation, or for a cluster that exists (major is not 0) one of its own version:
// PostgreSQL reads no data files but those of the same major version.
func findPrograms(ctx context.Context, id *identity, dirs []string, major int) (programs, error) {
	var best programs
	var found []string
	var problems []error
	for _, dir := range candidateDirs(dirs) {
		p, err := inspect(ctx, id, dir)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				problems = append(problems, err)
			}
			continue
		}
		found = append(found, strconv.Itoa(p.major))
		if (major == 0 && p.major > best.major) || (major != 0 && p.major == major && best.major == 0) {
			best = p
		}
	}
	if best.major >= oldestMajor || (best.major != 0 && best.major == major) {
		return best, nil
	}
	return programs{}, errors.Join(append([]error{missing(major, found)}, problems...)...)
}

func missing(major int, found []string) error {
	slices.Sort(found)
	installed := strings.Join(slices.Compact(found), ", ")
	switch {
	case major != 0 && installed == "":
		return fmt.Errorf("the database was made by PostgreSQL %d, and no PostgreSQL is installed here: "+
			"install that version (apt-get install postgresql-%d)", major, major)
	case major != 0:
		return fmt.Errorf("the database was made by PostgreSQL %d, and only %s is installed here: install that version "+
			"too (apt-get install postgresql-%d), or convert the data with pg_upgrade", major, installed, major)
	case installed != "":
		return fmt.Errorf("PostgreSQL %s is too old, version %d or newer is needed: install one, or name a database "+
			"with --database-url", installed, oldestMajor)
	}
	return errors.New("PostgreSQL is not installed: apt-get install postgresql, or name a database with --database-url")
}

// candidateDirs lists existing folders with both programs, in the order of preference.
func candidateDirs(dirs []string) []string {
	if dirs == nil {
		dirs = filepath.SplitList(os.Getenv("PATH"))
		for _, pattern := range packagedDirs {
			matches, err := filepath.Glob(pattern)
			if err == nil { // only a malformed pattern fails
				dirs = append(dirs, matches...)
			}
		}
	}
	var candidates []string
	for _, dir := range dirs {
		// initdb looks for postgres beside itself, so a folder of links is of use only as what it links to.
		target, err := filepath.EvalSymlinks(filepath.Join(dir, "initdb"))
		if err != nil {
			continue
		}
		dir = filepath.Dir(target)
		if _, err := os.Stat(filepath.Join(dir, "postgres")); err == nil && !slices.Contains(candidates, dir) {
			candidates = append(candidates, dir)
		}
	}
	return candidates
}

var versionPattern = regexp.MustCompile(`^postgres \(PostgreSQL\) ((\d+)[^\s]*)`)

// inspect asks the program itself, as the user that will run it: so what that user may not run is noticed here.
func inspect(ctx context.Context, id *identity, dir string) (programs, error) {
	p := programs{dir: dir}
	cmd := id.command(ctx, p.postgres(), "--version")
	output, err := cmd.CombinedOutput()
	if err != nil {
		return p, fmt.Errorf("run %s as user %s: %w%s", p.postgres(), id, err, indent(output))
	}
	match := versionPattern.FindSubmatch(output)
	if match == nil {
		return p, fmt.Errorf("%s --version answers %q, which is not PostgreSQL", p.postgres(), firstLine(output))
	}
	p.version = string(match[1])
	p.major, err = strconv.Atoi(string(match[2]))
	return p, err
}
