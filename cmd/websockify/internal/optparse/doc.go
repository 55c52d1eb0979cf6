// Package optparse reads command lines by the grammar of Python's optparse
// module, which the scripts that call websockify rely on and which neither
// package flag nor the GNU style covers:
//
//   - options may stand before, between and behind the positional arguments;
//   - a long option may be shortened to any prefix that only it has;
//   - "--opt value" and "--opt=value" are the same, and the value may begin with a dash;
//   - short options may be bundled: -vD6;
//   - an option that comes again replaces the earlier value;
//   - "--" ends the options.
//
// One rule is this package's own, so that a program can grow without breaking
// a script: an abbreviation means an option of the lowest [Option.Since] that
// it fits, and only options as old as that make it ambiguous.
//
//	var verbose bool
//	p := optparse.Parser{
//		Usage:   "Usage: greet [options] NAME\n",
//		Options: []optparse.Option{{Short: 'v', Long: "verbose", Help: "say more", Set: optparse.True(&verbose)}},
//	}
//	names, err := p.Parse(os.Args[1:])
package optparse
