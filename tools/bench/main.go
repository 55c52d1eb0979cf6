package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

var numCPU = float64(runtime.NumCPU())

func machine() string {
	model := "?"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for _, l := range strings.Split(string(b), "\n") {
			if k, v, ok := strings.Cut(l, ":"); ok && strings.TrimSpace(k) == "model name" {
				model = strings.TrimSpace(v)
				break
			}
		}
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return fmt.Sprintf("%d cores, %s, Linux %s, TCP %s, harness built with %s", runtime.NumCPU(), model, strings.TrimSpace(string(kernel)), congestionControl(), runtime.Version())
}

func main() {
	log.SetFlags(0)
	if len(os.Args) < 2 {
		usage()
	}
	switch os.Args[1] {
	case "run":
		runMain(os.Args[2:])
	case "relay":
		relayMain(os.Args[2:])
	case "gateway":
		gatewayMain(os.Args[2:])
	case "gate":
		gateMain(os.Args[2:])
	case "views":
		viewsMain(os.Args[2:])
	case "rows":
		rowsMain(os.Args[2:])
	case "exec":
		execMain(os.Args[2:])
	case "spin":
		spinMain(os.Args[2:])
	case "report":
		reportMain(os.Args[2:])
	case "list":
		for _, s := range scenarios {
			fmt.Printf("%-10s %s\n", s.name, s.title)
		}
	default:
		usage()
	}
}

func usage() {
	log.Fatal("usage: bench run|report|views|rows|relay|gateway|gate|list [flags]")
}

