package main

import (
	"testing"
	"time"

	"vda.internal/shadow/internal/testenv"
)

// shadowgate works on the kernels that hosts run, without what came after Linux 3.10.
func TestOldKernel(t *testing.T) {
	testenv.OldKernel(t, "^Test(LogWhoseReaderHasGone|CommandLine|Passwd|Token|Serve)$", 5*time.Minute)
}
