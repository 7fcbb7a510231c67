// Package settings is what users change while the host runs: the keys of /configuration and of a room's override, which keys
// the installed plugins add to them, and which value applies. Every mistake is a *KeyError: it names the key, what is wrong
// with its value and what is allowed.
package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"regexp"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/lubod/lubod/host/internal/naming"
)

// Configuration holds the keys of /configuration, which also work per room in a streamer's "override". The names are
// biliup's, so that its users find what they know. Zero values are never defaults: start from DefaultConfiguration.
type Configuration struct {
	// Lines names the upload line, or "AUTO" for the fastest one.
	Lines string `json:"lines"`
	// Threads is how many chunks of one file may be under way at once.
	Threads int `json:"threads"`
	// SubmitAPI chooses the interface for submissions; nil: app. See SubmitVia.
	SubmitAPI *string `json:"submit_api"`
	// UseLiveCover gives archives the cover of the live room, where the template names none.
	UseLiveCover bool `json:"use_live_cover"`
	// DownloadLimit and UploadLimit bound how many recordings and uploads run at once.
	DownloadLimit int `json:"download_limit"`
	UploadLimit   int `json:"upload_limit"`
	// Delay in seconds: a stream that comes back within it is the same recording.
	Delay int `json:"delay"`
	// EventLoopInterval in seconds between two questions about one room.
	EventLoopInterval int `json:"event_loop_interval"`
	// FilteringThreshold in MB: shorter segments are kept on disk and not published.
	FilteringThreshold float64 `json:"filtering_threshold"`
	// FileSize and SegmentTime are with how much, and after how long, the files of rooms end that say nothing of their own.
	FileSize    SizeLimit `json:"file_size"`
	SegmentTime TimeLimit `json:"segment_time"`
	// FilenamePrefix is the template of file names, for rooms that have none of their own.
	FilenamePrefix string `json:"filename_prefix"`
	// FileMode and FolderMode are the permissions of recordings, and of folders that are made for them, as octal text; empty:
	// as the umask says. See Modes.
	FileMode   string `json:"file_mode"`
	FolderMode string `json:"folder_mode"`
	// TimeZone is whose clock names, titles and time windows follow; empty: the machine's. See Zone.
	TimeZone string `json:"time_zone"`
	// Downloader names the recorder, as plugins.hcl does or without "recorder-"; empty: the first that takes the room's streams.
	// The name is biliup's.
	Downloader string `json:"downloader"`
	// TrashDays is how long removed files are kept; 0: they are removed at once.
	TrashDays int `json:"trash_days"`
}

// MaxUploadLimit is the largest UploadLimit.
const MaxUploadLimit = 100

// LineAuto is the value of Lines that lets the host choose.
const LineAuto = "AUTO"

// Line is the line that Lines means where these are served. A name that no plugin serves, such as that of an interface that
// Bilibili closed, means LineAuto, by which the host chooses.
func (c Configuration) Line(served []string) string {
	if !slices.Contains(served, c.Lines) {
		return LineAuto
	}
	return c.Lines
}

// DefaultConfiguration is what applies where nothing is set.
func DefaultConfiguration() Configuration {
	return Configuration{
		Lines: LineAuto, Threads: 3, DownloadLimit: 5, UploadLimit: 2,
		Delay: 300, EventLoopInterval: 30, FilteringThreshold: 20,
		FileSize: 2048 * mebibyte, SegmentTime: 3600, FilenamePrefix: naming.Default, TrashDays: 3,
	}
}

// KeyError says which key of a configuration is wrong, and how.
type KeyError struct{ Key, Problem string }

func (e *KeyError) Error() string { return fmt.Sprintf("%s: %s", e.Key, e.Problem) }

