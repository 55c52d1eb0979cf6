package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"vda.internal/shadow"
)

// maxEvent is how many bytes a line of the event stream may have.
const maxEvent = 64 << 10

// An EventStream is what happens at the daemon, from the moment that
// [Client.Events] returned it. It is for one goroutine at a time.
type EventStream struct {
	client Client
	ctx    context.Context // of the request, as http.Request has it
	body   io.ReadCloser
	lines  *bufio.Scanner
}

// Events subscribes to the daemon's events. When it returns nothing that
// happens is missed any more. The caller closes the stream; it also ends with
// ctx.
func (c Client) Events(ctx context.Context) (*EventStream, error) {
	resp, err := c.do(ctx, http.MethodGet, "/v1/events", nil)
	if err != nil {
		return nil, err
	}
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind != "text/event-stream" {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("the answer to GET /v1/events isn't an event stream but %q", kind)
	}
	s := &EventStream{client: c, ctx: ctx, body: resp.Body, lines: bufio.NewScanner(resp.Body)}
	s.lines.Buffer(nil, maxEvent)
	return s, nil
}

// Next waits for the next event. When the daemon ends the stream, because it
// is going down or because the reader was too slow, the error is
// [ErrUnreachable].
func (s *EventStream) Next() (shadow.Event, error) {
	var data []string
	for s.lines.Scan() {
		line := s.lines.Text()
		if line != "" {
			if value, ok := strings.CutPrefix(line, "data:"); ok {
				data = append(data, strings.TrimPrefix(value, " "))
			}
			continue // "event:" repeats what the data says; comments keep the connection warm
		}
		if data == nil {
			continue
		}
		var e shadow.Event
		if err := json.Unmarshal([]byte(strings.Join(data, "\n")), &e); err != nil {
			return shadow.Event{}, fmt.Errorf("an event can't be read: %w", err)
		}
		return e, nil
	}
	err := s.lines.Err()
	if err == nil || s.ctx.Err() != nil {
		err = io.EOF
	}
	return shadow.Event{}, s.ended(err)
}

func (s *EventStream) ended(err error) error {
	if err == io.EOF && s.ctx.Err() == nil {
		return fmt.Errorf("%w: it ended the event stream", ErrUnreachable)
	}
	return s.client.unreachable(s.ctx, err)
}

// Close ends the subscription.
func (s *EventStream) Close() error { return s.body.Close() }
