package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// group are the processes of a process group.
func group(pgid int) (pids []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		b, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(b), ") ")
		if g, _ := strconv.Atoi(strings.Fields(rest)[2]); g == pgid {
			p, _ := strconv.Atoi(strings.Split(name, "/")[2])
			pids = append(pids, p)
		}
	}
	return pids
}

// cpuOf is the CPU time of processes, to the nanosecond: clock_getcpuclockid(3).
func cpuOf(pids []int) (sum time.Duration) {
	for _, pid := range pids {
		var ts syscall.Timespec
		clock := uintptr(int32(^pid<<3 | 2))
		if _, _, e := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&ts)), 0); e == 0 {
			sum += time.Duration(ts.Nano())
		}
	}
	return sum
}
