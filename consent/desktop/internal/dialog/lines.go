package dialog

import (
	"unicode"

	"golang.org/x/image/math/fixed"
)

// breakLines sets spans in lines of at most width pixels, at most most of them. It breaks
// where the text's script does, and anywhere within what is longer than a line. What
// doesn't fit ends in "…".
func breakLines(spans []span, width, most int) []line { return wrap(set(spans), width, most) }

// wrap is breakLines for what has been set.
func wrap(all []cluster, width, most int) []line {
	room := fixed.I(width)
	var lines []line
	for len(all) > 0 {
		var l line
		n, last := 0, 0 // clusters that fit, and those up to the last place for a break among them
		for n < len(all) && (l.width+all[n].advance <= room || all[n].space || n == 0) {
			l.add(all[n])
			if n++; all[n-1].last {
				last = n
			}
		}
		if n < len(all) && len(lines) == most-1 {
			return append(lines, ellipsis(l, room))
		}
		if n < len(all) && last > 0 {
			n = last
		}
		next := trim(all[:n])
		next.torn = n < len(all) && last == 0
		lines = append(lines, next)
		all = all[n:]
	}
	return lines
}

// balanceLines is breakLines with lines of about the same length: as narrow as it gets
// without another line. Japanese and Chinese, which may break anywhere, do so behind
// punctuation if they can.
func balanceLines(spans []span, width, most int) []line {
	all := set(spans)
	lines := wrap(all, width, most)
	if len(lines) < 2 || len(lines) == most {
		return lines // one line, or perhaps a cut one
	}
	best := lines
	asian := spans[0].style.lib.eastAsian()
	for narrower := width - 1; narrower > width/2; narrower-- {
		if lines = wrap(all, narrower, most); len(lines) != len(best) || torn(lines) > torn(best) {
			break
		}
		if !asian || stops(lines) >= stops(best) {
			best = lines
		}
	}
	return best
}

// torn is how many lines end within a word.
func torn(lines []line) int {
	n := 0
	for _, l := range lines {
		if l.torn {
			n++
		}
	}
	return n
}

// stops is how many lines but the last end in punctuation.
func stops(lines []line) int {
	n := 0
	for _, l := range lines[:len(lines)-1] {
		if last := l.clusters[len(l.clusters)-1]; unicode.IsPunct(last.text[len(last.text)-1]) {
			n++
		}
	}
	return n
}

// trim is clusters as a line without the spaces at its end.
func trim(all []cluster) line {
	for len(all) > 0 && all[len(all)-1].space {
		all = all[:len(all)-1]
	}
	var l line
	for _, c := range all {
		l.add(c)
	}
	return l
}

// ellipsis shortens l until it fits into room with a "…" in the style of what it stands
// for.
func ellipsis(l line, room fixed.Int26_6) line {
	all := l.clusters
	for {
		l = trim(all)
		if len(l.clusters) == 0 {
			return l
		}
		end := l.clusters[len(l.clusters)-1]
		dots := set([]span{{text: "…", style: end.span.style, ink: end.span.ink, name: true}})
		if len(l.clusters) == 1 || l.width+dots[0].advance <= room {
			dots[0].level = end.level
			l.add(dots[0])
			return l
		}
		all = l.clusters[:len(l.clusters)-1]
	}
}
