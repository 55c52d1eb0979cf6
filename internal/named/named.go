// Package named gives the errors of a package that others import its name, and takes such names away
// again where people read: they tell a developer where an error comes from, and an administrator nothing.
//
// An error's text begins with the name of the package that returned it, and has no other package's in it.
// Internal packages don't name themselves.
package named

import (
	"errors"
	"fmt"
	"strings"
)

// A Package is the name that a package's errors begin with.
type Package string

// New returns an error with a text, as [errors.New] does.
func (p Package) New(text string) error { return &fault{p, errors.New(text)} }

// Errorf returns an error with a formatted text, as [fmt.Errorf] does. The names of other packages in
// what it wraps are left out of the text.
func (p Package) Errorf(format string, args ...any) error {
	return &fault{p, fmt.Errorf(format, args...)}
}

// Texter is an error that knows its text without its package's name.
type Texter interface {
	error
	Text() string
}

// A fault is an error of a package.
type fault struct {
	pkg Package
	err error
}

func (f *fault) Error() string { return string(f.pkg) + ": " + f.Text() }

// Text implements Texter.
func (f *fault) Text() string { return Text(f.err) }

// Unwrap returns what was wrapped, in one more layer.
func (f *fault) Unwrap() error { return f.err }

// Text is an error's text without the names of packages.
func Text(err error) string {
	text := err.Error()
	strip(err, &text)
	return text
}

// strip takes the names that err and what it wraps have put into text out of it.
func strip(err error, text *string) {
	if t, ok := err.(Texter); ok {
		*text = strings.Replace(*text, t.Error(), t.Text(), 1)
		return
	}
	switch w := err.(type) {
	case interface{ Unwrap() error }:
		if inner := w.Unwrap(); inner != nil {
			strip(inner, text)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range w.Unwrap() {
			strip(inner, text)
		}
	}
}
