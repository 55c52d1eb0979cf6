package fleethosts_test

import (
	"os"
	"testing"

	"vda.internal/shadow/internal/gate/testgate"
)

func TestMain(m *testing.M) {
	os.Exit(testgate.Checked{M: m, Path: "../../../docs/openapi.yaml"}.Run())
}
