package accessible

import (
	"image"
	"slices"

	"github.com/godbus/dbus/v5"
)

// A Role is what a part is: an AtspiRole.
type Role uint32

// The roles.
const (
	Dialog       Role = 16
	Label        Role = 29
	Button       Role = 43 // "push button"
	application  Role = 75
	Notification Role = 101
)

// name is the role's, as AT-SPI has it.
func (r Role) name() string {
	return map[Role]string{
		Dialog: "dialog", Label: "label", Button: "push button", application: "application", Notification: "notification",
	}[r]
}

// A State is one of an AtspiStateType's, as a bit.
type State uint64

// The states.
const (
	Active    State = 1 << 1 // the window has the keyboard
	enabled   State = 1 << 8
	Focusable State = 1 << 11
	Focused   State = 1 << 12
	Modal     State = 1 << 16
	Sensitive State = 1 << 24 // input counts; of a button that can be pressed now
	showing   State = 1 << 25
	visible   State = 1 << 30
	IsDefault State = 1 << 39 // the button that Enter presses as the window comes
)

// always are the states of every part: what isn't seen isn't in the tree.
const always = enabled | showing | visible

// told are the states whose changes are told, with their names in AT-SPI.
var told = []struct {
	state State
	name  string
}{{showing, "showing"}, {Active, "active"}, {Sensitive, "sensitive"}, {Focused, "focused"}}

// A Node is a window or a part of it.
type Node struct {
	ID          string // of a part: unique in its window, of letters and digits
	Role        Role
	Name        string
	Description string
	States      State
	Bounds      image.Rectangle // on the screen

	// Press says that the part's action may be done from the bus, by any program of the session:
	// [Reader.Pressed] yields its ID then. Without it the action of a button is there and refused.
	Press bool
}

// A Tree is a window with its parts, in reading order.
type Tree struct {
	Locale string // of the words, "de"
	Window Node
	Parts  []Node
}

// equal reports whether two trees say the same.
func (t Tree) equal(o Tree) bool {
	return t.Locale == o.Locale && t.Window == o.Window && slices.Equal(t.Parts, o.Parts)
}

// Object paths.
const (
	rootPath   dbus.ObjectPath = "/org/a11y/atspi/accessible/root" // the application
	windowPath dbus.ObjectPath = "/org/a11y/atspi/accessible/window"
	nullPath   dbus.ObjectPath = "/org/a11y/atspi/null"
	partPaths                  = "/org/a11y/atspi/accessible/part_"
)

// An object is a node where it stands in the tree.
type object struct {
	Node
	path, parent dbus.ObjectPath
	index        int32
	children     []dbus.ObjectPath
}

// objects are the tree's, the application first, then the window.
func (t Tree) objects() []object {
	window := object{Node: t.Window, path: windowPath, parent: rootPath}
	window.States |= always
	all := []object{{Node: Node{Role: application, Name: appName, States: always}, path: rootPath, children: []dbus.ObjectPath{windowPath}}}
	var parts []object
	for i, n := range t.Parts {
		n.States |= always
		p := object{Node: n, path: dbus.ObjectPath(partPaths + n.ID), parent: windowPath, index: int32(i)}
		parts = append(parts, p)
		window.children = append(window.children, p.path)
	}
	return append(append(all, window), parts...)
}

// find is the object at a path.
func find(all []object, path dbus.ObjectPath) (object, bool) {
	for _, o := range all {
		if o.path == path {
			return o, true
		}
	}
	return object{}, false
}

// appName is the application's.
const appName = "shadowd"
