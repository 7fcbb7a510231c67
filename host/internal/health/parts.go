package health

import (
	"context"
	"time"

	"github.com/lubod/lubod/host/internal/reason"
)

// Plugin is where a plugin stands.
type Plugin struct {
	Name string
	// State is one of the API's PluginState, and Error why it does not work.
	State, Error string
}

// Plugins looks where the plugins stand.
func Plugins(list func() []Plugin) Probe {
	return Probe{
		Code: CodePlugin, Every: 2 * time.Second, Patience: 5 * time.Second,
		Look: func(context.Context) ([]Finding, error) {
			var findings []Finding
			for _, plugin := range list() {
				finding := Finding{Level: OK, Subject: plugin.Name}
				switch {
				case plugin.State == "failed":
					finding.Level, finding.Reason = Failing, reason.New(reason.HealthPluginFailed, "plugin", plugin.Name, "cause", plugin.Error)
				case plugin.State == "backoff":
					finding.Level, finding.Reason = Warning, reason.New(reason.HealthPluginRestarts, "plugin", plugin.Name, "cause", plugin.Error)
				case plugin.Error != "" && plugin.State == "ready":
					finding.Level, finding.Reason = Warning, reason.New(reason.HealthPluginUnwell, "plugin", plugin.Name, "cause", plugin.Error)
				}
				findings = append(findings, finding)
			}
			return findings, nil
		},
	}
}

// Account is what is known of a login without asking Bilibili.
type Account struct {
	File string
	// Error says why it cannot be used, and Warning why it will not be for long.
	Error, Warning string
}

// Accounts looks at the logins.
func Accounts(list func(ctx context.Context) ([]Account, error)) Probe {
	return Probe{
		Code: CodeAccount, Every: 20 * time.Second, Patience: 10 * time.Second,
		Look: func(ctx context.Context) ([]Finding, error) {
			accounts, err := list(ctx)
			if err != nil {
				return nil, err
			}
			var findings []Finding
			for _, account := range accounts {
				finding := Finding{Level: OK, Subject: account.File}
				switch {
				case account.Error != "":
					finding.Level, finding.Reason = Failing, reason.New(reason.HealthAccountUnusable, "file", account.File, "cause", account.Error)
				case account.Warning != "":
					finding.Level, finding.Reason = Warning, reason.New(reason.HealthAccountExpires, "file", account.File, "cause", account.Warning)
				}
				findings = append(findings, finding)
			}
			return findings, nil
		},
	}
}
