package signin

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"vda.internal/shadow/consent"
)

// Limits of names, which are those of shadowd's API.
const (
	maxName   = 256 // bytes
	maxGroups = 64
)

// Accounts is a file of names and passwords, one a line: NAME:HASH:GROUP,GROUP:FULL NAME. It is
// read anew when it has changed; while it can't be read, or has a mistake, nobody signs in by it,
// and who did is signed out. Nobody but root and the gate's user may be able to change it, and
// nobody else to read it. It is safe for concurrent use.
type Accounts struct {
	Path string

	watched watched[map[string]Account]
}

// An Account is one line.
type Account struct {
	Name     string
	Groups   []string
	FullName string // may be empty

	hash hashed
}

// mark changes with the password, so that whoever knew the old one is signed out.
func (a Account) mark() string {
	sum := sha256.Sum256([]byte(a.hash.String()))
	return hex.EncodeToString(sum[:8])
}

// lookUp is the account of that name. The error is that the file can't be read.
func (a *Accounts) lookUp(name string) (Account, bool, error) {
	all, err := a.watched.get(a.Path, parseAccounts)
	if err != nil {
		return Account{}, false, fmt.Errorf("the accounts: %w", err)
	}
	one, ok := all[name]
	return one, ok, nil
}

// Check reports what is wrong with the file; that it isn't there is an error that wraps
// [fs.ErrNotExist].
func (a *Accounts) Check() error {
	_, _, err := a.lookUp("")
	return err
}

// Set makes an account or changes its password, its groups and its full name. Nil groups and an
// empty full name stay as they were. The file is made if it isn't there, and replaced in one step.
func (a *Accounts) Set(name, password string, groups []string, fullName string) error {
	if err := errors.Join(checkName(name), checkField("the full name", fullName)); err != nil {
		return err
	}
	for _, g := range groups {
		if err := checkField("a group", g); err != nil || g == "" || strings.Contains(g, ",") {
			return errors.Join(err, fmt.Errorf("%q can't be a group's name", g))
		}
	}
	switch {
	case len(groups) > maxGroups:
		return fmt.Errorf("%d groups; %d are allowed", len(groups), maxGroups)
	case utf8.RuneCountInString(password) < MinPassword:
		return fmt.Errorf("the password has fewer than %d characters", MinPassword)
	case len(password) > MaxPassword:
		return fmt.Errorf("the password has more than %d bytes", MaxPassword)
	}
	return a.edit(func(lines []string) ([]string, error) {
		one := Account{Name: name, Groups: groups, FullName: fullName, hash: hashPassword(password)}
		for i, line := range lines {
			old, err := parseAccount(line)
			if err != nil || old.Name != name {
				continue
			}
			if groups == nil {
				one.Groups = old.Groups
			}
			if fullName == "" {
				one.FullName = old.FullName
			}
			lines[i] = one.line()
			return lines, nil
		}
		return append(lines, one.line()), nil
	})
}

// Remove removes an account. The error wraps [fs.ErrNotExist] if there is none.
func (a *Accounts) Remove(name string) error {
	return a.edit(func(lines []string) ([]string, error) {
		left := slices.DeleteFunc(slices.Clone(lines), func(line string) bool {
			old, err := parseAccount(line)
			return err == nil && old.Name == name
		})
		if len(left) == len(lines) {
			return nil, fmt.Errorf("there is no account %q: %w", name, fs.ErrNotExist)
		}
		return left, nil
	})
}

func (a *Accounts) edit(change func(lines []string) ([]string, error)) error {
	return editLines(a.Path, "# Who may sign in to shadowgate: NAME:HASH:GROUPS:FULL NAME. Kept by shadowgate passwd.", func(data []byte) error {
		_, err := parseAccounts(data)
		return err
	}, change)
}

func (a Account) line() string {
	return a.Name + ":" + a.hash.String() + ":" + strings.Join(a.Groups, ",") + ":" + a.FullName
}

