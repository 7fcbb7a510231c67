package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"html"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/lubod/lubod/sdk"
)

// number reads an integer in any of the forms the platform uses: 1, "1", 1.0, true.
type number int64

var errNotNumber = errors.New("not a number")

func (n *number) UnmarshalJSON(raw []byte) error {
	text := strings.Trim(string(raw), `" `)
	switch text {
	case "null":
		return nil
	case "false", "":
		*n = 0
		return nil
	case "true":
		*n = 1
		return nil
	}
	if v, err := strconv.ParseInt(text, 10, 64); err == nil {
		*n = number(v)
		return nil
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || v != math.Trunc(v) || math.Abs(v) > 1<<53 {
		return errNotNumber
	}
	*n = number(v)
	return nil
}

// beijing is the clock of all times that the platform writes without a zone.
var beijing = time.FixedZone("UTC+8", 8*60*60)

var errNotTime = errors.New("not a time")

// moment reads a time as Unix seconds or as text in Beijing; "0000-00-00 00:00:00" and values before 1970 mean none.
type moment struct{ time.Time }

func (m *moment) UnmarshalJSON(raw []byte) error {
	var n number
	if n.UnmarshalJSON(raw) == nil {
		m.Time = unixTime(int64(n))
		return nil
	}
	text := strings.Trim(string(raw), `"`)
	if strings.HasPrefix(text, "0000-") {
		m.Time = time.Time{}
		return nil
	}
	at, err := time.ParseInLocation(time.DateTime, text, beijing)
	if err != nil {
		return errNotTime
	}
	m.Time = at.UTC()
	return nil
}

// unixTime is zero for no time, and for one beyond the year 9999 that no answer can mean.
func unixTime(seconds int64) time.Time {
	const lastSecond = 253402300799
	if seconds <= 0 || seconds > lastSecond {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

// hollow reports null, [], {} and "": all are used for "nothing here".
func hollow(raw json.RawMessage) bool {
	switch string(bytes.Join(bytes.Fields(raw), nil)) {
	case "", "null", "[]", "{}", `""`:
		return true
	}
	return false
}

// shapeError says what part of an answer is not as expected, without repeating the answer.
func shapeError(call string, err error) error {
	what := "it is not JSON"
	var typ *json.UnmarshalTypeError
	switch {
	case errors.As(err, &typ) && typ.Field != "":
		what = typ.Field + " has another type"
	case errors.As(err, &typ):
		what = "it has another type"
	case errors.Is(err, errNotNumber), errors.Is(err, errNotTime):
		what = "a field is " + err.Error()
	}
	return &sdk.Error{Kind: sdk.Bug, Message: call + " answered in another shape than expected: " + what, Err: err}
}

// plain is text as a person reads it.
func plain(s string) string { return strings.TrimSpace(html.UnescapeString(s)) }

// image completes an address without scheme.
func image(s string) string {
	s = strings.TrimSpace(s)
	if strings.HasPrefix(s, "//") {
		return "https:" + s
	}
	return s
}
