package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
)

// stream reads events from text.
func stream(text string) *EventStream {
	s := &EventStream{ctx: context.Background(), lines: bufio.NewScanner(strings.NewReader(text))}
	s.lines.Buffer(nil, maxEvent)
	return s
}

func TestEventStream(t *testing.T) {
	one := `{"time":"1970-01-01T00:00:05Z","type":"ended","id":"x","session":"42","admin":"a"}`
	for name, text := range map[string]string{
		"plain":          "data: " + one + "\n\n",
		"comments":       ": hello\n\n: again\n\nevent: ended\ndata: " + one + "\n\n",
		"no space":       "data:" + one + "\n\n",
		"carriage":       "data: " + one + "\r\n\r\n",
		"two data lines": "data: " + strings.Replace(one, ",", ",\ndata: ", 1) + "\n\n",
	} {
		e, err := stream(text).Next()
		require.NoError(t, err, name)
		assert.Equal(t, "x", e.ID, name)
	}
	_, err := stream("data: {\n\n").Next()
	require.ErrorContains(t, err, "can't be read")
	_, err = stream("data: " + one + "\n").Next()
	require.ErrorIs(t, err, ErrUnreachable, "half an event is none")
	_, err = stream("data: " + strings.Repeat("x", maxEvent) + "\n\n").Next()
	require.ErrorIs(t, err, bufio.ErrTooLong)
}

// encoded is an event as the daemon writes it.
func encoded(e shadow.Event) []byte {
	data, err := json.Marshal(e)
	if err != nil {
		return nil // a time that JSON doesn't have
	}
	return fmt.Appendf(nil, "event: %s\ndata: %s\n\n", e.Type, data)
}

func FuzzEventStream(f *testing.F) {
	f.Add(encoded(shadow.Event{Type: shadow.EventRefused, ID: "x", Reason: shadow.Denied}))
	f.Add([]byte(": subscribed\n\ndata: {}\n\ndata:\n\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s := stream(string(text))
		for {
			e, err := s.Next()
			if err != nil {
				return
			}
			// What was read and is written again reads the same.
			again, err := stream(string(encoded(e))).Next()
			if bytes.ContainsAny([]byte(e.Type), "\r\n") || e.Time.Year() < 0 || e.Time.Year() > 9999 {
				continue
			}
			require.NoError(t, err)
			require.True(t, e.Time.Equal(again.Time))
			e.Time, again.Time = time.Time{}, time.Time{}
			require.Equal(t, e, again)
		}
	})
}
