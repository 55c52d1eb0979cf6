package accessible

import (
	"image"

	"github.com/godbus/dbus/v5"
)

// The interfaces.
const (
	accessibleIface  = "org.a11y.atspi.Accessible"
	applicationIface = "org.a11y.atspi.Application"
	componentIface   = "org.a11y.atspi.Component"
	actionIface      = "org.a11y.atspi.Action"
	cacheIface       = "org.a11y.atspi.Cache"
	propertiesIface  = "org.freedesktop.DBus.Properties"
)

// A ref names an object on the bus, (so).
type ref struct {
	Bus  string
	Path dbus.ObjectPath
}

// An extent is a rectangle, (iiii).
type extent struct{ X, Y, Width, Height int32 }

// A relation is one of an object with others, (ua(so)). There is none here.
type relation struct {
	Type    uint32
	Targets []ref
}

// An actionText is what an action is called, (sss).
type actionText struct{ Name, Description, Key string }

// A cached is an object as a client keeps it, ((so)(so)(so)iiassusau).
type cached struct {
	Object, Application, Parent ref
	Index, Children             int32
	Interfaces                  []string
	Name                        string
	Role                        uint32
	Description                 string
	States                      []uint32
}

// A served is a Reader on a connection.
type served struct {
	r    *Reader
	conn *dbus.Conn
}

// export answers what clients ask of the objects.
func (r *Reader) export(conn *dbus.Conn) error {
	s := served{r, conn}
	const all = "/org/a11y/atspi/accessible"
	for iface, methods := range map[string]map[string]any{
		accessibleIface: s.accessible(), componentIface: s.component(), actionIface: s.action(), propertiesIface: s.properties(),
		applicationIface: {"GetLocale": func(m dbus.Message, _ uint32) (string, *dbus.Error) { return s.locale(), nil }},
	} {
		if err := conn.ExportSubtreeMethodTable(methods, all, iface); err != nil {
			return err
		}
	}
	return conn.ExportMethodTable(map[string]any{"GetItems": s.items}, "/org/a11y/atspi/cache", cacheIface)
}

// snapshot is what there is now.
func (s served) snapshot() []object {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	return s.r.tree.objects()
}

func (s served) locale() string {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	return s.r.tree.Locale
}

// of is the object that a message is for.
func (s served) of(m dbus.Message) (object, *dbus.Error) {
	path, _ := m.Headers[dbus.FieldPath].Value().(dbus.ObjectPath)
	if o, ok := find(s.snapshot(), path); ok {
		return o, nil
	}
	return object{}, dbus.NewError("org.freedesktop.DBus.Error.UnknownObject", []any{"this part no longer exists"})
}

// ref names an object of ours.
func (s served) ref(path dbus.ObjectPath) ref { return ref{own(s.conn), path} }

// parent is the object's, the registry's of the application.
func (s served) parent(o object) ref {
	if o.path != rootPath {
		return s.ref(o.parent)
	}
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	if s.r.parent.Path == "" { // not embedded yet
		return s.ref(nullPath)
	}
	return s.r.parent
}

// children are the object's.
func (s served) children(o object) []ref {
	all := make([]ref, 0, len(o.children))
	for _, c := range o.children {
		all = append(all, s.ref(c))
	}
	return all
}

// interfaces are the object's.
func interfaces(o object) []string {
	all := []string{accessibleIface}
	switch {
	case o.path == rootPath:
		return append(all, applicationIface)
	case o.Role == Button:
		all = append(all, actionIface)
	}
	return append(all, componentIface)
}

// bits are states as the bus has them: two words, the lower one first.
func bits(s State) []uint32 { return []uint32{uint32(s), uint32(s >> 32)} }

