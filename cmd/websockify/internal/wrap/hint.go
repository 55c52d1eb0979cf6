package wrap

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Hint says why the program can't be reached, as far as the tables of the
// kernel show it: it has taken the port that it should have left. own are the
// inodes of websockify's own sockets. It is empty if the program listens where
// it should, or nothing is known.
func (p *Program) Hint(own map[uint64]bool) string {
	if p.port == 0 {
		return ""
	}
	theirs := false
	for _, l := range listeners() {
		switch {
		case l.port == p.port:
			return ""
		case l.port == p.o.Port && !own[l.inode]:
			theirs = true
		}
	}
	if theirs {
		return fmt.Sprintf("the wrapped program listens on port %d itself instead of 127.0.0.1:%d: write {port} where its command has the port", p.o.Port, p.port)
	}
	if p.rebound() {
		return fmt.Sprintf("the wrapped program doesn't listen on 127.0.0.1:%d (yet). %s", p.port, p.notMoved("If it has"))
	}
	return fmt.Sprintf("the wrapped program doesn't listen on 127.0.0.1:%d (yet)", p.port)
}

// FailureHint says why the program may have failed, as far as its port has to
// do with it. It is empty if that was its own doing.
func (p *Program) FailureHint() string {
	if !p.rebound() {
		return ""
	}
	return p.notMoved("if it had")
}

// notMoved is what to do if rebind.so had no effect.
func (p *Program) notMoved(beginning string) string {
	return fmt.Sprintf("%s tried to take port %d itself, write {port} where its command has the port: rebind.so moves no static, Go or IPv6 program", beginning, p.o.Port)
}

// A listening is a TCP socket that listens.
type listening struct {
	port  int
	inode uint64
}

// listeners reads the kernel's tables (proc(5), /proc/net/tcp).
func listeners() (found []listening) {
	for _, name := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		f, err := os.Open(name)
		if err != nil {
			continue
		}
		for s := bufio.NewScanner(f); s.Scan(); {
			if l, ok := parseListening(s.Text()); ok {
				found = append(found, l)
			}
		}
		f.Close()
	}
	return found
}

// parseListening reads a line of the table: number, local address, remote
// address, state, …, inode as the tenth.
func parseListening(line string) (listening, bool) {
	const listen = "0A"
	fields := strings.Fields(line)
	if len(fields) < 10 || fields[3] != listen {
		return listening{}, false
	}
	port, err := strconv.ParseUint(fields[1][strings.LastIndexByte(fields[1], ':')+1:], 16, 16)
	if err != nil {
		return listening{}, false
	}
	inode, err := strconv.ParseUint(fields[9], 10, 64)
	return listening{int(port), inode}, err == nil
}
