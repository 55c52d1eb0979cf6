package main

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// A goal is a bound for one figure of one peer: absolute, or as a ratio to a
// reference of the same run.
type goal struct {
	title    string
	scenario string
	tls      bool
	peer     string
	key      string // of the metrics
	ref      string // peer; empty: the bound is absolute
	least    bool   // the figure has to be at least the bound, else at most
	bound    float64
	unit     string // of an absolute bound
}

const (
	raw      = "wsproxy"
	viewing  = "wsproxy-viewonly"
	looking  = "wsproxy-inspecting"
	program  = "websockify"
	relay    = "go-relay"
	old      = "websockify-debian"
	gbps     = "gbps"
	cpuPerGB = "cpu_per_gb"
)

// goals are what the gateway is held to.
var goals = []goal{
	{"ws down, 1 connection, raw: GB/s", "down1", false, raw, gbps, relay, true, 0.9, ""},
	{"… CPU s/GB", "down1", false, raw, cpuPerGB, relay, false, 1.25, ""},
	{"… GB/s", "down1", false, raw, gbps, old, true, 1.8, ""},
	{"… CPU s/GB", "down1", false, raw, cpuPerGB, old, false, 0.4, ""},
	{"ws down, 1 connection, view-only: GB/s", "down1", false, viewing, gbps, old, true, 1.25, ""},
	{"… CPU s/GB", "down1", false, viewing, cpuPerGB, old, false, 0.75, ""},
	{"ws down, 8 connections, raw: GB/s", "down8", false, raw, gbps, old, true, 2, ""},
	{"… CPU s/GB", "down8", false, raw, cpuPerGB, old, false, 0.35, ""},
	{"ws down, 8 connections, view-only: GB/s", "down8", false, viewing, gbps, old, true, 1.4, ""},
	{"… CPU s/GB", "down8", false, viewing, cpuPerGB, old, false, 0.6, ""},
	{"wss down, 1 connection, raw: GB/s", "down1", true, raw, gbps, old, true, 1.35, ""},
	{"… CPU s/GB", "down1", true, raw, cpuPerGB, old, false, 0.7, ""},
	{"… GB/s", "down1", true, raw, gbps, relay, true, 1.05, ""},
	{"wss down, 8 connections, raw: GB/s", "down8", true, raw, gbps, old, true, 1.35, ""},
	{"… CPU s/GB", "down8", true, raw, cpuPerGB, old, false, 0.7, ""},
	{"… GB/s", "down8", true, raw, gbps, relay, true, 1.05, ""},
	{"ws up, 32 KB messages, raw: GB/s", "up1", false, raw, gbps, old, true, 2.8, ""},
	{"… inspected: GB/s", "up1", false, looking, gbps, old, true, 2.8, ""},
	{"ws up, 10-byte messages, raw", "upsmall", false, raw, "msgs", "", true, 10e6, "a second"},
	{"… inspected", "upsmall", false, looking, "msgs", "", true, 10e6, "a second"},
	{"request and response, ws: trips", "reqresp", false, raw, "rps", old, true, 1.3, ""},
	{"latency, ws: p50", "latency", false, raw, "p50", old, false, 0.7, ""},
	{"… p50", "latency", false, raw, "p50", relay, false, 1.4, ""},
	{"connections a second, ws", "connect", false, raw, "cps", old, true, 10, ""},
	{"connections a second, wss", "connect", true, raw, "cps", old, true, 6, ""},
	{"memory of an idle connection, ws", "idle", false, raw, "per", "", false, 50, "KiB"},
	{"memory of an idle connection, wss", "idle", true, raw, "per", "", false, 90, "KiB"},
	{"slow reader: peak memory of the program", "slow", false, raw, "peak_mib", "", false, 20, "MiB"},
	{"slow target: peak memory of the program", "stuck", false, raw, "peak_mib", "", false, 20, "MiB"},
	// The program's deadlines: 30 s of silence within a message, or up to a
	// quarter more, and 2 s to close; 30 s for a request.
	{"message of 1 TiB: closed after", "giant", false, program, "ended", "", false, 40, "s"},
	{"half a request line: closed after", "half", false, program, "ended", "", false, 31, "s"},
	{"from exec to listening", "start", false, program, "start_ms", "", false, 20, "ms"},
	{"size of the stripped program", "start", false, program, "size_mb", "", false, 15, "MB"},
}

// writeGoals prints a table of what is to be reached and what was. The
// measured peers' medians count.
func writeGoals(w io.Writer, all []sample) {
	fmt.Fprint(w, "| what | against | goal | measured | |\n| --- | --- | ---: | ---: | --- |\n")
	for _, g := range goals {
		v := values(all, g.scenario, g.peer, g.tls, g.key)
		if len(v) == 0 {
			continue
		}
		figure, against, format := median(v), "", "%.3g "+g.unit
		if g.ref != "" {
			ref := median(values(all, g.scenario, g.ref, g.tls, g.key))
			if ref == 0 {
				continue
			}
			figure, against, format = figure/ref, g.ref, "%.2f ×"
		}
		sign, held := "≤ ", figure <= g.bound
		if g.least {
			sign, held = "≥ ", figure >= g.bound
		}
		verdict := "missed"
		if held {
			verdict = "reached"
		}
		fmt.Fprintf(w, "| %s | %s | %s%s | %s | %s |\n", g.title, against, sign, number(format, g.bound), number(format, figure), verdict)
	}
	fmt.Fprintln(w)
}

func number(format string, v float64) string {
	if v >= 1e6 {
		return strings.TrimSpace(fmt.Sprintf(strings.Replace(format, "%.3g", "%.3g million", 1), v/1e6))
	}
	return strings.TrimSpace(fmt.Sprintf(format, v))
}

// Marks in a document between which a run's tables stand.
const (
	beginMark = "<!-- made by make bench -->\n"
	endMark   = "<!-- end -->\n"
)

// writeDocument puts the tables into a document, in place of the last run's.
func writeDocument(name string, all []sample, about string, refs []string) error {
	var s strings.Builder
	fmt.Fprintf(&s, "\n%s\n\n", about)
	writeGoals(&s, all)
	writeMarkdown(&s, all, refs)
	return putBetween(name, beginMark, endMark, s.String())
}

// putBetween puts a text into a document, in place of what stands between two marks.
func putBetween(name, begin, end, text string) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(b), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no place for tables: no %q and %q", name, begin, end)
	}
	return os.WriteFile(name, []byte(before+begin+text+end+after), 0o644)
}
