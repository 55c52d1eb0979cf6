// Package house has no code: its tests are the house's rules that a compiler doesn't keep.
package house

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "vda.internal/shadow"

// A pkg is what go list says of a package of ours, or that one of ours links.
type pkg struct {
	ImportPath, Name, Dir, Doc string
	Standard                   bool
	GoFiles, Imports, Deps     []string
}

// list loads our packages.
func list(t *testing.T) map[string]pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Name,Dir,Doc,Standard,GoFiles,Imports,Deps", "./...")
	cmd.Dir = "../.."
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	all := map[string]pkg{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else {
			require.NoError(t, err)
		}
		all[p.ImportPath] = p
	}
}

// short is an import path of ours without the module, "." for the root.
func short(path string) string {
	if path == module {
		return "."
	}
	return strings.TrimPrefix(path, module+"/")
}

// A program links what it uses, and the packages that others import bring little along.
func TestLinks(t *testing.T) {
	const (
		x11     = "github.com/BurntSushi/xgb"
		dbus    = "github.com/godbus/dbus"
		fonts   = "github.com/go-text/typesetting"
		xfonts  = "golang.org/x/image"
		metrics = "github.com/prometheus/client_golang"
		testify = "github.com/stretchr/testify"
		nats    = "github.com/nats-io/nats.go"
		bus     = "github.com/nats-io/nats-server"
		jwt     = "github.com/nats-io/jwt"
		child   = module + "/internal/host/child"
	)
	never := map[string][]string{
		".":                     {x11, dbus, fonts, xfonts, metrics, "github.com/spf13/cobra", nats, bus, child, module + "/internal/host/account", module + "/internal/host/program"},
		"sessions":              {x11, fonts, xfonts},
		"source":                {x11, dbus, fonts, xfonts, module + "/source/capture"},
		"consent":               {child},
		"consent/runas":         {x11, dbus, fonts, xfonts, "github.com/rs/zerolog"},
		"internal/api":          {x11, dbus, metrics},
		"cmd/shadowctl":         {metrics, fonts, xfonts, nats, bus, jwt},
		"cmd/websockify":        {x11, dbus, fonts, xfonts, nats, bus, jwt},
		"cmd/rfbtrace":          {x11, dbus, "github.com/rs/zerolog"},
		"source/capture":        {"github.com/BurntSushi/xgb/xtest", "github.com/BurntSushi/xgb/xinput", dbus, fonts},
		"cmd/shadowd":           {module + "/internal/doctor", module + "/internal/gate", "github.com/coreos/go-oidc", "golang.org/x/oauth2", bus},
		"internal/fleet/host":   {bus, x11, dbus},
		"internal/fleet/enrol":  {nats, bus, jwt, x11, dbus, metrics},
		"cmd/shadowgate":        {x11, dbus, fonts, xfonts, module + "/consent/desktop", module + "/source", module + "/internal/doctor", module + "/internal/config"},
		"internal/gate":         {x11, dbus, fonts, xfonts, module + "/internal/api/server"},
		"internal/host/account": {x11, dbus},
	}
	all := list(t)
	for name, banned := range never {
		p, ok := all[strings.TrimSuffix(module+"/"+name, "/.")]
		require.True(t, ok, "package %s is gone: change this test", name)
		for _, dep := range p.Deps {
			for _, b := range banned {
				assert.False(t, dep == b || strings.HasPrefix(dep, b+"/"), "%s links %s", name, dep)
			}
		}
	}
	// Nothing but the standard library, or what is named.
	only := map[string][]string{
		"rfb":            nil,
		"rfb/trace":      nil,
		"rfb/vendors":    nil,
		"rfb/encode":     {"github.com/klauspost/compress"},
		"portpool":       {"golang.org/x/sys"},
		"consent":        nil,
		"consent/policy": nil,
		"consent/runas":  {"golang.org/x/sys"},
	}
	for name, allowed := range only {
		for _, dep := range all[module+"/"+name].Deps {
			host, _, _ := strings.Cut(dep, "/")
			ours := strings.HasPrefix(dep, module)
			if !strings.Contains(host, ".") || ours || strings.HasPrefix(dep, "vendor/") {
				continue
			}
			assert.True(t, slices.ContainsFunc(allowed, func(a string) bool { return strings.HasPrefix(dep, a) }), "%s links %s", name, dep)
		}
	}
	for path, p := range all {
		if p.Name == "main" {
			assert.NotContains(t, p.Deps, "testing", "%s links testing", path)
			assert.NotContains(t, p.Deps, testify+"/require", "%s links testify", path)
		}
	}
}

