package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"vda.internal/shadow/internal/config"
	"vda.internal/shadow/internal/ctxreg"
	"vda.internal/shadow/internal/version"
)

// ctxregName is the command, and the name under which the whole program is it.
const ctxregName = "ctxreg"

// A registry is one command on the two values.
type registry struct {
	a                    *app
	config               string // path of the file; empty: the usual one
	key, name, data, typ string
	force                bool
}

func (a *app) ctxregCommand() *cobra.Command {
	r := &registry{a: a}
	cmd := &cobra.Command{
		Use:   ctxregName,
		Short: "read and write the VDA's two values",
		Long: `ctxreg reads and writes EnableSessionShadowing and ShadowingUseSSL with the
command line of the VDA's program of that name, for hosts that don't have it. The
values are stored in the configuration file; the rest of the file stays unchanged.
A change takes effect at the next request, and turning shadowing off ends active
views.

Started under the name ctxreg, this program is ctxreg.`,
		Example: `  shadowctl ctxreg update -k "HKLM\Software\Citrix\VirtualDesktopAgent" -v "EnableSessionShadowing" -d 0x00000000
  shadowctl ctxreg create -k "HKLM\Software\Citrix\VirtualDesktopAgent" -t "REG_DWORD" -v "ShadowingUseSSL" -d 0x00000001 --force
  shadowctl ctxreg dump | grep ShadowingUseSSL`,
		Args: knownCommand,
		RunE: func(*cobra.Command, []string) error {
			return errors.New("a command is missing: create, update, read, dump or delete")
		},
	}
	cmd.SuggestionsMinimumDistance = 2
	cmd.PersistentFlags().StringVar(&r.config, "config", "", "configuration `file` (default "+config.DefaultPath+")")
	cmd.AddCommand(
		r.command("create", "write a value that isn't in the file (--force: or is)", r.create, "kvd", "tf"),
		r.command("update", "write a value", r.update, "kvd", "t"),
		r.command("read", "print a value", r.read, "kv", ""),
		r.command("dump", "print both values, as the commands that make them", r.dump, "", "k"),
		r.command("delete", "remove a value from the file, so that its default applies", r.delete, "kv", ""),
	)
	return cmd
}

// ctxregProgram is the command as a program of its own.
func (a *app) ctxregProgram() *cobra.Command {
	cmd := a.ctxregCommand()
	cmd.Example = strings.ReplaceAll(cmd.Example, "shadowctl "+ctxregName, ctxregName)
	cmd.Version = version.String()
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.CompletionOptions.HiddenDefaultCmd = true
	cmd.PersistentFlags().BoolVar(&a.json, "json", false, "print JSON")
	return cmd
}

// command makes one of the commands. Its flags are those of the letters, the
// first of which are required.
func (r *registry) command(use, short string, do func(context.Context) error, required, optional string) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short}
	flags := cmd.Flags()
	for _, letter := range required + optional {
		switch letter {
		case 'k':
			flags.StringVarP(&r.key, "key", "k", "", "registry `key`, "+ctxreg.Key)
		case 'v':
			flags.StringVarP(&r.name, "value", "v", "", "`name` of the value")
		case 'd':
			flags.StringVarP(&r.data, "data", "d", "", "`data` of the value: 0x00000000 or 0x00000001, or 0 or 1")
		case 't':
			flags.StringVarP(&r.typ, "type", "t", "", "`type` of the value, "+ctxreg.Type)
		case 'f':
			flags.BoolVar(&r.force, "force", false, "overwrite a value that is there")
		}
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("unexpected argument %q", args[0])
		}
		for _, letter := range required {
			if flag := flags.ShorthandLookup(string(letter)); !flag.Changed {
				what, _, _ := strings.Cut(strings.ReplaceAll(flag.Usage, ",", ":"), ":")
				return fmt.Errorf("-%c is missing: the %s", letter, strings.ReplaceAll(what, "`", ""))
			}
		}
		for _, letter := range required + optional {
			if flag := flags.ShorthandLookup(string(letter)); flag != nil && flag.Changed && flag.Value.String() == "" {
				return fmt.Errorf("-%c is empty", letter)
			}
		}
		return r.check()
	}
	cmd.RunE = r.a.does(func(ctx context.Context, _ []string) error { return do(ctx) })
	return cmd
}

