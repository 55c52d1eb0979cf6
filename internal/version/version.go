// Package version knows which version of this project a program was built from: for
// --version, for the log, for metrics and as a User-Agent.
package version

import "runtime/debug"

// linked is set by the linker: -ldflags '-X vda.internal/shadow/internal/version.linked=1.2.3'.
var linked string

// String is the version that was set at link time, else the module's own as Go's build
// information has it: a tag, or a pseudo-version with the commit. It is "unknown" without either.
func String() string {
	if linked != "" {
		return linked
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
