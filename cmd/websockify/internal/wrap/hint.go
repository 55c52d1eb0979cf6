package wrap

import (
	"fmt"
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
	for _, s := range tcpSockets() {
		switch port := int(s.local.Port()); {
		case !s.listens():
		case p.port != 0 && port == p.port:
			moved = true
		case p.o.Port != 0 && port == p.o.Port && !own[s.inode]:
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
