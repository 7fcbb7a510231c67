package api

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
)

// repeatedKey finds a key that stands twice in one object: which of the two counts would be up to whoever reads it. raw
// is valid JSON.
func repeatedKey(raw []byte) (string, bool) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	// One set for each object that is open; nil for a list.
	var open []map[string]bool
	expectKey := false
	for {
		token, err := decoder.Token()
		if err != nil {
			return "", false // the end
		}
		if key, isText := token.(string); isText && expectKey {
			seen := open[len(open)-1]
			if seen[key] {
				return key, true
			}
			seen[key], expectKey = true, false
			continue
		}
		switch token {
		case json.Delim('{'):
			open = append(open, make(map[string]bool))
		case json.Delim('['):
			open = append(open, nil)
		case json.Delim('}'), json.Delim(']'):
			open = open[:len(open)-1]
		}
		expectKey = len(open) > 0 && open[len(open)-1] != nil
	}
}

// onlyKnown leaves out the fields that an object may have and no handler asks for. Go's decoder would take "PASSWORD" for
// "password", past the checks of the contract.
func onlyKnown(raw []byte, schema *openapi3.Schema) ([]byte, error) {
	if schema == nil || !schema.Type.Is("object") || len(schema.Properties) == 0 || schema.AdditionalProperties.Has != nil || schema.AdditionalProperties.Schema != nil {
		return raw, nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(raw, &object); err != nil {
		return nil, explainDecode(err)
	}
	known := slices.Collect(maps.Keys(schema.Properties))
	maps.DeleteFunc(object, func(name string, _ json.RawMessage) bool { return !slices.Contains(known, name) })
	return json.Marshal(object)
}