// parseAccounts reads the file, strictly.
func parseAccounts(data []byte) (map[string]Account, error) {
	all := map[string]Account{}
	err := eachLine(data, func(line string) error {
		a, err := parseAccount(line)
		if err != nil {
			return err
		}
		if _, twice := all[a.Name]; twice {
			return fmt.Errorf("%q is there twice", a.Name)
		}
		all[a.Name] = a
		return nil
	})
	return all, err
}

func parseAccount(line string) (Account, error) {
	parts := strings.Split(line, ":")
	if len(parts) != 4 {
		return Account{}, errors.New("it isn't NAME:HASH:GROUPS:FULL NAME")
	}
	a := Account{Name: parts[0], FullName: parts[3]}
	if err := errors.Join(checkName(a.Name), checkField("the full name", a.FullName)); err != nil {
		return Account{}, err
	}
	if parts[2] != "" {
		a.Groups = strings.Split(parts[2], ",")
	}
	if err := checkGroups(a.Groups); err != nil {
		return Account{}, err
	}
	var err error
	a.hash, err = parseHashed(parts[1])
	return a, err
}

// checkName says what is wrong with a name.
func checkName(s string) error {
	switch {
	case s == "" || s != strings.TrimSpace(s) || strings.HasPrefix(s, "#"):
		return fmt.Errorf("%.40q can't be a name: it is empty, begins or ends with a space, or begins with #", s)
	case strings.Contains(s, ":"):
		return fmt.Errorf("%.40q can't be a name: it has a colon", s)
	}
	return checkPerson(s)
}

// checkField says what is wrong with text that shadowd's API, or a line of a file, can't carry.
func checkField(what, s string) error {
	switch {
	case len(s) > maxName:
		return fmt.Errorf("%s has %d bytes; %d are allowed", what, len(s), maxName)
	case !utf8.ValidString(s):
		return fmt.Errorf("%s isn't UTF-8", what)
	case strings.ContainsFunc(s, unicode.IsControl):
		return fmt.Errorf("%s has a control character", what)
	}
	return nil
}

// checkPerson also refuses a name that hosts would compare as another: they clean what they are told, and the gate's
// access table doesn't.
func checkPerson(name string) error {
	if err := checkField("the name", name); err != nil {
		return err
	}
	if clean := consent.CleanName(name); clean != name {
		return fmt.Errorf("%+.40q can't be a name: hosts would take it for %+.40q", name, clean)
	}
	return nil
}

func checkGroups(groups []string) error {
	if len(groups) > maxGroups {
		return fmt.Errorf("%d groups; %d are allowed", len(groups), maxGroups)
	}
	for _, g := range groups {
		if strings.TrimSpace(g) == "" {
			return errors.New("a group's name is empty")
		}
		if err := checkField("a group's name", g); err != nil {
			return err
		}
	}
	return nil
}

// eachLine calls f with each line that is no comment and not empty.
func eachLine(data []byte, f func(string) error) error {
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := f(line); err != nil {
			return fmt.Errorf("line %d: %w", n, err) // without the line: it has a hash
		}
	}
	return lines.Err()
}

// editLines changes a file of lines in one step. One that check finds wrong is left alone. A new
// file is its maker's alone.
func editLines(path, head string, check func([]byte) error, change func([]string) ([]string, error)) error {
	data, err := os.ReadFile(path)
	fresh := errors.Is(err, fs.ErrNotExist)
	if fresh {
		data = []byte(head + "\n")
	} else if err != nil {
		return err
	}
	if err := check(data); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	lines, err := change(strings.Split(strings.TrimSuffix(string(data), "\n"), "\n"))
	if err != nil {
		return err
	}
	return replace(path, []byte(strings.Join(lines, "\n")+"\n"), fresh)
}

// replace writes a file in one step. Owner, group and mode stay.
func replace(path string, data []byte, fresh bool) error {
	if fresh {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if !fresh {
		if err := likeThat(f, path); err != nil {
			return err
		}
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return err
	}
	return nil
}