// The packages that others may import know nothing of those that are built on them.
func TestDirection(t *testing.T) {
	layers := [][]string{
		{"rfb", "portpool", "tlsstore", "consent"},
		{"rfb/encode", "rfb/vendors", "wsproxy", "consent/runas"},
		{"rfb/trace"},
		{"."},
		{"sessions", "source", "consent/desktop"},
	}
	level := map[string]int{}
	for i, names := range layers {
		for _, n := range names {
			level[n] = i
		}
	}
	for path, p := range list(t) {
		mine, ok := level[short(path)]
		for _, imported := range p.Imports {
			if !strings.HasPrefix(imported, module) {
				continue
			}
			theirs, listed := level[short(imported)]
			assert.False(t, ok && listed && theirs > mine, "%s imports %s", short(path), short(imported))
			assert.False(t, ok && strings.HasPrefix(short(imported), "cmd/"), "%s imports %s", short(path), short(imported))
		}
	}
}

// Each package has exactly one package comment, and none is a drawer for odds and ends.
func TestPackages(t *testing.T) {
	comment := regexp.MustCompile(`(?m)^// Package \w+ |^// \w+ .*\n(?:// .*\n|//\n)*package main`)
	for path, p := range list(t) {
		n := 0
		for _, file := range p.GoFiles {
			data, err := os.ReadFile(filepath.Join(p.Dir, file))
			require.NoError(t, err)
			if p.Name == "main" {
				continue
			}
			if comment.Match(data) {
				n++
			}
		}
		if p.Name == "main" {
			assert.NotEmpty(t, p.Doc, "%s has no package comment", path)
		} else if len(p.GoFiles) > 0 {
			assert.Equal(t, 1, n, "package comments of %s", path)
		}
		assert.NotContains(t, []string{"util", "utils", "common", "helpers", "misc"}, p.Name, path)
	}
}

// Each exported field of what others import has words: units, what nil and zero mean.
func TestFieldsHaveWords(t *testing.T) {
	for path, p := range list(t) {
		if s := short(path); p.Name == "main" || strings.Contains(s+"/", "internal/") || strings.HasPrefix(s, "cmd/") || strings.HasPrefix(s, "tools/") {
			continue
		}
		for _, name := range p.GoFiles {
			files := token.NewFileSet()
			file, err := parser.ParseFile(files, filepath.Join(p.Dir, name), nil, parser.ParseComments)
			require.NoError(t, err)
			ast.Inspect(file, func(n ast.Node) bool {
				spec, ok := n.(*ast.TypeSpec)
				if !ok || !spec.Name.IsExported() {
					return true
				}
				fields, ok := spec.Type.(*ast.StructType)
				if !ok {
					return true
				}
				for _, f := range fields.Fields.List {
					for _, id := range f.Names {
						assert.False(t, id.IsExported() && f.Doc == nil && f.Comment == nil, "%s: %s.%s has no words", files.Position(id.Pos()), spec.Name.Name, id.Name)
					}
				}
				return true
			})
		}
	}
}

// Whoever imports the module gets neither replaced modules nor tools.
func TestModule(t *testing.T) {
	data, err := os.ReadFile("../../go.mod")
	require.NoError(t, err)
	assert.NotRegexp(t, `(?m)^replace |^tool `, string(data))

	reasons, err := os.ReadFile("../../docs/dependencies.md")
	require.NoError(t, err)
	direct := regexp.MustCompile(`(?m)^\t(\S+) v\S+$`).FindAllStringSubmatch(string(data), -1)
	require.NotEmpty(t, direct)
	for _, m := range direct {
		assert.Contains(t, string(reasons), m[1], "docs/dependencies.md doesn't say why it is there")
	}
}