// check looks at what the flags say.
func (r *registry) check() (err error) {
	if r.key != "" && !ctxreg.IsKey(r.key) {
		return fmt.Errorf(`there is no key %q here; the key is "%s"`, r.key, ctxreg.Key)
	}
	if r.typ != "" && !strings.EqualFold(strings.Trim(r.typ, `"'`), ctxreg.Type) {
		return fmt.Errorf("the type is %s, not %q", ctxreg.Type, r.typ)
	}
	if r.name != "" {
		if r.name, err = ctxreg.Name(r.name); err != nil {
			return err
		}
	}
	if r.data != "" {
		if _, err = ctxreg.ParseData(r.data); err != nil {
			return err
		}
	}
	return nil
}

func (r *registry) create(context.Context) error {
	if r.force {
		return r.write(config.Set)
	}
	err := r.write(config.Create)
	if errors.Is(err, config.ErrExists) {
		return fmt.Errorf("%w; use update, or --force", err)
	}
	return err
}

func (r *registry) update(context.Context) error { return r.write(config.Set) }

// write gives the value its data in one of config's ways.
func (r *registry) write(as func(path, name string, value uint32) error) error {
	if err := r.counts(); err != nil {
		return err
	}
	n, err := ctxreg.ParseData(r.data)
	if err != nil {
		return err
	}
	return as(r.config, r.name, n)
}

func (r *registry) delete(context.Context) error {
	if err := r.counts(); err != nil {
		return err
	}
	was, err := config.Delete(r.config, r.name)
	if err == nil && !was {
		err = fmt.Errorf("%s isn't set; its default, %s, applies", r.name, ctxreg.FormatData(ctxreg.Defaults()[r.name]))
	}
	return err
}

func (r *registry) read(ctx context.Context) error {
	values, err := r.values(ctx)
	if err != nil {
		return err
	}
	if r.a.json {
		return r.a.printJSON(map[string]uint32{r.name: values[r.name]})
	}
	_, err = fmt.Fprintln(r.a.stdout, ctxreg.FormatData(values[r.name]))
	return err
}

func (r *registry) dump(ctx context.Context) error {
	values, err := r.values(ctx)
	if err != nil {
		return err
	}
	if r.a.json {
		return r.a.printJSON(values)
	}
	for _, name := range ctxreg.Names() {
		if _, err := fmt.Fprintf(r.a.stdout, "create -k \"%s\" -t \"%s\" -v \"%s\" -d \"%s\" --force\n",
			ctxreg.Key, ctxreg.Type, name, ctxreg.FormatData(values[name])); err != nil {
			return err
		}
	}
	return nil
}

// load is the configuration; the usual file may be missing, and here any may,
// since it can be made.
func (r *registry) load() (*config.Config, error) {
	if _, err := config.Values(r.config); err != nil {
		return nil, err
	}
	c, err := config.Load(r.config)
	if errors.Is(err, fs.ErrNotExist) {
		return config.Default(), nil
	}
	return c, err
}

// counts is why there is no use in writing the file, or nil.
func (r *registry) counts() error {
	c, err := r.load()
	if err == nil && c.Settings == ctxregName {
		err = fmt.Errorf(`the configuration says settings = "ctxreg": the values are in the VDA's registry, so use the VDA's own program, %s`, cmp.Or(c.Ctxreg, ctxreg.DefaultPath))
	}
	return err
}

// values are those that count.
func (r *registry) values(ctx context.Context) (ctxreg.Values, error) {
	c, err := r.load()
	if err != nil {
		return nil, err
	}
	if c.Settings == ctxregName {
		return ctxreg.Program{Path: c.Ctxreg}.Read(ctx)
	}
	values := ctxreg.Defaults()
	there, err := config.Values(r.config)
	for name, n := range there {
		values[name] = n
	}
	return values, err
}
