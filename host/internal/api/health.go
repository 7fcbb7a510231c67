package api

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/lubod/lubod/host/internal/health"
	"github.com/lubod/lubod/host/internal/reason"
)

// Healths knows what is not well. *health.Board is one.
type Healths interface {
	// Checks are all, and the worst level among them.
	Checks() (health.Level, []health.Check)
	// Of are the checks of one code.
	Of(code string) []health.Check
	// Look makes a look come soon. It must not block.
	Look(code string)
}

// GetHealth answers whether the database does, and names what is not well. Details are for users.
func (s *Server) GetHealth(ctx context.Context, _ GetHealthRequestObject) (GetHealthResponseObject, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := s.db.Pool.Ping(ctx); err != nil {
		s.health.Look(health.CodeDatabase)
		return nil, unavailable(err, reason.New(reason.HealthDatabaseAway))
	}
	if down := s.databaseDown(); down != nil {
		return nil, unavailable(nil, reason.New(reason.APIDatabaseNoWrites, "since", instant(down.Since), "cause", down.Reason.Text(languageOf(ctx))))
	}
	answer := GetHealth200JSONResponse{Status: HealthStatusOk}
	_, checks := s.health.Checks()
	var degraded []HealthCode
	for _, check := range checks {
		if code := HealthCode(check.Code); check.Level != health.OK && !slices.Contains(degraded, code) {
			degraded = append(degraded, code)
		}
	}
	if len(degraded) > 0 {
		answer.Degraded = &degraded
	}
	return answer, nil
}

// GetHealthReport answers all checks.
func (s *Server) GetHealthReport(ctx context.Context, _ GetHealthReportRequestObject) (GetHealthReportResponseObject, error) {
	worst, checks := s.health.Checks()
	report := GetHealthReport200JSONResponse{Level: HealthLevel(worst), Checks: make([]HealthCheck, 0, len(checks))}
	for _, check := range checks {
		report.Checks = append(report.Checks, healthCheck(languageOf(ctx), check))
	}
	return report, nil
}

func healthCheck(in reason.Language, check health.Check) HealthCheck {
	why := tell(in, check.Reason)
	return HealthCheck{
		Code: HealthCode(check.Code), Subject: check.Subject, Level: HealthLevel(check.Level), Since: check.Since.UTC(),
		Text: why.text, ReasonCode: why.code, ReasonArgs: why.args, Action: why.action,
	}
}

// HealthChanged is what an event tells of the health: what is not well. It fits Board's Changed.
func HealthChanged(worst health.Level, checks []health.Check) json.RawMessage {
	report := HealthReport{Level: HealthLevel(worst), Checks: []HealthCheck{}}
	for _, check := range checks {
		if check.Level != health.OK {
			report.Checks = append(report.Checks, healthCheck(reason.English, check))
		}
	}
	data, err := json.Marshal(report)
	if err != nil {
		return json.RawMessage("{}") // texts and times only: this cannot fail
	}
	return data
}

// databaseDown is the check of the database while it takes no writes, or nobody knows whether it does.
func (s *Server) databaseDown() *health.Check {
	for _, check := range s.health.Of(health.CodeDatabase) {
		if check.Level != health.OK {
			return &check
		}
	}
	return nil
}

// doubts are what the host cannot know at this moment: everything that the database says, or what the recorders of some
// plugins do.
type doubts struct {
	in        reason.Language
	database  *health.Check
	recorders map[string]health.Check
}

func (s *Server) doubts(ctx context.Context) doubts {
	d := doubts{in: languageOf(ctx), database: s.databaseDown(), recorders: make(map[string]health.Check)}
	for _, check := range s.health.Of(health.CodePlugin) {
		if check.Reason.Code == reason.HealthPluginFailed || check.Reason.Code == reason.HealthPluginRestarts {
			d.recorders[check.Subject] = check
		}
	}
	return d
}

// about is since when it is not known what a room does that is recorded by a plugin, and why; nil when it is.
func (d doubts) about(plugin string) (since *time.Time, why reason.Reason) {
	check, away := d.recorders[plugin]
	switch {
	case d.database != nil:
		check = *d.database
	case plugin == "" || !away:
		return nil, reason.Reason{}
	}
	at := check.Since.UTC()
	return &at, reason.New(reason.StateUnknown, "since", instant(at), "cause", check.Reason.Text(d.in))
}

// instant is a time in texts.
func instant(at time.Time) string { return at.UTC().Format(time.RFC3339) }
