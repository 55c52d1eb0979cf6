// Figures prints how large the parts of this module are: what each command and each public package
// links, how many names it exports, and how long its files and functions are. With -in it measures
// another checkout, such as one of an earlier commit:
//
//	git worktree add /tmp/before 16853cf && go run ./tools/figures -in /tmp/before
package main

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
	"slices"
	"strings"
)

func main() {
	in := flag.String("in", ".", "`folder` of the checkout")
	flag.Parse()
	if err := run(*in, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "figures:", err)
		os.Exit(1)
	}
}

// A pkg is what go list says of a package.
type pkg struct {
	ImportPath, Name, Dir              string
	GoFiles, TestGoFiles, XTestGoFiles []string
	Deps                               []string
	Module                             *struct{ Path string }
}

// A part is what is counted of a package or a part of the module.
type part struct {
	lines, tests, exported int
	functions              []int // lines of each
}

func run(in string, out io.Writer) error {
	all, module, err := list(in)
	if err != nil {
		return err
	}
	parts, total := map[string]*part{}, new(part)
	fmt.Fprintln(out, "| package | links modules | links packages of ours | exports | lines |\n|---|---|---|---|---|")
	for _, p := range all {
		short := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		m, err := measure(p)
		if err != nil {
			return err
		}
		top, _, _ := strings.Cut(short, "/")
		if short == "" {
			top, short = ".", "."
		}
		if parts[top] == nil {
			parts[top] = new(part)
		}
		parts[top].add(m)
		total.add(m)
		public := p.Name != "main" && !slices.ContainsFunc(strings.Split(short, "/"), func(s string) bool { return s == "internal" || s == "cmd" || s == "tools" })
		if command := strings.HasPrefix(short, "cmd/") && p.Name == "main"; command || public {
			modules, ours := links(p, module)
			fmt.Fprintf(out, "| %s | %d | %d | %d | %d |\n", short, modules, ours, m.exported, m.lines)
		}
	}
	fmt.Fprintln(out, "\n| part | lines | lines of tests | functions | median | longest |\n|---|---|---|---|---|---|")
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		fmt.Fprintf(out, "| %s %s\n", name, parts[name].row())
	}
	fmt.Fprintf(out, "| all %s\n\ninternal/ has %.0f %% of the product's lines.\n", total.row(), 100*float64(parts["internal"].lines)/float64(total.lines))
	return nil
}

// list loads the module's packages in the order of their paths.
func list(in string) (all []pkg, module string, err error) {
	cmd := exec.Command("go", "list", "-json=ImportPath,Name,Dir,GoFiles,TestGoFiles,XTestGoFiles,Deps,Module", "./...")
	cmd.Dir, cmd.Stderr = in, os.Stderr
	text, err := cmd.Output()
	if err != nil {
		return nil, "", err
	}
	for dec := json.NewDecoder(strings.NewReader(string(text))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all, module, nil
		} else if err != nil {
			return nil, "", err
		}
		all, module = append(all, p), p.Module.Path
	}
}

// links counts what a package links: modules of others, by their paths, and packages of ours.
func links(p pkg, module string) (modules, ours int) {
	seen := map[string]bool{}
	for _, dep := range p.Deps {
		host, rest, _ := strings.Cut(dep, "/")
		switch {
		case strings.HasPrefix(dep, module):
			ours++
		case !strings.Contains(host, ".") || host == "vendor":
		default:
			words := strings.Split(rest, "/")
			n := 2 // github.com/owner/name
			if host != "github.com" && host != "golang.org" {
				n = 1
			}
			seen[host+"/"+strings.Join(words[:min(n, len(words))], "/")] = true
		}
	}
	return len(seen), ours
}

// measure counts a package.
func measure(p pkg) (m part, err error) {
	for _, name := range p.GoFiles {
		n, err := m.file(filepath.Join(p.Dir, name), true)
		if err != nil {
			return m, err
		}
		m.lines += n
	}
	for _, name := range slices.Concat(p.TestGoFiles, p.XTestGoFiles) {
		n, err := m.file(filepath.Join(p.Dir, name), false)
		if err != nil {
			return m, err
		}
		m.tests += n
	}
	return m, nil
}

// file counts a file's lines and, of the product's, its functions and exported names.
func (m *part) file(name string, product bool) (lines int, err error) {
	data, err := os.ReadFile(name)
	if err != nil || !product {
		return strings.Count(string(data), "\n"), err
	}
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, data, parser.SkipObjectResolution)
	if err != nil {
		return 0, err
	}
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && (d.Recv == nil || ast.IsExported(receiver(d))) {
				m.exported++
			}
			m.functions = append(m.functions, files.Position(d.End()).Line-files.Position(d.Pos()).Line+1)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				m.exported += exported(spec)
			}
		}
	}
	return strings.Count(string(data), "\n"), nil
}

// receiver is the name of a method's type.
func receiver(d *ast.FuncDecl) string {
	t := d.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	if generic, ok := t.(*ast.IndexExpr); ok {
		t = generic.X
	}
	if id, ok := t.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}

// exported counts a declaration's exported names.
func exported(spec ast.Spec) (n int) {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		if s.Name.IsExported() {
			return 1
		}
	case *ast.ValueSpec:
		for _, id := range s.Names {
			if id.IsExported() {
				n++
			}
		}
	}
	return n
}

func (m *part) add(o part) {
	m.lines, m.tests, m.exported = m.lines+o.lines, m.tests+o.tests, m.exported+o.exported
	m.functions = append(m.functions, o.functions...)
}

// row is the end of a table's line.
func (m *part) row() string {
	median, longest := 0, 0
	if n := len(m.functions); n > 0 {
		slices.Sort(m.functions)
		median, longest = m.functions[n/2], m.functions[n-1]
	}
	return fmt.Sprintf("| %d | %d | %d | %d | %d |", m.lines, m.tests, len(m.functions), median, longest)
}
