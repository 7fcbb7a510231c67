package api

import (
	"testing"

	"github.com/getkin/kin-openapi/openapi3filter"
	"go.uber.org/goleak"

	"github.com/lubod/lubod/db/dbtest"
)

func TestMain(m *testing.M) {
	// What the contract's validator cannot read by itself: texts as they are.
	for _, mediaType := range []string{"text/html", "application/yaml"} {
		openapi3filter.RegisterBodyDecoder(mediaType, openapi3filter.FileBodyDecoder)
	}
	goleak.VerifyTestMain(dbtest.Main(m))
}
