package pages

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// document is the contract as its page shows it.
type document struct {
	Title, Description string
	Sections           []section
}

type section struct {
	Name, Description string
	Operations        []operation
}

type operation struct {
	ID, Method, Path, Summary, Description string
	// Public and Token say who may: everybody; users; users and their tokens.
	Public, Token bool
	Parameters    []field
	Body          []field
	BodyExample   string
	Answers       []reply
}

type field struct {
	Name, Type, Description string
	Required                bool
}

// table is what the template of a list of fields needs.
type table struct {
	T      words
	Fields []field
}

func newTable(t words, fields []field) table { return table{t, fields} }

type reply struct{ Status, Description, Example string }

// maxFieldDepth bounds how deep objects in objects are shown.
const maxFieldDepth = 3

func describe(spec *openapi3.T) document {
	doc := document{Title: spec.Info.Title, Description: spec.Info.Description}
	byTag := make(map[string][]operation)
	for path, item := range spec.Paths.Map() {
		for method, op := range item.Operations() {
			tag := ""
			if len(op.Tags) > 0 {
				tag = op.Tags[0]
			}
			byTag[tag] = append(byTag[tag], describeOperation(spec, path, method, op))
		}
	}
	for _, tag := range spec.Tags {
		operations := byTag[tag.Name]
		slices.SortFunc(operations, func(a, b operation) int {
			return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Method, b.Method))
		})
		doc.Sections = append(doc.Sections, section{Name: tag.Name, Description: tag.Description, Operations: operations})
	}
	return doc
}

func describeOperation(spec *openapi3.T, path, method string, op *openapi3.Operation) operation {
	o := operation{ID: op.OperationID, Method: method, Path: path, Summary: op.Summary, Description: op.Description}
	security := spec.Security
	if op.Security != nil {
		security = *op.Security
	}
	o.Public = len(security) == 0
	for _, requirement := range security {
		_, token := requirement["token"]
		o.Public = o.Public || len(requirement) == 0
		o.Token = o.Token || token
	}
	for _, parameter := range op.Parameters {
		p := parameter.Value
		o.Parameters = append(o.Parameters, field{Name: p.Name + " (" + p.In + ")", Type: typeOf(p.Schema), Description: p.Description, Required: p.Required})
	}
	if op.RequestBody != nil {
		for _, content := range op.RequestBody.Value.Content {
			o.Body, o.BodyExample = fields(content.Schema, "", 0), example(content)
		}
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses.Map())) {
		o.Answers = append(o.Answers, describeAnswer(status, op.Responses.Value(status).Value))
	}
	return o
}

func describeAnswer(status string, response *openapi3.Response) reply {
	a := reply{Status: status}
	if response.Description != nil {
		a.Description = *response.Description
	}
	if strings.HasPrefix(status, "2") { // all errors look the same
		for _, content := range response.Content {
			a.Example = example(content)
		}
	}
	return a
}

func example(content *openapi3.MediaType) string {
	if content.Example == nil {
		return ""
	}
	if text, ok := content.Example.(string); ok {
		return text
	}
	indented, err := json.MarshalIndent(content.Example, "", "  ")
	if err != nil {
		return ""
	}
	return string(indented)
}

// fields lists the properties of an object, and of those in it under their path.
func fields(ref *openapi3.SchemaRef, prefix string, depth int) []field {
	if ref == nil || ref.Value == nil || depth > maxFieldDepth {
		return nil
	}
	s := ref.Value
	var all []field
	for _, part := range s.AllOf {
		all = append(all, fields(part, prefix, depth+1)...)
	}
	if s.Type.Is("array") {
		return append(all, fields(s.Items, prefix+"[].", depth+1)...)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		property := s.Properties[name]
		all = append(all, field{
			Name: prefix + name, Type: typeOf(property), Description: property.Value.Description, Required: slices.Contains(s.Required, name),
		})
		all = append(all, fields(property, prefix+name+".", depth+1)...)
	}
	return all
}

// typeOf says in a few words what a value may be.
func typeOf(ref *openapi3.SchemaRef) string {
	if ref == nil || ref.Value == nil {
		return ""
	}
	s := ref.Value
	text := strings.Join(s.Type.Slice(), " | ")
	if s.Format != "" {
		text += " " + s.Format
	}
	if len(s.Enum) > 0 {
		values := make([]string, len(s.Enum))
		for i, value := range s.Enum {
			values[i] = fmt.Sprint(value)
		}
		text = strings.Join(values, " | ")
	}
	switch {
	case s.Min != nil && s.Max != nil:
		text += fmt.Sprintf(" %.0f–%.0f", *s.Min, *s.Max)
	case s.MaxLength != nil:
		text += fmt.Sprintf(" ≤ %d", *s.MaxLength)
	}
	if s.Nullable {
		text += " | null"
	}
	return text
}
