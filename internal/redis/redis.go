// Package redis gives a Redis server a few commands. It is all of a client that looking up and
// publishing tokens takes: one connection for each call, no pool, RESP 2.
package redis

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

const (
	patience  = 10 * time.Second // for a call whose context has no earlier end
	maxAnswer = 64 << 10         // bytes of all replies
)

// ErrNull is a reply that is no value: there is no such key.
var ErrNull = errors.New("null")

// A Server is where commands go.
type Server struct {
	Address  string // host:port
	DB       int
	Password string // empty: none is given
}

// Do gives a command, and returns its reply, a simple or a bulk string. Null is ErrNull.
func (s Server) Do(ctx context.Context, words ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", s.Address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()

	var commands [][]string
	if s.Password != "" {
		commands = append(commands, []string{"AUTH", s.Password})
	}
	if s.DB != 0 {
		commands = append(commands, []string{"SELECT", strconv.Itoa(s.DB)})
	}
	br := bufio.NewReader(io.LimitReader(conn, maxAnswer))
	reply := ""
	for _, c := range append(commands, words) {
		if _, err := conn.Write(appendCommand(nil, c)); err != nil {
			return "", err
		}
		if reply, err = readReply(br); err != nil {
			return "", err
		}
	}
	return reply, nil
}

// appendCommand writes a command in Redis's protocol, RESP 2.
func appendCommand(b []byte, words []string) []byte {
	b = fmt.Appendf(b, "*%d\r\n", len(words))
	for _, w := range words {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(w), w)
	}
	return b
}

// readReply reads a simple or a bulk string, or a number as one.
func readReply(br *bufio.Reader) (string, error) {
	line, err := br.ReadSlice('\n')
	if err != nil {
		return "", unexpected(err)
	}
	kind, text := line[0], strings.TrimRight(string(line[1:]), "\r\n")
	switch kind {
	case '+', ':':
		return text, nil
	case '-':
		return "", fmt.Errorf("%s", text)
	case '$':
	default:
		return "", fmt.Errorf("unexpected reply %q", line)
	}
	n, err := strconv.Atoi(text)
	switch {
	case err == nil && n == -1:
		return "", ErrNull
	case err != nil || n < 0 || n > maxAnswer:
		return "", fmt.Errorf("unexpected length %q", text)
	}
	b := make([]byte, n+2)
	if _, err := io.ReadFull(br, b); err != nil {
		return "", unexpected(err)
	}
	if b[n] != '\r' || b[n+1] != '\n' {
		return "", errors.New("a string has no end")
	}
	return string(b[:n]), nil
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
