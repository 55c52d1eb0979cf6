package main

import (
	"bytes"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const clockTick = 100 // USER_HZ

// proxy is a started proxy and its process tree.
type proxy struct {
	cmd    *exec.Cmd
	addr   string
	dir    string
	log    *os.File
	exited chan struct{}
	cgroup string // cpuacct group, if one could be made

	startup time.Duration           // from exec to listening
	program func(arg string) string // fills in placeholders
}

func freePort() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	return port, err
}

// startProxy starts the peer's command and waits for its port. Unless it is
// bare it gets a cpuacct group of its own, if there can be one, and no
// connection to find out whether it listens.
func startProxy(p *Peer, tls bool, t *target, certs *certFiles, bare bool) (*proxy, error) {
	th, tp := t.addr()
	if p.Kind == "direct" {
		return &proxy{addr: net.JoinHostPort(th, tp)}, nil
	}
	dir, err := os.MkdirTemp("", "bench-run-")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	ex := expand(dir, "127.0.0.1", port, th, tp, certs)
	argv := p.Cmd
	if tls {
		argv = p.TLSCmd
	}
	args := make([]string, len(argv))
	for i, a := range argv {
		args[i] = ex.Replace(a)
	}
	for name, text := range p.Files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(ex.Replace(text)), 0o644); err != nil {
			return nil, err
		}
	}
	x := &proxy{addr: "127.0.0.1:" + port, dir: dir, exited: make(chan struct{}), program: ex.Replace}
	if x.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		return nil, err
	}
	listens, pause := answers, 200*time.Microsecond
	if !bare {
		listens, pause = portListens, 20*time.Millisecond
		x.cgroup = makeCgroup()
	}
	if x.cgroup != "" {
		args = append([]string{"/proc/self/exe", "exec", x.cgroup}, args...)
	}
	x.cmd = exec.Command(args[0], args[1:]...)
	x.cmd.Dir = dir
	x.cmd.Stdout, x.cmd.Stderr = x.log, x.log
	x.cmd.Env = os.Environ()
	for _, e := range p.Env {
		x.cmd.Env = append(x.cmd.Env, ex.Replace(e))
	}
	x.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	started := time.Now()
	if err := x.cmd.Start(); err != nil {
		x.log.Close()
		os.Remove(x.cgroup)
		os.RemoveAll(dir)
		return nil, err
	}
	go func() { x.cmd.Wait(); close(x.exited) }()
	for {
		if listens(port) {
			x.startup = time.Since(started)
			return x, nil
		}
		select {
		case <-x.exited:
		case <-time.After(pause):
			if time.Since(started) < 10*time.Second {
				continue
			}
		}
		b, _ := os.ReadFile(filepath.Join(dir, "log"))
		x.stop()
		return nil, fmt.Errorf("did not listen: %s", bytes.TrimSpace(b[max(0, len(b)-400):]))
	}
}

// portListens looks the port up in /proc, so that the check makes no
// connection the proxy could notice.
func portListens(port string) bool {
	n, _ := strconv.Atoi(port)
	want := fmt.Sprintf(":%04X 00000000", n)
	for _, f := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		b, _ := os.ReadFile(f)
		for _, line := range strings.Split(string(b), "\n") {
			fs := strings.Fields(line)
			if len(fs) > 3 && fs[3] == "0A" && strings.HasSuffix(fs[1], want[:5]) {
				return true
			}
		}
	}
	return false
}

