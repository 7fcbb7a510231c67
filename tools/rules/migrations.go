package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
)

// migrationName is NNNNN_verb_object.sql. The numbers are the order in which databases in the field got them.
var migrationName = regexp.MustCompile(`^(\d{5})_[a-z]+(?:_[a-z0-9]+)+\.sql$`)

// checkMigrations wants the numbers to run from 1 without a gap and without a second file of the same number: two
// branches that each add one would otherwise leave databases that differ.
func checkMigrations(root string) ([]string, error) {
	dir := filepath.Join(root, "db", "migrations")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	var violations []string
	next := 1
	for _, entry := range entries { // sorted by name
		if filepath.Ext(entry.Name()) == ".go" {
			continue
		}
		path := filepath.Join("db", "migrations", entry.Name())
		match := migrationName.FindStringSubmatch(entry.Name())
		if match == nil {
			violations = append(violations, path+": the name must be NNNNN_verb_object.sql, in small letters")
			continue
		}
		number, err := strconv.Atoi(match[1])
		if err != nil {
			return nil, err
		}
		if number != next {
			violations = append(violations, fmt.Sprintf("%s: its number must be %05d, the one after the file before", path, next))
		}
		next = number + 1
	}
	return violations, nil
}
