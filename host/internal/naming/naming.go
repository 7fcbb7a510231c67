// Package naming fills templates: variables with what the room says, and strftime directives with a time. It makes the names of
// recorded files, and the texts that are published with them.
package naming

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Default names a room's folder and, in it, its files as biliup does.
const Default = "{streamer}/{streamer}%Y-%m-%dT%H_%M_%S"

const (
	// maxTemplate and maxDepth bound a template.
	maxTemplate = 500 // bytes
	maxDepth    = 8
	// maxValue bounds what one variable becomes, and maxName one name, in bytes: with a number and an ending a name stays
	// below the 255 of every common file system.
	maxValue = 120
	maxName  = 200
)

// Check tells what keeps a template from being used.
func Check(template string) error {
	switch {
	case strings.TrimSpace(template) == "":
		return errors.New("must not be empty")
	case len(template) > maxTemplate:
		return fmt.Errorf("must have at most %d bytes", maxTemplate)
	case strings.ContainsFunc(template, func(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar }):
		return errors.New("must not hold control characters")
	case strings.Contains(template, `\`):
		return errors.New(`must not hold a backslash; folders are separated by "/"`)
	case strings.HasPrefix(template, "/"):
		return errors.New("must not begin with a slash: all names are below the folder of the recordings")
	}
	names := strings.Split(template, "/")
	if len(names) > maxDepth {
		return fmt.Errorf("must have at most %d folders", maxDepth-1)
	}
	for _, name := range names {
		if strings.Trim(name, " .") == "" {
			return errors.New(`must not hold a folder or file name that is empty or made of dots, such as ".."`)
		}
	}
	for _, match := range placeholder.FindAllStringSubmatch(template, -1) {
		if !slices.Contains(variables, match[1]+match[2]) {
			return fmt.Errorf("there is no variable %s; there are {%s}, and strftime codes such as %%Y", match[0], strings.Join(variables, "}, {"))
		}
	}
	return nil
}

// Render fills a template that Check accepts. The answer is a path with slashes, local by construction: whatever the room
// calls itself, each name in it is one that every common file system takes.
func Render(template string, values Values, at time.Time) string {
	names := strings.Split(template, "/")
	for i, name := range names {
		if names[i] = clean(fill(name, values, at, cleanValue), maxName); names[i] == "" {
			names[i] = "_"
		}
	}
	return path.Join(names...)
}

func cleanValue(text string) string { return clean(text, maxValue) }

// clean makes a text safe as a part of a name, and cuts it to a number of bytes.
func clean(text string, most int) string {
	mapped := strings.Map(func(r rune) rune {
		if strings.ContainsRune(`\/:*?"<>|`, r) {
			return '_'
		}
		return r
	}, PlainLine(text))
	for i, r := range mapped {
		if i+len(string(r)) > most {
			mapped = mapped[:i]
			break
		}
	}
	return strings.Trim(mapped, " .")
}

// Streamer is what {streamer} stands for: the first of the room's names that is one.
func Streamer(names ...string) string {
	for _, name := range names {
		if clean(name, maxValue) != "" {
			return name
		}
	}
	return "room"
}
