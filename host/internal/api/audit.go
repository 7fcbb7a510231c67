package api

import (
	"context"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// wrote logs what a user changed, once it is committed: one line for each write, with who it was.
func (s *Server) wrote(ctx context.Context, what string, attributes ...any) {
	who := callerOf(ctx)
	//nolint:sloglint // each caller gives a constant
	s.log.Info(what, append(attributes, "by", who.String(), "address", who.address)...)
}

// String is who sent a request, for the log.
func (c *caller) String() string {
	switch {
	case c.userID == 0:
		return "nobody logged in"
	case c.tokenName != "":
		return c.username + " (token " + c.tokenName + ")"
	}
	return c.username
}

// changedFields names the fields of two answers of one kind that differ.
func changedFields[T any](before, after T) []string {
	fields := func(value T) map[string]any {
		var object map[string]any
		encoded, err := json.Marshal(value)
		if err != nil || json.Unmarshal(encoded, &object) != nil {
			return nil
		}
		return object
	}
	left, right := fields(before), fields(after)
	var changed []string
	for _, name := range slices.Sorted(maps.Keys(right)) {
		if !reflect.DeepEqual(left[name], right[name]) {
			changed = append(changed, name)
		}
	}
	return changed
}

// withoutQuery is a URL for the log: what is behind the path may be a signature that lets anybody in.
func withoutQuery(address string) string {
	plain, _, _ := strings.Cut(address, "?")
	return plain
}
