package websockify

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
)

// pam is the environment in which a program that asks PAM for vnc finds one user.
func pam(t *testing.T, user, password string) []string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/*/pam_wrapper/pam_matrix.so")
	if len(found) == 0 {
		testenv.Lack(t, "pam_matrix.so is needed: apt-get install libpam-wrapper")
	}
	dir := t.TempDir()
	passwords := writeFile(t, filepath.Join(dir, "passwords"), user+":"+password+":vnc\n")
	rule := " required " + found[0] + " passdb=" + passwords + "\n"
	writeFile(t, filepath.Join(dir, "vnc"), "auth"+rule+"account"+rule)
	return []string{"LD_PRELOAD=libpam_wrapper.so", "PAM_WRAPPER=1", "PAM_WRAPPER_SERVICE_DIR=" + dir}
}

// --view-only in front of Xvnc inside TLS, with and without a certificate: the picture, or a refusal that says why.
func TestViewOnlyInTLS(t *testing.T) {
	dir := t.TempDir()
	ca, strangers := newAuthority(t, dir), newAuthority(t, t.TempDir())
	cert := writeFile(t, filepath.Join(dir, "cert.pem"), ca.issue("vnc", "vnc.example"))
	secret := writeFile(t, filepath.Join(dir, "secret"), "secret78\n")
	// As vncpasswd(1) stores "secret78".
	hidden := writeFile(t, filepath.Join(dir, "hidden"), "\x81\x72\xf9\x2c\xfd\x47\x59\xaa")
	env, own := pam(t, "alice", "secret78"), child.Own()
	servers := map[string]string{}
	server := func(types string) string {
		if servers[types] == "" {
			d := testhost.Require(t, testhost.Options{Width: 320, Height: 240, Server: "Xtigervnc", Identity: &own, Env: env, Args: []string{
				"-SecurityTypes", types, "-PasswordFile", hidden, "-X509Cert", cert, "-X509Key", cert, "-PlainUsers", "alice", "-BlacklistThreshold", "99"}})
			servers[types] = d.RFB
		}
		return servers[types]
	}
	for _, tt := range []struct {
		name, types, options string
		want                 string // part of what the viewer is told; empty: it has a picture
		says                 string // part of the log
	}{
		{"TLSNone", "TLSNone", "", "", ""},
		{"TLSVnc", "TLSVnc,VncAuth", "--target-password-file SECRET", "", ""},
		{"TLSVnc, asked of the viewer", "TLSVnc", "", "ask", ""},
		{"TLSPlain", "TLSPlain", "--target-user alice --target-password-file SECRET", "", ""},
		{"TLSPlain, another user", "TLSPlain", "--target-user bob --target-password-file SECRET", "doesn't accept the password", ""},
		{"TLSPlain, no user", "TLSPlain", "--target-password-file SECRET", "another kind of login", "give a user and a password"},
		{"Plain", "Plain", "--target-user alice --target-password-file SECRET", "", ""},
		{"X509Plain", "X509Plain", "--target-user alice --target-password-file SECRET --ssl-target-cafile CA", "", ""},
		{"X509Plain, by name", "X509Plain", "--target-user alice --target-password-file SECRET --ssl-target-cafile CA --ssl-target-name vnc.example", "", ""},
		{"X509Plain, another name", "X509Plain", "--target-user alice --target-password-file SECRET --ssl-target-cafile CA --ssl-target-name other.example",
			"another kind of login", "not other.example"},
		{"X509None, another authority", "X509None", "--ssl-target-cafile STRANGERS", "another kind of login", "unknown authority"},
		{"X509None, the system's", "X509None", "--ssl-target-name vnc.example", "another kind of login", "unknown authority"},
		{"X509None, not verified", "X509None", "--ssl-target-insecure", "", ""},
		{"an authority, and TLSVnc", "TLSVnc,VncAuth", "--target-password-file SECRET --ssl-target-cafile CA", "another kind of login", "certificate is to be verified"},
		{"no authority, and a way without", "X509Vnc,VncAuth", "--target-password-file SECRET", "", ""},
		{"no authority, and none", "X509Vnc", "--target-password-file SECRET", "another kind of login", "which authority vouches"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			options := strings.NewReplacer("SECRET", secret, "CA", ca.file, "STRANGERS", strangers.file).Replace(tt.options)
			p := theGo.start(t, append([]string{"LISTEN", "--unix-target", server(tt.types), "--view-only"}, strings.Fields(options)...)...)
			c := dialRaw(t, p.addr).upgrade("/")
			require.Equal(t, "RFB 003.008\n", c.stream(12))
			c.send(frame(binFin, "RFB 003.008\n"))
			n := c.stream(1)[0]
			switch {
			case tt.want == "ask":
				assert.Equal(t, "\x01\x02", string(n)+c.stream(1))
				return
			case tt.want != "":
				require.Zero(t, n)
				length := c.stream(4)
				assert.Contains(t, c.stream(int(length[2])<<8|int(length[3])), tt.want)
				p.says(tt.says)
				return
			}
			require.Equal(t, "\x01\x01", string(n)+c.stream(1))
			c.send(frame(binFin, "\x01"))
			assert.Equal(t, "\x00\x00\x00\x00", c.stream(4))
			c.send(frame(binFin, "\x01"))
			assert.Equal(t, "\x01\x40\x00\xf0", c.stream(4))
		})
	}
}

// A recording with --view-only has the viewer's part, which can be played whatever the target wants.
func TestViewOnlyRecorded(t *testing.T) {
	own := child.Own()
	d := testhost.Require(t, testhost.Options{Width: 320, Height: 240, Server: "Xtigervnc", Identity: &own, Args: []string{"-SecurityTypes", "TLSNone"}})
	file := filepath.Join(t.TempDir(), "rec")
	p := theGo.start(t, "LISTEN", "--unix-target", d.RFB, "--view-only", "--record", file)
	c := dialRaw(t, p.addr).upgrade("/")
	c.stream(12)
	c.send(frame(binFin, "RFB 003.008\n"))
	c.stream(2)
	c.send(frame(binFin, "\x01"))
	c.stream(4)
	c.send(frame(binFin, "\x01"))
	c.stream(24)
	assert.Zero(t, p.terminate())
	b, err := os.ReadFile(fmt.Sprintf("%s.1", file))
	require.NoError(t, err)
	played := regexp.MustCompile(`'([{}])\d+[{}]`).ReplaceAllString(string(b), "'$1")
	assert.Equal(t, 1, strings.Count(played, "'{RFB"))
	assert.Contains(t, played, `'{RFB 003.008\n',`+"\n"+`'}RFB 003.008\n',`+"\n"+`'{\x01\x01',`+"\n"+`'}\x01',`+"\n"+`'{\x00\x00\x00\x00',`+"\n"+`'}\x01',`+"\n"+`'{\x01@\x00\xf0`)
}
