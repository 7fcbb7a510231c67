package jobs

import (
	"slices"
	"testing"
)

// Each worker has a claim of its own, which lives until its end, and a worker is no rival of itself.
func TestClaimsOfWorkersDifferAndEnd(t *testing.T) {
	t.Parallel()
	var claims Claims
	first, endFirst := claims.Begin()
	second, endSecond := claims.Begin()
	if first == second {
		t.Fatal("two workers have the same claim")
	}
	if living := claims.Living(first); len(living) != 1 || living[0] != second {
		t.Errorf("beside the first worker live %v", living)
	}
	third, endThird := claims.Begin()
	if living := claims.Living(third); len(living) != 2 || !slices.Contains(living, first) || !slices.Contains(living, second) {
		t.Errorf("beside the third worker live %v", living)
	}
	endSecond()
	if living := claims.Living(third); len(living) != 1 || living[0] != first {
		t.Errorf("after the end of the second, beside the third live %v", living)
	}
	endFirst()
	endThird()
	if living := claims.Living(first); len(living) != 0 {
		t.Errorf("after all ends live %v", living)
	}
}
