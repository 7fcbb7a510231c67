package bilibili

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

func (s *Server) inspectArchiveState(r *http.Request) (any, error) {
	aid, err := strconv.ParseInt(r.PathValue("aid"), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("archive %q is not a number", r.PathValue("aid"))
	}
	var to struct {
		State  int    `json:"state"`
		Reason string `json:"reason"`
	}
	if err := inspectBody(r, &to); err != nil {
		return nil, err
	}
	if err := s.SetArchiveState(aid, to.State, to.Reason); err != nil {
		return nil, notFoundError{err}
	}
	return done, nil
}

// inspectAddFate takes a Fate, whose after may be a Go duration in quotes.
func (s *Server) inspectAddFate(r *http.Request) (any, error) {
	var body struct {
		Fate
		After span `json:"after"`
	}
	if err := inspectBody(r, &body); err != nil {
		return nil, err
	}
	body.Fate.After = time.Duration(body.After)
	if err := s.AddFate(body.Fate); err != nil {
		return nil, err
	}
	return done, nil
}

// inspectArchiveClock moves the clock of the archives, sets its speed, or both.
func (s *Server) inspectArchiveClock(r *http.Request) (any, error) {
	var body struct {
		Advance span     `json:"advance"`
		Speed   *float64 `json:"speed"`
	}
	if err := inspectBody(r, &body); err != nil {
		return nil, err
	}
	if body.Speed != nil && *body.Speed < 0 {
		return nil, errors.New("speed must not be negative")
	}
	s.AdvanceArchives(time.Duration(body.Advance))
	if body.Speed != nil {
		s.SetArchiveSpeed(*body.Speed)
	}
	return map[string]any{"now": s.ArchiveNow()}, nil
}

func (s *Server) inspectListLag(r *http.Request) (any, error) {
	var body struct {
		Lag span `json:"lag"`
	}
	if err := inspectBody(r, &body); err != nil {
		return nil, err
	}
	s.SetListLag(time.Duration(body.Lag))
	return done, nil
}

// span is a duration as scripts write it, such as "20m"; a bare number is nanoseconds.
type span time.Duration

func (d *span) UnmarshalJSON(text []byte) error {
	if n, err := strconv.ParseInt(string(text), 10, 64); err == nil {
		*d = span(n)
		return nil
	}
	unquoted, err := strconv.Unquote(string(text))
	if err != nil {
		return fmt.Errorf("%s is no duration such as \"20m\"", text)
	}
	parsed, err := time.ParseDuration(unquoted)
	*d = span(parsed)
	return err
}
