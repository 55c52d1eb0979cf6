package doctor

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/host/testhost"
)

// A port with a viewer is in use, and not held by another.
func TestPortsOfViewers(t *testing.T) {
	w := ward{testhost.Require(t, testhost.Options{})}
	p := w.well(t)
	p.tables["ports"] = "first = 6001\nlast = 6003\n"
	p.host.bind = func(address string) error {
		assert.NotEqual(t, "0.0.0.0:6002", address)
		return nil
	}
	startDaemon(t, filepath.Join(p.dir, "control.sock"), idle{port: 6002})
	for _, c := range p.examine().Checks {
		if c.Name == "ports" {
			assert.Equal(t, "2 of 3 ports 6001-6003 are free; 1 is with viewers", c.Found)
		}
	}
}

// Who holds several ports is named once.
func TestHoldersOfPorts(t *testing.T) {
	var ports []int
	for range 3 {
		ln, err := net.Listen("tcp4", "127.0.0.1:0")
		require.NoError(t, err)
		defer ln.Close()
		ports = append(ports, ln.Addr().(*net.TCPAddr).Port)
	}
	slices.Sort(ports)
	d := &Doctor{host: thisHost()}
	me := fmt.Sprintf("doctor.test (pid %d)", os.Getpid())
	assert.Equal(t, []string{spans(ports) + " " + me}, d.holders(ports))
	assert.Equal(t, []string{"0 somebody who isn't listening or can't be seen", fmt.Sprintf("%d %s", ports[0], me)}, d.holders([]int{0, ports[0]}))
}
