package dbtest

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(Main(m)) }

func TestEachTestHasItsOwnDatabase(t *testing.T) {
	for _, name := range []string{"first", "second"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := New(t)
			var accounts int
			if err := database.Pool.QueryRow(t.Context(), "SELECT count(*) FROM accounts").Scan(&accounts); err != nil {
				t.Fatal(err)
			}
			if accounts != 0 {
				t.Errorf("a fresh database holds %d accounts", accounts)
			}
			if _, err := database.Pool.Exec(t.Context(), "INSERT INTO accounts (platform, file) VALUES ('bilibili', '1.json')"); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestEmptyURLHasNoTables(t *testing.T) {
	if err := migrate(t.Context(), EmptyURL(t)); err != nil {
		t.Fatal(err)
	}
}
