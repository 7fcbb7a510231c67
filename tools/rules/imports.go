package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// module is the path of the main module; paths in rules are below it.
const module = "github.com/lubod/lubod"

// rule says what the packages of one part may import of ours.
type rule struct {
	// part is a package, or with /... it and everything below.
	part string
	// may lists packages; one that starts with ! takes away again what stands before it.
	may []string
	// tests may import these as well.
	tests []string
	why   string
}

// What only tests and lubod-sim need has no place in a daemon or a plugin that somebody runs.
var publicSDK = []string{"sdk/...", "!sdk/wire/...", "!sdk/internal/...", "!sdk/simulator/...", "!sdk/plugintest/..."}

// rules, of which the first that names a package counts. A plugin may always import what is below its own folder.
var rules = []rule{
	{
		part: "sdk/...", may: []string{"sdk/..."},
		why: "authors of plugins import the SDK: nothing else of ours may come with it",
	},
	{
		part: "plugins/...", may: publicSDK, tests: []string{"sdk/simulator/...", "sdk/plugintest/..."},
		why: "our own plugins obey the rules of everybody's plugins: they see the public SDK",
	},
	{
		part: "db/...", may: []string{"db/..."},
		why: "the database knows nothing of who uses it",
	},
	{
		part: "host/internal/hosttest/...", may: []string{"host/...", "db/...", "sdk/...", "!sdk/internal/..."},
		why: "hosttest boots the whole host",
	},
	{
		part: "host/...", may: []string{"host/...", "!host/internal/hosttest/...", "db/...", "sdk/...", "!sdk/internal/...", "!sdk/simulator/...", "!sdk/plugintest/..."},
		tests: []string{"host/internal/hosttest/...", "sdk/simulator/...", "sdk/plugintest/..."},
		why:   "the host knows plugins by the SDK alone, and a daemon carries no test support",
	},
	{
		part: "cmd/lubod", may: append([]string{"host"}, publicSDK...), tests: []string{"sdk/simulator/..."},
		why: "commands see the facade of the host",
	},
	{
		part: "cmd/lubod-sim/...", may: []string{"cmd/lubod-sim/internal/...", "sdk/...", "!sdk/wire/...", "!sdk/internal/..."},
		why: "the simulated world must not know the host that it is a test for",
	},
}

// separate packages do not import each other, not even by way of a third: each declares what it needs as a small interface.
var separate = []string{"host/internal/hooks", "host/internal/monitor", "host/internal/record", "host/internal/upload"}

// goPackage is what `go list -json` tells.
type goPackage struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
	Deps         []string
}

// listPackages lists the packages of the main module and of the example plugins, which are modules of their own.
func listPackages(ctx context.Context, root string) ([]goPackage, error) {
	examples, err := filepath.Glob(filepath.Join(root, "plugins", "example", "*", "go.mod"))
	if err != nil {
		return nil, err
	}
	packages, err := list(ctx, root)
	if err != nil {
		return nil, err
	}
	for _, example := range examples {
		more, err := list(ctx, filepath.Dir(example))
		if err != nil {
			return nil, err
		}
		for i := range more {
			// Whatever an author calls the module: here it is a plugin of the examples.
			more[i].ImportPath = module + "/plugins/example/" + filepath.Base(filepath.Dir(example))
		}
		packages = append(packages, more...)
	}
	return packages, nil
}

func list(ctx context.Context, dir string) ([]goPackage, error) {
	command := exec.CommandContext(ctx, "go", "list", "-json=ImportPath,Imports,TestImports,XTestImports,Deps", "./...")
	command.Dir = dir
	var complaints bytes.Buffer
	command.Stderr = &complaints
	output, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("go list in %s: %w\n%s", dir, err, complaints.Bytes())
	}
	var packages []goPackage
	for decoder := json.NewDecoder(bytes.NewReader(output)); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages, nil
		} else if err != nil {
			return nil, fmt.Errorf("decode what go list prints: %w", err)
		}
		packages = append(packages, p)
	}
}

// checkImports returns one line per forbidden import.
func checkImports(packages []goPackage) []string {
	var violations []string
	for _, p := range packages {
		importer := ours(p.ImportPath)
		violations = append(violations, p.check(importer)...)
		if slices.Contains(separate, importer) {
			violations = append(violations, p.checkStrangers(importer)...)
		}
	}
	return violations
}

func (p *goPackage) check(importer string) []string {
	var violations []string
	governing, ruled := ruleOf(importer)
	refuse := func(imports []string, may []string, kind string) {
		for _, path := range imports {
			imported := ours(path)
			switch {
			case !below(path, module), allowed(imported, may):
			case !ruled:
				violations = append(violations, fmt.Sprintf("%s%s imports %s: no rule says what it may import; add one to tools/rules", importer, kind, imported))
			default:
				violations = append(violations, fmt.Sprintf("%s%s imports %s: %s", importer, kind, imported, governing.why))
			}
		}
	}
	may := slices.Clone(governing.may)
	if own := ownFolder(importer); own != "" {
		may = append(may, own+"/...")
	}
	refuse(p.Imports, may, "")
	// The tests of a package may import itself, from outside.
	may = append(append(may, governing.tests...), importer)
	refuse(unique(p.TestImports, p.XTestImports), may, " (test)")
	return violations
}

func (p *goPackage) checkStrangers(importer string) []string {
	var violations []string
	for _, path := range unique(p.Deps, p.TestImports, p.XTestImports) {
		if imported := ours(path); imported != importer && slices.Contains(separate, imported) {
			violations = append(violations, fmt.Sprintf("%s depends on %s: what one needs of the other it declares as an interface", importer, imported))
		}
	}
	return violations
}

// ours is the path below the main module; the module's own package is ".".
func ours(path string) string {
	if path == module {
		return "."
	}
	return strings.TrimPrefix(path, module+"/")
}

func ruleOf(importer string) (rule, bool) {
	for _, r := range rules {
		if matches(importer, r.part) {
			return r, true
		}
	}
	return rule{}, false
}

// ownFolder is the folder of the plugin that a package belongs to, or "".
func ownFolder(importer string) string {
	parts := strings.Split(importer, "/")
	if parts[0] != "plugins" {
		return ""
	}
	depth := 2
	if len(parts) > 1 && parts[1] == "example" {
		depth = 3
	}
	return strings.Join(parts[:min(depth, len(parts))], "/")
}

// allowed looks imported up among patterns; the last that matches decides.
func allowed(imported string, patterns []string) bool {
	answer := false
	for _, pattern := range patterns {
		positive, negated := strings.CutPrefix(pattern, "!")
		if matches(imported, positive) {
			answer = !negated
		}
	}
	return answer
}

func matches(path, pattern string) bool {
	if parent, all := strings.CutSuffix(pattern, "/..."); all {
		return below(path, parent)
	}
	return path == pattern
}

func below(path, parent string) bool { return path == parent || strings.HasPrefix(path, parent+"/") }

func unique(lists ...[]string) []string {
	all := slices.Concat(lists...)
	slices.Sort(all)
	return slices.Compact(all)
}
