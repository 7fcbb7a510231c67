package window

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // the zones, also where the machine has none
)

// maxWindows bounds a list.
const maxWindows = 50

// Parse reads a time range as the API takes it: a window, a list of windows, or biliup's form, a text that holds a JSON
// list of two instants of which only the UTC time of day counts. Nothing, null, an empty text and an empty list are always.
// Windows that name no time zone follow the clock of zone.
func Parse(raw []byte, zone *time.Location) (Range, error) {
	if !Set(raw) {
		return Range{}, nil
	}
	switch raw = bytes.TrimSpace(raw); raw[0] {
	case '"':
		return parseBiliup(raw)
	case '{':
		w, err := parseWindow(raw, zone)
		if err != nil {
			return Range{}, err
		}
		return Range{[]daily{w}}, nil
	case '[':
		return parseList(raw, zone)
	}
	return Range{}, errors.New(`must be null, a window such as {"start": "22:00", "end": "02:00"}, or a list of windows`)
}

func parseList(raw []byte, zone *time.Location) (Range, error) {
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil {
		return Range{}, errors.New("is not JSON")
	}
	if len(items) > maxWindows {
		return Range{}, fmt.Errorf("must have at most %d windows", maxWindows)
	}
	var r Range
	for i, item := range items {
		w, err := parseWindow(item, zone)
		if err != nil {
			return Range{}, fmt.Errorf("window %d: %w", i+1, err)
		}
		r.windows = append(r.windows, w)
	}
	return r, nil
}

var everyDay = [7]bool{true, true, true, true, true, true, true}

// parseBiliup reads what biliup's page stores. There both ends count; here the end does not, a difference of one second.
func parseBiliup(raw []byte) (Range, error) {
	wrong := errors.New(`as a text it must hold a JSON list of two times, such as "[\"2025-01-01T14:00:00.000Z\",\"2025-01-01T18:00:00.000Z\"]"`)
	var inner string
	if err := json.Unmarshal(raw, &inner); err != nil {
		return Range{}, wrong
	}
	var instants []time.Time
	if err := json.Unmarshal([]byte(inner), &instants); err != nil || len(instants) != 2 {
		return Range{}, wrong
	}
	return Range{[]daily{{start: clockOf(instants[0]), end: clockOf(instants[1]), zone: time.UTC, days: everyDay}}}, nil
}

func clockOf(t time.Time) clock {
	hour, minute, second := t.UTC().Clock()
	return clock(hour*3600 + minute*60 + second)
}

// parseWindow reads one window in the form of this API.
func parseWindow(raw []byte, zone *time.Location) (daily, error) {
	var given struct {
		Start    *string   `json:"start"`
		End      *string   `json:"end"`
		TimeZone *string   `json:"time_zone"`
		Days     *[]string `json:"days"`
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&given); err != nil {
		return daily{}, explain(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return daily{}, errors.New("must be one JSON object")
	}
	w := daily{zone: zone, days: everyDay}
	var err error
	if w.start, err = parseClock("start", given.Start, day-1); err != nil {
		return w, err
	}
	if w.end, err = parseClock("end", given.End, day); err != nil {
		return w, err
	}
	if given.TimeZone != nil {
		if w.zone, err = parseZone(*given.TimeZone); err != nil {
			return w, err
		}
	}
	if given.Days != nil {
		w.days, err = parseDays(*given.Days)
	}
	return w, err
}

func parseClock(field string, text *string, most clock) (clock, error) {
	if text == nil {
		return 0, fmt.Errorf("%s: is missing", field)
	}
	if *text == "24:00" || *text == "24:00:00" {
		if most == day {
			return day, nil
		}
		return 0, fmt.Errorf("%s: must be before 24:00; write 00:00", field)
	}
	for _, form := range []string{"15:04", "15:04:05"} {
		if parsed, err := time.Parse(form, *text); err == nil && len(*text) == len(form) {
			return clockOf(parsed), nil
		}
	}
	return 0, fmt.Errorf("%s: must be a time of the day such as 22:00 or 22:00:30", field)
}

func parseZone(name string) (*time.Location, error) {
	zone, err := time.LoadLocation(name)
	if err != nil || name == "" {
		return nil, errors.New("time_zone: must be the name of a time zone, such as Asia/Shanghai or UTC")
	}
	return zone, nil
}

func parseDays(names []string) (days [7]bool, err error) {
	known := []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
	for _, name := range names {
		i := slices.Index(known, name)
		if i < 0 {
			return days, fmt.Errorf("days: must hold %s", strings.Join(known, ", "))
		}
		days[i] = true
	}
	if len(names) == 0 {
		return days, errors.New("days: must not be empty; leave it out for every day")
	}
	return days, nil
}

// explain turns the decoder's error into one that names the field.
func explain(err error) error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" {
		return fmt.Errorf("%s: must not be a %s", wrong.Field, wrong.Value)
	}
	if name, found := strings.CutPrefix(err.Error(), "json: unknown field "); found {
		return fmt.Errorf("%.100s: is not known here; allowed are days, end, start, time_zone", strings.Trim(name, `"`))
	}
	return errors.New("must be a JSON object with start and end")
}
