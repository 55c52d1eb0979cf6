package wrap

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Hint says why the program can't be reached, as far as the tables of the
// kernel show it: it has taken the port that it should have left. own are the
// inodes of websockify's own sockets. It is empty if the program listens where
// it should, or nothing is known.
func (p *Program) Hint(own map[uint64]bool) string {
	if p.port == 0 {
		return ""
	}
	moved, theirs := p.places(own)
	if moved {
		return ""
	}
	if theirs {
		return fmt.Sprintf("the wrapped program listens on port %d itself instead of 127.0.0.1:%d: write {port} where its command has the port", p.o.Port, p.port)
	}
	if p.rebound() {
		return fmt.Sprintf("the wrapped program doesn't listen on 127.0.0.1:%d (yet). %s", p.port, p.notMoved("If it has"))
	}
	return fmt.Sprintf("the wrapped program doesn't listen on 127.0.0.1:%d (yet)", p.port)
}

// TookPort reports whether the program listens on the port that it should have left.
func (p *Program) TookPort(own map[uint64]bool) bool {
	moved, theirs := p.places(own)
	return theirs && !moved
}

// places finds out where the program listens: where it should, or on the port
// that it should have left.
func (p *Program) places(own map[uint64]bool) (moved, theirs bool) {
	for _, l := range listeners() {
		switch {
		case p.port != 0 && l.port == p.port:
			moved = true
		case p.o.Port != 0 && l.port == p.o.Port && !own[l.inode]:
			theirs = true
		}
	}
	return moved, theirs
}

// tryPort is how soon a program fails that can't have its port.
const tryPort = 10 * time.Second

// FailureHint says why a program that ran for so long may have failed with
// status, as far as its port has to do with it. It is empty if that was
// something else: a signal, or the end of a program that had got its port.
func (p *Program) FailureHint(status int, ran time.Duration) string {
	if !p.rebound() || status == 0 || status > signalled || ran > tryPort {
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
