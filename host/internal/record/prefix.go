package record

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"
)

// maxName bounds a room's part of a file name in bytes: with date, number and ending it stays below the 255 of every
// common file system.
const maxName = 120

// prefix returns where the segments of a session go: <root>/<room>/<room><date>T<time>, in the form that biliup's users
// know, made unique by a later second where a session with that name left files already.
func (s *Service) prefix(known room, now time.Time) (string, error) {
	name := fileName(known)
	folder := filepath.Join(s.Root, name)
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return "", fmt.Errorf("make folder for recordings: %w", err)
	}
	for at := now; ; at = at.Add(time.Second) {
		prefix := filepath.Join(folder, name+at.Format("2006-01-02T15_04_05"))
		taken, err := filepath.Glob(escapeGlob(prefix) + "_*")
		if err != nil {
			return "", fmt.Errorf("look for files of the same name: %w", err)
		}
		if len(taken) == 0 {
			return prefix, nil
		}
	}
}

// fileName makes a room's name safe on every common file system.
func fileName(known room) string {
	for _, candidate := range []string{known.Remark, known.Streamer, known.Title} {
		if name := sanitize(candidate); name != "" {
			return name
		}
	}
	return "room"
}

func sanitize(text string) string {
	mapped := strings.Map(func(r rune) rune {
		switch {
		case strings.ContainsRune(`\/:*?"<>|`, r), unicode.IsControl(r), r == unicode.ReplacementChar:
			return '_'
		}
		return r
	}, text)
	for i := range mapped {
		if i > maxName {
			mapped = mapped[:i]
			break
		}
	}
	return strings.Trim(mapped, " .")
}

// escapeGlob takes a literal path as a pattern.
func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
