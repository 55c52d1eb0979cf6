package rfb

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Nothing in this module but this package names a Policy other than the zero
// one: no file that imports it says Control or Policy, sets a Policy field or
// imports it under a dot. So a session of shadowd's is ViewOnly, whatever is
// configured.
func TestNothingReachesControl(t *testing.T) {
	importers := 0
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (path == "../rfb" || entry.Name() == "testdata" || entry.Name() == "node_modules" || entry.Name() == ".git") {
			return filepath.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		name := imported(t, path, file)
		if name == "" {
			return nil
		}
		importers++
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				assert.NotEqual(t, "Policy", n.Sel.Name, path)
				if x, ok := n.X.(*ast.Ident); ok && x.Name == name {
					assert.NotEqual(t, "Control", n.Sel.Name, path)
				}
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok {
					assert.NotEqual(t, "Policy", key.Name, path)
				}
			case *ast.CompositeLit:
				if s, ok := n.Type.(*ast.SelectorExpr); ok && s.Sel.Name == "Relay" && len(n.Elts) > 0 {
					_, keyed := n.Elts[0].(*ast.KeyValueExpr)
					assert.True(t, keyed, "%s: a Relay's fields are named", path)
				}
			}
			return true
		})
		return nil
	})
	require.NoError(t, err)
	assert.NotZero(t, importers, "the engine imports this package")
}

// imported is under which name a file has this package; empty: not at all.
func imported(t *testing.T, path string, file *ast.File) string {
	for _, i := range file.Imports {
		name, err := strconv.Unquote(i.Path.Value)
		require.NoError(t, err)
		switch {
		case name != "vda.internal/shadow/rfb":
		case i.Name == nil:
			return "rfb"
		default:
			assert.NotEqual(t, ".", i.Name.Name, path)
			return i.Name.Name
		}
	}
	return ""
}
