package settings

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // for machines that have none
)

// Zone is whose clock the configuration follows. It was checked.
func (c Configuration) Zone() *time.Location {
	if found, err := zone(c.TimeZone); err == nil {
		return found
	}
	return time.Local
}

// zones are those that were named so far: each is asked for with every room, and read from a file.
var zones sync.Map // name → *time.Location

func zone(name string) (*time.Location, error) {
	if name == "" {
		return time.Local, nil
	}
	if known, ok := zones.Load(name); ok {
		return known.(*time.Location), nil
	}
	found, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return nil, errors.New("must be empty (as the machine has it) or the name of a time zone, such as Asia/Shanghai or UTC")
	}
	zones.Store(name, found)
	return found, nil
}

// CheckMachineZone tells what is wrong with the variable TZ of the environment: its zone is then UTC, to everybody's surprise.
func CheckMachineZone(tz string) error {
	name := strings.TrimPrefix(tz, ":")
	if name == "" {
		return nil // UTC
	}
	_, err := time.LoadLocation(name)
	if filepath.IsAbs(name) {
		var data []byte
		if data, err = os.ReadFile(name); err == nil {
			_, err = time.LoadLocationFromTZData(name, data)
		}
	}
	if err != nil {
		return fmt.Errorf("TZ=%.80s names no time zone, so times are those of UTC; write a name such as TZ=Asia/Shanghai, or set time_zone in the configuration", tz)
	}
	return nil
}