func runMain(args []string) {
	fs := flag.NewFlagSet("run", flag.ExitOnError)
	conf := fs.String("config", "peers.json", "peers to measure")
	names := fs.String("peers", "go-relay,haproxy,wsproxy*,websockify,websockify-debian", "comma-separated names or glob patterns; order is kept")
	groups := fs.String("groups", "", "comma-separated groups, beside -peers")
	scs := fs.String("scenarios", "all", "comma-separated scenarios")
	transports := fs.String("transports", "ws,wss", "ws, wss or both")
	rounds := fs.Int("rounds", 3, "rounds; within a scenario every round runs each peer once")
	out := fs.String("out", "bench-result", "results go to OUT.json and OUT.md")
	doc := fs.String("doc", "", "document to put the tables into, too")
	refs := fs.String("refs", "go-relay,websockify-debian", "peers to give ratios to")
	var s settings
	fs.DurationVar(&s.duration, "duration", 3*time.Second, "how long bulk transfers and rates are measured")
	fs.Int64Var(&s.bytes, "bytes", 1<<40, "bulk transfers end after this many bytes, too")
	network := fs.String("net", "own", "\"own\": a network namespace with nothing but loopback, and TCP with reno (needs root); \"host\": the machine's, with what congestion control and firewall that has")
	frame := fs.String("frame", "1920x1080", "size of the big update")
	fs.BoolVar(&s.verify, "verify", false, "compare every payload byte (costs the harness CPU)")
	sink := fs.String("sink", "drop", "what becomes of bulk data: \"drop\" in the kernel, or \"read\" and decrypt it")
	fs.BoolVar(&s.copying, "copy", false, "the target sends with write(2) rather than sendfile(2)")
	fs.Float64Var(&s.memLimit, "memlimit", 4096, "MiB of PSS past which a proxy is killed")
	fs.DurationVar(&s.slowFor, "slowfor", 5*time.Second, "length of the scenarios with a slow end")
	fs.BoolVar(&s.spin, "spin", true, "keep the cores from idling in reqresp and latency")
	fs.IntVar(&s.idle, "idle", 99, "connections of the idle scenario")
	maxOther := fs.Float64("maxother", 15, "percent of the machine's CPU that others may use before a run is repeated")
	retries := fs.Int("retries", 2, "how often such a run is repeated at most")
	fs.Parse(args)
	if fs.NArg() > 0 {
		log.Fatalf("bench: run takes flags only, not %q", fs.Args())
	}
	switch *network {
	case "own":
		if os.Getenv(isolated) == "" {
			log.Fatal("bench: ", isolate())
		}
	case "host":
	default:
		log.Fatalf("bench: -net is own or host, not %q", *network)
	}
	switch *sink {
	case "read":
		s.reading = true
	case "drop":
	default:
		log.Fatalf("bench: -sink is drop or read, not %q", *sink)
	}
	if _, err := fmt.Sscanf(*frame, "%dx%d", &s.frameW, &s.frameH); err != nil {
		log.Fatal("-frame: ", err)
	}
	peers, err := loadConfig(*conf)
	if err != nil {
		log.Fatal(err)
	}
	peers = choose(peers, *names, *groups)
	var todo []*scenario
	for _, n := range strings.Split(*scs, ",") {
		if n == "all" {
			for i := range scenarios {
				todo = append(todo, &scenarios[i])
			}
		} else if sc := findScenario(n); sc != nil {
			todo = append(todo, sc)
		} else {
			log.Fatalf("no scenario %q", n)
		}
	}
	tmp, err := os.MkdirTemp("", "bench-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(tmp)
	certs, err := makeCert(tmp)
	if err != nil {
		log.Fatal(err)
	}
	pay, err := makePayloads(&s)
	if err != nil {
		log.Fatal(err)
	}
	interrupt := make(chan os.Signal, 1)
	signal.Notify(interrupt, os.Interrupt, syscall.SIGTERM)
	about := fmt.Sprintf("%s; %s; %s", time.Now().Format("January 2006"), machine(), describeRounds(*rounds, s.duration))
	var all []sample
	save := func() {
		if err := writeJSON(*out+".json", all); err != nil {
			log.Print(err)
		}
		f, err := os.Create(*out + ".md")
		if err != nil {
			log.Print(err)
			return
		}
		defer f.Close()
		fmt.Fprintf(f, "%s\n\n", about)
		writeMarkdown(f, all, strings.Split(*refs, ","))
		if *doc != "" {
			if err := writeDocument(*doc, all, about, strings.Split(*refs, ",")); err != nil {
				log.Print(err)
			}
		}
	}
	defer save()
	for _, tr := range strings.Split(*transports, ",") {
		tls := tr == "wss"
		for _, sc := range todo {
			n, duration := sc.often.of(*rounds, s.duration)
			for round := range n {
				for i := range peers {
					p := &peers[i]
					if !p.supports(tls) || !p.runs(sc.name) || sc.plain && tls {
						continue
					}
					select {
					case <-interrupt:
						return
					default:
					}
					var m metrics
					var err error
					for try := 0; try <= *retries; try++ {
						bounds := s
						bounds.duration = duration
						e := &env{payloads: pay, s: &bounds, peer: p, tls: tls, certs: certs}
						var again metrics
						again, err = sc.run(e)
						e.finish()
						if m == nil || again != nil && again["other"] < m["other"] {
							m = again
						}
						if err != nil || m["other"] <= *maxOther {
							break
						}
					}
					smp := sample{Scenario: sc.name, Peer: p.Name, TLS: tls, Round: round, Metrics: m}
					line := ""
					if err != nil {
						smp.Error = err.Error()
						line = "failed: " + err.Error()
					} else {
						for _, c := range sc.columns {
							line += fmt.Sprintf("  %s "+c.format, c.head, m[c.key])
						}
					}
					all = append(all, smp)
					log.Printf("%s %s %-9s #%d %-24s%s", time.Now().Format("15:04:05"), tr, sc.name, round, p.Name, line)
				}
			}
			save()
		}
	}
}

// choose keeps the peers that a pattern names, in the patterns' order, and
// those of the groups.
func choose(peers []Peer, names, groups string) []Peer {
	var out []Peer
	var have []string
	add := func(p Peer) {
		if !slices.Contains(have, p.Name) {
			have = append(have, p.Name)
			out = append(out, p)
		}
	}
	for _, g := range strings.Split(names, ",") {
		for _, p := range peers {
			if ok, _ := path.Match(g, p.Name); ok {
				add(p)
			}
		}
	}
	for _, g := range strings.Split(groups, ",") {
		for _, p := range peers {
			if g != "" && p.Group == g {
				add(p)
			}
		}
	}
	return out
}

// reportMain makes the tables anew from results, on standard output or in a
// document.
func reportMain(args []string) {
	fs := flag.NewFlagSet("report", flag.ExitOnError)
	refs := fs.String("refs", "go-relay,websockify-debian", "peers to give ratios to")
	doc := fs.String("doc", "", "document to put the tables into")
	about := fs.String("about", "", "what is said above them")
	fs.Parse(args)
	var all []sample
	for _, f := range fs.Args() {
		s, err := readJSON(f)
		if err != nil {
			log.Fatal(err)
		}
		all = append(all, s...)
	}
	if *doc != "" {
		if err := writeDocument(*doc, all, *about, strings.Split(*refs, ",")); err != nil {
			log.Fatal(err)
		}
		return
	}
	writeGoals(os.Stdout, all)
	writeMarkdown(os.Stdout, all, strings.Split(*refs, ","))
}
