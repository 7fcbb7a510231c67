package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// jobLibrary is used in one place: a second client ends for good what it has no worker for.
const jobLibrary = "github.com/riverqueue/river"

var (
	mayUseJobLibrary = []string{"host/internal/jobs", "db"}
	// workers are told nothing by each other, not even by functions that somebody hands to them.
	workers = []string{"host/internal/hooks", "host/internal/upload"}
	// mayHoldFunctions are fields of workers' Options that are functions all the same, with the reason.
	mayHoldFunctions = map[string]string{}
	// stateFields are fields of rows that hold a state. What the states are is known to one package.
	stateFields = []string{"State", "Publish", "Archive", "UploadState", "HookState", "Stage"}
)

// otherStates are files that speak of states of something else by the same words.
var otherStates = map[string]string{
	"host/internal/api/system.go":   "states of plugins",
	"host/internal/health/parts.go": "states of plugins",
}

const stateOwner = "host/internal/pipeline"

// states are the values of the constants of the pipeline. Other things have states too, whose words are no literals of ours.
type states map[string]bool

// checkWalls finds what goes around the owners of jobs and states.
func checkWalls(root string) ([]string, error) {
	known, err := readStates(filepath.Join(root, stateOwner))
	if err != nil {
		return nil, err
	}
	var violations []string
	err = filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != root && (strings.HasPrefix(entry.Name(), ".") || slices.Contains([]string{"testdata", "bin", "tools", "node_modules"}, entry.Name())):
			return fs.SkipDir
		case entry.IsDir() || filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, ".gen.go"):
			return nil
		}
		local, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		w := wall{local: filepath.ToSlash(local), files: token.NewFileSet(), known: known}
		file, err := parser.ParseFile(w.files, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		violations = append(violations, w.check(file)...)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for what goes around the owners: %w", err)
	}
	slices.Sort(violations)
	return violations, nil
}

func readStates(dir string) (states, error) {
	known := make(states)
	names, err := filepath.Glob(filepath.Join(dir, "states.go"))
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, declaration := range file.Decls {
			if constants, ok := declaration.(*ast.GenDecl); ok && constants.Tok == token.CONST {
				ast.Inspect(constants, func(node ast.Node) bool {
					if value, ok := word(node); ok {
						known[value] = true
					}
					return true
				})
			}
		}
	}
	return known, nil
}

// word is the value of a literal of a text.
func word(node ast.Node) (string, bool) {
	literal, ok := node.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return "", false
	}
	value, err := strconv.Unquote(literal.Value)
	return value, err == nil
}

// wall is one file that is looked at.
type wall struct {
	local string
	files *token.FileSet
	known states
}

func (w *wall) at(node ast.Node) string {
	return fmt.Sprintf("%s:%d", w.local, w.files.Position(node.Pos()).Line)
}

func (w *wall) check(file *ast.File) (violations []string) {
	dir := path.Dir(w.local)
	for _, imported := range file.Imports {
		if name, ok := word(imported.Path); ok && below(name, jobLibrary) && !slices.Contains(mayUseJobLibrary, dir) {
			violations = append(violations, fmt.Sprintf("%s imports %s: durable jobs go through host/internal/jobs, the one client", w.at(imported), name))
		}
	}
	ast.Inspect(file, func(node ast.Node) bool {
		if call, ok := node.(*ast.SelectorExpr); ok && dir != "host/internal/jobs" && call.Sel.Name == "NewClient" && isName(call.X, "river") {
			violations = append(violations, w.at(node)+" makes a client of the job library: there is one, in host/internal/jobs")
		}
		if slices.Contains(workers, dir) {
			violations = append(violations, w.options(node)...)
		}
		if below(dir, "host") && dir != stateOwner && !below(dir, "host/internal/hosttest") && otherStates[w.local] == "" {
			violations = append(violations, w.states(node)...)
		}
		return true
	})
	return violations
}

func isName(node ast.Expr, name string) bool {
	identifier, ok := node.(*ast.Ident)
	return ok && identifier.Name == name
}

// options finds functions among the Options of a worker.
func (w *wall) options(node ast.Node) (violations []string) {
	declared, ok := node.(*ast.TypeSpec)
	if !ok || declared.Name.Name != "Options" {
		return nil
	}
	fields, ok := declared.Type.(*ast.StructType)
	if !ok {
		return nil
	}
	for _, field := range fields.Fields.List {
		if !holdsFunction(field.Type) {
			continue
		}
		for _, name := range field.Names {
			if mayHoldFunctions[path.Dir(w.local)+"."+name.Name] == "" {
				violations = append(violations, fmt.Sprintf("%s: Options.%s is a function: facts go to the pipeline, and what a worker needs it declares as an interface", w.at(field), name.Name))
			}
		}
	}
	return violations
}

func holdsFunction(node ast.Expr) (found bool) {
	ast.Inspect(node, func(node ast.Node) bool {
		switch node.(type) {
		case *ast.FuncType:
			found = true
		case *ast.InterfaceType:
			return false // methods are no functions
		}
		return !found
	})
	return found
}

// states finds words for states that stand beside a field which holds one.
func (w *wall) states(node ast.Node) (violations []string) {
	tell := func(literal ast.Expr, field string) {
		if value, ok := word(literal); ok && w.known[value] {
			violations = append(violations, fmt.Sprintf("%s: %q is a state of %s; host/internal/pipeline has a constant for it", w.at(literal), value, field))
		}
	}
	pair := func(one, other ast.Expr) {
		if field, ok := stateField(one); ok {
			tell(other, field)
		}
	}
	switch node := node.(type) {
	case *ast.BinaryExpr:
		pair(node.X, node.Y)
		pair(node.Y, node.X)
	case *ast.AssignStmt:
		for i := range node.Lhs {
			if len(node.Lhs) == len(node.Rhs) {
				pair(node.Lhs[i], node.Rhs[i])
			}
		}
	case *ast.KeyValueExpr:
		if key, ok := node.Key.(*ast.Ident); ok && slices.Contains(stateFields, key.Name) {
			tell(node.Value, key.Name)
		}
	case *ast.SwitchStmt:
		for _, clause := range node.Body.List {
			for _, value := range clause.(*ast.CaseClause).List {
				if node.Tag != nil {
					pair(node.Tag, value)
				}
			}
		}
	}
	return violations
}

// stateField is the name of a field that holds a state, also inside a conversion.
func stateField(node ast.Expr) (string, bool) {
	switch node := node.(type) {
	case *ast.SelectorExpr:
		return node.Sel.Name, slices.Contains(stateFields, node.Sel.Name)
	case *ast.CallExpr:
		if len(node.Args) == 1 {
			return stateField(node.Args[0])
		}
	case *ast.ParenExpr:
		return stateField(node.X)
	}
	return "", false
}
