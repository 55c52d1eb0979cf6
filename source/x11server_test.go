package source_test

import (
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/rfb"
	"vda.internal/shadow/source"
)

const stranger = 4711 // a user's number

// strangerListens listens at address as another user, until the test ends, and counts who comes
// and what they say.
func strangerListens(t *testing.T, address string) (heard *atomic.Int64) {
	t.Helper()
	listening := make(chan net.Listener)
	go func() {
		// The kernel notes who calls listen, which is a thread. This one isn't used any more.
		runtime.LockOSThread()
		_, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, ^uintptr(0), stranger, ^uintptr(0))
		assert.Zero(t, errno)
		l, err := net.Listen("unix", address)
		assert.NoError(t, err)
		listening <- l
	}()
	l := <-listening
	require.NotNil(t, l)
	t.Cleanup(func() { _ = l.Close() })
	heard = new(atomic.Int64)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
			n, _ := conn.Read(make([]byte, 4096))
			heard.Add(int64(n))
			_ = conn.Close()
		}
	}()
	return heard
}

// A stranger who has the abstract name of an X server that doesn't listen there isn't given its
// cookie: x11vnc, whose library tries that name first, can't see it.
func TestX11vncIsShownNoStranger(t *testing.T) {
	if !testenv.InNamespaces(t, 2*time.Minute) { // nobody else has an abstract name here
		return
	}
	d := testhost.Require(t, testhost.Options{Width: 320, Height: 240, Args: []string{"-nolisten", "local"}})
	heard := strangerListens(t, "@/tmp/.X11-unix/X"+d.Display[1:])
	s := session(d)
	var x source.X11vnc
	require.NoError(t, x.Check(t.Context(), s))
	conn, err := x.Open(t.Context(), s)
	require.NoError(t, err)
	defer conn.Close()
	_, err = rfb.Connect(t.Context(), conn)
	assert.NoError(t, err, "the real server's picture")
	assert.Zero(t, heard.Load(), "bytes that the stranger was told")
}

// Where nothing but strangers answer, nobody is asked.
func TestX11vncRefusesStrangers(t *testing.T) {
	testenv.Root(t)
	require.NoError(t, os.MkdirAll("/tmp/.X11-unix", 0o777))
	const display = ":64021"
	s := &shadow.Session{ID: "s", User: "user", UID: 65534, GID: 65534, Display: display}
	var x source.X11vnc
	refused := func(says string) {
		t.Helper()
		var r *shadow.End
		require.ErrorAs(t, x.Check(t.Context(), s), &r)
		assert.Equal(t, shadow.DisplayUnreachable, r.Reason)
		assert.Contains(t, r.Detail, says)
		_, err := x.Open(t.Context(), s)
		assert.ErrorAs(t, err, &r)
	}
	refused("no X server answers at /tmp/.X11-unix/X64021")
	heard := strangerListens(t, "@/tmp/.X11-unix/X64021")
	refused("the socket @/tmp/.X11-unix/X64021 is uid 4711's")
	assert.Zero(t, heard.Load())
}

// An X server whose socket somebody has cleaned away is found by its abstract name.
func TestX11vncFindsTheAbstractName(t *testing.T) {
	d := testhost.Require(t, testhost.Options{Width: 320, Height: 240})
	require.NoError(t, os.Remove("/tmp/.X11-unix/X"+d.Display[1:]))
	var x source.X11vnc
	conn, err := x.Open(t.Context(), session(d))
	require.NoError(t, err)
	defer conn.Close()
	_, err = rfb.Connect(t.Context(), conn)
	assert.NoError(t, err)
}

// session is a desktop's.
func session(d *testhost.Desktop) *shadow.Session {
	return &shadow.Session{
		ID: "s1", User: "user", UID: d.Identity.UID, GID: d.Identity.GID, Groups: d.Identity.Groups,
		Display: d.Display, Xauthority: d.Xauthority,
	}
}

// Both sources work on the kernels that the feature is documented for.
func TestOldKernel(t *testing.T) {
	testenv.OldKernel(t, "^Test(Shows|X11vncShows|X11vncIsShown|X11vncOnARenamedHost|WhatX11vncIsGiven|Killed)", 5*time.Minute)
}