// Merge returns c with the keys that raw (one JSON object, or nothing) names. Errors are *KeyError.
func (c Configuration) Merge(raw json.RawMessage) (Configuration, error) {
	if len(bytes.TrimSpace(raw)) == 0 {
		return c, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		return Configuration{}, explain(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Configuration{}, &KeyError{"configuration", "must be one JSON object"}
	}
	return c, c.validate()
}

// DelayDuration and the others below are the keys as durations and bytes.
func (c Configuration) DelayDuration() time.Duration { return time.Duration(c.Delay) * time.Second }

// PollInterval is EventLoopInterval as a duration.
func (c Configuration) PollInterval() time.Duration {
	return time.Duration(c.EventLoopInterval) * time.Second
}

// FilteringBytes is FilteringThreshold in bytes; MB are decimal, as in biliup.
func (c Configuration) FilteringBytes() int64 { return int64(c.FilteringThreshold * 1e6) }

// TrashTime is TrashDays as a duration.
func (c Configuration) TrashTime() time.Duration { return time.Duration(c.TrashDays) * 24 * time.Hour }

// submitSpellings are the values of SubmitAPI, with those that biliup's users know for the same.
var submitSpellings = map[string]string{
	"app": "app", "web": "web", "b-cut-android": "b-cut-android", "bcutandroid": "b-cut-android", "bcut_android": "b-cut-android",
}

// SubmitVia is SubmitAPI in one spelling: app, web or b-cut-android.
func (c Configuration) SubmitVia() string {
	if c.SubmitAPI == nil {
		return "app"
	}
	return submitSpellings[*c.SubmitAPI]
}

var downloaderName = regexp.MustCompile(`^[a-z0-9-]{0,100}$`)

func (c Configuration) validate() error {
	for _, limit := range []struct {
		key             string
		value, min, max int
	}{
		{"threads", c.Threads, 1, 64},
		{"download_limit", c.DownloadLimit, 1, 10_000},
		{"upload_limit", c.UploadLimit, 1, MaxUploadLimit},
		{"delay", c.Delay, 0, 7 * 24 * 3600},
		{"event_loop_interval", c.EventLoopInterval, 1, 24 * 3600},
		{"trash_days", c.TrashDays, 0, 3650},
	} {
		if limit.value < limit.min || limit.value > limit.max {
			return &KeyError{limit.key, fmt.Sprintf("must be from %d to %d, not %d", limit.min, limit.max, limit.value)}
		}
	}
	if c.FilteringThreshold < 0 || c.FilteringThreshold > 1e6 || math.IsNaN(c.FilteringThreshold) {
		return &KeyError{"filtering_threshold", "must be from 0 to 1000000 (MB)"}
	}
	if strings.TrimSpace(c.Lines) == "" {
		return &KeyError{"lines", `must name an upload line, or "AUTO"`}
	}
	if err := naming.Check(c.FilenamePrefix); err != nil {
		return &KeyError{"filename_prefix", err.Error()}
	}
	if _, err := fileMode(c.FileMode); err != nil {
		return &KeyError{"file_mode", err.Error()}
	}
	if _, err := folderMode(c.FolderMode); err != nil {
		return &KeyError{"folder_mode", err.Error()}
	}
	if _, err := zone(c.TimeZone); err != nil {
		return &KeyError{"time_zone", err.Error()}
	}
	if !downloaderName.MatchString(c.Downloader) {
		return &KeyError{"downloader", "must be the name of a recorder, such as \"recorder-native\", or empty"}
	}
	if c.SubmitAPI != nil && submitSpellings[*c.SubmitAPI] == "" {
		problem := fmt.Sprintf(`must be null, "app", "web" or "b-cut-android", not %.40q`, *c.SubmitAPI)
		if *c.SubmitAPI == "client" {
			problem += "; Bilibili closed that one in July 2025"
		}
		return &KeyError{"submit_api", problem}
	}
	return nil
}

// explain turns the decoder's error into one that names the key and what is allowed.
func explain(err error) error {
	var key *KeyError
	if errors.As(err, &key) {
		return key
	}
	var wrongType *json.UnmarshalTypeError
	if errors.As(err, &wrongType) && wrongType.Field != "" {
		return &KeyError{wrongType.Field, fmt.Sprintf("must be a %s, not a %s", jsonType(wrongType.Type), wrongType.Value)}
	}
	if name, found := strings.CutPrefix(err.Error(), "json: unknown field "); found {
		return &KeyError{strings.Trim(name, `"`), "is no configuration key; allowed are " + strings.Join(keys(), ", ")}
	}
	return &KeyError{"configuration", "must be one JSON object: " + strings.TrimPrefix(err.Error(), "json: ")}
}

func jsonType(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Int:
		return "whole number"
	case reflect.Float64:
		return "number"
	}
	return t.String()
}

// keys lists the names of Configuration, in order. It is asked for every room.
var keys = sync.OnceValue(func() []string {
	var names []string
	for field := range reflect.TypeFor[Configuration]().Fields() {
		names = append(names, field.Tag.Get("json"))
	}
	sort.Strings(names)
	return names
})

// Layered returns the defaults overlaid by each layer in turn: the global configuration, then a room's override. Keys of
// plugins lie in the same layers and are left to ForPlugin.
func Layered(layers ...[]byte) (Configuration, error) {
	configuration := DefaultConfiguration()
	for _, layer := range layers {
		own, _, err := Split(layer)
		if err != nil {
			return Configuration{}, err
		}
		merged, err := configuration.Merge(own)
		if err != nil {
			return Configuration{}, err
		}
		configuration = merged
	}
	return configuration, nil
}
