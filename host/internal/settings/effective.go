package settings

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Source is where the value of a setting comes from.
type Source string

// The sources, each of which goes before those above it.
const (
	FromDefault       Source = "default"
	FromPlugin        Source = "plugin" // the options of plugins.hcl
	FromConfiguration Source = "configuration"
	FromOverride      Source = "override"
	FromStreamer      Source = "streamer" // a field of the streamer itself
)

// Effective is a setting as it applies.
type Effective struct {
	// Value is masked where it is a secret.
	Value  json.RawMessage `json:"value"`
	Source Source          `json:"source"`
	// Works is false for what is only kept: nothing that runs takes it.
	Works bool `json:"works"`
}

// Room is what a streamer says about its settings.
type Room struct {
	Override []byte
	// SplitTime in seconds, SplitSize in MiB and FilenamePrefix are fields of the streamer; nil: it says nothing.
	SplitTime, SplitSize *int64
	FilenamePrefix       *string
}

// Effective returns every setting with the value that applies and where that comes from: for all rooms, or for one.
func (c *Catalog) Effective(global []byte, room *Room) (map[string]Effective, error) {
	shown := make(map[string]Effective, len(c.entries)+len(keys()))
	for key, entry := range c.entries {
		shown[key] = c.unset(key, entry)
	}
	if err := own(shown, DefaultConfiguration(), FromDefault, nil); err != nil {
		return nil, err
	}
	layers := []struct {
		raw    []byte
		source Source
	}{{global, FromConfiguration}}
	if room != nil {
		layers = append(layers, struct {
			raw    []byte
			source Source
		}{room.Override, FromOverride})
	}
	configuration := DefaultConfiguration()
	for _, layer := range layers {
		named, options, err := Split(layer.raw)
		if err != nil {
			return nil, err
		}
		if configuration, err = configuration.Merge(named); err != nil {
			return nil, err
		}
		if err := own(shown, configuration, layer.source, named); err != nil {
			return nil, err
		}
		for key, value := range options {
			if !isNull(value) {
				shown[key] = Effective{c.mask(key, value), layer.source, c.option(key) != nil}
			}
		}
	}
	if room == nil {
		return shown, nil
	}
	return shown, room.fields(shown, configuration)
}

// unset is an option of a plugin that nobody set while it runs.
func (c *Catalog) unset(key string, entry *catalogEntry) Effective {
	if entry.base != nil {
		return Effective{c.mask(key, entry.base), FromPlugin, true}
	}
	value := json.RawMessage(entry.declared[0].option.DefaultJSON)
	if !json.Valid(value) {
		value = nil
	}
	return Effective{c.mask(key, value), FromDefault, true}
}

// own puts the settings of lubod itself that a layer names, or all, into shown.
func own(shown map[string]Effective, configuration Configuration, source Source, named []byte) error {
	all, err := encoded(configuration)
	if err != nil {
		return err
	}
	only := all
	if source != FromDefault {
		only = nil
		if len(named) > 0 {
			if err := json.Unmarshal(named, &only); err != nil {
				return explain(err)
			}
		}
	}
	for key, value := range only {
		if source == FromDefault || !isNull(value) || Unlimited(key) {
			shown[key] = Effective{all[key], source, true}
		}
	}
	return nil
}

// fields puts what a streamer says itself into shown.
func (r Room) fields(shown map[string]Effective, configuration Configuration) error {
	if r.SplitTime != nil {
		configuration.SegmentTime = TimeLimit(*r.SplitTime)
	}
	if r.SplitSize != nil {
		configuration.FileSize = SizeLimit(*r.SplitSize * mebibyte)
	}
	if r.FilenamePrefix != nil {
		configuration.FilenamePrefix = *r.FilenamePrefix
	}
	all, err := encoded(configuration)
	if err != nil {
		return err
	}
	for key, said := range map[string]bool{"segment_time": r.SplitTime != nil, "file_size": r.SplitSize != nil, "filename_prefix": r.FilenamePrefix != nil} {
		if said {
			shown[key] = Effective{all[key], FromStreamer, true}
		}
	}
	return nil
}

func encoded(configuration Configuration) (map[string]json.RawMessage, error) {
	raw, err := json.Marshal(configuration)
	if err != nil {
		return nil, fmt.Errorf("encode configuration: %w", err)
	}
	var all map[string]json.RawMessage
	return all, json.Unmarshal(raw, &all)
}

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// Unlimited tells whether null is a value of a key, "no limit". For every other one it means that the key is not set.
func Unlimited(key string) bool { return key == "file_size" || key == "segment_time" }

// IsOwn tells whether a key is a setting of lubod itself.
func IsOwn(key string) bool { return slices.Contains(keys(), key) }
