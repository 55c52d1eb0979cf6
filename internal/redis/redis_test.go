package redis

import (
	"bufio"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func FuzzRedisReply(f *testing.F) {
	for _, s := range []string{"+OK\r\n", "-ERR no\r\n", "$3\r\nabc\r\n", "$-1\r\n", "$99999999\r\n", ":1\r\n", "\n", ""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := readReply(bufio.NewReader(strings.NewReader(string(b))))
		if err == nil {
			assert.Contains(t, string(b), s)
		}
	})
}
