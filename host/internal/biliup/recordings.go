package biliup

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"time"
)

// listRecordings answers live sessions, the oldest first. A room is known by its remark there.
func listRecordings(c *call) error {
	var ours []struct {
		ID           int64     `json:"id"`
		StreamerName string    `json:"streamer_name"`
		Remark       string    `json:"remark"`
		StreamTitle  string    `json:"stream_title"`
		URL          string    `json:"url"`
		StartTime    time.Time `json:"start_time"`
	}
	if err := c.ask(http.MethodGet, "/api/v1/streamer_info", nil, &ours); err != nil {
		return err
	}
	theirs := make([]map[string]any, 0, len(ours))
	for _, one := range slices.Backward(ours) {
		theirs = append(theirs, map[string]any{
			"id": one.ID, "name": cmp.Or(one.Remark, one.StreamerName), "url": one.URL, "title": one.StreamTitle, "date": one.StartTime.Unix(), "live_cover_path": "",
		})
	}
	return c.answer(theirs)
}

// listFiles answers the files of a session; one that nobody knows has none.
func listFiles(c *call) error {
	id, err := c.id()
	if err != nil {
		return err
	}
	var ours []struct {
		ID   int64  `json:"id"`
		Of   int64  `json:"streamer_info_id"`
		File string `json:"file_path"`
	}
	err = c.ask(http.MethodGet, "/api/v1/streamer_info/"+id+"/files", nil, &ours)
	var r *refusal
	if err != nil && (!errors.As(err, &r) || r.status != http.StatusNotFound) {
		return err
	}
	theirs := make([]map[string]any, 0, len(ours))
	for _, one := range ours {
		theirs = append(theirs, map[string]any{"id": one.ID, "file": one.File, "streamer_info_id": one.Of})
	}
	return c.answer(theirs)
}

func listVideos(c *call) error {
	videos := []object{}
	if err := c.ask(http.MethodGet, "/api/v1/videos", nil, &videos); err != nil {
		return err
	}
	return c.answer(videos)
}

// uploadVideos publishes files by hand. params is a whole template, its number included.
func uploadVideos(c *call) error {
	c.names = templateNames
	theirs, err := c.body(http.MethodPost, "/api/v1/uploads")
	if err != nil {
		return err
	}
	params, err := c.templateIn(valueOf[object](theirs["params"]))
	if err != nil {
		return err
	}
	if err := c.ask(http.MethodPost, "/api/v1/uploads", map[string]any{"files": orAbsent(theirs["files"]), "params": params}, nil); err != nil {
		return err
	}
	return c.answer(object{})
}

// getStatus is the API's status with rooms and configuration in biliup's shape.
func getStatus(c *call) error {
	var status object
	if err := c.ask(http.MethodGet, "/api/v1/status", nil, &status); err != nil {
		return err
	}
	with, err := c.surroundings()
	if err != nil {
		return err
	}
	rooms := valueOf[[]object](status["rooms"])
	for _, room := range rooms {
		room["live_streamer"] = encoded(flat(streamer{valueOf[object](room["live_streamer"])}, with))
		room["uploader_status"] = encoded(uploadStatus(valueOf[string](room["uploader_status"])))
		if !isNull(room["upload_streamer"]) {
			room["upload_streamer"] = encoded(templateOut(valueOf[object](room["upload_streamer"])))
		}
	}
	status["rooms"] = encoded(rooms)
	status["config"] = encoded(configurationOut(valueOf[object](status["config"])))
	return c.answer(status)
}
