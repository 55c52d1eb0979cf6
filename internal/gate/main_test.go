package gate_test

import (
	"testing"

	"go.uber.org/goleak"

	"vda.internal/shadow/internal/gate/testgate"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(testgate.Checked{M: m, Path: "../../docs/openapi.yaml"})
}
