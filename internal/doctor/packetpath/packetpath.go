// Package packetpath reads what a host's firewalls do with viewers' connections: it follows
// a viewer's first packet, and the answer to it, through the kernel's rules as nft and
// iptables print them, whoever made them. It changes nothing.
package packetpath

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"vda.internal/shadow/internal/host/program"
)

// toolTime bounds each of the host's firewall tools.
const toolTime = 5 * time.Second

// ErrNoTool is returned on a host that has neither nft nor iptables-save.
var ErrNoTool = errors.New("there is neither nft nor iptables-save")

// A Question is whose packets are followed, and to where.
type Question struct {
	First, Last int          // the viewers' ports
	IPv4, IPv6  bool         // the families by which viewers come
	Own         []netip.Addr // the addresses to which they connect; nil: not known
	Via         []string     // the interfaces through which they come; nil: not known
	Path        string       // PATH of the host's tools
	Root        string       // where the host's files are; empty: "/"
}

// An Answer has one Wall for each family that was asked for, IPv4 first.
type Answer struct {
	Walls []*Wall
	Blind bool // nf_tables has rules that can't be seen without nft
}

// Follow answers q. The error is ErrNoTool, or why a tool failed.
func Follow(ctx context.Context, q Question) (Answer, error) {
	_, noTables := os.Stat(filepath.Join(q.Root, "/sys/module/nf_tables")) // before a tool loads it
	ruleset, ranNFT, err := q.nftables(ctx)
	if err != nil {
		return Answer{}, err
	}
	answer := Answer{Blind: !ranNFT && noTables == nil}
	for _, six := range q.families() {
		command := "iptables"
		if six {
			command = "ip6tables"
		}
		tables, native, ran, err := q.iptables(ctx, six)
		if err != nil {
			return Answer{}, err
		}
		if !ran && !ranNFT {
			return Answer{}, ErrNoTool
		}
		bases := ipBases(tables, command)
		if ruleset != nil {
			bases = append(bases, ruleset.bases(six, native)...)
		}
		answer.Walls = append(answer.Walls, survey(bases, packet{six: six, own: q.Own, via: q.Via}, q.First, q.Last))
	}
	return answer, nil
}

// families are those that were asked for; true is IPv6.
func (q *Question) families() (list []bool) {
	if q.IPv4 {
		list = append(list, false)
	}
	if q.IPv6 {
		list = append(list, true)
	}
	return list
}

// run runs one of the host's tools; ran is false if there is none.
func (q *Question) run(ctx context.Context, name string, args ...string) (out string, ran bool, err error) {
	path := program.Find(q.Path, name)
	if path == "" {
		return "", false, nil
	}
	b, err := program.Output(ctx, program.Command{Path: path, Args: args, Timeout: toolTime, Max: 8 << 20})
	return string(b), true, err
}
