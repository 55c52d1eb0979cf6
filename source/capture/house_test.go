package capture

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Nothing that is linked into the capture could inject input or take a selection:
// of X11 it knows the core protocol, whose requests for input and selections
// aren't called, and the extensions that look.
func TestNothingInjects(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").CombinedOutput()
	require.NoError(t, err, string(out))
	var x11, own []string
	for p := range strings.FieldsSeq(string(out)) {
		if name, ok := strings.CutPrefix(p, "github.com/BurntSushi/xgb/"); ok {
			x11 = append(x11, name)
		}
		if name, ok := strings.CutPrefix(p, "github.com/jezek/xgb/"); ok { // make successor
			x11 = append(x11, name)
		}
		if name, ok := strings.CutPrefix(p, "vda.internal/shadow/"); ok {
			own = append(own, name)
		}
	}
	require.NotEmpty(t, x11)
	assert.Subset(t, []string{"xproto", "damage", "randr", "render", "shape", "shm", "xfixes"}, x11)
	assert.Subset(t, []string{
		"rfb", "rfb/encode", "source/capture", "source/internal/authority", "source/internal/screen", "source/internal/self", "internal/host/xconn", "internal/host/peer",
	}, own)
}

// What is called of the X protocol is listed here: requests that ask, and those that
// make this program's own resources.
func TestRequestsThatAreSent(t *testing.T) {
	out, err := exec.Command("grep", "-rhoE", "--include=*.go", "--exclude=*_test.go",
		`\b(xproto|damage|randr|shm|xfixes)\.[A-Z][A-Za-z]+\(`, "../internal/screen", ".").CombinedOutput()
	require.NoError(t, err, string(out))
	sent := map[string]bool{}
	for call := range strings.FieldsSeq(string(out)) {
		sent[strings.TrimSuffix(call, "(")] = true
	}
	require.Contains(t, sent, "shm.GetImage")
	known := strings.Fields(`
		damage.Init damage.QueryVersion damage.NewDamageId damage.CreateChecked damage.Subtract
		randr.Init randr.QueryVersion randr.SelectInput randr.GetScreenResources randr.GetScreenResourcesCurrent
		randr.GetOutputInfo randr.GetCrtcInfo
		shm.Init shm.QueryVersion shm.NewSegId shm.AttachChecked shm.GetImage
		xfixes.Init xfixes.QueryVersion xfixes.NewRegionId xfixes.CreateRegionChecked xfixes.FetchRegion xfixes.Region
		xfixes.SelectCursorInput xfixes.GetCursorImage
		xproto.Setup xproto.QueryExtension xproto.GetGeometry xproto.GetImage xproto.QueryPointer xproto.QueryColors
		xproto.GetAtomName xproto.ChangeWindowAttributes xproto.Drawable xproto.Atom`)
	for call := range sent {
		assert.Contains(t, known, call, "what does this do to the session?")
	}
}
