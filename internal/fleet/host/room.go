package host

import (
	"cmp"
	"encoding/json"
	"slices"

	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/fleet"
)

// maxPresence is how many bytes a presence may have, so that there is room for its signature, and for the
// seal when it is an answer.
const maxPresence = fleet.MaxMessage - 8<<10

// fit leaves sessions out for which p has no room, and notes how many. Everybody's first is there before
// anybody's second: who opens thousands loses his own. Of one user's, those that can be shadowed come first.
func fit(p *fleet.Presence, most int) error {
	all := p.Sessions
	p.Sessions = []api.Session{}
	rest, err := json.Marshal(p)
	if err != nil {
		return err
	}
	room := most - len(rest) - len(`,"left_out":`) - len("4294967295")
	in := make([]bool, len(all))
	for _, i := range inTurn(all) {
		one, err := json.Marshal(&all[i])
		if err != nil {
			return err
		}
		if in[i] = room > len(one); in[i] {
			room -= len(one) + len(",")
		}
	}
	for i := range all {
		if in[i] {
			p.Sessions = append(p.Sessions, all[i])
		}
	}
	p.LeftOut = len(all) - len(p.Sessions)
	return nil
}

// inTurn are the numbers of sessions in the order in which they get a place.
func inTurn(all []api.Session) []int {
	order := make([]int, len(all))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(rank(&all[a]), rank(&all[b]))
	})
	turn := make([]int, len(all)) // of each session among its user's
	had := map[uint32]int{}
	for _, i := range order {
		turn[i] = had[all[i].UID]
		had[all[i].UID]++
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(turn[a], turn[b]) })
	return order
}

func rank(s *api.Session) int {
	if s.Shadowable {
		return 0
	}
	return 1
}
