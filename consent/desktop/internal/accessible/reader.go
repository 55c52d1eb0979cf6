package accessible

import (
	"context"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"

	"vda.internal/shadow/internal/host/sessionbus"
)

const (
	joinTime = 5 * time.Second        // the bus may take to let the window in
	stopTime = 100 * time.Millisecond // Stop waits for a bus that takes nothing
)

// A Reader hands a window on to screen readers. A nil Reader does nothing. It is safe for concurrent use.
type Reader struct {
	cancel  context.CancelFunc
	done    chan struct{}
	updates chan Tree   // the newest that wasn't told yet
	pressed chan string // a press that nobody has taken yet

	mu     sync.Mutex
	tree   Tree
	parent ref   // of the application: what the registry said
	id     int32 // of the application, which the registry gives
}

// Start looks for the accessibility bus with find, and joins it once there is something to show. It
// doesn't wait for that. Whoever calls it calls Stop.
func Start(ctx context.Context, find func(context.Context) (address string, err error)) *Reader {
	ctx, cancel := context.WithCancel(ctx)
	r := &Reader{cancel: cancel, done: make(chan struct{}), updates: make(chan Tree, 1), pressed: make(chan string, 1)}
	go func() {
		defer close(r.done)
		defer func() { _ = recover() }() // what answers may be anybody's; a window that nobody reads is all that comes of it
		r.run(ctx, find)
	}()
	return r
}

// Stop leaves the bus. It waits for a moment only.
func (r *Reader) Stop() {
	if r == nil {
		return
	}
	r.cancel()
	t := time.NewTimer(stopTime)
	defer t.Stop()
	select {
	case <-r.done:
	case <-t.C:
	}
}

// Show makes t what screen readers find. It never blocks.
func (r *Reader) Show(t Tree) {
	if r == nil {
		return
	}
	select {
	case <-r.updates:
	default:
	}
	select {
	case r.updates <- t:
	default: // another Show was faster
	}
}

// Pressed yields the ID of a part whose action was done. Of several that nobody takes the first counts.
func (r *Reader) Pressed() <-chan string {
	if r == nil {
		return nil
	}
	return r.pressed
}

// run serves the window until ctx ends or the bus goes.
func (r *Reader) run(ctx context.Context, find func(context.Context) (string, error)) {
	select {
	case r.tree = <-r.updates:
	case <-ctx.Done():
		return
	}
	conn, err := r.join(ctx, find)
	if err != nil {
		return // nobody reads it
	}
	defer conn.Close()
	r.announce(conn, nil, r.tree.objects())
	for {
		select {
		case t := <-r.updates:
			r.mu.Lock()
			old := r.tree
			r.tree = t
			r.mu.Unlock()
			if !t.equal(old) {
				r.announce(conn, old.objects(), t.objects())
			}
		case <-ctx.Done():
			return
		case <-conn.Context().Done():
			return
		}
	}
}

// join connects to the bus and tells the registry of the application.
func (r *Reader) join(ctx context.Context, find func(context.Context) (string, error)) (*dbus.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, joinTime)
	defer cancel()
	address, err := find(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := sessionbus.Dial(ctx, address)
	if err != nil {
		return nil, err
	}
	if err = r.export(conn); err == nil {
		var parent ref
		call := conn.Object("org.a11y.atspi.Registry", rootPath).
			CallWithContext(ctx, "org.a11y.atspi.Socket.Embed", 0, ref{conn.Names()[0], rootPath})
		if err = call.Store(&parent); err == nil {
			r.mu.Lock()
			r.parent = parent
			r.mu.Unlock()
			return conn, nil
		}
	}
	_ = conn.Close()
	return nil, err
}

// announce tells what has changed from some objects to others.
func (r *Reader) announce(conn *dbus.Conn, before, now []object) {
	for _, o := range before {
		if _, still := find(now, o.path); !still {
			emit(conn, windowPath, "Object.ChildrenChanged", "remove", o.index, 0, ref{own(conn), o.path})
		}
	}
	for _, o := range now {
		was, known := find(before, o.path)
		switch {
		case o.path == windowPath && !known:
			emit(conn, rootPath, "Object.ChildrenChanged", "add", 0, 0, ref{own(conn), o.path})
			emit(conn, o.path, "Window.Create", "", 0, 0, o.Name)
		case !known && before != nil:
			emit(conn, windowPath, "Object.ChildrenChanged", "add", o.index, 0, ref{own(conn), o.path})
		}
		if known && was.Name != o.Name {
			emit(conn, o.path, "Object.PropertyChange", "accessible-name", 0, 0, o.Name)
		}
		if known && was.Description != o.Description {
			emit(conn, o.path, "Object.PropertyChange", "accessible-description", 0, 0, o.Description)
		}
		if o.path != rootPath {
			states(conn, o, was.States)
		}
	}
}

// states tells of o's states that differ from what they were.
func states(conn *dbus.Conn, o object, was State) {
	for _, s := range told {
		on := o.States&s.state != 0
		if on == (was&s.state != 0) {
			continue
		}
		if s.state == Active {
			emit(conn, o.path, map[bool]string{true: "Window.Activate", false: "Window.Deactivate"}[on], "", 0, 0, o.Name)
		}
		var detail int32
		if on {
			detail = 1
		}
		emit(conn, o.path, "Object.StateChanged", s.name, detail, 0, int32(0))
		if s.state == Focused && on {
			emit(conn, o.path, "Focus.Focus", "", 0, 0, int32(0))
		}
	}
}

// emit sends one event. That it can't be sent is noticed by the connection's end.
func emit(conn *dbus.Conn, path dbus.ObjectPath, event, what string, detail1, detail2 int32, value any) {
	_ = conn.Emit(path, "org.a11y.atspi.Event."+event, what, detail1, detail2, dbus.MakeVariant(value), map[string]dbus.Variant{})
}

// own is the connection's name on its bus.
func own(conn *dbus.Conn) string {
	if names := conn.Names(); len(names) > 0 {
		return names[0]
	}
	return ""
}
