package settings

import (
	"fmt"
	"slices"

	"github.com/lubod/lubod/sdk"
)

// Owned returns what plugins declare, in the order of plugins.hcl, with those as room options that are theirs, and by the
// label of a plugin why one of its options is not. A room option belongs to the plugin whose prefix its name has: one that
// another plugin could declare as well would hand it that plugin's logins, and could disable it. Of two plugins with the same
// prefix the first one has it.
func Owned(plugins []PluginOptions) (owned []PluginOptions, refused map[string]string) {
	refused = make(map[string]string)
	owners := make(map[string]string) // of prefixes
	for _, plugin := range plugins {
		var prefixes []string
		for _, prefix := range plugin.Prefixes {
			if owner := owners[prefix]; owner != "" && owner != plugin.Plugin {
				refused[plugin.Plugin] = fmt.Sprintf("options that begin with %q belong to %s, which comes first in plugins.hcl: those of %s cannot be set for rooms", prefix, owner, plugin.Plugin)
				continue
			}
			if sdk.ValidOptionPrefix(prefix) {
				owners[prefix] = plugin.Plugin
				prefixes = append(prefixes, prefix)
			}
		}
		mine := plugin
		mine.Schema = slices.Clone(plugin.Schema)
		for i := range mine.Schema {
			option := &mine.Schema[i]
			problem := ""
			switch {
			case !option.Room:
			case option.Type == sdk.TypeUnknown:
				option.Room = false
			case slices.Contains(keys(), option.Name):
				problem = fmt.Sprintf("%s has an option %q, which is the name of a setting of lubod itself: the plugin's cannot be set here", plugin.Plugin, option.Name)
			case !sdk.OwnsRoomOption(prefixes, *option):
				problem = fmt.Sprintf("the option %q of %s begins with no prefix that is its own, and is none that all plugins share: it cannot be set for rooms", option.Name, plugin.Plugin)
			}
			if problem != "" {
				option.Room = false
				if refused[plugin.Plugin] == "" {
					refused[plugin.Plugin] = problem
				}
			}
		}
		owned = append(owned, mine)
	}
	return owned, refused
}
