package tlsstore

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A file that changes while the pair is being read is read again.
func TestReloadSeesWhatChangesWhileItReads(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	write("shadowingcert.pem", "old")
	write("shadowingkey.pem", "old")
	reads := 0
	l := &live{store: Store{Dir: dir}, load: func() (*Pair, error) {
		if reads++; reads == 1 {
			write("shadowingkey.pem", "longer")
		}
		return new(Pair), nil
	}}
	for _, want := range []int{1, 2, 2} {
		l.checked = time.Time{}
		_, err, _ := l.reload()
		require.NoError(t, err)
		require.Equal(t, want, reads)
	}
}
