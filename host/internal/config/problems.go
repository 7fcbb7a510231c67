package config

import (
	"fmt"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// FileError lists every mistake in a file, in the order of the file.
type FileError struct{ Problems []Problem }

// Problem is one mistake: where it is, what is wrong, and what would be right.
type Problem struct {
	Range hcl.Range
	Text  string
}

func (p Problem) String() string { return p.Range.String() + ": " + p.Text }

func (e *FileError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, problem := range e.Problems {
		lines[i] = problem.String()
	}
	return strings.Join(lines, "\n")
}

// problems collects mistakes while a file is read.
type problems []Problem

func (p *problems) add(at hcl.Range, format string, args ...any) {
	*p = append(*p, Problem{Range: at, Text: fmt.Sprintf(format, args...)})
}

// addDiagnostics takes over what the HCL library found.
func (p *problems) addDiagnostics(diagnostics hcl.Diagnostics, fallback hcl.Range) {
	for _, diagnostic := range diagnostics {
		if diagnostic.Severity != hcl.DiagError {
			continue
		}
		at := fallback
		if diagnostic.Subject != nil {
			at = *diagnostic.Subject
		}
		p.add(at, "%s", sentence(diagnostic))
	}
}

// sentence joins summary and detail into one line in the style of our other messages.
func sentence(d *hcl.Diagnostic) string {
	text := strings.TrimSuffix(d.Summary, ".")
	if detail := strings.TrimSuffix(strings.Join(strings.Fields(d.Detail), " "), "."); detail != "" {
		text += ": " + detail
	}
	return strings.ToLower(text[:min(1, len(text))]) + text[min(1, len(text)):]
}

// err returns a *FileError, or nil when there is no mistake.
func (p problems) err() error {
	if len(p) == 0 {
		return nil
	}
	sort.SliceStable(p, func(i, j int) bool {
		a, b := p[i].Range, p[j].Range
		if a.Filename != b.Filename {
			return a.Filename < b.Filename
		}
		return a.Start.Byte < b.Start.Byte
	})
	return &FileError{Problems: p}
}

// suggest returns "; did you mean …?" when a known name differs from name by at most two letters.
func suggest(name string, known []string) string {
	best, distance := "", 3
	for _, candidate := range known {
		if d := editDistance(name, candidate); d < distance && d < len(candidate) {
			best, distance = candidate, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// editDistance counts the insertions, deletions and substitutions that turn a into b (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// list writes names as "a, b and c".
func list(names []string) string {
	switch len(names) {
	case 0:
		return "none"
	case 1:
		return names[0]
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}
