package window

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func parsed(t *testing.T, raw string) Range {
	t.Helper()
	r, err := Parse([]byte(raw), time.UTC)
	if err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return r
}

func TestAt(t *testing.T) {
	for name, tc := range map[string]struct {
		raw, now string
		open     bool
		until    string // empty: for ever
	}{
		"always":                     {`null`, "2025-01-10T12:00:00Z", true, ""},
		"an empty text":              {`""`, "2025-01-10T12:00:00Z", true, ""},
		"before":                     {`{"start":"10:00","end":"12:00","time_zone":"UTC"}`, "2025-01-10T09:59:59Z", false, "2025-01-10T10:00:00Z"},
		"at its start":               {`{"start":"10:00","end":"12:00","time_zone":"UTC"}`, "2025-01-10T10:00:00Z", true, "2025-01-10T12:00:00Z"},
		"at its end":                 {`{"start":"10:00","end":"12:00","time_zone":"UTC"}`, "2025-01-10T12:00:00Z", false, "2025-01-11T10:00:00Z"},
		"seconds":                    {`{"start":"10:00:05","end":"10:00:09","time_zone":"UTC"}`, "2025-01-10T10:00:04Z", false, "2025-01-10T10:00:05Z"},
		"over midnight, evening":     {`{"start":"22:00","end":"02:00","time_zone":"Asia/Shanghai"}`, "2025-01-10T15:00:00Z", true, "2025-01-10T18:00:00Z"},
		"over midnight, morning":     {`{"start":"22:00","end":"02:00","time_zone":"Asia/Shanghai"}`, "2025-01-10T17:59:59Z", true, "2025-01-10T18:00:00Z"},
		"over midnight, outside":     {`{"start":"22:00","end":"02:00","time_zone":"Asia/Shanghai"}`, "2025-01-10T18:00:00Z", false, "2025-01-11T14:00:00Z"},
		"until midnight":             {`{"start":"22:00","end":"24:00","time_zone":"UTC"}`, "2025-01-10T23:00:00Z", true, "2025-01-11T00:00:00Z"},
		"day of its beginning":       {`{"start":"22:00","end":"02:00","time_zone":"UTC","days":["fri"]}`, "2025-01-11T01:00:00Z", true, "2025-01-11T02:00:00Z"},
		"day after":                  {`{"start":"22:00","end":"02:00","time_zone":"UTC","days":["fri"]}`, "2025-01-11T23:00:00Z", false, "2025-01-17T22:00:00Z"},
		"two windows":                {`[{"start":"08:00","end":"09:00","time_zone":"UTC"},{"start":"20:00","end":"21:00","time_zone":"UTC"}]`, "2025-01-10T12:00:00Z", false, "2025-01-10T20:00:00Z"},
		"windows that touch":         {`[{"start":"08:00","end":"09:00","time_zone":"UTC"},{"start":"09:00","end":"10:00","time_zone":"UTC"}]`, "2025-01-10T08:30:00Z", true, "2025-01-10T10:00:00Z"},
		"biliup":                     {`"[\"2024-06-01T14:00:00.000Z\",\"2024-06-01T18:30:00.000Z\"]"`, "2025-01-10T18:00:00Z", true, "2025-01-10T18:30:00Z"},
		"biliup over midnight":       {`"[\"2024-06-01T22:00:00.000Z\",\"2024-06-02T02:00:00.000Z\"]"`, "2025-01-10T01:00:00Z", true, "2025-01-10T02:00:00Z"},
		"biliup in a zone":           {`"[\"2024-06-01T22:00:00+08:00\",\"2024-06-02T02:00:00+08:00\"]"`, "2025-01-10T12:00:00Z", false, "2025-01-10T14:00:00Z"},
		"the hour that is skipped":   {`{"start":"01:00","end":"04:00","time_zone":"Europe/Berlin"}`, "2025-03-30T00:30:00Z", true, "2025-03-30T02:00:00Z"},
		"starts in a skipped hour":   {`{"start":"02:30","end":"04:00","time_zone":"Europe/Berlin"}`, "2025-03-30T00:00:00Z", false, "2025-03-30T00:30:00Z"},
		"ends in a skipped hour":     {`{"start":"01:00","end":"02:30","time_zone":"Europe/Berlin"}`, "2025-03-30T00:30:00Z", true, "2025-03-30T01:30:00Z"},
		"starts in the doubled hour": {`{"start":"02:30","end":"05:00","time_zone":"Europe/Berlin"}`, "2025-10-26T00:00:00Z", false, "2025-10-26T00:30:00Z"},
		"ends in the doubled hour":   {`{"start":"01:00","end":"02:30","time_zone":"Europe/Berlin"}`, "2025-10-26T01:00:00Z", true, "2025-10-26T01:30:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			now, _ := time.Parse(time.RFC3339, tc.now)
			open, until := parsed(t, tc.raw).At(now)
			got := ""
			if !until.IsZero() {
				got = until.UTC().Format(time.RFC3339)
			}
			if open != tc.open || got != tc.until {
				t.Errorf("At(%s) = %v until %s, want %v until %s", tc.now, open, got, tc.open, tc.until)
			}
		})
	}
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	many := "[" + strings.Repeat(`{"start":"10:00","end":"11:00"},`, 50) + `{"start":"10:00","end":"11:00"}]`
	for raw, want := range map[string]string{
		`7`:                             "must be null, a window such as",
		`true`:                          "must be null, a window such as",
		`"22:00-02:00"`:                 "as a text it must hold a JSON list of two times",
		`"[\"2025-01-01T14:00:00Z\"]"`:  "as a text it must hold a JSON list of two times",
		`"[null]"`:                      "as a text it must hold a JSON list of two times",
		`{}`:                            "start: is missing",
		`{"start":"10:00"}`:             "end: is missing",
		`{"start":7,"end":"11:00"}`:     "start: must not be a number",
		`{"start":"1:00","end":"2:00"}`: "start: must be a time of the day such as 22:00",
		`{"start":"24:00","end":"2"}`:   "start: must be before 24:00",
		`{"start":"23:60","end":"2"}`:   "start: must be a time of the day",
		`{"start":"10:00","end":"11:00","time_zone":"Mars/Olympus"}`:  "time_zone: must be the name of a time zone",
		`{"start":"10:00","end":"11:00","time_zone":""}`:              "time_zone: must be the name of a time zone",
		`{"start":"10:00","end":"11:00","time_zone":"../etc/passwd"}`: "time_zone: must be the name of a time zone",
		`{"start":"10:00","end":"11:00","days":[]}`:                   "days: must not be empty",
		`{"start":"10:00","end":"11:00","days":["Monday"]}`:           "days: must hold sun, mon,",
		`{"start":"10:00","end":"11:00","zone":"UTC"}`:                "zone: is not known here; allowed are days, end, start, time_zone",
		`[{"start":"10:00","end":"11:00"},{"start":"10:00"}]`:         "window 2: end: is missing",
		`[7]`: "window 1: must be a JSON object with start and end",
		many:  "must have at most 50 windows",
	} {
		if _, err := Parse([]byte(raw), time.UTC); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.80s\n got %v\nwant %s", raw, err, want)
		}
	}
}

