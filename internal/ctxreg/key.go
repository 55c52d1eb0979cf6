package ctxreg

import (
	"regexp"
	"strings"
)

// An owner is whose a line of a dump is.
type owner uint8

const (
	ours    owner = iota // of the key of session shadowing
	others               // of another key
	unclear              // of something that begins like our key
)

var (
	// A root, and what follows: to the end of the quotes or brackets around
	// it, and else to a blank or one of those.
	keyInLine = regexp.MustCompile(`(?i)"(` + root + `[^"\r\n]*)"|'(` + root + `[^'\r\n]*)'|\[-?(` + root + `[^\]\r\n]*)\]|\b(` + root + `[^"'\]\[\s]*)`)

	// Any text in brackets is a header, whatever it is called.
	bracketed = regexp.MustCompile(`^\s*\[[^\]]*\]\s*$`)
)

const root = `(?:HK[A-Z]{1,2}|HKEY_[A-Z_]+)\\`

// keysIn reports whose the keys are that a line names, if it names any, and
// whether it consists of nothing else, and so is the header of those below it.
func keysIn(line string) (whose owner, named, alone bool) {
	for _, m := range keyInLine.FindAllStringSubmatch(line, -1) {
		one := ownerOf(m[1] + m[2] + m[3] + m[4])
		switch {
		case !named:
			whose, named = one, true
			alone = strings.Trim(strings.Replace(line, m[0], "", 1), " \t\r\n:[]") == ""
		case whose != one:
			whose = unclear
		}
	}
	if !named && bracketed.MatchString(line) {
		return others, true, true
	}
	return whose, named, alone
}

// ownerOf tells our key, and our key with a value's name behind it, from those
// that begin like it and from all others.
func ownerOf(key string) owner {
	key = squeeze(strings.TrimRight(key, ",:;"))
	rest, like := strings.CutPrefix(key, squeeze(Key))
	if !like {
		return others
	}
	if rest == "" {
		return ours
	}
	for _, name := range Names() {
		if strings.EqualFold(rest, name) {
			return ours
		}
	}
	return unclear
}
