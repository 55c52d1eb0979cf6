package optparse

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrHelp is what [Parser.Parse] returns at -h and --help, which every Parser has.
var ErrHelp = errors.New("help was asked for")

// A Parser reads command lines. It may be used again and again, if the Set
// functions of its options can.
type Parser struct {
	Usage   string // printed at the top of the help, as it stands
	Options []Option
}

// An Option is one option.
type Option struct {
	Short byte   // -x; 0: none
	Long  string // --name, written without dashes; required
	Arg   string // what the help calls the value; empty: the option takes none
	Help  string // one sentence
	Since int    // which round of additions the option came with: see the package comment

	// Set takes the value, "" for an option that takes none. Its error is
	// shown behind "option --name: ".
	Set func(value string) error
}

// Parse sets the options that args has and returns the positional arguments.
// An error other than ErrHelp is a usage error, whose text is optparse's. Both
// stop at once: what came before has been set.
func (p *Parser) Parse(args []string) (positional []string, err error) {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			return append(positional, args...), nil
		case strings.HasPrefix(arg, "--"):
			args, err = p.long(arg[2:], args)
		case len(arg) > 1 && arg[0] == '-':
			args, err = p.short(arg[1:], args)
		default:
			positional = append(positional, arg)
		}
		if err != nil {
			return nil, err
		}
	}
	return positional, nil
}

// long sets the option that body, "name" or "name=value", is about, and
// returns what is left of the arguments behind it.
func (p *Parser) long(body string, rest []string) ([]string, error) {
	name, value, hasValue := strings.Cut(body, "=")
	o, err := p.find(name)
	if err != nil {
		return nil, err
	}
	switch {
	case o.Arg == "" && hasValue:
		return nil, fmt.Errorf("--%s option does not take a value", o.Long)
	case o.Arg == "" || hasValue:
		return rest, o.set("--"+o.Long, value)
	}
	return o.setNext("--"+o.Long, rest)
}

// short sets bundled short options. The first that takes a value takes what is
// left of the bundle, or the next argument.
func (p *Parser) short(bundle string, rest []string) ([]string, error) {
	for i, c := range bundle {
		o := p.byShort(c)
		name := "-" + string(c)
		switch {
		case o == nil:
			return nil, fmt.Errorf("no such option: %s", name)
		case o.Arg == "":
			if err := o.set(name, ""); err != nil {
				return nil, err
			}
		case i+1 < len(bundle): // c is ASCII, as every Short
			return rest, o.set(name, bundle[i+1:])
		default:
			return o.setNext(name, rest)
		}
	}
	return rest, nil
}

var help = Option{Short: 'h', Long: "help", Help: "show this help message and exit", Set: func(string) error { return ErrHelp }}

// all are the options with help, as --help shows them.
func (p *Parser) all() []Option { return append([]Option{help}, p.Options...) }

func (p *Parser) byShort(c rune) *Option {
	for _, o := range p.all() {
		if o.Short != 0 && rune(o.Short) == c {
			return &o
		}
	}
	return nil
}

// find resolves a long option's name or an abbreviation of it.
func (p *Parser) find(name string) (*Option, error) {
	var fits []Option
	for _, o := range p.all() {
		switch {
		case o.Long == name:
			return &o, nil
		case !strings.HasPrefix(o.Long, name):
		case len(fits) == 0 || o.Since == fits[0].Since:
			fits = append(fits, o)
		case o.Since < fits[0].Since:
			fits = []Option{o}
		}
	}
	switch len(fits) {
	case 0:
		return nil, fmt.Errorf("no such option: --%s", name)
	case 1:
		return &fits[0], nil
	}
	names := make([]string, len(fits))
	for i, o := range fits {
		names[i] = "--" + o.Long
	}
	slices.Sort(names)
	return nil, fmt.Errorf("ambiguous option: --%s (%s?)", name, strings.Join(names, ", "))
}

// setNext takes the option's value from the next argument, whatever that looks like.
func (o *Option) setNext(name string, rest []string) ([]string, error) {
	if len(rest) == 0 {
		return nil, fmt.Errorf("%s option requires 1 argument", name)
	}
	return rest[1:], o.set(name, rest[0])
}

func (o *Option) set(name, value string) error {
	err := o.Set(value)
	if err == nil || errors.Is(err, ErrHelp) {
		return err
	}
	return fmt.Errorf("option %s: %w", name, err)
}
