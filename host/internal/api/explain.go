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
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"

	"github.com/lubod/lubod/host/internal/reason"
)

// explain turns what the validator found into one sentence that names the field, says what is wrong and what is
// allowed. It never repeats a value: it may be a password.
func explain(err error) *problem {
	var request *openapi3filter.RequestError
	if !errors.As(err, &request) {
		return invalid("", reason.New(reason.APIShape))
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
		return invalid("", reason.New(reason.APIBodyMissing))
	case errors.Is(request.Err, openapi3filter.ErrInvalidRequired), errors.Is(request.Err, openapi3filter.ErrInvalidEmptyValue):
		return invalid(field, reason.New(reason.APIMissing))
	case request.Parameter != nil:
		return invalid(field, reason.New(reason.APIKind, "expected", kind(request.Parameter.Schema.Value)))
	}
	return invalid("", reason.New(reason.APIBodyShape))
}

func explainSchema(field string, e *openapi3.SchemaError) *problem {
	if path := strings.Join(e.JSONPointer(), "."); path != "" {
		field = path
	}
	s := e.Schema
	switch e.SchemaField {
	case "type", "nullable":
		if field == "" {
			return invalid("", reason.New(reason.APIBodyType, "expected", kind(s), "got", kindOf(e.Value)))
		}
		if kindOf(e.Value) == reason.WordNumber && s.Type.Is("integer") {
			return invalid(field, reason.New(reason.APIWholeNumber))
		}
		return invalid(field, reason.New(reason.APIType, "expected", kind(s), "got", kindOf(e.Value)))
	case "required":
		return invalid(field, reason.New(reason.APIMissing))
	case "properties":
		return explainUnknown(field, e)
	case "minimum", "maximum", "format": // numbers have a format: they may not fit into it
		return invalid(field, bounds(s))
	case "minLength":
		if s.MinLength == 1 {
			return invalid(field, reason.New(reason.APIEmpty))
		}
		return invalid(field, counted(reason.APILongerText, "min", s.MinLength))
	case "maxLength":
		return invalid(field, counted(reason.APIShorterText, "max", *s.MaxLength))
	case "minItems":
		if s.MinItems == 1 {
			return invalid(field, reason.New(reason.APINoEntry))
		}
		return invalid(field, counted(reason.APIMoreEntries, "min", s.MinItems))
	case "maxItems":
		return invalid(field, counted(reason.APIFewerEntries, "max", *s.MaxItems))
	case "enum":
		return invalid(field, choices(s.Enum))
	case "pattern":
		return invalid(field, pattern(s))
	}
	return invalid(field, reason.New(reason.APIForm, "form", e.SchemaField))
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
		return invalid(fmt.Sprintf("%s%.100s", prefix, name), reason.New(reason.APIUnknownField, "allowed", strings.Join(known, ", ")))
	}
	return invalid(prefix, reason.New(reason.APIUnknownFields, "allowed", strings.Join(known, ", ")))
}

// explainDecode is for what the contract lets pass and Go's decoder does not, such as 1.0 where a whole number belongs.
func explainDecode(err error) *problem {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" {
		if wrong.Type.Kind() >= reflect.Int && wrong.Type.Kind() <= reflect.Uint64 {
			return invalid(wrong.Field, reason.New(reason.APIPlainWholeNumber))
		}
		return invalid(wrong.Field, reason.New(reason.APINotA, "got", wrong.Value))
	}
	return invalid("", reason.New(reason.APIBodyNumbers))
}

func kind(s *openapi3.Schema) string {
	switch {
	case s.Type.Is("integer"):
		return reason.WordInteger
	case s.Type.Is("number"):
		return reason.WordNumber
	case s.Type.Is("string"):
		return reason.WordText
	case s.Type.Is("boolean"):
		return reason.WordBoolean
	case s.Type.Is("array"):
		return reason.WordList
	}
	return reason.WordObject
}

func kindOf(value any) string {
	switch value.(type) {
	case nil:
		return reason.WordNull
	case string:
		return reason.WordText
	case bool:
		return reason.WordBoolean
	case []any:
		return reason.WordList
	case map[string]any:
		return reason.WordObject
	}
	return reason.WordNumber
}

func bounds(s *openapi3.Schema) reason.Reason {
	number := func(limit *float64) string { return fmt.Sprintf("%.0f", *limit) }
	switch {
	case s.Min == nil && s.Max == nil:
		return reason.New(reason.APINumberForm, "expected", kind(s), "form", s.Format)
	case s.Min != nil && s.Max != nil && *s.Max-*s.Min == 1:
		return reason.New(reason.APIEither, "one", number(s.Min), "other", number(s.Max))
	case s.Min != nil && s.Max != nil:
		return reason.New(reason.APIBetween, "min", number(s.Min), "max", number(s.Max))
	case s.Min != nil:
		return reason.New(reason.APIAtLeast, "min", number(s.Min))
	}
	return reason.New(reason.APIAtMost, "max", number(s.Max))
}

func counted(code, limit string, n uint64) reason.Reason {
	return reason.New(code, limit, strconv.FormatUint(n, 10))
}

func choices(values []any) reason.Reason {
	var texts []string
	for _, value := range values {
		if value == "" {
			continue // it means none, as null does
		}
		texts = append(texts, fmt.Sprintf("%v", value))
	}
	if len(texts) == 1 {
		return reason.New(reason.APIOneChoice, "choice", texts[0])
	}
	return reason.New(reason.APIChoice, "choices", strings.Join(texts, ", "))
}

// pattern says in words what the patterns of the contract mean.
func pattern(s *openapi3.Schema) reason.Reason {
	switch s.Pattern {
	case patternTrimmed:
		return reason.New(reason.APITrimmed)
	case patternApp:
		return reason.New(reason.APINullOrApp)
	}
	return reason.New(reason.APIPattern, "form", s.Pattern)
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
