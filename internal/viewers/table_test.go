package viewers

import (
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"

	"github.com/BurntSushi/xgb"
)

func TestMain(m *testing.M) {
	xgb.Logger = log.New(io.Discard, "", 0)
	code := m.Run()
	table.print(os.Stdout)
	os.Exit(code)
}

// table is what the tests of this run found.
var table matrix

// A matrix has a cell for each viewer that watched a server.
type matrix struct {
	mu               sync.Mutex
	viewers, servers []string // as they came
	cells            map[[2]string]string
	lacks            map[string]string // what a server can't show
}

// cell is t.Run of a viewer that watches s, whose outcome it keeps. f names each step before it
// takes it.
func (m *matrix) cell(t *testing.T, s *screen, viewer string, f func(t *testing.T, step func(string))) {
	t.Run(viewer, func(t *testing.T) {
		outcome, last := "", "start"
		defer func() {
			switch {
			case t.Skipped():
				outcome = "skipped"
			case t.Failed() || outcome == "": // it may be the server that failed
				outcome = "FAILED: " + last
			}
			m.keep(s, viewer, outcome)
		}()
		f(t, func(name string) { last = name })
		if outcome = "ok"; s.resize != nil && last != "resize" {
			outcome = "ok, one size"
		}
	})
}

func (m *matrix) keep(s *screen, viewer, outcome string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cells == nil {
		m.cells, m.lacks = map[[2]string]string{}, map[string]string{}
	}
	if !slices.Contains(m.servers, s.name) {
		m.servers = append(m.servers, s.name)
	}
	if !slices.Contains(m.viewers, viewer) {
		m.viewers = append(m.viewers, viewer)
	}
	m.cells[[2]string{viewer, s.name}] = outcome
	m.lacks[s.name] = strings.Trim(s.still+"; "+s.deaf, "; ")
}

// print writes the table, if there is one.
func (m *matrix) print(w io.Writer) {
	if len(m.cells) == 0 {
		return
	}
	fmt.Fprintln(w, "\nok: the picture is the screen's, it follows a change and a new size, and nothing reaches the session")
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "\t"+strings.Join(m.servers, "\t"))
	for _, v := range m.viewers {
		row := v
		for _, s := range m.servers {
			c := m.cells[[2]string{v, s}]
			if c == "" {
				c = "-"
			}
			row += "\t" + c
		}
		fmt.Fprintln(out, row)
	}
	_ = out.Flush()
	for _, s := range m.servers {
		if why := m.lacks[s]; why != "" {
			fmt.Fprintf(w, "%s: %s\n", s, why)
		}
	}
}
