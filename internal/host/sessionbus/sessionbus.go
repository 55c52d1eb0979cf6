// Package sessionbus connects to the D-Bus bus of a desktop session, as the session's user,
// and asks it whether the screen is locked.
//
//	conn, err := sessionbus.Dial(ctx, "") // the bus of this process's user
//	if err != nil {
//		return err
//	}
//	defer conn.Close()
//	locked, known := sessionbus.ScreenLocked(ctx, conn)
//
// What answers there is the user's own and may be hostile: use it with the user's rights
// only. A bus that belongs to anybody but root and the user of this process is refused. See
// the D-Bus specification, "Server Addresses" and "Well-known Message Bus Instances".
package sessionbus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"vda.internal/shadow/internal/host/peer"
)

// maxAddress is how many bytes an address may have.
const maxAddress = 512

// UserBus is the address at which systemd has the bus of a user's sessions (pam_systemd(8)).
func UserBus(uid uint32) string {
	return "unix:path=/run/user/" + strconv.FormatUint(uint64(uid), 10) + "/bus"
}

// IsAddress reports whether s is the address of a socket of this host by its path or its
// abstract name, or several with semicolons between them. Other kinds of addresses, of which
// some start programs, aren't used.
func IsAddress(s string) bool {
	_, err := sockets(s)
	return err == nil
}

// sockets are the sockets that an address names, as [net.Dial] wants them.
func sockets(address string) ([]string, error) {
	if len(address) > maxAddress {
		return nil, fmt.Errorf("an address of %d bytes", len(address))
	}
	var all []string
	for one := range strings.SplitSeq(address, ";") {
		name, err := socket(one)
		if err != nil {
			return nil, err
		}
		all = append(all, name)
	}
	return all, nil
}

// socket is the socket that "unix:path=/run/user/1000/bus,guid=…" names.
func socket(address string) (string, error) {
	keys, ok := strings.CutPrefix(address, "unix:")
	if !ok {
		return "", fmt.Errorf("%.60q is no address of a socket of this host", address)
	}
	for pair := range strings.SplitSeq(keys, ",") {
		key, value, _ := strings.Cut(pair, "=")
		name, err := dbus.UnescapeBusAddressValue(value)
		switch {
		case err != nil || strings.ContainsRune(name, 0):
			return "", fmt.Errorf("the address %.60q has a bad value", address)
		case key == "path" && filepath.IsAbs(name):
			return name, nil
		case key == "abstract" && name != "":
			return "@" + name, nil
		}
	}
	return "", fmt.Errorf("the address %.60q names no socket", address)
}

// Dial connects to the bus at address; empty is [UserBus] of this process's user. ctx bounds
// the connecting, not the connection, which the caller closes.
func Dial(ctx context.Context, address string) (*dbus.Conn, error) {
	if address == "" {
		address = UserBus(uint32(os.Getuid()))
	}
	names, err := sockets(address)
	if err != nil {
		return nil, err
	}
	var all []error
	for _, name := range names {
		conn, err := dial(ctx, name)
		if err == nil {
			return conn, nil
		}
		all = append(all, err)
	}
	return nil, errors.Join(all...)
}

// dial connects to one socket.
func dial(ctx context.Context, name string) (*dbus.Conn, error) {
	var d net.Dialer
	raw, err := d.DialContext(ctx, "unix", name)
	if err != nil {
		return nil, fmt.Errorf("no D-Bus bus answers: %w", err)
	}
	if err := trust(raw.(*net.UnixConn), name); err != nil {
		raw.Close()
		return nil, err
	}
	given := context.AfterFunc(ctx, func() { raw.Close() }) // godbus reads without a deadline
	conn, err := dbus.NewConn(bounded{raw})
	if err == nil {
		if err = conn.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Getuid()))}); err == nil {
			err = conn.Hello()
		}
		if !given() && err == nil {
			err = context.Cause(ctx) // the socket was closed after all
		}
		if err == nil {
			return conn, nil
		}
		_ = conn.Close()
	}
	raw.Close()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return nil, fmt.Errorf("the D-Bus bus at %s doesn't let this user in: %w", name, err)
}

// writeTime is how long a bus may take to take a message.
const writeTime = 2 * time.Second

// bounded is a connection to a bus that may take nothing: godbus writes without a deadline.
type bounded struct{ net.Conn }

func (b bounded) Write(p []byte) (int, error) {
	if err := b.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return 0, err
	}
	n, err := b.Conn.Write(p)
	if err != nil {
		_ = b.Close() // half a message may be out
	}
	return n, err
}

// trust refuses a bus of a third user: a socket in /tmp or an abstract one may be anybody's.
func trust(conn *net.UnixConn, name string) error {
	uid, err := peer.UID(conn)
	if err != nil {
		return fmt.Errorf("whose bus it is: %w", err)
	}
	if own := uint32(os.Getuid()); uid != 0 && uid != own {
		return fmt.Errorf("the D-Bus bus at %s is uid %d's, and only root's or uid %d's own would be trusted", name, uid, own)
	}
	return nil
}
