package accessible

import (
	"context"
	"errors"
	"time"

	"github.com/godbus/dbus/v5"

	"vda.internal/shadow/internal/host/sessionbus"
)

// askTime is how long the session's bus may take to say where the accessibility bus is.
const askTime = 2 * time.Second

// Address asks the session's bus, whose address is session, where the accessibility bus is. None is
// started for it: where nobody uses one there is no screen reader.
func Address(ctx context.Context, session string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	conn, err := sessionbus.Dial(ctx, session)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	var address string
	call := conn.Object("org.a11y.Bus", "/org/a11y/bus").CallWithContext(ctx, "org.a11y.Bus.GetAddress", dbus.FlagNoAutoStart)
	if err := call.Store(&address); err != nil {
		return "", err
	}
	if address == "" {
		return "", errors.New("the session has no accessibility bus")
	}
	return address, nil
}
