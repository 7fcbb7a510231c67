package monitor

import (
	"time"

	"github.com/lubod/lubod/host/internal/pipeline"
	"github.com/lubod/lubod/sdk"
)

// maxPause is the longest pause between two batches of a platform that cannot answer them.
const maxPause = 10 * time.Minute

// judge says what to do about a failure. A failed poll never counts as "offline".
func judge(subject pipeline.Subject, err error, before int, interval time.Duration) pipeline.Verdict {
	failure := pipeline.Failure{Blame: pipeline.Plugin, Kind: sdk.KindOf(err), RetryAfter: sdk.RetryAfter(err)}
	return pipeline.DefaultPace().Judge(subject, failure, before, interval)
}

// needsPerson tells whether a person has to act before another answer can be expected.
func needsPerson(err error) bool { return err != nil && judge(pipeline.Poll, err, 0, 0).Person }
