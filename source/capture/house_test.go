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
		"rfb", "rfb/encode", "source/capture", "source/internal/authority", "source/internal/screen", "source/internal/self", "internal/host/selfexec", "internal/host/xconn", "internal/host/peer", "internal/named", "rfb/internal/anontls", "rfb/internal/proto",
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
		randr.GetOutputInfo randr.GetOutputPrimary randr.GetCrtcInfo
		shm.Init shm.QueryVersion shm.NewSegId shm.AttachChecked shm.GetImage
		xfixes.Init xfixes.QueryVersion xfixes.NewRegionId xfixes.CreateRegionChecked xfixes.FetchRegion xfixes.Region
		xfixes.SelectCursorInput xfixes.GetCursorImage
		xproto.Setup xproto.QueryExtension xproto.GetGeometry xproto.GetImage xproto.QueryPointer xproto.QueryColors
		xproto.GetAtomName xproto.ChangeWindowAttributes xproto.Drawable xproto.Atom`)
	for call := range sent {
		assert.Contains(t, known, call, "what does this do to the session?")
	}
}

// Requests that xgb doesn't know are made by hand in these places alone; what they are, the next test sees.
func TestRequestsByHand(t *testing.T) {
	out, err := exec.Command("grep", "-rcE", "--include=*.go", "--exclude=*_test.go",
		`\.(NewRequest|SendDescriptor)\(`, "../internal", ".", "../../internal/host/xconn").CombinedOutput()
	require.NoError(t, err, string(out))
	places := map[string]string{}
	for line := range strings.FieldsSeq(string(out)) {
		if file, n, _ := strings.Cut(line, ":"); n != "0" {
			places[file] = n
		}
	}
	assert.Equal(t, map[string]string{
		"../internal/screen/monitors.go":     "1", // RRGetMonitors
		"../internal/screen/motion.go":       "2", // XIQueryVersion, XISelectEvents
		"../internal/screen/shm.go":          "1", // ShmAttachFd
		"../../internal/host/xconn/xconn.go": "1", // SendDescriptor's own
	}, places)
}

// sentRequests are the opcodes of all that may be sent: "14" of the core protocol, "RANDR 42" of an extension.
var sentRequests = map[string]string{
	"2": "ChangeWindowAttributes, of which events this client is told", "14": "GetGeometry", "17": "GetAtomName", "38": "QueryPointer",
	"43": "GetInputFocus, by which xgb waits", "73": "GetImage", "91": "QueryColors", "98": "QueryExtension",
	"DAMAGE 0": "QueryVersion", "DAMAGE 1": "Create", "DAMAGE 3": "Subtract",
	"MIT-SHM 0": "QueryVersion", "MIT-SHM 1": "Attach", "MIT-SHM 4": "GetImage", "MIT-SHM 6": "AttachFd",
	"RANDR 0": "QueryVersion", "RANDR 4": "SelectInput", "RANDR 8": "GetScreenResources", "RANDR 9": "GetOutputInfo",
	"RANDR 20": "GetCrtcInfo", "RANDR 25": "GetScreenResourcesCurrent", "RANDR 31": "GetOutputPrimary", "RANDR 42": "GetMonitors",
	"XFIXES 0": "QueryVersion", "XFIXES 3": "SelectCursorInput", "XFIXES 4": "GetCursorImage", "XFIXES 5": "CreateRegion", "XFIXES 19": "FetchRegion",
	"XInputExtension 46": "XISelectEvents", "XInputExtension 47": "XIQueryVersion",
}
