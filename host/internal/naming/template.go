package naming

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ncruces/go-strftime"
)

// Values are what a template's variables stand for.
type Values struct{ Streamer, Title, URL string }

// placeholder is a variable in biliup's form {title} or in the form {{title}}.
var placeholder = regexp.MustCompile(`\{\{\s*([a-z_]+)\s*\}\}|\{([a-z_]+)\}`)

// variables lists the names that value knows. date and time are in biliup's guides, and nowhere in its code.
var variables = []string{"streamer", "title", "url", "date", "time"}

// value is what a variable stands for. What is made of it gets published, be it as the name of a part, so an address loses what
// may be a secret.
func (v Values) value(name string, at time.Time) string {
	switch name {
	case "streamer":
		return WithoutSecrets(v.Streamer)
	case "title":
		return WithoutSecrets(v.Title)
	case "url":
		return PublicURL(v.URL)
	case "date":
		return at.Format("2006-01-02")
	}
	return at.Format("15:04:05")
}

// fill fills a template: variables, made fit by a function, and strftime directives with a time. What comes from the room is no
// template itself: a percent sign in it is no directive. Unknown variables stay as they are.
func fill(text string, values Values, at time.Time, fit func(string) string) string {
	var out strings.Builder
	rest := 0
	for _, match := range placeholder.FindAllStringSubmatchIndex(text, -1) {
		out.WriteString(directives(text[rest:match[0]], at))
		if name := group(text, match, 1) + group(text, match, 2); slices.Contains(variables, name) {
			out.WriteString(fit(values.value(name, at)))
		} else {
			out.WriteString(text[match[0]:match[1]])
		}
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
