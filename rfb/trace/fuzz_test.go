package trace

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/rfb"
)

// FuzzTrace: what is read as a trace is written as one that reads the same, and
// taking it apart ends.
func FuzzTrace(f *testing.F) {
	var small bytes.Buffer
	err := smallTrace(f).Write(&small)
	require.NoError(f, err)
	f.Add(small.Bytes())
	seedTraces(f, func(tr *captured) {
		var b bytes.Buffer
		if err := tr.Write(&b); err == nil && b.Len() < 8<<10 {
			f.Add(b.Bytes())
			f.Add(b.Bytes()[:b.Len()*3/4])
		}
	})
	seedPacked(f, small.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<14 {
			return
		}
		tr, err := ReadTrace(bytes.NewReader(b))
		checkRead(t, tr, err)
		if tr == nil {
			return
		}
		var out bytes.Buffer
		err = tr.Write(&out)
		require.NoError(t, err)
		again, err := ReadTrace(&out)
		require.NoError(t, err)
		assert.Equal(t, tr, again)
		for e, err := range tr.Events() {
			if err == nil {
				_ = e.String()
			}
		}
		cut, err := tr.Trim()
		assert.GreaterOrEqual(t, cut, int64(0))
		if err == nil && len(tr.Chunks) > 0 {
			for _, err := range tr.Events() {
				require.NoError(t, err)
			}
		}
		checkRecording(t, tr)
	})
}

// seedPacked gives a fuzzer b packed: whole, cut off, and broken.
func seedPacked(f *testing.F, b []byte) {
	f.Helper()
	packed, cut := gzipped(f, b), flushed(f, b)
	f.Add(packed)
	f.Add(packed[:len(packed)-1])
	f.Add(cut)
	f.Add(cut[:len(cut)/2])
	f.Add(join(cut, []byte{7}))
	f.Add(join(packed[:len(packed)-8], zeros(8)))
}

// checkRead: of what was cut off, and of nothing else that isn't whole, there is a
// trace.
func checkRead(t *testing.T, tr *Trace, err error) {
	t.Helper()
	known := err == nil || errors.Is(err, rfb.ErrMalformed) || errors.Is(err, rfb.ErrLimit) || errors.Is(err, io.ErrUnexpectedEOF)
	require.True(t, known, "%v", err)
	require.Equal(t, err == nil || errors.Is(err, io.ErrUnexpectedEOF), tr != nil, "%v", err)
}

// checkRecording: a trace of which a recording can be written has the same in it
// that the recording has.
func checkRecording(t *testing.T, tr *Trace) {
	t.Helper()
	var out bytes.Buffer
	if tr.WriteFBS(&out) != nil {
		return
	}
	again, err := ReadFBS(&out)
	require.NoError(t, err)
	h1, err := tr.Handshake()
	require.NoError(t, err)
	h2, err := again.Handshake()
	require.NoError(t, err)
	init := h1.Init
	init.Format = h2.Init.Format // the one that the viewer asked for
	assert.Equal(t, init, h2.Init)
	assert.Equal(t, tr.Stream(rfb.FromServer)[h1.Len(rfb.FromServer):], again.Stream(rfb.FromServer)[h2.Len(rfb.FromServer):])
}

// FuzzFBS: a recording that can be read, as far as that goes, can be written and
// read again.
func FuzzFBS(f *testing.F) {
	n := 0
	seedTraces(f, func(tr *captured) {
		var b bytes.Buffer
		if tr.WriteFBS(&b) == nil && b.Len() < 8<<10 {
			n++
			f.Add(b.Bytes())
			f.Add(b.Bytes()[:b.Len()-1])
			if n == 1 {
				seedPacked(f, b.Bytes())
			}
		}
	})
	require.NotZero(f, n)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<14 {
			return
		}
		tr, err := ReadFBS(bytes.NewReader(b))
		checkRead(t, tr, err)
		if tr == nil {
			return
		}
		checkRecording(t, tr)
		_, err = tr.Trim()
		trimmed := err == nil
		for e, err := range tr.Events() {
			if trimmed && len(tr.Chunks) > 0 {
				require.NoError(t, err)
			}
			_ = e.String()
		}
		checkRecording(t, tr)
	})
}
