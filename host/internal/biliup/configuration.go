package biliup

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// configurationNames are biliup's names for keys that have another one here.
var configurationNames = map[string]string{"download_limit": "pool1_size", "upload_limit": "pool2_size"}

// userKeys are what biliup keeps in the object "user": cookies and logins.
var userKeys = []string{
	"bili_cookie", "bili_cookie_file", "douyin_cookie", "twitch_cookie", "twitcasting_cookie", "youtube_cookie", "kuaishou_cookie", "niconico-email",
	"niconico-password", "niconico-user-session", "niconico-purge-credentials", "afreecatv_username", "afreecatv_password",
}

// neverNull are settings that always have a value: a null for one of them, as forms send it for an empty field, changes
// nothing. For an option of a plugin it removes what was set.
var neverNull = []string{
	"lines", "threads", "download_limit", "upload_limit", "delay", "event_loop_interval", "filtering_threshold",
	"filename_prefix", "use_live_cover", "file_mode", "folder_mode", "time_zone", "trash_days", "downloader",
}

// Files are split per room here. These are what a room has that says nothing else.
const (
	defaultSplitTime = 3600
	defaultSplitSize = 2048
	mebibyte         = 1 << 20
)

func getConfiguration(c *call) error {
	var ours object
	if err := c.ask(http.MethodGet, "/api/v1/configuration", nil, &ours); err != nil {
		return err
	}
	return c.answer(configurationOut(ours))
}

func updateConfiguration(c *call) error {
	c.names = configurationNames
	theirs, err := c.body(http.MethodPut, "/api/v1/configuration")
	if err != nil {
		return err
	}
	var known object
	if err := c.ask(http.MethodGet, "/api/v1/configuration", nil, &known); err != nil {
		return err
	}
	delete(theirs, "streamers")
	shown := configurationOut(known)
	for _, key := range []string{"file_size", "segment_time"} {
		if string(theirs[key]) == string(shown[key]) {
			delete(theirs, key) // the page sends back what it was shown
		}
	}
	ours, ignored := configurationIn(theirs, known)
	c.ignored(ignored)
	var after object
	err = c.ask(http.MethodPut, "/api/v1/configuration", ours, &after)
	if c.noSuchLine(err, "lines", ours) {
		err = c.ask(http.MethodPut, "/api/v1/configuration", ours, &after)
	}
	if err != nil {
		return err
	}
	return c.answer(configurationOut(after))
}

// noSuchLine tells whether settings were refused for the name of their line, and lets AUTO stand for it: biliup takes any text
// that it does not know for "the fastest one".
func (c *call) noSuchLine(err error, field string, settings object) bool {
	var r *refusal
	if !errors.As(err, &r) || r.status != http.StatusBadRequest || !strings.HasPrefix(r.said, field+":") || valueOf[*string](settings["lines"]) == nil {
		return false
	}
	settings["lines"] = json.RawMessage(`"AUTO"`)
	c.ignored([]string{field})
	return true
}

// configurationOut is the configuration in biliup's shape. Secrets are masked already.
func configurationOut(ours object) object {
	theirs := renamedOut(ours)
	theirs["file_size"], theirs["segment_time"] = encoded(defaultSplitSize*mebibyte), encoded(clock(defaultSplitTime))
	theirs["streamers"] = json.RawMessage("{}")
	delete(theirs, "downloader")
	if _, ok := theirs["user"]; !ok {
		theirs["user"] = json.RawMessage("{}")
	}
	return theirs
}

// renamedOut gives keys biliup's names and puts logins into "user".
func renamedOut(ours object) object {
	theirs, user := make(object, len(ours)), make(object)
	for key, value := range ours {
		if name, ok := configurationNames[key]; ok {
			key = name
		}
		theirs[key] = value
	}
	for _, key := range userKeys {
		if value, ok := theirs[key]; ok {
			user[key] = value
			delete(theirs, key)
		}
	}
	if len(user) > 0 {
		theirs["user"] = encoded(user)
	}
	return theirs
}

// configurationIn turns biliup's keys into ours. Known are those that there are here, by the installed plugins too; others are
// ignored when they have a value, as biliup does with keys of platforms that it does not know.
func configurationIn(theirs, known object) (ours object, ignored []string) {
	ours = make(object)
	set := func(shown, key string, value json.RawMessage) {
		// The names of biliup's downloaders are no recorders here, and a room whose recorder there is not is not recorded.
		if _, ok := known[key]; !ok || key == "downloader" {
			if !isNull(value) {
				ignored = append(ignored, shown)
			}
			return
		}
		ours[key] = value
	}
	names := make(map[string]string)
	for key, name := range configurationNames {
		names[name] = key
	}
	for key, value := range theirs {
		switch {
		case key == "user":
			for key, value := range valueOf[object](value) {
				set("user."+key, key, value)
			}
		case names[key] != "":
			set(key, names[key], value)
		default:
			set(key, key, value)
		}
	}
	for _, key := range neverNull {
		if value, ok := ours[key]; ok && isNull(value) {
			delete(ours, key)
		}
	}
	return ours, ignored
}

// clock is a length of time in biliup's form.
func clock(seconds int64) string {
	return fmt.Sprintf("%02d:%02d:%02d", seconds/3600, seconds/60%60, seconds%60)
}

// parseClock reads HH:MM:SS, MM:SS, or a number of seconds.
func parseClock(text string) (seconds int64, err error) {
	parts := strings.Split(strings.TrimSpace(text), ":")
	if len(parts) > 3 {
		return 0, fmt.Errorf("%q has too many parts", text)
	}
	var total time.Duration
	for _, part := range parts {
		var n uint32
		if _, err := fmt.Sscanf(part, "%d", &n); err != nil || part == "" || strings.Trim(part, "0123456789") != "" {
			return 0, fmt.Errorf("%q is no length of time", text)
		}
		total = total*60 + time.Duration(n)
	}
	return int64(total), nil
}
