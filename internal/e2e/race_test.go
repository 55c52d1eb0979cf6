//go:build race

package e2e

// buildFlags makes the daemon under test a race-detector build too.
var buildFlags = []string{"-race"}
