package biliup

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/lubod/lubod/host/internal/settings"
)

// configurationNames are biliup's names for keys that have another one here.
var configurationNames = map[string]string{"download_limit": "pool1_size", "upload_limit": "pool2_size"}

// userKeys are what biliup keeps in the object "user": cookies and logins.
var userKeys = []string{
	"bili_cookie", "bili_cookie_file", "douyin_cookie", "twitch_cookie", "twitcasting_cookie", "youtube_cookie", "kuaishou_cookie", "niconico-email",
	"niconico-password", "niconico-user-session", "niconico-purge-credentials", "afreecatv_username", "afreecatv_password",
}

// pageKeys are settings of lubod itself that biliup has too, by their names here. Its page sends all settings at once, and
// leaves out those that were emptied.
var pageKeys = []string{
	"lines", "threads", "submit_api", "download_limit", "upload_limit", "delay", "event_loop_interval", "filtering_threshold", "filename_prefix", "use_live_cover",
}

// keyWithoutEffect is where the API lists settings that are kept and change nothing.
const keyWithoutEffect = "without_effect"

const mebibyte = 1 << 20

func getConfiguration(c *call) error {
	var ours object
	if err := c.ask(http.MethodGet, "/api/v1/configuration", nil, &ours); err != nil {
		return err
	}
	c.ignored(idle(ours))
	return c.answer(configurationOut(ours))
}

// updateConfiguration replaces all settings that biliup has, as biliup does.
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
	ours, ignored := configurationIn(theirs, known)
	clearMissing(ours, known, !isNull(theirs["user"]))
	for key, value := range ours {
		if string(orNull(value)) == string(orNull(known[key])) {
			delete(ours, key) // the page sends back what it was shown: nobody chose that
		}
	}
	var after object
	err = c.ask(http.MethodPut, "/api/v1/configuration", ours, &after)
	if c.noSuchLine(err, "lines", ours) {
		err = c.ask(http.MethodPut, "/api/v1/configuration", ours, &after)
	}
	if err != nil {
		return err
	}
	c.ignored(append(ignored, idle(after)...))
	return c.answer(configurationOut(after))
}

// clearMissing clears the settings of biliup that a page leaves out. Logins are cleared only by one that knows of them.
func clearMissing(ours, known object, logins bool) {
	for key, value := range known {
		_, sent := ours[key]
		login := slices.Contains(userKeys, key)
		if sent || isNull(value) || login && !logins || !login && !slices.Contains(pageKeys, key) && !settings.Biliups(key) {
			continue
		}
		ours[key] = null
	}
}

// idle names the settings that are kept and change nothing, as the page knows them.
func idle(ours object) []string {
	names := valueOf[[]string](ours[keyWithoutEffect])
	for i, name := range names {
		if slices.Contains(userKeys, name) {
			names[i] = "user." + name
		}
	}
	return names
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
	delete(theirs, keyWithoutEffect)
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

// configurationIn turns biliup's keys into ours. Known are those that there are here, by the installed plugins too; those of
// biliup that nothing here takes yet are kept; others are ignored when they have a value, as biliup does with what it does not
// know.
func configurationIn(theirs, known object) (ours object, ignored []string) {
	ours = make(object)
	set := func(shown, key string, value json.RawMessage) {
		_, ok := known[key]
		switch {
		case key == keyWithoutEffect:
		case key == "downloader":
			// The names of biliup's downloaders are no recorders here, and a room whose recorder is not there is not recorded.
			if !isNull(orNull(value)) {
				ignored = append(ignored, shown)
			}
		case ok || settings.Biliups(key) && !isNull(orNull(value)):
			ours[key] = orNull(value)
		case !isNull(orNull(value)):
			ignored = append(ignored, shown)
		}
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
	return ours, ignored
}

// clock is a length of time in biliup's form.
func clock(seconds int64) string {
	return fmt.Sprintf("%02d:%02d:%02d", seconds/3600, seconds/60%60, seconds%60)
}
