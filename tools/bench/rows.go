package main

import (
	"bufio"
	"flag"
	"fmt"
	"log"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A row is a figure of a benchmark that the console is held to.
type row struct {
	title string
	bench string // its name, without what go test appends
	unit  string // of the figure, as the benchmark prints it
	least bool   // it has to be at least the bound, else at most
	bound float64
}

var rows = []row{
	{"what the gate adds to the p50 of change → canvas, ms", "BenchmarkGateAdds", "added-ms", false, 1},
	{"CPU of 50 views of typing, × HAProxy's in HTTP mode, ws", "BenchmarkViews/ws/typing", "cpu-ratio", false, 1.1},
	{"… 50 of scrolling", "BenchmarkViews/ws/scrolling", "cpu-ratio", false, 1.1},
	{"… 10 of video", "BenchmarkViews/ws/video", "cpu-ratio", false, 1.1},
	{"… flat out, a GB", "BenchmarkViews/ws/bulk", "cpu-ratio", false, 1.1},
	{"… 8 flat out, a GB", "BenchmarkViews/ws/bulk8", "cpu-ratio", false, 1.1},
	{"GB/s of one view, × HAProxy's, ws", "BenchmarkViews/ws/bulk", "rate-ratio", true, 0.9},
	{"… of 8", "BenchmarkViews/ws/bulk8", "rate-ratio", true, 0.9},
	{"CPU of 50 views of typing, × HAProxy's in HTTP mode, wss", "BenchmarkViews/wss/typing", "cpu-ratio", false, 1.1},
	{"… 50 of scrolling", "BenchmarkViews/wss/scrolling", "cpu-ratio", false, 1.1},
	{"… 10 of video", "BenchmarkViews/wss/video", "cpu-ratio", false, 1.1},
	{"… flat out, a GB", "BenchmarkViews/wss/bulk", "cpu-ratio", false, 1.1},
	{"… 8 flat out, a GB", "BenchmarkViews/wss/bulk8", "cpu-ratio", false, 1.1},
	{"GB/s of one view, × HAProxy's, wss", "BenchmarkViews/wss/bulk", "rate-ratio", true, 0.9},
	{"… of 8", "BenchmarkViews/wss/bulk8", "rate-ratio", true, 0.9},
	{"memory of each of 500 quiet views beyond the sockets, KiB, ws", "BenchmarkViews/ws/memory", "gate-KiB/view", false, 80},
	{"… wss", "BenchmarkViews/wss/memory", "gate-KiB/view", false, 80},
	{"list of 10,000 sessions: first paint, ms", "BenchmarkManySessions", "first-ms", false, 500},
	{"… one change on the screen, ms", "BenchmarkManySessions", "change-ms", false, 200},
	{"page of a granted port: first pixel after Yes, ms", "BenchmarkPage", "page-ms", false, 250},
	{"… × a page of one's own, opened for the plain URL", "BenchmarkPage", "page-ratio", false, 1.15},
}

// Marks in a document between which the rows stand.
const (
	beginRows = "<!-- made by bench rows -->\n"
	endRows   = "<!-- end of bench rows -->\n"
)

// rowsMain makes a table of what benchmarks have printed, in the formats of go test, to files.
func rowsMain(args []string) {
	fs := flag.NewFlagSet("rows", flag.ExitOnError)
	doc := fs.String("doc", "", "document to put the table into, too")
	_ = fs.Parse(args)
	figures := map[string]map[string]float64{}
	for _, name := range fs.Args() {
		if err := readFigures(name, figures); err != nil {
			log.Fatal("bench: ", err)
		}
	}
	table := fmt.Sprintf("\n%s; %s.\n\n%s\n", time.Now().Format("2006-01-02 15:04 MST"), machine(), tableOf(figures))
	fmt.Print(table)
	if *doc == "" {
		return
	}
	if err := putBetween(*doc, beginRows, endRows, table); err != nil {
		log.Fatal("bench: ", err)
	}
}

// readFigures reads the lines of benchmarks into figures, by benchmark and unit.
func readFigures(name string, figures map[string]map[string]float64) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		bench := fields[0]
		if i := strings.LastIndexByte(bench, '-'); i > 0 { // -2, the number of cores
			if _, err := strconv.Atoi(bench[i+1:]); err == nil {
				bench = bench[:i]
			}
		}
		figures[bench] = map[string]float64{}
		for i := 2; i+1 < len(fields); i += 2 {
			if v, err := strconv.ParseFloat(fields[i], 64); err == nil {
				figures[bench][fields[i+1]] = v
			}
		}
	}
	return lines.Err()
}

// tableOf has a line for each row that there is a figure for, with the benchmark's other figures beside it.
func tableOf(figures map[string]map[string]float64) string {
	var b strings.Builder
	b.WriteString("| | bound | measured | | beside it |\n| --- | ---: | ---: | --- | --- |\n")
	for _, r := range rows {
		v, ok := figures[r.bench][r.unit]
		if !ok {
			continue
		}
		sign, held := "≤", v <= r.bound
		if r.least {
			sign, held = "≥", v >= r.bound
		}
		verdict := "missed"
		if held {
			verdict = "reached"
		}
		fmt.Fprintf(&b, "| %s | %s %g | %.3g | %s | %s |\n", r.title, sign, r.bound, v, verdict, besides(figures[r.bench], r.unit))
	}
	return b.String()
}

// besides are a benchmark's absolute figures, but one.
func besides(figures map[string]float64, unit string) string {
	var list []string
	for _, u := range slices.Sorted(maps.Keys(figures)) {
		if u != unit && u != "ns/op" && !strings.HasSuffix(u, "-ratio") {
			list = append(list, fmt.Sprintf("%s %.4g", u, figures[u]))
		}
	}
	return strings.Join(list, ", ")
}
