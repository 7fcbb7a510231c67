package settings

import (
	"encoding/json"
	"testing"
	"time"
)

func TestSplitLimitsOfRoomsWithoutTheirOwn(t *testing.T) {
	own := func(n int64) *int64 { return &n }
	for _, test := range []struct {
		global, override string
		time, size       *int64
		wantTime         time.Duration
		wantSize         int64
	}{
		{``, ``, nil, nil, time.Hour, 2 << 30},
		{`{"file_size":1000000001,"segment_time":"00:30:00"}`, ``, nil, nil, 30 * time.Minute, 1000000001},
		{`{"file_size":null,"segment_time":null}`, ``, nil, nil, 0, 0},
		{`{"file_size":0,"segment_time":""}`, ``, nil, nil, 0, 0},
		{`{"file_size":null,"segment_time":"90"}`, `{"file_size":5,"segment_time":"10:00"}`, nil, nil, 10 * time.Minute, 5},
		{`{"file_size":7,"segment_time":"90"}`, `{"file_size":null}`, nil, nil, 90 * time.Second, 0},
		{`{"file_size":7,"segment_time":"90"}`, `{"file_size":5,"segment_time":"99:59:59"}`, own(60), own(3), time.Minute, 3 << 20},
		{`{"file_size":7,"segment_time":"90"}`, ``, own(0), own(0), 0, 0},
	} {
		configuration, err := Layered([]byte(test.global), []byte(test.override))
		if err != nil {
			t.Fatal(err)
		}
		if gotTime, gotSize := configuration.SplitTime(test.time), configuration.SplitSize(test.size); gotTime != test.wantTime || gotSize != test.wantSize {
			t.Errorf("%s %s: %s and %d bytes", test.global, test.override, gotTime, gotSize)
		}
	}
}

func TestSplitLimitsAreShownAsTheyAreSet(t *testing.T) {
	for _, raw := range []string{`{"file_size":2147483648,"segment_time":"01:00:00"}`, `{"file_size":null,"segment_time":null}`, `{"file_size":1,"segment_time":"99:59:59"}`} {
		configuration, err := Layered([]byte(raw))
		if err != nil {
			t.Fatal(err)
		}
		shown, err := json.Marshal(map[string]any{"file_size": configuration.FileSize, "segment_time": configuration.SegmentTime})
		if err != nil || string(shown) != raw {
			t.Errorf("%s is shown as %s, %v", raw, shown, err)
		}
	}
}
