package main

import (
	"testing"
	"time"

	"vda.internal/shadow/internal/testenv"
)

// rfbtrace works on the kernels that hosts run, without what came after Linux 3.10.
func TestOldKernel(t *testing.T) {
	testenv.OldKernel(t, "^Test(CaptureAndReplay|Signals|CaptureIsSavedAtASignal|CaptureIntoAPipe|SaveFollowsLinks|TrimKeepsFilesThatWereThere|Verify)$", 5*time.Minute)
}