// accessible is what every object is asked.
func (s served) accessible() map[string]any {
	return map[string]any{
		"GetChildAtIndex": func(m dbus.Message, i int32) (ref, *dbus.Error) {
			o, err := s.of(m)
			if err != nil || i < 0 || int(i) >= len(o.children) {
				return s.ref(nullPath), err
			}
			return s.ref(o.children[i]), nil
		},
		"GetChildren":      ask(s, s.children),
		"GetIndexInParent": ask(s, func(o object) int32 { return o.index }),
		"GetRelationSet":   ask(s, func(object) []relation { return []relation{} }),
		"GetRole":          ask(s, func(o object) uint32 { return uint32(o.Role) }),
		"GetRoleName":      ask(s, func(o object) string { return o.Role.name() }),
		"GetLocalizedRoleName": ask(s, func(o object) string {
			return o.Role.name()
		}),
		"GetState":       ask(s, func(o object) []uint32 { return bits(o.States) }),
		"GetAttributes":  ask(s, func(object) map[string]string { return map[string]string{"toolkit": appName} }),
		"GetApplication": ask(s, func(object) ref { return s.ref(rootPath) }),
		"GetInterfaces":  ask(s, interfaces),
	}
}

// ask is a method without arguments that says something of an object.
func ask[T any](s served, what func(object) T) func(dbus.Message) (T, *dbus.Error) {
	return func(m dbus.Message) (T, *dbus.Error) {
		o, err := s.of(m)
		if err != nil {
			var none T
			return none, err
		}
		return what(o), nil
	}
}

// inWindow is a coordinate type: from the window's corner, not the screen's.
const inWindow = 1

// bounds are where o is, from the corner that a coordinate type means.
func (s served) bounds(o object, coordinates uint32) image.Rectangle {
	if coordinates != inWindow {
		return o.Bounds
	}
	window, _ := find(s.snapshot(), windowPath)
	return o.Bounds.Sub(window.Bounds.Min)
}

// component says where objects are. It moves none, and gives none the keyboard.
func (s served) component() map[string]any {
	at := func(m dbus.Message, coordinates uint32) (image.Rectangle, *dbus.Error) {
		o, err := s.of(m)
		if err != nil {
			return image.Rectangle{}, err
		}
		return s.bounds(o, coordinates), nil
	}
	return map[string]any{
		"Contains": func(m dbus.Message, x, y int32, coordinates uint32) (bool, *dbus.Error) {
			b, err := at(m, coordinates)
			return image.Pt(int(x), int(y)).In(b), err
		},
		"GetAccessibleAtPoint": func(m dbus.Message, x, y int32, coordinates uint32) (ref, *dbus.Error) {
			o, err := s.of(m)
			if err != nil {
				return s.ref(nullPath), err
			}
			return s.atPoint(o, image.Pt(int(x), int(y)), coordinates), nil
		},
		"GetExtents": func(m dbus.Message, coordinates uint32) (extent, *dbus.Error) {
			b, err := at(m, coordinates)
			return extent{int32(b.Min.X), int32(b.Min.Y), int32(b.Dx()), int32(b.Dy())}, err
		},
		"GetPosition": func(m dbus.Message, coordinates uint32) (x, y int32, err *dbus.Error) {
			b, err := at(m, coordinates)
			return int32(b.Min.X), int32(b.Min.Y), err
		},
		"GetSize": func(m dbus.Message) (width, height int32, err *dbus.Error) {
			b, err := at(m, 0)
			return int32(b.Dx()), int32(b.Dy()), err
		},
		"GetLayer":     ask(s, layer),
		"GetMDIZOrder": ask(s, func(object) int16 { return 0 }),
		"GetAlpha":     ask(s, func(object) float64 { return 1 }),
		"GrabFocus":    ask(s, func(object) bool { return false }), // or Enter might be meant for something else
	}
}

// layer is the object's AtspiComponentLayer.
func layer(o object) uint32 {
	const widget, window = 3, 7
	if o.path == windowPath {
		return window
	}
	return widget
}

// atPoint is the part at a place, or the window if it is in none.
func (s served) atPoint(o object, p image.Point, coordinates uint32) ref {
	all := s.snapshot()
	for i := len(all) - 1; i > 0; i-- { // buttons come last, and lie on the window
		if c := all[i]; (c.path == o.path || c.parent == o.path) && p.In(s.bounds(c, coordinates)) {
			return s.ref(c.path)
		}
	}
	return s.ref(nullPath)
}

