package accessible

import (
	"context"
	"errors"
	"image"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// window is a question with two buttons, of which one has the focus.
func window(focus string) Tree {
	t := Tree{Locale: "en", Window: Node{Role: Dialog, Name: "head", States: Active | Modal, Bounds: image.Rect(10, 20, 110, 120)}}
	for i, id := range []string{"no", "yes"} {
		n := Node{ID: id, Role: Button, Name: id, States: Focusable, Press: id == "no", Bounds: image.Rect(20+40*i, 90, 50+40*i, 110)}
		if id == focus {
			n.States |= Focused
		}
		t.Parts = append(t.Parts, n)
	}
	return t
}

// Nobody waits for a bus that can't be found, or hangs.
func TestNobodyWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bus")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	defer l.Close() // nobody accepts
	for name, find := range map[string]func(context.Context) (string, error){
		"none":             func(context.Context) (string, error) { return "", errors.New("there is none") },
		"looks for ever":   func(ctx context.Context) (string, error) { <-ctx.Done(); return "", ctx.Err() },
		"takes and hangs":  func(context.Context) (string, error) { return "unix:path=" + path, nil },
		"isn't there":      func(context.Context) (string, error) { return "unix:path=/nonexistent", nil },
		"a panic":          func(context.Context) (string, error) { panic("oh dear") },
		"starts a program": func(context.Context) (string, error) { return "unixexec:path=/bin/sh", nil },
	} {
		r := Start(t.Context(), find)
		for i := range 100 {
			r.Show(window([]string{"no", "yes"}[i%2]))
		}
		r.Stop()
		select {
		case <-r.done:
		case <-time.After(time.Minute):
			assert.Fail(t, "it goes on", name)
		}
	}
	r := Start(t.Context(), nil)
	r.Stop() // nothing was shown
	<-r.done
	var none *Reader
	none.Show(window(""))
	none.Stop()
	assert.Nil(t, none.Pressed())
}

// Objects are found by their paths, buttons lie on the window, and words of states are where clients look for them.
func TestObjects(t *testing.T) {
	all := window("no").objects()
	require.Len(t, all, 4)
	assert.Equal(t, []dbus.ObjectPath{windowPath}, all[0].children)
	assert.Equal(t, []dbus.ObjectPath{partPaths + "no", partPaths + "yes"}, all[1].children)
	assert.Equal(t, int32(1), all[3].index)
	assert.Equal(t, windowPath, all[3].parent)
	_, ok := find(all, partPaths+"maybe")
	assert.False(t, ok)
	assert.Equal(t, []uint32{1<<12 | 1<<8 | 1<<25 | 1<<30, 1 << 7}, bits(Focused|IsDefault|always))
	assert.True(t, window("no").equal(window("no")))
	assert.False(t, window("no").equal(window("yes")))
	for _, role := range []Role{Dialog, Label, Button, Notification, application} {
		assert.NotEmpty(t, role.name())
	}
}

// What a client asks of a window that it once saw isn't answered from another.
func TestServed(t *testing.T) {
	r := &Reader{tree: window("no"), pressed: make(chan string, 1)}
	conn, err := dbus.NewConn(closed{})
	require.NoError(t, err)
	s := served{r, conn}
	at := func(path dbus.ObjectPath) dbus.Message {
		return dbus.Message{Headers: map[dbus.HeaderField]dbus.Variant{dbus.FieldPath: dbus.MakeVariant(path)}}
	}
	do := s.action()["DoAction"].(func(dbus.Message, int32) (bool, *dbus.Error))
	for path, want := range map[dbus.ObjectPath]bool{partPaths + "no": true, partPaths + "yes": false, windowPath: false, rootPath: false} {
		did, err := do(at(path), 0)
		assert.Nil(t, err)
		assert.Equal(t, want, did, path)
		did, _ = do(at(path), 1)
		assert.False(t, did, "there is no second action")
	}
	assert.Equal(t, "no", <-r.pressed)
	for range 2 { // a second press waits for nobody
		did, _ := do(at(partPaths+"no"), 0)
		assert.True(t, did)
	}
	_, gone := do(at(partPaths+"maybe"), 0)
	assert.NotNil(t, gone)

	extents := s.component()["GetExtents"].(func(dbus.Message, uint32) (extent, *dbus.Error))
	e, _ := extents(at(partPaths+"yes"), 0)
	assert.Equal(t, extent{60, 90, 30, 20}, e)
	e, _ = extents(at(partPaths+"yes"), inWindow)
	assert.Equal(t, extent{50, 70, 30, 20}, e)
	assert.Equal(t, partPaths+"yes", string(s.atPoint(mustFind(t, r, windowPath), image.Pt(65, 95), 0).Path))
	assert.Equal(t, windowPath, s.atPoint(mustFind(t, r, windowPath), image.Pt(11, 21), 0).Path)
	assert.Equal(t, nullPath, s.atPoint(mustFind(t, r, windowPath), image.Pt(1, 1), 0).Path)

	get := s.properties()["Get"].(func(dbus.Message, string, string) (dbus.Variant, *dbus.Error))
	v, _ := get(at(windowPath), accessibleIface, "ChildCount")
	assert.Equal(t, int32(2), v.Value())
	_, unknown := get(at(windowPath), accessibleIface, "Colour")
	assert.NotNil(t, unknown)
	set := s.properties()["Set"].(func(dbus.Message, string, string, dbus.Variant) *dbus.Error)
	assert.Nil(t, set(at(rootPath), applicationIface, "Id", dbus.MakeVariant(int32(7))))
	assert.Equal(t, int32(7), r.id)
	assert.NotNil(t, set(at(windowPath), accessibleIface, "Name", dbus.MakeVariant("x")), "nobody renames it")
	items, _ := s.items()
	assert.Len(t, items, 4)
	assert.Equal(t, "((so)(so)(so)iiassusau)", dbus.SignatureOf(items[0]).String())
}

func mustFind(t *testing.T, r *Reader, path dbus.ObjectPath) object {
	t.Helper()
	o, ok := find(r.tree.objects(), path)
	require.True(t, ok)
	return o
}

// closed is a connection that has ended.
type closed struct{}

func (closed) Read([]byte) (int, error)    { return 0, os.ErrClosed }
func (closed) Write(p []byte) (int, error) { return 0, os.ErrClosed }
func (closed) Close() error                { return nil }
