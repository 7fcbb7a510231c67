package settings

import (
	"bytes"
	"encoding/json"
	"slices"
)

// Split divides one JSON object of configuration keys, or nothing, into the keys of Configuration, as an object, and
// those of plugins. Errors are *KeyError.
func Split(raw []byte) (own json.RawMessage, options map[string]json.RawMessage, err error) {
	if trimmed := bytes.TrimSpace(raw); len(trimmed) == 0 || bytes.Equal(trimmed, []byte("{}")) {
		return nil, nil, nil
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, nil, explain(err)
	}
	for key, value := range all {
		if slices.Contains(keys(), key) {
			continue
		}
		if options == nil {
			options = make(map[string]json.RawMessage)
		}
		options[key] = value
		delete(all, key)
	}
	if options == nil {
		return raw, nil, nil // most rooms, of which there may be a thousand in one answer
	}
	own, err = json.Marshal(all)
	if err != nil {
		return nil, nil, explain(err)
	}
	return own, options, nil
}