// action is what buttons can do. What lets somebody view can't be done from here.
func (s served) action() map[string]any {
	text := func(m dbus.Message, i int32) (string, *dbus.Error) {
		o, err := s.of(m)
		if err != nil || o.Role != Button || i != 0 {
			return "", err
		}
		return "click", nil
	}
	none := func(m dbus.Message, _ int32) (string, *dbus.Error) { return "", nil }
	return map[string]any{
		"GetName": text, "GetLocalizedName": text, "GetDescription": none, "GetKeyBinding": none,
		"GetActions": ask(s, func(o object) []actionText {
			if o.Role != Button {
				return []actionText{}
			}
			return []actionText{{Name: "click"}}
		}),
		"DoAction": func(m dbus.Message, i int32) (bool, *dbus.Error) {
			o, err := s.of(m)
			if err != nil || i != 0 || !o.Press {
				return false, err
			}
			select {
			case s.r.pressed <- o.ID:
			default: // one waits already
			}
			return true, nil
		},
	}
}

// properties are those of all interfaces.
func (s served) properties() map[string]any {
	unknown := dbus.NewError("org.freedesktop.DBus.Error.UnknownProperty", []any{"there is no such property"})
	return map[string]any{
		"Get": func(m dbus.Message, iface, name string) (dbus.Variant, *dbus.Error) {
			o, err := s.of(m)
			if err != nil {
				return dbus.Variant{}, err
			}
			v, ok := s.values(o, iface)[name]
			if !ok {
				return dbus.MakeVariant(""), unknown
			}
			return v, nil
		},
		"GetAll": func(m dbus.Message, iface string) (map[string]dbus.Variant, *dbus.Error) {
			o, err := s.of(m)
			if err != nil {
				return nil, err
			}
			return s.values(o, iface), nil
		},
		"Set": func(m dbus.Message, iface, name string, v dbus.Variant) *dbus.Error {
			o, err := s.of(m)
			if err != nil {
				return err
			}
			id, ok := v.Value().(int32)
			if o.path != rootPath || iface != applicationIface || name != "Id" || !ok {
				return unknown
			}
			s.r.mu.Lock()
			defer s.r.mu.Unlock()
			s.r.id = id
			return nil
		},
	}
}

// values are an object's properties of one interface.
func (s served) values(o object, iface string) map[string]dbus.Variant {
	is := func(all map[string]any) map[string]dbus.Variant {
		values := map[string]dbus.Variant{}
		for name, v := range all {
			values[name] = dbus.MakeVariant(v)
		}
		return values
	}
	switch {
	case iface == accessibleIface:
		return is(map[string]any{
			"Name": o.Name, "Description": o.Description, "Parent": s.parent(o), "ChildCount": int32(len(o.children)),
			"Locale": s.locale(), "AccessibleId": o.ID, "HelpText": "",
		})
	case iface == actionIface && o.Role == Button:
		return is(map[string]any{"NActions": int32(1)})
	case iface == actionIface:
		return is(map[string]any{"NActions": int32(0)})
	case iface == applicationIface && o.path == rootPath:
		s.r.mu.Lock()
		id := s.r.id
		s.r.mu.Unlock()
		return is(map[string]any{"ToolkitName": appName, "Version": "1", "ToolkitVersion": "1", "AtspiVersion": "2.1", "Id": id})
	}
	return map[string]dbus.Variant{}
}

// items are all objects, for clients that keep them.
func (s served) items() ([]cached, *dbus.Error) {
	var all []cached
	for _, o := range s.snapshot() {
		all = append(all, cached{
			Object: s.ref(o.path), Application: s.ref(rootPath), Parent: s.parent(o), Index: o.index, Children: int32(len(o.children)),
			Interfaces: interfaces(o), Name: o.Name, Role: uint32(o.Role), Description: o.Description, States: bits(o.States),
		})
	}
	return all, nil
}
