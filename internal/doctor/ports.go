package doctor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// fewPorts is from how few free ports on that is worth a word.
const fewPorts = 5

// ports sees how many of the viewers' ports are free, and who has the others.
func (d *Doctor) ports(context.Context) {
	cfg := d.cfg.Ports
	var held []int
	free := 0
	for port := cfg.First; port <= cfg.Last; port++ {
		if slices.Contains(d.taken, port) {
			continue
		}
		err := d.host.bind(net.JoinHostPort(bindHost(cfg.Listen), strconv.Itoa(port)))
		switch {
		case err == nil:
			free++
		case errors.Is(err, syscall.EADDRINUSE):
			held = append(held, port)
		case errors.Is(err, syscall.EADDRNOTAVAIL):
			d.broken("ports", fmt.Sprintf("ports.listen is %s, which isn't an address of this host", cfg.Listen),
				"leave ports.listen out of the configuration, or set it to an address that ip address shows")
			return
		case errors.Is(err, syscall.EACCES):
			d.broken("ports", fmt.Sprintf("port %d may not be bound by this user", port), "use ports above 1023, or run shadowd as root")
			return
		default:
			d.broken("ports", fmt.Sprintf("port %d can't be bound: %v", port, err), "see that the host's network works")
			return
		}
	}
	d.judgePorts(free, d.holders(held))
}

func (d *Doctor) judgePorts(free int, held []string) {
	cfg := d.cfg.Ports
	found := fmt.Sprintf("%d of %s %d-%d %s free", free, plural(cfg.Last-cfg.First+1, "port", "ports"), cfg.First, cfg.Last, isAre(free))
	if n := len(d.taken); n > 0 {
		found += fmt.Sprintf("; %s with viewers", plural(n, "is", "are"))
	}
	if len(held) > 0 {
		found += "; held by others: " + first(held, 6)
	}
	const remedy = "end what holds them (X servers that listen on TCP and ssh -X take ports of this range), or give ports.first and ports.last another range"
	switch {
	case free == 0:
		d.broken("ports", found, remedy)
	case free < fewPorts && len(held) > 0:
		d.note("ports", found, remedy)
	default:
		d.ok("ports", found)
	}
}

func isAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// bindHost is the host part of an address to listen on.
func bindHost(listen string) string {
	if listen == "::" {
		return ""
	}
	return listen
}

// bindOnce takes an address and lets it go at once.
func bindOnce(address string) error {
	network := "tcp"
	if strings.HasPrefix(address, "0.0.0.0:") {
		network = "tcp4"
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		return err
	}
	return ln.Close()
}

// holders says who has which of the ports: "6010-6011 sshd (pid 812)".
func (d *Doctor) holders(ports []int) []string {
	if len(ports) == 0 {
		return nil
	}
	inodes := map[string]int{} // of listening sockets, and their ports
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		d.listeners(name, ports, inodes)
	}
	owner := d.owners(inodes)
	var order []string // of who has the lowest port
	theirs := map[string][]int{}
	for _, port := range ports {
		who := "somebody who isn't listening or can't be seen"
		for _, p := range owner {
			if p.port == port {
				who = p.String()
			}
		}
		if theirs[who] == nil {
			order = append(order, who)
		}
		theirs[who] = append(theirs[who], port)
	}
	var list []string
	for _, who := range order {
		list = append(list, spans(theirs[who])+" "+who)
	}
	return list
}

// listeners notes the inodes of sockets that listen on the ports (proc_net(5)).
func (d *Doctor) listeners(name string, ports []int, inodes map[string]int) {
	f, err := os.Open(d.file(name))
	if err != nil {
		return // no IPv6
	}
	defer f.Close()
	const listening = "0A"
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 || fields[3] != listening {
			continue
		}
		_, hex, _ := strings.Cut(fields[1], ":")
		if port, err := strconv.ParseUint(hex, 16, 16); err == nil && slices.Contains(ports, int(port)) {
			inodes[fields[9]] = int(port)
		}
	}
}

// A holder is a process that has a port.
type holder struct {
	port, pid int
	name      string
}

func (h holder) String() string { return fmt.Sprintf("%s (pid %d)", h.name, h.pid) }

// owners finds the processes that have sockets open.
func (d *Doctor) owners(inodes map[string]int) (found []holder) {
	processes, _ := filepath.Glob(d.file("/proc/[0-9]*"))
	for _, process := range processes {
		pid, err := strconv.Atoi(filepath.Base(process))
		if err != nil {
			continue
		}
		entries, err := os.ReadDir(filepath.Join(process, "fd"))
		if err != nil {
			continue // ended, or somebody else's
		}
		for _, e := range entries {
			link, _ := os.Readlink(filepath.Join(process, "fd", e.Name()))
			inode, isSocket := strings.CutPrefix(link, "socket:[")
			port, wanted := inodes[strings.TrimSuffix(inode, "]")]
			if isSocket && wanted {
				name, _ := os.ReadFile(filepath.Join(process, "comm"))
				found = append(found, holder{port, pid, oneLine(string(name))})
			}
		}
	}
	return found
}
