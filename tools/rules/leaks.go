package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// startsGoroutines are calls after which something runs: errgroup's and sync.WaitGroup's Go, servers and programs of tests.
var startsGoroutines = []string{"Go", "NewServer", "NewTLSServer", "NewUnstartedServer", "AfterFunc"}

// checkLeaks wants every tested package that starts goroutines to fail when its tests leave one behind. The examples of
// plugins, which are modules of their own, stay as short as an author's first plugin.
func checkLeaks(root string) ([]string, error) {
	packages := map[string]*leaks{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch name := entry.Name(); {
		case err != nil:
			return err
		case entry.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "bin" || name == "tools" || name == "example"):
			return fs.SkipDir
		case entry.IsDir() || filepath.Ext(name) != ".go":
			return nil
		}
		dir := filepath.Dir(path)
		if packages[dir] == nil {
			packages[dir] = &leaks{}
		}
		return packages[dir].read(path)
	})
	if err != nil {
		return nil, fmt.Errorf("look for goroutines: %w", err)
	}
	var violations []string
	for dir, p := range packages {
		if p.tested && p.starts != "" && !p.verified {
			name, _ := filepath.Rel(root, dir)
			violations = append(violations, fmt.Sprintf("%s starts goroutines (%s) and its TestMain does not call goleak.VerifyTestMain", filepath.ToSlash(name), p.starts))
		}
	}
	slices.Sort(violations)
	return violations, nil
}

// leaks is what the files of a package show.
type leaks struct {
	tested   bool
	starts   string // where, for the message
	verified bool
}

func (l *leaks) read(path string) error {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	l.tested = l.tested || strings.HasSuffix(path, "_test.go")
	start := func(node ast.Node) {
		if l.starts == "" {
			l.starts = fmt.Sprintf("%s:%d", filepath.Base(path), files.Position(node.Pos()).Line)
		}
	}
	ast.Inspect(file, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.GoStmt:
			start(node)
		case *ast.CallExpr:
			selector, ok := node.Fun.(*ast.SelectorExpr)
			if !ok {
				break
			}
			if slices.Contains(startsGoroutines, selector.Sel.Name) {
				start(node)
			}
			l.verified = l.verified || selector.Sel.Name == "VerifyTestMain"
		}
		return true
	})
	return nil
}
