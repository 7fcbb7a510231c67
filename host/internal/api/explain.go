package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"reflect"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
)

// explain turns what the validator found into one sentence that names the field, says what is wrong and what is
// allowed. It never repeats a value: it may be a password.
func explain(err error) *problem {
	var request *openapi3filter.RequestError
	if !errors.As(err, &request) {
		return invalid("", "the request does not have the expected shape")
	}
	field := ""
	if request.Parameter != nil {
		field = request.Parameter.Name
	}
	var schema *openapi3.SchemaError
	if errors.As(request.Err, &schema) {
		return explainSchema(field, schema)
	}
	switch {
	case errors.Is(request.Err, openapi3filter.ErrInvalidRequired) && field == "":
		return invalid("", "the body is missing; a JSON object is expected")
	case errors.Is(request.Err, openapi3filter.ErrInvalidRequired), errors.Is(request.Err, openapi3filter.ErrInvalidEmptyValue):
		return invalid(field, "is missing")
	case request.Parameter != nil:
		return invalid(field, "must be %s", kind(request.Parameter.Schema.Value))
	}
	return invalid("", "the body does not have the expected shape")
}

func explainSchema(field string, e *openapi3.SchemaError) *problem {
	if path := strings.Join(e.JSONPointer(), "."); path != "" {
		field = path
	}
	s := e.Schema
	switch e.SchemaField {
	case "type", "nullable":
		if field == "" {
			return invalid("", "the body must be %s, not %s", kind(s), kindOf(e.Value))
		}
		if kindOf(e.Value) == "a number" && s.Type.Is("integer") {
			return invalid(field, "must be a whole number")
		}
		return invalid(field, "must be %s, not %s", kind(s), kindOf(e.Value))
	case "required":
		return invalid(field, "is missing")
	case "properties":
		return explainUnknown(field, e)
	case "minimum", "maximum", "format": // numbers have a format: they may not fit into it
		return invalid(field, "must be %s", bounds(s))
	case "minLength":
		if s.MinLength == 1 {
			return invalid(field, "must not be empty")
		}
		return invalid(field, "must have at least %d characters", s.MinLength)
	case "maxLength":
		return invalid(field, "must have at most %d characters", *s.MaxLength)
	case "minItems":
		if s.MinItems == 1 {
			return invalid(field, "must have at least one entry")
		}
		return invalid(field, "must have at least %d entries", s.MinItems)
	case "maxItems":
		return invalid(field, "must have at most %d entries", *s.MaxItems)
	case "enum":
		return invalid(field, "must be %s", choices(s.Enum))
	case "pattern":
		return invalid(field, "must be %s", pattern(s))
	}
	return invalid(field, "does not have the expected form (%s)", e.SchemaField)
}

// explainUnknown names a field that the object does not have, and those it has.
func explainUnknown(prefix string, e *openapi3.SchemaError) *problem {
	known := slices.Sorted(maps.Keys(e.Schema.Properties))
	object, _ := e.Value.(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if _, ok := e.Schema.Properties[name]; ok {
			continue
		}
		if prefix != "" {
			prefix += "."
		}
		return invalid(fmt.Sprintf("%s%.100s", prefix, name), "is not known here; allowed are %s", strings.Join(known, ", "))
	}
	return invalid(prefix, "has a field that is not known; allowed are %s", strings.Join(known, ", "))
}

// explainDecode is for what the contract lets pass and Go's decoder does not, such as 1.0 where a whole number belongs.
func explainDecode(err error) *problem {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" {
		if wrong.Type.Kind() >= reflect.Int && wrong.Type.Kind() <= reflect.Uint64 {
			return invalid(wrong.Field, "must be a whole number, written without a fraction or an exponent")
		}
		return invalid(wrong.Field, "must not be a %s", wrong.Value)
	}
	return invalid("", "the body does not have the expected shape: whole numbers must be written without a fraction or an exponent")
}

func kind(s *openapi3.Schema) string {
	switch {
	case s.Type.Is("integer"):
		return "a whole number"
	case s.Type.Is("number"):
		return "a number"
	case s.Type.Is("string"):
		return "a text"
	case s.Type.Is("boolean"):
		return "true or false"
	case s.Type.Is("array"):
		return "a list"
	}
	return "a JSON object"
}

func kindOf(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case string:
		return "a text"
	case bool:
		return "true or false"
	case []any:
		return "a list"
	case map[string]any:
		return "a JSON object"
	}
	return "a number"
}

func bounds(s *openapi3.Schema) string {
	switch {
	case s.Min == nil && s.Max == nil:
		return kind(s) + " of the form " + s.Format
	case s.Min != nil && s.Max != nil && *s.Max-*s.Min == 1:
		return fmt.Sprintf("%.0f or %.0f", *s.Min, *s.Max)
	case s.Min != nil && s.Max != nil:
		return fmt.Sprintf("from %.0f to %.0f", *s.Min, *s.Max)
	case s.Min != nil:
		return fmt.Sprintf("at least %.0f", *s.Min)
	}
	return fmt.Sprintf("at most %.0f", *s.Max)
}

func choices(values []any) string {
	var texts []string
	for _, value := range values {
		if value == "" {
			continue // it means none, as null does
		}
		texts = append(texts, fmt.Sprintf("%v", value))
	}
	return strings.Join(texts, " or ")
}

// pattern says in words what the patterns of the contract mean.
func pattern(s *openapi3.Schema) string {
	switch s.Pattern {
	case patternTrimmed:
		return "a text that neither begins nor ends with a space"
	case patternApp:
		return "null or app"
	}
	return "a text of the form " + s.Pattern
}

const (
	patternTrimmed = `^\S(.*\S)?$`
	patternApp     = `^app$`
)

func isNetworkError(err error) bool {
	// net.Error would not do: every error of the file system is one too.
	var network *net.OpError
	var name *net.DNSError
	return errors.As(err, &network) || errors.As(err, &name) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}
