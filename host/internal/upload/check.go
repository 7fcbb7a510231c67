package upload

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/reason"
)

// Bilibili's limits on an archive, in characters.
const (
	maxTitle   = 80
	maxDesc    = 2000
	maxDynamic = 233
	maxSource  = 200
	maxTags    = 12
	maxTag     = 20
)

// FieldError is a field of a template that Bilibili would refuse.
type FieldError struct{ Field, Problem string }

func (e *FieldError) Error() string { return e.Field + ": " + e.Problem }

// CheckTemplate finds what Bilibili would refuse whatever the stream is called. Texts with variables are cut when they are
// rendered, and what is missing may still be filled in: see CheckComplete. Errors are *FieldError.
func CheckTemplate(t db.Template) error {
	if !strings.ContainsAny(t.Title, "{%") && utf8.RuneCountInString(t.Title) > maxTitle {
		return &FieldError{"title", fmt.Sprintf("must have at most %d characters", maxTitle)}
	}
	if t.CreationStatement != 0 && t.Copyright == reposted {
		return &FieldError{"creation_statement", "is for own work (copyright 1 or 3) only; set it to null"}
	}
	tags := strings.FieldsFunc(t.Tag, func(r rune) bool { return r == ',' || r == '，' })
	if len(tags) > maxTags {
		return &FieldError{"tag", fmt.Sprintf("must hold at most %d tags, not %d", maxTags, len(tags))}
	}
	for _, tag := range tags {
		if !strings.ContainsAny(tag, "{%") && utf8.RuneCountInString(strings.TrimSpace(tag)) > maxTag {
			return &FieldError{"tag", fmt.Sprintf("the tag %q has more than %d characters", strings.TrimSpace(tag), maxTag)}
		}
	}
	return nil
}

var errNoTag = &FieldError{"tag", "is missing: Bilibili wants at least one tag"}

// CheckComplete is CheckTemplate for what is about to be published.
func CheckComplete(t db.Template) error {
	if strings.Trim(t.Tag, " ,，") == "" {
		return errNoTag
	}
	return CheckTemplate(t)
}

// checkFields looks for what Bilibili would refuse before anything is uploaded for it. What a person ordered was checked then,
// and cannot be changed any more.
func checkFields(recording db.Recording, template db.Template) error {
	if recording.Params != nil {
		return nil
	}
	err := CheckComplete(template)
	if err == nil && describe(recording, template, nil, time.UTC).Tag == "" {
		err = errNoTag // its variables are empty for this recording
	}
	if err != nil {
		return missing(withCause(reason.New(reason.UploadField, "template", template.TemplateName), err))
	}
	return nil
}