var update = flag.Bool("update", false, "write DESIGN's picture of the imports anew")

// No program of ours has namespaces made, or the user changed, between fork and exec. The kernel makes the former under locks that any
// user can hold for long, the latter lets the user stop the child, and Go's runtime waits for the thread that forks.
func TestNothingChangesInFork(t *testing.T) {
	field := regexp.MustCompile(`\b(Cloneflags|Unshareflags|syscall\.Credential)\b`)
	for _, p := range list(t) {
		for _, name := range p.GoFiles {
			file := filepath.Join(p.Dir, name)
			b, err := os.ReadFile(file)
			require.NoError(t, err)
			assert.Empty(t, field.FindString(string(b)), "%s: see child.Start and child.StartAlone", file)
		}
	}
}

// DESIGN's picture of who imports whom is what the code says.
func TestDesignShowsTheImports(t *testing.T) {
	const file, begin, end = "../../docs/DESIGN.md", "<!-- imports -->\n```\n", "```\n<!-- end of imports -->"
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(data), begin)
	require.True(t, ok)
	shown, after, ok := strings.Cut(rest, end)
	require.True(t, ok)
	want := picture(list(t))
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(before+begin+want+end+after), 0o644))
		return
	}
	assert.Equal(t, want, shown, "run go test ./internal/house -update")
}

// picture has a line for each package outside internal folders: what it imports of ours.
// What is behind an internal folder is named by the folder.
func picture(all map[string]pkg) string {
	room := func(path string) string {
		name := short(path)
		if before, _, ok := strings.Cut(name, "/internal/"); ok {
			return before
		}
		if strings.HasPrefix(name, "internal/host/") {
			return "internal/host"
		}
		if name == "." {
			return "shadow"
		}
		return name
	}
	arrows := map[string][]string{}
	for path, p := range all {
		if len(p.GoFiles) == 0 {
			continue
		}
		from := room(path)
		arrows[from] = append(arrows[from], "")
		for _, imported := range p.Imports {
			if to := room(imported); strings.HasPrefix(imported, module) && to != from {
				arrows[from] = append(arrows[from], to)
			}
		}
	}
	var b strings.Builder
	for _, from := range slices.Sorted(maps.Keys(arrows)) {
		slices.Sort(arrows[from])
		to := slices.Compact(arrows[from])[1:]
		if len(to) == 0 {
			fmt.Fprintf(&b, "%s\n", from)
		} else {
			fmt.Fprintf(&b, "%-22s ─▶ %s\n", from, strings.Join(to, ", "))
		}
	}
	return b.String()
}

// The tests that the documentation names are there.
func TestNamedTestsExist(t *testing.T) {
	named := map[string][]string{} // where each is named
	documents, err := filepath.Glob("../../docs/*.md")
	require.NoError(t, err)
	for _, file := range documents {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z][A-Za-z0-9]*…?`).FindAllString(string(data), -1) {
			named[m] = append(named[m], filepath.Base(file))
		}
	}
	require.Greater(t, len(named), 30)
	out, err := exec.Command("grep", "-rhoE", "--include=*_test.go", `^func (Test|Fuzz|Benchmark)[A-Za-z0-9]+`, "../..").Output()
	require.NoError(t, err)
	there := strings.Fields(strings.ReplaceAll(string(out), "func ", ""))
	for name, files := range named {
		begins, whole := strings.TrimSuffix(name, "…"), !strings.HasSuffix(name, "…")
		found := slices.ContainsFunc(there, func(f string) bool { return f == begins || !whole && strings.HasPrefix(f, begins) })
		assert.True(t, found, "%s, named in %v, isn't there", name, files)
	}
}
