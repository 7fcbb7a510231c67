package db_test

import (
	"context"
	"testing"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/db/dbtest"
)

func TestPermanent(t *testing.T) {
	database := dbtest.New(t)
	for statement, want := range map[string]bool{
		"INSERT INTO uploads (segment_id) VALUES (12345)":                             true, // a constraint
		"INSERT INTO streamers (url) VALUES (NULL)":                                   true,
		"SELECT 'x'::bigint":                                                          true, // a value
		"SELECT no_such_column FROM uploads":                                          true,
		"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'disk_full'; END $$":             false,
		"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'deadlock_detected'; END $$":     false,
		"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'admin_shutdown'; END $$":        false,
		"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'serialization_failure'; END $$": false,
	} {
		_, err := database.Pool.Exec(t.Context(), statement)
		if err == nil || db.Permanent(err) != want {
			t.Errorf("%s: %v: permanent is %v, want %v", statement, err, db.Permanent(err), want)
		}
	}
	if db.Permanent(context.DeadlineExceeded) || db.Permanent(nil) {
		t.Error("a deadline, or no error, is permanent")
	}
}