// zones have clock changes of an hour, half an hour, a day, or none.
var zones = []string{"UTC", "Asia/Shanghai", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca", "America/St_Johns"}

type drawn struct {
	Start string   `json:"start"`
	End   string   `json:"end"`
	Zone  string   `json:"time_zone"`
	Days  []string `json:"days,omitempty"`
}

func drawWindow(rt *rapid.T) drawn {
	at := func(name string) string {
		return fmt.Sprintf("%02d:%02d", rapid.IntRange(0, 23).Draw(rt, name+" hour"), rapid.SampledFrom([]int{0, 1, 15, 30, 59}).Draw(rt, name+" minute"))
	}
	w := drawn{Start: at("start"), End: at("end"), Zone: rapid.SampledFrom(zones).Draw(rt, "zone")}
	if rapid.Bool().Draw(rt, "has days") {
		w.Days = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}), 1, 6, rapid.ID).Draw(rt, "days")
	}
	return w
}

// drawNow prefers the weeks in which clocks are changed.
func drawNow(rt *rapid.T) time.Time {
	around := rapid.SampledFrom([]string{"2025-03-09T07:00:00Z", "2025-03-30T01:00:00Z", "2025-10-26T01:00:00Z", "2025-11-02T06:00:00Z", "2025-04-05T15:00:00Z", "2011-12-30T10:00:00Z", "2025-07-01T00:00:00Z"}).Draw(rt, "around")
	at, _ := time.Parse(time.RFC3339, around)
	return at.Add(time.Duration(rapid.IntRange(-4*24*60*2, 4*24*60*2).Draw(rt, "half minutes")) * 30 * time.Second)
}

