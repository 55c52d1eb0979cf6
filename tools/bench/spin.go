package main

import (
	"log"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

// spinners keep the cores from going idle while latency is measured: on a
// virtual machine waking a halted core costs more than the proxies do. They
// run as SCHED_IDLE, so anything else goes first.
type spinners struct{ cmds []*exec.Cmd }

func startSpinners() *spinners {
	s := &spinners{}
	for i := range runtime.NumCPU() {
		c := exec.Command("/proc/self/exe", "spin", strconv.Itoa(i))
		if c.Start() == nil {
			s.cmds = append(s.cmds, c)
		}
	}
	time.Sleep(50 * time.Millisecond)
	return s
}

func (s *spinners) stop() {
	for _, c := range s.cmds {
		c.Process.Kill()
		c.Wait()
	}
}

// cpu returns the CPU seconds the spinners used so far.
func (s *spinners) cpu() float64 {
	var sum float64
	for _, c := range s.cmds {
		sum += processCPU(c.Process.Pid)
	}
	return sum
}

// spinMain is one spinner. It ends when its parent does.
func spinMain(args []string) {
	if len(args) != 1 {
		log.Fatal("usage: bench spin CPU")
	}
	cpu, _ := strconv.Atoi(args[0])
	runtime.LockOSThread()
	var param int32
	const schedIdle = 5
	if _, _, e := syscall.Syscall(syscall.SYS_SCHED_SETSCHEDULER, 0, schedIdle, uintptr(unsafe.Pointer(&param))); e != 0 {
		log.Fatal(e)
	}
	var mask [16]uint64
	mask[cpu/64] = 1 << (cpu % 64)
	syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, 0, unsafe.Sizeof(mask), uintptr(unsafe.Pointer(&mask)))
	parent := os.Getppid()
	end := time.Now().Add(time.Minute)
	for time.Now().Before(end) && os.Getppid() == parent { // looking at the clock is busy enough
	}
}
