// Package naming makes the names of recorded files from a template: variables that the room fills, and strftime
// directives that the clock fills.
package naming

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/ncruces/go-strftime"
)

// Default names a room's folder and, in it, its files as biliup does.
const Default = "{streamer}/{streamer}%Y-%m-%dT%H_%M_%S"

// Values are what a template's variables stand for.
type Values struct{ Streamer, Title, URL string }

const (
	// maxTemplate and maxDepth bound a template.
	maxTemplate = 500 // bytes
	maxDepth    = 8
	// maxValue bounds what one variable becomes, and maxName one name, in bytes: with a number and an ending a name stays
	// below the 255 of every common file system.
	maxValue = 120
	maxName  = 200
)

// placeholder is a variable in biliup's form {title} or in the form {{title}}.
var placeholder = regexp.MustCompile(`\{\{\s*([a-z_]+)\s*\}\}|\{([a-z_]+)\}`)

// variables lists the names that value knows. date and time are in biliup's guides, and nowhere in its code.
var variables = []string{"streamer", "title", "url", "date", "time"}

func (v Values) value(name string, at time.Time) string {
	switch name {
	case "streamer":
		return v.Streamer
	case "title":
		return v.Title
	case "url":
		return v.URL
	case "date":
		return at.Format("2006-01-02")
	}
	return at.Format("15_04_05")
}

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
		if names[i] = clean(render(name, values, at), maxName); names[i] == "" {
			names[i] = "_"
		}
	}
	return path.Join(names...)
}

// render fills one name. What comes from the room is put in as it is: a percent sign in it is no directive.
func render(text string, values Values, at time.Time) string {
	var out strings.Builder
	rest := 0
	for _, match := range placeholder.FindAllStringSubmatchIndex(text, -1) {
		out.WriteString(directives(text[rest:match[0]], at))
		out.WriteString(clean(values.value(group(text, match, 1)+group(text, match, 2), at), maxValue))
		rest = match[1]
	}
	out.WriteString(directives(text[rest:], at))
	return out.String()
}

func group(text string, match []int, n int) string {
	if match[2*n] < 0 {
		return ""
	}
	return text[match[2*n]:match[2*n+1]]
}

func directives(text string, at time.Time) string {
	if !strings.Contains(text, "%") {
		return text
	}
	return strftime.Format(text, at)
}

// clean makes a text safe as a part of a name, and cuts it to a number of bytes.
func clean(text string, most int) string {
	mapped := strings.Map(func(r rune) rune {
		switch {
		case strings.ContainsRune(`\/:*?"<>|`, r), unicode.IsControl(r), r == unicode.ReplacementChar:
			return '_'
		}
		return r
	}, text)
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
