package record

import "github.com/lubod/lubod/db/dbtest"

// startMortal runs a service whose process dies after so many statements that follow its start.
func (h *harness) startMortal(statements int) (s host, died func() bool) {
	h.t.Helper()
	m := dbtest.NewMortal(h.t, h.db)
	s = h.startOn(m.DB)
	s.SessionEnded = func(_ int64, _ End) {}
	m.LiveFor(statements)
	return s, m.Dead
}