// answers connects: /proc takes 100 ms while many connections linger.
func answers(port string) bool {
	c, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// stop ends the proxy's process group and removes its folder.
func (x *proxy) stop() {
	if x.cmd == nil {
		return
	}
	pg := -x.cmd.Process.Pid
	syscall.Kill(pg, syscall.SIGTERM)
	select {
	case <-x.exited:
	case <-time.After(500 * time.Millisecond):
	}
	syscall.Kill(pg, syscall.SIGKILL) // and what is left of its children
	<-x.exited
	x.log.Close()
	if x.cgroup != "" {
		for range 50 {
			if os.Remove(x.cgroup) == nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	os.RemoveAll(x.dir)
}

func (x *proxy) alive() error {
	if x.cmd == nil {
		return nil
	}
	select {
	case <-x.exited:
		return errors.New("the proxy exited")
	default:
		return nil
	}
}

var cgroups int

// makeCgroup makes a CPU accounting group for one proxy, which also counts
// children nobody waited for. Without cgroup v1 /proc has to do.
func makeCgroup() string {
	cgroups++
	g := fmt.Sprintf("/sys/fs/cgroup/cpuacct/bench-%d-%d", os.Getpid(), cgroups)
	if os.Mkdir(g, 0o755) != nil {
		return ""
	}
	return g
}

// execMain joins the group and becomes the command: args are the group and
// the command's. That way nothing the command does goes uncounted.
func execMain(args []string) {
	if len(args) < 2 {
		log.Fatal("usage: bench exec CGROUP COMMAND ...")
	}
	os.WriteFile(args[0]+"/cgroup.procs", []byte(strconv.Itoa(os.Getpid())), 0)
	path, err := exec.LookPath(args[1])
	if err == nil {
		err = syscall.Exec(path, args[1:], os.Environ())
	}
	log.Fatalf("%s: %v", args[1], err)
}

// tree returns the pids of the proxy and its descendants.
func (x *proxy) tree() []int {
	if x.cmd == nil {
		return nil
	}
	pids := []int{x.cmd.Process.Pid}
	for i := 0; i < len(pids); i++ {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pids[i]))
		for _, f := range tasks {
			b, _ := os.ReadFile(f)
			for _, s := range strings.Fields(string(b)) {
				if n, err := strconv.Atoi(s); err == nil {
					pids = append(pids, n)
				}
			}
		}
	}
	return pids
}

// cpu returns the CPU seconds used by the tree so far, user and system, with
// those of children that ended.
func (x *proxy) cpu() float64 {
	if x.cmd == nil {
		return 0
	}
	if x.cgroup != "" {
		if b, err := os.ReadFile(x.cgroup + "/cpuacct.usage"); err == nil {
			if ns, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil {
				return float64(ns) / 1e9
			}
		}
	}
	var sum float64
	for _, pid := range x.tree() {
		sum += processCPU(pid)
	}
	return sum
}

// processCPU returns a process's CPU seconds and those of its ended children.
func processCPU(pid int) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fs := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	var ticks float64
	for _, k := range []int{11, 12, 13, 14} { // utime stime cutime cstime
		v, _ := strconv.ParseFloat(fs[k], 64)
		ticks += v
	}
	return ticks / clockTick
}

// memory returns the tree's summed PSS and RSS in KiB.
func (x *proxy) memory() (pss, rss float64) {
	for _, pid := range x.tree() {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			continue
		}
		for _, line := range strings.Split(string(b), "\n") {
			fs := strings.Fields(line)
			if len(fs) < 2 {
				continue
			}
			v, _ := strconv.ParseFloat(fs[1], 64)
			switch fs[0] {
			case "Pss:":
				pss += v
			case "Rss:":
				rss += v
			}
		}
	}
	return pss, rss
}

// watch samples the tree's PSS until stopped and keeps the highest. Past
// limit MiB it kills the proxy, so that one without back-pressure can't eat
// the machine.
func (x *proxy) watch(every time.Duration, limitMiB float64) (stop func() float64) {
	if x.cmd == nil {
		return func() float64 { return 0 }
	}
	quit, done := make(chan struct{}), make(chan struct{})
	var peak float64
	go func() {
		defer close(done)
		for {
			pss, _ := x.memory()
			peak = max(peak, pss/1024)
			if peak > limitMiB {
				syscall.Kill(-x.cmd.Process.Pid, syscall.SIGKILL)
				return
			}
			select {
			case <-quit:
				return
			case <-time.After(every):
			}
		}
	}()
	return func() float64 { close(quit); <-done; return peak }
}

// selfCPU is the harness's own CPU time in seconds.
func selfCPU() float64 {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return float64(r.Utime.Sec+r.Stime.Sec) + float64(r.Utime.Usec+r.Stime.Usec)/1e6
}

// machineCPU is the machine's busy time in seconds, steal included.
func machineCPU() float64 {
	b, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(b), "\n")
	fs := strings.Fields(line)
	var ticks float64
	for i, f := range fs {
		if i == 0 || i == 4 || i == 5 || i > 8 { // name, idle, iowait, guests
			continue
		}
		v, _ := strconv.ParseFloat(f, 64)
		ticks += v
	}
	return ticks / clockTick
}
