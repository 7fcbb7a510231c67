// Package hooks holds what a streamer has done before, during and after a recording: lists of steps that biliup's users
// know as preprocessor, segment_processor, downloaded_processor and postprocessor.
package hooks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lubod/lubod/host/internal/pipeline"
)

// Stage says when a hook runs. The values are the names of the API's fields.
type Stage = pipeline.Stage

// The stages, in the order in which a recording comes to them.
const (
	Preprocessor        = pipeline.Preprocessor
	SegmentProcessor    = pipeline.SegmentProcessor
	DownloadedProcessor = pipeline.DownloadedProcessor
	Postprocessor       = pipeline.Postprocessor
)

// Action is what a step does. The values are the keys of its JSON form.
type Action string

// The actions; the comment says what Step.Value is.
const (
	Run     Action = "run"     // a command for the shell
	Move    Action = "mv"      // a folder
	Remove  Action = "rm"      // empty
	Remux   Action = "remux"   // a container: mp4, mkv, ts or flv
	Webhook Action = "webhook" // a URL
)

// ErrorPolicy says what happens after the last attempt of a step failed.
type ErrorPolicy string

// The policies.
const (
	Continue ErrorPolicy = "continue" // the next step runs
	Stop     ErrorPolicy = "stop"     // none of the later steps runs
	Hold     ErrorPolicy = "hold"     // nothing goes on until a person says so
)

// Step is one thing that a hook does. Steps are comparable.
type Step struct {
	Action  Action
	Value   string
	Timeout time.Duration // of one attempt; 0: the action's own
	Retries int           // further attempts after the first one failed
	OnError ErrorPolicy
}

const (
	// MaxSteps bounds the steps of one hook.
	MaxSteps   = 20
	maxValue   = 10_000 // bytes
	maxTimeout = 24 * 60 * 60
	maxRetries = 20
)

// StepError says which step of a list is wrong, and what about it.
type StepError struct {
	Number  int // from 1
	Problem string
}

func (e *StepError) Error() string { return fmt.Sprintf("step %d: %s", e.Number, e.Problem) }

// Parse reads the steps of a hook; no text, null and an empty list are none. What is wrong with one step is a *StepError.
func Parse(stage Stage, raw []byte) ([]Step, error) {
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil, nil
	}
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil {
		return nil, errors.New("must be a list of steps")
	}
	if len(items) > MaxSteps {
		return nil, fmt.Errorf("must have at most %d steps", MaxSteps)
	}
	var steps []Step
	for i, item := range items {
		step, err := parseStep(item)
		if err == nil {
			err = step.fits(stage)
		}
		if err != nil {
			return nil, &StepError{Number: i + 1, Problem: err.Error()}
		}
		steps = append(steps, step)
	}
	return steps, nil
}

// Runs tells whether a list of steps has one that runs a command.
func Runs(steps []Step) bool {
	return slices.ContainsFunc(steps, func(s Step) bool { return s.Action == Run })
}

const forms = `must be "rm", or an object with one of run, mv, rm, remux and webhook`

func parseStep(raw json.RawMessage) (Step, error) {
	step := Step{OnError: Continue}
	var word string
	if json.Unmarshal(raw, &word) == nil && word != "" {
		if word != string(Remove) {
			return step, errors.New(forms)
		}
		step.Action = Remove
		return step, nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil || fields == nil {
		return step, errors.New(forms)
	}
	// In order, so that the same mistakes always have the same answer.
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if err := step.set(name, fields[name]); err != nil {
			return step, err
		}
	}
	if step.Action == "" {
		return step, errors.New(forms)
	}
	return step, nil
}

// set takes one field of a step's JSON form over.
func (s *Step) set(name string, raw json.RawMessage) error {
	switch name {
	case "timeout":
		seconds, err := whole(raw, 1, maxTimeout)
		if err != nil {
			return fmt.Errorf("timeout: %w (seconds)", err)
		}
		s.Timeout = time.Duration(seconds) * time.Second
	case "retries":
		retries, err := whole(raw, 0, maxRetries)
		if err != nil {
			return fmt.Errorf("retries: %w", err)
		}
		s.Retries = retries
	case "on_error":
		word, err := text(raw)
		if policy := ErrorPolicy(word); err == nil && (policy == Continue || policy == Stop || policy == Hold) {
			s.OnError = policy
			return nil
		}
		return errors.New("on_error: must be continue, stop or hold")
	case string(Run), string(Move), string(Remove), string(Remux), string(Webhook):
		if s.Action != "" {
			return fmt.Errorf("has both %s and %s; make two steps of them", s.Action, name)
		}
		s.Action = Action(name)
		value, err := s.Action.value(raw)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		s.Value = value
	default:
		return fmt.Errorf("%.100s: is not known here; allowed are mv, on_error, remux, retries, rm, run, timeout, webhook", name)
	}
	return nil
}

// value checks what an action is given.
func (a Action) value(raw json.RawMessage) (string, error) {
	if a == Remove {
		var on bool
		if err := json.Unmarshal(raw, &on); err != nil || !on {
			return "", errors.New("must be true")
		}
		return "", nil
	}
	value, err := text(raw)
	switch {
	case err != nil:
		return "", err
	case strings.TrimSpace(value) == "":
		return "", errors.New("must not be empty")
	case len(value) > maxValue:
		return "", fmt.Errorf("must have at most %d bytes", maxValue)
	case strings.ContainsRune(value, 0):
		return "", errors.New("must not hold a NUL character")
	}
	switch a {
	case Move:
		if !filepath.IsAbs(value) && !filepath.IsLocal(value) {
			return "", errors.New("must be a folder below the recordings, or an absolute path")
		}
	case Remux:
		if !slices.Contains([]string{"mp4", "mkv", "ts", "flv"}, value) {
			return "", errors.New("must be mp4, mkv, ts or flv")
		}
	case Webhook:
		return value, checkURL(value)
	}
	return value, nil
}

func checkURL(value string) error {
	address, err := url.Parse(value)
	switch {
	case err != nil || address.Host == "" || (address.Scheme != "http" && address.Scheme != "https"):
		return errors.New("must be a complete URL that begins with http:// or https://")
	case address.User != nil:
		return errors.New("must not hold a user name or a password: everybody who may list the streamers would read them")
	}
	return nil
}

// fits tells whether a step makes sense at a stage. Nothing has been recorded before the beginning, and no file goes away
// before its submission was accepted.
func (s Step) fits(stage Stage) error {
	switch {
	case stage == Preprocessor && s.Action != Run && s.Action != Webhook:
		return fmt.Errorf("%s: there is no file yet; a preprocessor may only run and webhook", s.Action)
	case stage != Postprocessor && s.Action == Remove:
		return errors.New("rm: files are removed only after they were published; put it into the postprocessor")
	}
	return nil
}

func text(raw json.RawMessage) (string, error) {
	var value *string
	if err := json.Unmarshal(raw, &value); err != nil || value == nil {
		return "", errors.New("must be a text")
	}
	return *value, nil
}

func whole(raw json.RawMessage, least, most int) (int, error) {
	var number *int
	if err := json.Unmarshal(raw, &number); err != nil || number == nil || *number < least || *number > most {
		return 0, fmt.Errorf("must be a whole number from %d to %d", least, most)
	}
	return *number, nil
}
