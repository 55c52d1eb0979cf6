//go:build !linux

package wsproxy

// A pipeSlot has no pipe on systems without splice.
type pipeSlot struct{}

func (*pipeSlot) close() {}

// splice leaves everything to copying.
func (d *download) splice() (n int64, readErr, writeErr error) { return 0, nil, nil }
