// Package reason says why something is as it is: a stable code that programs rely on, arguments, a text for people in two
// languages, and what can be done about it. Whoever makes a reason adds its code to the catalogue here, in the file of its
// area. A code that was released keeps its name, its meaning and its placeholders.
package reason

import (
	"encoding/json"
	"regexp"
	"strings"
)

// Reason is one code with its arguments. The zero value: there is none.
type Reason struct {
	Code string            `json:"code"`
	Args map[string]string `json:"args,omitempty"`
}

// Language is one in which texts are written.
type Language string

// The languages of the catalogue.
const (
	English Language = "en"
	Chinese Language = "zh"
)

// Kind says what sort of thing helps.
type Kind string

// The kinds of actions.
const (
	Wait      Kind = "wait"       // nothing is to be done: it goes on by itself
	Retry     Kind = "retry"      // a person orders another try
	Edit      Kind = "edit"       // a person changes the target
	Login     Kind = "login"      // a person logs in again
	FreeSpace Kind = "free_space" // a person makes room on a disk
	Open      Kind = "open"       // a person looks at the target
)

// Action is what helps, and where. The target is a resource of the API ("streamer", "template", "account", "configuration",
// "submission", …), "plugins" (plugins.hcl), "host" (the machine and its start options) or empty; it may hold placeholders.
type Action struct {
	Kind   Kind   `json:"kind"`
	Target string `json:"target,omitempty"`
}

// entry is what the catalogue says of one code. Texts hold {placeholders}, the same in both.
type entry struct {
	en, zh string
	action Action
}

type catalogue map[string]entry

// areas are all parts of the catalogue.
var areas = []catalogue{general, network, rooms, recordings, uploads, submissions, hookSteps, healthChecks, accounts, plugins, requests, parts, biliupPaths}

func find(code string) (entry, bool) {
	for _, area := range areas {
		if found, ok := area[code]; ok {
			return found, true
		}
	}
	return entry{}, false
}

// New makes a reason. Arguments are pairs of a placeholder's name and its value.
func New(code string, args ...string) Reason {
	made := Reason{Code: code}
	for i := 0; i+1 < len(args); i += 2 {
		made = made.With(args[i], args[i+1])
	}
	return made
}

// With returns the reason with one more argument.
func (r Reason) With(name, value string) Reason {
	args := map[string]string{name: clean(value)}
	for known, text := range r.Args {
		if known != name {
			args[known] = text
		}
	}
	r.Args = args
	return r
}

// longest bounds an argument: reasons are kept in rows and shown in lists.
const longest = 1000

// clean makes a text fit for a row and an answer, whoever sent it.
func clean(text string) string {
	if len(text) > longest {
		text = text[:longest] + "…"
	}
	return strings.ReplaceAll(strings.ToValidUTF8(text, "�"), "\x00", "")
}

// IsZero tells whether there is no reason.
func (r Reason) IsZero() bool { return r.Code == "" }

// Known tells whether the catalogue has the code.
func (r Reason) Known() bool {
	_, known := find(r.Code)
	return known
}

// Text is the reason for people; "" for the zero value. A code from a newer version is shown with its own text, if any.
func (r Reason) Text(language Language) string {
	if r.IsZero() {
		return ""
	}
	found, known := find(r.Code)
	switch {
	case !known && r.Args["text"] != "":
		return r.Args["text"]
	case !known:
		return r.Code
	case language == Chinese:
		return r.fill(found.zh, Chinese)
	}
	return r.fill(found.en, English)
}

// Action is what can be done about it.
func (r Reason) Action() Action {
	found, known := find(r.Code)
	if !known {
		return Action{Kind: Open}
	}
	return Action{Kind: found.action.Kind, Target: r.fill(found.action.Target, English)}
}

var placeholder = regexp.MustCompile(`\{[a-z_]+\}`)

func (r Reason) fill(text string, language Language) string {
	return placeholder.ReplaceAllStringFunc(text, func(name string) string { return inWords(r.Args[name[1:len(name)-1]], language) })
}

// JSON is the form for a jsonb column; nil (NULL) for the zero value.
func (r Reason) JSON() []byte {
	if r.IsZero() {
		return nil
	}
	encoded, err := json.Marshal(r)
	if err != nil {
		return nil // strings only: this cannot fail
	}
	return encoded
}

// Parse reads what JSON wrote. Anything else is no reason.
func Parse(column []byte) Reason {
	var read Reason
	if len(column) == 0 || json.Unmarshal(column, &read) != nil {
		return Reason{}
	}
	return read
}
