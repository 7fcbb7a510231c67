package record

import "github.com/lubod/lubod/db/dbtest"

// startCrashing runs a service whose process dies after so many statements that follow its start.
func (h *harness) startCrashing(statements int) (s host, died func() bool) {
	h.t.Helper()
	m := dbtest.NewCrashing(h.t, h.db)
	s = h.startOn(m.DB)
	s.SessionEnded = func(_ int64, _ End) {}
	m.CrashAfter(statements)
	return s, m.Crashed
}
