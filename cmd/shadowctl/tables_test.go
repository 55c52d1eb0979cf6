package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"vda.internal/shadow"
)

// An event's line has who asked, by what right, and why, and leaves out what goes without saying.
func TestEventLine(t *testing.T) {
	at := time.Date(2026, 11, 30, 12, 0, 0, 0, time.Local)
	e := shadow.Event{Time: at, Type: shadow.EventGranted, ID: "x1", Session: "c2", Admin: "boss", Identity: "Mallory Moe (mallory)", Purpose: "INC-1", Rule: "3", Consent: "unanswered", Port: 6001}
	assert.Equal(t, `2026-11-30 12:00:00  granted    x1  session c2  admin boss  identity Mallory Moe (mallory)  purpose "INC-1"  rule 3  consent unanswered  port 6001`, eventLine(e))
	e = shadow.Event{Time: at, Type: shadow.EventGranted, ID: "x1", Session: "c2", Admin: "alice", Identity: "alice", Rule: "none", Consent: "answer", Port: 6001}
	assert.Equal(t, "2026-11-30 12:00:00  granted    x1  session c2  admin alice  port 6001", eventLine(e))
}
