package sdk

import "context"

// HealthChecker is implemented by plugins of any kind that know more about their health than "the process answers": a
// cookie that ran out, a directory that cannot be written. The host asks about once a minute and shows the error's text.
type HealthChecker interface {
	Health(ctx context.Context) error
}
