package settings

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// SizeLimit is how many bytes a file gets at most; 0 is no limit, which is null in JSON.
type SizeLimit int64

// TimeLimit is how long a file gets at most, in seconds; 0 is no limit. In JSON it is a text of the form HH:MM:SS, or null.
type TimeLimit int64

const (
	mebibyte = 1 << 20
	// maxSizeLimit and maxTimeLimit are those of a streamer's own limits.
	maxSizeLimit = SizeLimit(1<<20) * mebibyte
	maxTimeLimit = TimeLimit(7 * 24 * 3600)
)

// MarshalJSON writes null for no limit.
func (l SizeLimit) MarshalJSON() ([]byte, error) {
	if l == 0 {
		return []byte("null"), nil
	}
	return strconv.AppendInt(nil, int64(l), 10), nil
}

// UnmarshalJSON takes null, or an empty text as forms send it, for no limit.
func (l *SizeLimit) UnmarshalJSON(raw []byte) error {
	if string(raw) == "null" || string(raw) == `""` {
		*l = 0
		return nil
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || n < 0 || SizeLimit(n) > maxSizeLimit {
		return &KeyError{"file_size", fmt.Sprintf("must be a whole number of bytes, at most %d, or null for no limit", maxSizeLimit)}
	}
	*l = SizeLimit(n)
	return nil
}

// MarshalJSON writes null for no limit.
func (l TimeLimit) MarshalJSON() ([]byte, error) {
	if l == 0 {
		return []byte("null"), nil
	}
	return fmt.Appendf(nil, `"%02d:%02d:%02d"`, l/3600, l/60%60, l%60), nil
}

// UnmarshalJSON takes null, or an empty text as forms send it, for no limit.
func (l *TimeLimit) UnmarshalJSON(raw []byte) error {
	var text *string
	if json.Unmarshal(raw, &text) == nil {
		if text == nil || strings.TrimSpace(*text) == "" {
			*l = 0
			return nil
		}
		if seconds, ok := parseClock(*text); ok && seconds <= maxTimeLimit {
			*l = seconds
			return nil
		}
	}
	return &KeyError{"segment_time", "must be a text of the form HH:MM:SS, at most 168:00:00, or null for no limit"}
}

// parseClock reads HH:MM:SS, MM:SS, or a number of seconds.
func parseClock(text string) (seconds TimeLimit, ok bool) {
	parts := strings.Split(strings.TrimSpace(text), ":")
	if len(parts) > 3 {
		return 0, false
	}
	for _, part := range parts {
		n, err := strconv.ParseUint(part, 10, 32)
		if err != nil {
			return 0, false
		}
		seconds = seconds*60 + TimeLimit(n)
	}
	return seconds, true
}

// SplitTime is after how long the files of a room end; 0: never. own is what the room says itself, in seconds.
func (c Configuration) SplitTime(own *int64) time.Duration {
	if own == nil {
		return time.Duration(c.SegmentTime) * time.Second
	}
	return time.Duration(*own) * time.Second
}

// SplitSize is with how many bytes the files of a room end; 0: never. own is what the room says itself, in MiB.
func (c Configuration) SplitSize(own *int64) int64 {
	if own == nil {
		return int64(c.FileSize)
	}
	return *own * mebibyte
}
