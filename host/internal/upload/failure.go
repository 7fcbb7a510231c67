package upload

import (
	"errors"
	"strconv"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/bilibili"
	"github.com/lubod/lubod/host/internal/pipeline"
	"github.com/lubod/lubod/host/internal/reason"
	"github.com/lubod/lubod/sdk"
)

// blamed is an error that says whose trouble it is.
type blamed struct {
	error
	on pipeline.Blame
}

func (e *blamed) Unwrap() error { return e.error }

// missing is a failure that a person mends without touching the recording: a template, a login, a line.
func missing(why reason.Reason) error { return &blamed{why.Err(), pipeline.Missing} }

// unfit is a file that is not what a person ordered to publish.
func unfit(why reason.Reason) error { return &blamed{why.Err(), pipeline.File} }

// said is what a line said about a transfer.
func said(err error) error { return &blamed{err, pipeline.Plugin} }

// isMissing tells whether a person has to mend something.
func isMissing(err error) bool {
	var carrier *blamed
	return errors.As(err, &carrier) && carrier.on == pipeline.Missing
}

// failureOf is an error as the policy takes it. otherwise is whose trouble it is when the error does not say.
func failureOf(err error, otherwise pipeline.Blame) pipeline.Failure {
	var carrier *blamed
	var refused *bilibili.RefusedError
	switch {
	case errors.As(err, &carrier) && carrier.on != pipeline.Plugin:
		return pipeline.Failure{Blame: carrier.on}
	case carrier != nil:
		return pipeline.Failure{Blame: pipeline.Plugin, Kind: sdk.KindOf(carrier.error), RetryAfter: sdk.RetryAfter(err)}
	case errors.Is(err, bilibili.ErrNoAccount):
		return pipeline.Failure{Blame: pipeline.Missing}
	case errors.As(err, &refused):
		return pipeline.Failure{Blame: pipeline.Refused, Code: refused.Code}
	case errors.Is(err, bilibili.ErrNotSent):
		return pipeline.Failure{Blame: pipeline.NotSent}
	}
	return pipeline.Failure{Blame: otherwise}
}

// setback is a failure as its row keeps it.
func setback(verdict pipeline.Verdict, err error) pipeline.Setback {
	return kept(verdict, why(verdict, err))
}

// kept is a reason as its row keeps it.
func kept(verdict pipeline.Verdict, why reason.Reason) pipeline.Setback {
	return pipeline.Setback{Verdict: verdict, Text: db.Text(why.Text(reason.English)), Reason: why.JSON()}
}

// why is the reason of a failure. Whatever is kept with a row has a code that says more than that something failed.
func why(verdict pipeline.Verdict, err error) reason.Reason {
	var reasoned *reason.Error
	var typed *sdk.Error
	var carrier *blamed
	var refused *bilibili.RefusedError
	cause := func(code string) reason.Reason { return reason.New(code, "cause", err.Error()) }
	switch {
	case errors.As(err, &reasoned), errors.As(err, &typed):
		return reason.Of(err)
	case errors.As(err, &carrier):
		return reason.New(reason.ErrorBug, "text", err.Error()) // a line that does not say of which kind it is
	case errors.As(err, &refused):
		return reason.New(reason.SubmissionRefused, "cause", err.Error()+advice(verdict, refused.Code), "code", strconv.Itoa(refused.Code))
	case errors.Is(err, bilibili.ErrNoAccount):
		return cause(reason.UploadAccount)
	case errors.Is(err, bilibili.ErrNotSent):
		return cause(reason.SubmissionNotSent)
	case errors.Is(err, bilibili.ErrAnswerLost):
		return cause(reason.SubmissionNoAnswer)
	}
	return cause(reason.UploadHost)
}

// loginRefused tells whether a call was refused because of the login: not logged in, or the csrf of an old login.
func loginRefused(err error) bool {
	var refused *bilibili.RefusedError
	return errors.As(err, &refused) && (refused.Code == bilibili.CodeNotLoggedIn || refused.Code == bilibili.CodeCSRF)
}

// advice is what a person can do about a refusal that says nothing about it, or that nothing has to be done.
func advice(verdict pipeline.Verdict, code int) string {
	switch code {
	case 20042:
		return " (change the tags of the template, or leave it: it has been seen to pass)"
	case 21010:
		return " (own work needs a description: give the template one)"
	case 21138, 21150, 21566, 21590:
		return " (this is about the interface: another submit_api in the configuration may work)"
	case 601:
		return " (a person has to pass a captcha: submit something by hand in Bilibili's app or web page)"
	case -403, -405, 21111, 21171:
		if !verdict.Final {
			return " (it has been seen to pass: it is tried again for a day; another submit_api in the configuration may help)"
		}
		return " (another submit_api in the configuration may help)"
	}
	if verdict.Final {
		return ""
	}
	return " (nothing has to be done: it is tried again by itself)"
}
