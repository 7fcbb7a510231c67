// Command rules holds the repository against the rules that no compiler knows: who may import whom, how migrations
// are named, who owns jobs and states, that no test leaves a goroutine behind, and that docs name tests that exist.
//
//	rules [directory of the main module]
//
// It prints every violation and ends with status 1 when there are any.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
)

func main() {
	root := "."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	violations, err := check(ctx, root)
	if err != nil {
		fmt.Fprintln(os.Stderr, "rules:", err)
		os.Exit(2)
	}
	for _, violation := range violations {
		fmt.Fprintln(os.Stderr, violation)
	}
	if len(violations) > 0 {
		os.Exit(1)
	}
}

func check(ctx context.Context, root string) ([]string, error) {
	packages, err := listPackages(ctx, root)
	if err != nil {
		return nil, err
	}
	violations := checkImports(packages)
	migrations, err := checkMigrations(root)
	if err != nil {
		return nil, err
	}
	leaks, err := checkLeaks(root)
	if err != nil {
		return nil, err
	}
	walls, err := checkWalls(root)
	if err != nil {
		return nil, err
	}
	docs, err := checkDocs(root)
	if err != nil {
		return nil, err
	}
	return slices.Concat(violations, migrations, leaks, walls, docs), nil
}
