package doctor

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/host/kernel"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
)

// All that the kernel lacks is listed, and is in the way of nothing.
func TestKernelIsListed(t *testing.T) {
	w := ward{testhost.Require(t, testhost.Options{})}
	p := w.well(t)
	startDaemon(t, filepath.Join(p.dir, "control.sock"), idle{})
	r := p.examine()
	assert.True(t, r.Works, "%+v", of(r, Bad))
	for _, c := range r.Checks {
		if c.Name != "kernel" {
			continue
		}
		lacks := kernel.Lacks()
		assert.Equal(t, len(lacks) > 0, c.State == Note)
		for _, l := range lacks {
			assert.Contains(t, c.Found, l.String())
		}
		return
	}
	require.FailNow(t, "the kernel isn't looked at")
}

func TestOldKernel(t *testing.T) {
	testenv.OldKernel(t, "^Test(KernelIsListed|AWellHost)$", 5*time.Minute)
}
