package xprobe

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/godbus/dbus/v5"

	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/sessionbus"
)

// The kinds of errors of [Notifications].
const (
	NoBus     Kind = "no_bus"     // no bus answers that the user may use and trust
	NoService Kind = "no_service" // nobody shows notifications, or it doesn't answer
	NoButtons Kind = "no_buttons" // the service can't ask
	Asleep    Kind = "asleep"     // the service is started when it is needed; what it can is seen then
)

const (
	busTime = 3 * time.Second // the bus has, and then the service

	notifications     = "org.freedesktop.Notifications"
	notificationsPath = dbus.ObjectPath("/org/freedesktop/Notifications")
	busName           = "org.freedesktop.DBus"
)

// askable are the capabilities that a question needs, as desktop.Notify puts
// it: buttons, and room for what a Yes means.
var askable = []string{"actions", "body"}

// Notifications finds out whether the desktop's notification service can put a
// question with buttons, as the user id: on the session's bus at address, or at
// the user's usual one if that is empty. It shows nothing and starts no
// service. It returns what the service calls itself (text from the session);
// the error is an [*Error]. Its time limit and its child are as [Probe]'s.
func Notifications(ctx context.Context, address string, id child.Identity) (service string, err error) {
	a, err := ask(ctx, "the notification service", &busRole, []string{"BUS=" + address}, id)
	return a.Service, err
}

// askService is the child of Notifications.
func askService(address string) (service string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), busTime)
	conn, err := sessionbus.Dial(ctx, address)
	cancel()
	if err != nil {
		return "", &Error{NoBus, err.Error()}
	}
	defer conn.Close()
	ctx, cancel = context.WithTimeout(context.Background(), busTime)
	defer cancel()
	var there bool
	if err := conn.BusObject().CallWithContext(ctx, busName+".NameHasOwner", 0, notifications).Store(&there); err != nil {
		return "", &Error{NoBus, fmt.Sprintf("the session's bus doesn't answer: %v", err)}
	}
	if !there {
		var startable []string
		if err := conn.BusObject().CallWithContext(ctx, busName+".ListActivatableNames", 0).Store(&startable); err == nil && slices.Contains(startable, notifications) {
			return "", &Error{Asleep, "the desktop's notification service isn't running yet"}
		}
		return "", &Error{NoService, "the desktop has no notification service"}
	}
	object := conn.Object(notifications, notificationsPath)
	var can []string
	if err := object.CallWithContext(ctx, notifications+".GetCapabilities", dbus.FlagNoAutoStart).Store(&can); err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("no answer within %g s", busTime.Seconds())
		}
		return "", &Error{NoService, fmt.Sprintf("the desktop's notification service doesn't say what it can show: %v", err)}
	}
	for _, needed := range askable {
		if !slices.Contains(can, needed) {
			return "", &Error{NoButtons, fmt.Sprintf("the desktop's notification service can't ask: it lacks %q", needed)}
		}
	}
	var vendor, version, spec string
	if object.CallWithContext(ctx, notifications+".GetServerInformation", dbus.FlagNoAutoStart).Store(&service, &vendor, &version, &spec) != nil {
		return "", nil // nothing depends on its name
	}
	return service, nil
}

// busChild is what [Child] does in a child of Notifications.
func busChild() (a answer) {
	service, err := askService(os.Getenv("BUS"))
	a.Service = service
	if err != nil && !errors.As(err, &a.Error) {
		a.Error = &Error{Failed, err.Error()}
	}
	return a
}
