package sdk

import (
	"regexp"
	"slices"
	"strings"
)

// SharedRoomOptions are the names of room options that belong to no plugin: any number of them can have these, with the same
// meaning. Every other room option begins with one of its plugin's prefixes.
func SharedRoomOptions() map[string]OptionType {
	return map[string]OptionType{
		// The User-Agent of media requests that bring none of their own.
		"user_agent": TypeString,
	}
}

var optionPrefix = regexp.MustCompile(`^[a-z][a-z0-9]*_$`)

// ValidOptionPrefix tells whether a text can be one of Info.OptionPrefixes: one word, and "_" behind it.
func ValidOptionPrefix(prefix string) bool { return optionPrefix.MatchString(prefix) }

// OwnsRoomOption tells whether a plugin may declare a room option: its name begins with one of the prefixes in
// Info.OptionPrefixes, or is one that all plugins share, of the same type.
func OwnsRoomOption(prefixes []string, option Option) bool {
	if typ, shared := SharedRoomOptions()[option.Name]; shared {
		return option.Type == typ && !option.Secret && option.Format == ""
	}
	return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(option.Name, prefix) })
}
