package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"os/user"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/BurntSushi/xgb"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/source"
	"vda.internal/shadow/source/capture"
)

const width, height = 1920, 1080

// A peer is a source by the name that the table has for it.
type peer struct {
	name   string
	source shadow.Source
}

var peers = []peer{{"source.X11", &source.X11{}}, {"x11vnc", &source.X11vnc{}}}

// A load is what happens on the screen: what the terminal runs, or a film.
type load struct {
	name  string
	shell string
	film  bool
}

var loads = []load{
	{name: "idle"},
	{name: "typing", shell: "while sleep 0.05; do printf x; done"},
	{name: "scrolling", shell: "n=0; while sleep 0.033; do n=$((n+1)); echo $n $n $n a line of a log that is about as long as they are; done"},
	{name: "video", film: true},
}

// Figures are a peer's samples, by what they are of.
type figures map[string][]float64

func (f figures) add(what string, v float64) { f[what] = append(f[what], v) }

func (f figures) median(what string) float64 { return f.quantile(what, 0.5) }

func (f figures) quantile(what string, q float64) float64 {
	if len(f[what]) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(f[what]))
	return v[int(q*float64(len(v)-1)+0.5)]
}

func main() {
	capture.Child()
	if len(os.Args) == 4 && os.Args[1] == compositorArg {
		if !hasCompositor(os.Args[2], os.Args[3]) {
			os.Exit(1)
		}
		return
	}
	log.SetFlags(0)
	xgb.Logger.SetOutput(io.Discard)
	rounds := flag.Int("rounds", 3, "rounds; each runs every peer once")
	duration := flag.Duration("duration", 4*time.Second, "how long each load is measured")
	doc := flag.String("doc", "", "document to put the table into, too")
	whole := flag.String("desktops", "", "measure on whole `desktops` instead: xfce,mate,lxqt,plasma,cinnamon,gnome, or all")
	pictures := flag.String("pictures", "", "`folder` for pictures of these; empty: none")
	sessions := flag.Int("sessions", 0, "measure so many, watched at once, instead")
	shadowd := flag.String("shadowd", "bin/shadowd", "the `program` that shows these")
	busy := flag.String("load", "idle", "what happens in these: idle, typing, scrolling")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *whole != "" {
		names := strings.Split(*whole, ",")
		if *whole == "all" {
			names = nil
		}
		desktops(ctx, os.Stdout, names, *duration, *pictures)
		return
	}
	if *sessions > 0 {
		i := slices.IndexFunc(loads, func(l load) bool { return l.name == *busy && !l.film })
		if i < 0 {
			log.Fatalf("screens: there is no load %q for many sessions", *busy)
		}
		if err := many(ctx, os.Stdout, *shadowd, *sessions, *duration, loads[i]); err != nil {
			log.Fatalf("screens: %v", err)
		}
		return
	}
	results := make([]figures, len(peers))
	for round := range *rounds {
		for i, p := range peers {
			if round == 0 {
				results[i] = figures{}
			}
			log.Printf("round %d: %s", round+1, p.name)
			if err := run(ctx, p, *duration, results[i]); err != nil {
				log.Fatalf("screens: %s: %v", p.name, err)
			}
		}
	}
	table := fmt.Sprintf("%s; %d interleaved rounds of %v a load, medians.\n\n%s", time.Now().Format("January 2006"), *rounds, *duration, tabulate(results))
	fmt.Print(table)
	if *doc != "" {
		if err := replace(*doc, table); err != nil {
			log.Fatalf("screens: %v", err)
		}
	}
}

// run measures a peer on a desktop of its own.
func run(ctx context.Context, p peer, d time.Duration, f figures) error {
	account, err := user.Current()
	if err != nil {
		return err
	}
	own := child.Own()
	desktop, err := testhost.Start(ctx, testhost.Options{Width: width, Height: height, Identity: &own})
	if err != nil {
		return err
	}
	defer desktop.Close()
	board, err := newBoard(desktop)
	if err != nil {
		return err
	}
	defer board.close()
	s := &shadow.Session{ID: "1", User: account.Username, UID: desktop.Identity.UID, GID: desktop.Identity.GID, Display: desktop.Display, Xauthority: desktop.Xauthority}
	before := descendants(os.Getpid())
	start := time.Now()
	conn, err := p.source.Open(ctx, s)
	if err != nil {
		return err
	}
	defer conn.Close()
	v, err := newViewer(ctx, conn)
	if err != nil {
		return err
	}
	for area := 0; area < width*height; {
		u, err := v.next()
		if err != nil {
			return err
		}
		if area += u.area; area >= width*height {
			f.add("first", ms(u.at.Sub(start)))
		}
	}
	pids := slices.DeleteFunc(descendants(os.Getpid()), func(pid int) bool { return slices.Contains(before, pid) })
	m := &measurement{desktop: desktop, board: board, viewer: v, source: pids, figures: f}
	if err := m.changes(ctx, 40); err != nil {
		return err
	}
	for _, l := range loads {
		if err := m.load(ctx, l, d); err != nil {
			return err
		}
	}
	return nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// columns are the table's lines, and what is divided in the last column.
var columns = []struct{ title, key string }{
	{"from start to the whole first frame, ms", "first"},
	{"from a change to its update, ms, p50", "change"},
	{"idle: CPU of source and X, ms/s", "idle-cpu"},
	{"typing 20/s: CPU, ms/s", "typing-cpu"},
	{"… KB/s", "typing-kb"},
	{"scrolling 30/s: CPU, ms/s", "scrolling-cpu"},
	{"… KB/s", "scrolling-kb"},
	{"video 1280x720, 25/s: CPU, ms/s", "video-cpu"},
	{"… updates/s", "video-updates"},
	{"… KB/s", "video-kb"},
}

func tabulate(results []figures) string {
	var b strings.Builder
	b.WriteString("| |")
	for _, p := range peers {
		fmt.Fprintf(&b, " %s |", p.name)
	}
	fmt.Fprintf(&b, " %s / %s |\n| --- |%s ---: |\n", peers[0].name, peers[1].name, strings.Repeat(" ---: |", len(peers)))
	for _, c := range columns {
		fmt.Fprintf(&b, "| %s |", c.title)
		for i := range peers {
			fmt.Fprintf(&b, " %.1f |", results[i].median(c.key))
		}
		if theirs := results[1].median(c.key); theirs > 0 {
			fmt.Fprintf(&b, " %.2f |\n", results[0].median(c.key)/theirs)
		} else {
			b.WriteString(" |\n")
		}
	}
	return b.String()
}

// Between these lines of the document stands the table.
const beginMark, endMark = "<!-- made by tools/screens -->\n", "<!-- end of tools/screens -->\n"

func replace(name, table string) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	head, rest, ok := bytes.Cut(b, []byte(beginMark))
	_, tail, ended := bytes.Cut(rest, []byte(endMark))
	if !ok || !ended {
		return fmt.Errorf("%s has no place for the table: the lines %s and %s", name, strings.TrimSpace(beginMark), strings.TrimSpace(endMark))
	}
	return os.WriteFile(name, slices.Concat(head, []byte(beginMark), []byte("\n"+table+"\n"), []byte(endMark), tail), 0o644)
}
