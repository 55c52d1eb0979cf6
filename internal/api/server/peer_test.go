package server

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"vda.internal/shadow/internal/host/account"
)

// A name service whose helper can't even be killed holds up no end that somebody asks for.
func TestCallerOfStuckNameService(t *testing.T) {
	release, left := make(chan struct{}), make(chan struct{})
	lookUp = func(context.Context, uint32) (*account.Account, error) {
		defer close(left)
		<-release
		return nil, account.ErrUnknown
	}
	defer func() { close(release); <-left; lookUp = account.LookupID }()
	known := make(chan uint32, 1)
	go func() { known <- peer{conn: &peerConn{uid: 7}}.caller(context.Background()).UID }()
	select {
	case uid := <-known:
		assert.Equal(t, uint32(7), uid)
	case <-time.After(10 * time.Second):
		t.Error("it hangs")
	}
}
