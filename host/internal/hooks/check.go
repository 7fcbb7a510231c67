package hooks

import (
	"errors"

	"github.com/lubod/lubod/host/internal/folders"
	"github.com/lubod/lubod/host/internal/outgoing"
)

// Check refuses steps that would fail whenever they run, because of what this server lets its users do: the error is a
// *StepError. Whether they may run commands is not asked here. Steps that are stored need not pass: the server may have been
// started with other flags then.
func (s *Service) Check(steps []Step) error {
	for i, step := range steps {
		if err := s.checkStep(step); err != nil {
			return &StepError{Number: i + 1, Problem: string(step.Action) + ": " + err.Error()}
		}
	}
	return nil
}

func (s *Service) checkStep(step Step) error {
	switch step.Action {
	case Move:
		if s.AllowRun {
			return nil
		}
		_, err := folders.Locate(s.moveRoots(), below(s.Root, step.Value))
		var outside *folders.OutsideError
		if errors.As(err, &outside) {
			return errors.New(outsideText(step.Value))
		}
	case Webhook:
		err := s.HTTP.CheckURL(step.Value)
		var refused *outgoing.RefusedError
		if errors.As(err, &refused) {
			return errors.New(err.Error() + "; the server has to be started with --allow-addresses for such an address")
		}
		return err
	}
	return nil
}
