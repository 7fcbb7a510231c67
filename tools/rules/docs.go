package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

var (
	namedTest = regexp.MustCompile(`\bTest[A-Z][A-Za-z0-9]*`)
	testFunc  = regexp.MustCompile(`(?m)^func (Test[A-Z][A-Za-z0-9]*)\(`)
)

// checkDocs wants every test that a page of docs/ names to exist: a page is worth as much as the tests that hold it.
func checkDocs(root string) ([]string, error) {
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(pages) == 0 {
		return nil, err
	}
	tests, err := testsOf(root)
	if err != nil {
		return nil, fmt.Errorf("look for tests: %w", err)
	}
	var violations []string
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			return nil, err
		}
		names := namedTest.FindAllString(string(text), -1)
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			if !tests[name] {
				violations = append(violations, fmt.Sprintf("docs/%s names %s, and there is no such test", filepath.Base(page), name))
			}
		}
	}
	return violations, nil
}

// testsOf are the names of all tests below a directory.
func testsOf(root string) (map[string]bool, error) {
	tests := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "bin" || entry.Name() == "node_modules"):
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, match := range testFunc.FindAllSubmatch(text, -1) {
			tests[string(match[1])] = true
		}
		return nil
	})
	return tests, err
}
