package jobs

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/lubod/lubod/db/dbtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(dbtest.Main(m)) }