// byTheWall is the plain reading of a window by the clock on the wall.
func byTheWall(w drawn, now time.Time) bool {
	zone, _ := time.LoadLocation(w.Zone)
	local := now.In(zone)
	allowed := func(d time.Time) bool {
		name := strings.ToLower(d.Weekday().String()[:3])
		return len(w.Days) == 0 || strings.Contains(strings.Join(w.Days, " "), name)
	}
	shown := local.Format("15:04:05")
	start, end := w.Start+":00", w.End+":00"
	yesterday := time.Date(local.Year(), local.Month(), local.Day()-1, 12, 0, 0, 0, time.UTC)
	if start < end {
		return start <= shown && shown < end && allowed(local)
	}
	return shown >= start && allowed(local) || shown < end && allowed(yesterday)
}

func changesNear(w drawn, now time.Time) bool {
	zone, _ := time.LoadLocation(w.Zone)
	return offset(now.Add(-50*time.Hour), zone) != offset(now.Add(50*time.Hour), zone)
}

// TestAtAgreesWithTheWall: what a clock on the wall shows as inside is open; away from clock changes nothing else is.
func TestAtAgreesWithTheWall(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		windows := rapid.SliceOfN(rapid.Custom(drawWindow), 1, 3).Draw(rt, "windows")
		now := drawNow(rt)
		raw, err := json.Marshal(windows)
		if err != nil {
			rt.Fatal(err)
		}
		r, err := Parse(raw, time.UTC)
		if err != nil {
			rt.Fatalf("%s: %v", raw, err)
		}
		wall, change := false, false
		for _, w := range windows {
			wall, change = wall || byTheWall(w, now), change || changesNear(w, now)
		}
		if open, _ := r.At(now); open != wall && (wall || !change) {
			rt.Fatalf("%s at %s: open %v, by the wall %v", raw, now, open, wall)
		}
	})
}

// TestUntilIsTheNextChange: nothing changes before it, and it changes then.
func TestUntilIsTheNextChange(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		windows := rapid.SliceOfN(rapid.Custom(drawWindow), 1, 3).Draw(rt, "windows")
		now := drawNow(rt)
		raw, _ := json.Marshal(windows)
		r, err := Parse(raw, time.UTC)
		if err != nil {
			rt.Fatal(err)
		}
		open, until := r.At(now)
		if !until.After(now) {
			rt.Fatalf("%s at %s: until %s", raw, now, until)
		}
		if open && until.Sub(now) > 6*24*time.Hour {
			return // open all the time, or nearly
		}
		between := now.Add(time.Duration(rapid.Float64Range(0, 1).Draw(rt, "between") * float64(until.Sub(now)-1)))
		if still, same := r.At(between); still != open || !same.Equal(until) {
			rt.Fatalf("%s at %s: %v until %s; but at %s: %v until %s", raw, now, open, until, between, still, same)
		}
		if then, _ := r.At(until); then == open {
			rt.Fatalf("%s at %s: %v until %s, and then the same", raw, now, open, until)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(`{"start":"22:00","end":"02:00","time_zone":"Asia/Shanghai","days":["mon"]}`)
	f.Add(`[{"start":"22:00:01","end":"24:00"}]`)
	f.Add(`"[\"2025-01-01T14:00:00.000Z\",\"2025-01-01T18:00:00.000Z\"]"`)
	now := time.Date(2025, 3, 30, 0, 30, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, raw string) {
		r, err := Parse([]byte(raw), time.UTC)
		if err != nil {
			return
		}
		if _, until := r.At(now); !r.Always() && !until.After(now) {
			t.Errorf("%q at %s: until %s", raw, now, until)
		}
	})
}
