package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAdd(t *testing.T) {
	host := Line{"viewer.host", `"vda1.corp"`}
	group := Line{"control.group", `"admins"`}
	ssl := Line{"ShadowingUseSSL", "1"}
	for _, c := range []struct{ name, before, want string }{
		{"nothing there", "", "ShadowingUseSSL = 1\n\n[viewer]\nhost = \"vda1.corp\"\n\n[control]\ngroup = \"admins\"\n"},
		{"the package's", "# Read me.\n\n# EnableSessionShadowing = 1\n# ShadowingUseSSL = 0\n\n[control]\n# group = \"shadow-admins\"\n",
			"# Read me.\n\n# EnableSessionShadowing = 1\n# ShadowingUseSSL = 0\nShadowingUseSSL = 1\n\n[control]\n# group = \"shadow-admins\"\ngroup = \"admins\"\n\n[viewer]\nhost = \"vda1.corp\"\n"},
		{"set already", "ShadowingUseSSL = 0 # not yet\n[viewer]\nhost = \"\"\n[control]\ngroup = \"other\"\n", ""},
		{"set with dots", "ShadowingUseSSL = 0\nviewer.host = \"a\"\ncontrol = {group = \"b\"}\n", ""},
		{"tables with other keys", "[control]\nsocket = \"/run/s\" # where\n\n[viewer]\n# who\norigins = [\n  \"a\",\n]\n\n[log]\nlevel = \"info\"\n",
			"ShadowingUseSSL = 1\n\n[control]\nsocket = \"/run/s\" # where\ngroup = \"admins\"\n\n[viewer]\n# who\norigins = [\n  \"a\",\n]\nhost = \"vda1.corp\"\n\n[log]\nlevel = \"info\"\n"},
		{"dotted keys", "EnableSessionShadowing = 1\nviewer.page = true\n\n[control]\n",
			"EnableSessionShadowing = 1\nviewer.page = true\nShadowingUseSSL = 1\nviewer.host = \"vda1.corp\"\n\n[control]\ngroup = \"admins\"\n"},
		{"another table's comment", "ShadowingUseSSL = 1\n[viewer]\n[log]\n# host = \"x\"\n# group = \"y\"\n",
			"ShadowingUseSSL = 1\n[viewer]\nhost = \"vda1.corp\"\n[log]\n# host = \"x\"\n# group = \"y\"\n\n[control]\ngroup = \"admins\"\n"},
		{"tables at once", "EnableSessionShadowing = 1\n[viewer]\n[control]\n", "EnableSessionShadowing = 1\nShadowingUseSSL = 1\n\n[viewer]\nhost = \"vda1.corp\"\n[control]\ngroup = \"admins\"\n"},
		{"no break at the end", "ShadowingUseSSL = 1\n[control]\ngroup = \"x\"", "ShadowingUseSSL = 1\n[control]\ngroup = \"x\"\n\n[viewer]\nhost = \"vda1.corp\"\n"},
		{"another system's breaks", "ShadowingUseSSL = 1\r\n[viewer]\r\npage = true\r\n[control]\r\n",
			"ShadowingUseSSL = 1\r\n[viewer]\r\npage = true\r\nhost = \"vda1.corp\"\r\n[control]\r\ngroup = \"admins\"\r\n"},
		{"below a static session", "ShadowingUseSSL = 1\n[sessions]\nresolver = \"static\"\n[[sessions.static]]\nid = \"1\"\ndisplay = \":1\"\nuser = \"a\"\n",
			"ShadowingUseSSL = 1\n[sessions]\nresolver = \"static\"\n[[sessions.static]]\nid = \"1\"\ndisplay = \":1\"\nuser = \"a\"\n\n[viewer]\nhost = \"vda1.corp\"\n\n[control]\ngroup = \"admins\"\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.want == "" {
				c.want = c.before
			}
			path := filepath.Join(t.TempDir(), "new", "shadowing.toml")
			if c.before != "" {
				require.NoError(t, os.Mkdir(filepath.Dir(path), 0o755))
				require.NoError(t, os.WriteFile(path, []byte(c.before), 0o640))
			}
			lines := []Line{ssl, host, group}
			before, after, err := Propose(path, lines)
			require.NoError(t, err)
			assert.Equal(t, c.before, string(before))
			assert.Equal(t, c.want, string(after))
			if c.before == "" {
				assert.NoFileExists(t, path, "it is only proposed")
			}
			for range 2 { // the second adds nothing
				require.NoError(t, Add(path, lines))
				data, err := os.ReadFile(path)
				require.NoError(t, err)
				assert.Equal(t, c.want, string(data))
			}
			there, err := Has(path, "viewer.host", "control.group", "log.level")
			require.NoError(t, err)
			assert.Equal(t, map[string]bool{"viewer.host": true, "control.group": true, "log.level": strings.Contains(c.before, "[log]\nlevel")}, there)
		})
	}
}

// What can't be added without rewriting a line of the operator's isn't.
func TestAddRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shadowing.toml")
	const inline = "viewer = {page = true}\n"
	require.NoError(t, os.WriteFile(path, []byte(inline), 0o600))
	assert.ErrorContains(t, Add(path, []Line{{"viewer.host", `"a"`}}), "the change would make errors")
	assert.ErrorContains(t, Add(path, []Line{{"control.nonsense", `"a"`}}), "unknown key")
	assert.ErrorContains(t, Add(path, []Line{{"control.group", `1`}}), "control.group")
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, inline, string(data))
	require.NoError(t, os.WriteFile(path, []byte("bogus = 1\n"), 0o600))
	_, err = Has(path, "viewer.host")
	assert.ErrorContains(t, err, "bogus")
	_, _, err = Propose(path, nil)
	assert.ErrorContains(t, err, "bogus")
}
