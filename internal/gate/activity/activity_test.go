package activity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
)

func event(i int) shadow.Event {
	return shadow.Event{Time: time.Unix(1_700_000_000+int64(i), 0).UTC(), Type: shadow.EventRequested, ID: fmt.Sprint("id", i), Session: "s", User: fmt.Sprint("user", i%3), Admin: "CORP\\Alice"}
}

func open(t *testing.T, dir string, size int64) *Store {
	t.Helper()
	s, err := Open(dir, size)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// ids are those of the records that are wanted.
func ids(t *testing.T, s *Store, q Query) []string {
	t.Helper()
	list := []string{}
	require.NoError(t, s.Each(t.Context(), q, func(r Record) bool {
		list = append(list, r.ID)
		return true
	}))
	return list
}

func TestQueries(t *testing.T) {
	s := open(t, t.TempDir(), 1<<20)
	for i := range 6 {
		require.NoError(t, s.Add(fmt.Sprint("vda", i%2), event(i)))
	}
	end := event(6)
	end.Type, end.ID, end.Reason, end.Purpose = shadow.EventEnded, "id1", shadow.StoppedByUser, "Ticket 77"
	require.NoError(t, s.Add("vda1", end))
	all := []string{"id1", "id5", "id4", "id3", "id2", "id1", "id0"}
	for name, c := range map[string]struct {
		q    Query
		want []string
	}{
		"all":       {Query{}, all},
		"since":     {Query{Since: event(4).Time}, []string{"id1", "id5", "id4"}},
		"until":     {Query{Until: event(2).Time}, []string{"id1", "id0"}},
		"user":      {Query{User: "USER2"}, []string{"id5", "id2"}},
		"pattern":   {Query{Admin: `corp\*`, Host: "vda0"}, []string{"id1", "id4", "id2", "id0"}[1:]},
		"type":      {Query{Type: "ended"}, []string{"id1"}},
		"shadow":    {Query{Shadow: "id1"}, []string{"id1", "id1"}},
		"text":      {Query{Text: "ticket"}, []string{"id1"}},
		"reason":    {Query{Text: "stopped_by"}, []string{"id1"}},
		"nothing":   {Query{User: "none"}, []string{}},
		"permitted": {Query{Allow: func(host, user string) bool { return host == "vda0" && user == "user0" }}, []string{"id0"}},
	} {
		require.Equal(t, c.want, ids(t, s, c.q), name)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("gone")
	cancel(cause)
	require.ErrorIs(t, s.Each(ctx, Query{}, func(Record) bool { return true }), cause)
}

// Pages follow each other without a gap, also while events come.
func TestPages(t *testing.T) {
	s := open(t, t.TempDir(), 0)
	for i := range 1000 {
		require.NoError(t, s.Add("h", event(i)))
	}
	var seen []string
	for before := ""; ; {
		n, last := 0, ""
		require.NoError(t, s.Each(t.Context(), Query{Before: before}, func(r Record) bool {
			seen = append(seen, r.ID)
			last = r.Cursor
			n++
			return n < 7
		}))
		if n == 0 {
			break
		}
		before = last
		require.NoError(t, s.Add("h", event(1000+len(seen))))
	}
	require.Len(t, seen, 1000)
	for i, id := range seen {
		require.Equal(t, fmt.Sprint("id", 999-i), id)
	}
	for _, bad := range []string{"x", "1", "1.", ".1", "-1.0", "1.-1", "0.0"} {
		require.ErrorIs(t, s.Each(t.Context(), Query{Before: bad}, func(Record) bool { return true }), ErrCursor, bad)
	}
	require.NoError(t, s.Each(t.Context(), Query{Before: "1.999999999"}, func(Record) bool { return false }))
}

// What is too much goes, the oldest first.
func TestBound(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 0)
	long := strings.Repeat("x", 10_000)
	for i := range 200 {
		e := event(i)
		e.Detail = long
		require.NoError(t, s.Add("h", e))
	}
	size := int64(0)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		info, err := e.Info()
		require.NoError(t, err)
		size += info.Size()
	}
	require.LessOrEqual(t, size, int64(parts*maxLine))
	list := ids(t, s, Query{})
	require.Equal(t, "id199", list[0])
	require.Greater(t, len(list), 30)
	require.Less(t, len(list), 60)
	e := event(0)
	e.Detail = strings.Repeat("y", maxLine)
	require.Error(t, s.Add("h", e))
}

// An event that comes twice is kept once, also by the next program; half a line that a crash has left
// hides nothing.
func TestAgain(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, 1<<20)
	require.NoError(t, err)
	require.NoError(t, s.Add("h", event(1)))
	require.NoError(t, s.Add("h", event(1)))
	require.NoError(t, s.Add("other", event(1)))
	require.Len(t, ids(t, s, Query{}), 2)
	require.NoError(t, s.Close())
	require.Error(t, s.Add("h", event(2)))
	path := filepath.Join(dir, name(1))
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString(`{"time":"20`)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	s = open(t, dir, 1<<20)
	require.NoError(t, s.Add("h", event(1)))
	require.NoError(t, s.Add("h", event(3)))
	require.Equal(t, []string{"id3", "id1", "id1"}, ids(t, s, Query{}))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestHarmless(t *testing.T) {
	for cell, want := range map[string]string{
		"": "", "a": "a", "=1": "'=1", "a=1": "a=1", "a;=1": "a;'=1", "a\t@x": "a\t'@x", "a;b;-1": "a;b;'-1", ";=1": ";'=1", "\t=1": "'\t'=1", "a; b": "a; b",
	} {
		require.Equal(t, want, harmless(cell), "%q", cell)
	}
}

func TestCSV(t *testing.T) {
	e := event(1)
	e.Purpose, e.Detail, e.Client = "=1+1", "@x", "+49"
	e.Admin = "a,\"b\""
	var b bytes.Buffer
	require.NoError(t, WriteCSV(&b, func(write func(Record) bool) error {
		require.True(t, write(Record{Event: e, Host: "-h"}))
		return nil
	}))
	require.Equal(t, strings.Join(heading, ",")+"\n2023-11-14T22:13:21Z,'-h,requested,id1,s,user1,\"a,\"\"b\"\"\",'+49,'=1+1,,'@x,,,0,0,0,0\n", b.String())
}

// A search can be broken off between files, and goes on where it was.
func TestProgress(t *testing.T) {
	s := open(t, t.TempDir(), parts*maxLine)
	const events = 2000 // several files
	for i := range events {
		require.NoError(t, s.Add("vda1", event(i)))
	}
	var found []string
	pages, before := 0, ""
	for more := true; more; pages++ {
		more = false
		q := Query{User: "user0", Before: before}
		q.Progress = func(cursor string) bool {
			before, more = cursor, true
			return false
		}
		require.NoError(t, s.Each(t.Context(), q, func(r Record) bool {
			found = append(found, r.ID)
			return true
		}))
	}
	require.Greater(t, pages, 2)
	require.Len(t, found, (events+2)/3)
	require.Equal(t, "id0", found[len(found)-1])
	require.Equal(t, fmt.Sprint("id", (events-1)/3*3), found[0])
}
