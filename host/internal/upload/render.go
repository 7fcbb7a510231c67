package upload

import (
	"regexp"
	"strings"
	"time"

	"github.com/ncruces/go-strftime"
)

// placeholder is a variable in biliup's form {title} or in the form {{title}}.
var placeholder = regexp.MustCompile(`\{\{\s*([a-z_]+)\s*\}\}|\{([a-z_]+)\}`)

// render fills a template's text: the variables, and strftime directives with the start of the recording. What comes
// from a room (its title) is put in as it is: a percent sign in it is no directive. Unknown variables stay as they are.
func render(text string, variables map[string]string, start time.Time) string {
	var out strings.Builder
	rest := 0
	for _, match := range placeholder.FindAllStringSubmatchIndex(text, -1) {
		out.WriteString(directives(text[rest:match[0]], start))
		name := group(text, match, 1) + group(text, match, 2)
		value, known := variables[name]
		if !known {
			value = text[match[0]:match[1]]
		}
		out.WriteString(value)
		rest = match[1]
	}
	out.WriteString(directives(text[rest:], start))
	return out.String()
}

func group(text string, match []int, n int) string {
	if match[2*n] < 0 {
		return ""
	}
	return text[match[2*n]:match[2*n+1]]
}

func directives(text string, start time.Time) string {
	if !strings.Contains(text, "%") {
		return text
	}
	return strftime.Format(text, start)
}
