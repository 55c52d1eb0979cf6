// Package syslog sends messages to a syslog server in the form of RFC 5424, or
// in the older one that the Python program has under --legacy-syslog.
//
//	w := &syslog.Writer{Network: "unix", Address: "/dev/log", Facility: syslog.User, Tag: "websockify"}
//	defer w.Close()
//	if err := w.Send(syslog.Info, time.Now(), "started"); err != nil {
//		log.Print(err)
//	}
//
// A message that can't be sent within a quarter of a second is lost: whoever
// logs has other things to do.
package syslog

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// A Severity is RFC 5424's.
type Severity int

// The severities in use.
const (
	Warning Severity = 4
	Info    Severity = 6
	Debug   Severity = 7
)

// A Facility is RFC 5424's.
type Facility int

// The facilities in use.
const (
	User   Facility = 1
	Daemon Facility = 3
)

const (
	patience    = time.Second / 4
	maxHostname = 255
	maxTag      = 24
	bom         = "\ufeff"
)

// A Writer sends messages. The connection is made with the first, and again
// after an error. A Writer must not be copied; its methods may be called
// concurrently.
type Writer struct {
	Network  string // "udp", or "unix" for a socket of either kind
	Address  string
	Facility Facility
	Tag      string // the program's name
	Legacy   bool   // the form without version, time and host

	mu   sync.Mutex
	conn net.Conn
}

// Send sends one message. Ends of line in it become blanks.
func (w *Writer) Send(s Severity, at time.Time, text string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var err error
	for range 2 { // a server that was restarted shows with the first write
		if err = w.connect(); err != nil {
			return err
		}
		message := w.format(s, at, text)
		if w.conn.RemoteAddr().Network() == "unix" {
			message += "\n" // a stream
		}
		_ = w.conn.SetWriteDeadline(time.Now().Add(patience))
		if _, err = w.conn.Write([]byte(message)); err == nil {
			return nil
		}
		_ = w.conn.Close()
		w.conn = nil
	}
	return err
}

// Close closes the connection. The next Send makes a new one.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn == nil {
		return nil
	}
	err := w.conn.Close()
	w.conn = nil
	return err
}

func (w *Writer) connect() error {
	if w.conn != nil {
		return nil
	}
	networks := []string{w.Network}
	if w.Network == "unix" {
		networks = []string{"unixgram", "unix"}
	}
	var err error
	for _, network := range networks {
		if w.conn, err = net.DialTimeout(network, w.Address, patience); err == nil {
			return nil
		}
	}
	return err
}

func (w *Writer) format(s Severity, at time.Time, text string) string {
	priority := int(w.Facility)<<3 | int(s)
	text = strings.ReplaceAll(text, "\n", " ")
	if !isASCII(text) {
		text = bom + text
	}
	tag := w.Tag[:min(len(w.Tag), maxTag)]
	if w.Legacy {
		return fmt.Sprintf("<%d>%s[%d]: %s", priority, tag, os.Getpid(), text)
	}
	return fmt.Sprintf("<%d>1 %s %s %s %d - - %s", priority, at.UTC().Format("2006-01-02T15:04:05Z"), hostname(), tag, os.Getpid(), text)
}

// hostname is this machine's, or the standard's word for none.
func hostname() string {
	name, err := os.Hostname()
	if err != nil || name == "" || !isASCII(name) {
		return "-"
	}
	return name[:min(len(name), maxHostname)]
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
