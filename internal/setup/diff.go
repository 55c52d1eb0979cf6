package setup

import (
	"fmt"
	"strings"
)

// around is how many unchanged lines a diff shows around a change.
const around = 3

// unified is the change of a file as diff -u writes it; "" if there is none. After is before
// with more lines: none are removed or changed.
func unified(path string, before, after []byte) string {
	old, now := lines(before), lines(after)
	added := make([]bool, len(now))
	at := 0
	for i, l := range now {
		if at < len(old) && l == old[at] {
			at++
		} else {
			added[i] = true
		}
	}
	var b strings.Builder
	for i := 0; i < len(now); i++ {
		if !added[i] {
			continue
		}
		first, end := max(0, i-around), i+1
		for j := i; j < len(now) && j < end+2*around; j++ {
			if added[j] {
				end = j + 1
			}
		}
		last := min(len(now), end+around)
		hunk(&b, now, added, first, last)
		i = last - 1
	}
	if b.Len() == 0 {
		return ""
	}
	from := path
	if before == nil {
		from = "/dev/null"
	}
	return "--- " + from + "\n+++ " + path + "\n" + b.String()
}

// hunk writes the lines from first on, before last.
func hunk(b *strings.Builder, now []string, added []bool, first, last int) {
	start, kept := 0, 0 // in the old file: the lines above, and those of the hunk
	for i := range last {
		switch {
		case added[i]:
		case i < first:
			start++
		default:
			kept++
		}
	}
	if kept > 0 {
		start++ // else it is the line behind which the new ones are
	}
	fmt.Fprintf(b, "@@ -%d,%d +%d,%d @@\n", start, kept, first+1, last-first)
	for i := first; i < last; i++ {
		mark := " "
		if added[i] {
			mark = "+"
		}
		b.WriteString(mark + now[i] + "\n")
	}
}

// lines are a file's, without their breaks.
func lines(data []byte) []string {
	if len(data) == 0 {
		return nil
	}
	text := strings.ReplaceAll(string(data), "\r\n", "\n")
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}
