package testhost

import "context"

// T is the part of *testing.T that Require uses.
type T interface {
	Helper()
	Context() context.Context
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Require is Start for a test: it fails the test if there can't be a desktop,
// and closes it when the test ends.
func Require(t T, o Options) *Desktop {
	t.Helper()
	d, err := Start(t.Context(), o)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("%v", err)
		}
	})
	return d
}
