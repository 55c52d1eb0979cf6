package keyfile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// A Value is a variable of the program's as the file has it.
type Value interface {
	Set(v any) error // v is what go-toml makes of a value; the error says what is allowed
	TOML() string    // as the file would have it
}

// Flag is 0 or 1, as the VDA's registry has it.
func Flag(dst *bool) Value { return flag{dst} }

// Number is a whole number between two bounds, inclusive.
func Number(dst *int, lowest, highest int64) Value { return number{dst, lowest, highest} }

// Choice is one of a few words.
func Choice(dst *string, allowed ...string) Value { return choice{dst, allowed} }

// Bool is true or false.
func Bool(dst *bool) Value { return boolean{dst} }

// Duration is a time such as "30s", between two bounds, inclusive.
func Duration(dst *time.Duration, shortest, longest time.Duration) Value {
	return duration{dst, shortest, longest}
}

// Text is a string; check, if it isn't nil, says what is wrong with it.
func Text(dst *string, check func(string) error) Value { return text{dst, check} }

// List is an array of strings; check, if it isn't nil, says what is wrong with it.
func List(dst *[]string, check func([]string) error) Value { return list{dst, check} }

// Dict is a table of strings; check says what is wrong with one.
func Dict(dst *map[string]string, check func(key, value string) error) Value { return dict{dst, check} }

type flag struct{ dst *bool }

func (f flag) Set(v any) error {
	n, ok := v.(int64)
	if !ok || n != 0 && n != 1 {
		return fmt.Errorf("%s isn't allowed; allowed are 0 and 1", show(v))
	}
	*f.dst = n == 1
	return nil
}

func (f flag) TOML() string {
	if *f.dst {
		return "1"
	}
	return "0"
}

type number struct {
	dst      *int
	min, max int64
}

func (n number) Set(v any) error {
	i, ok := v.(int64)
	if !ok || i < n.min || i > n.max {
		return fmt.Errorf("%s isn't allowed; allowed are the numbers %d to %d", show(v), n.min, n.max)
	}
	*n.dst = int(i)
	return nil
}

func (n number) TOML() string { return strconv.Itoa(*n.dst) }

type choice struct {
	dst     *string
	allowed []string
}

func (c choice) Set(v any) error {
	s, ok := v.(string)
	if !ok || !slices.Contains(c.allowed, s) {
		quoted := make([]string, len(c.allowed))
		for i, a := range c.allowed {
			quoted[i] = strconv.Quote(a)
		}
		return fmt.Errorf("%s isn't allowed; allowed: %s", show(v), strings.Join(quoted, ", "))
	}
	*c.dst = s
	return nil
}

func (c choice) TOML() string { return Quote(*c.dst) }

type boolean struct{ dst *bool }

func (b boolean) Set(v any) error {
	on, ok := v.(bool)
	if !ok {
		return fmt.Errorf("%s isn't allowed; allowed are true and false", show(v))
	}
	*b.dst = on
	return nil
}

func (b boolean) TOML() string { return strconv.FormatBool(*b.dst) }

type duration struct {
	dst      *time.Duration
	min, max time.Duration
}

func (d duration) Set(v any) error {
	s, _ := v.(string)
	parsed, err := time.ParseDuration(s)
	if err != nil || parsed < d.min || parsed > d.max {
		return fmt.Errorf(`%s isn't allowed; allowed are times from %q to %q`, show(v), d.min.String(), d.max.String())
	}
	*d.dst = parsed
	return nil
}

func (d duration) TOML() string { return Quote(d.dst.String()) }

type text struct {
	dst   *string
	check func(string) error
}

func (t text) Set(v any) error {
	s, err := asText(v)
	if err != nil {
		return err
	}
	if t.check != nil {
		if err := t.check(s); err != nil {
			return err
		}
	}
	*t.dst = s
	return nil
}

func (t text) TOML() string { return Quote(*t.dst) }

type list struct {
	dst   *[]string
	check func([]string) error
}

func (l list) Set(v any) error {
	elements, ok := v.([]any)
	if !ok {
		return fmt.Errorf(`%s isn't allowed; allowed is a list of strings: ["…", "…"]`, show(v))
	}
	var all []string
	for _, e := range elements {
		s, err := asText(e)
		if err != nil {
			return err
		}
		all = append(all, s)
	}
	if l.check != nil {
		if err := l.check(all); err != nil {
			return err
		}
	}
	*l.dst = all
	return nil
}

func (l list) TOML() string {
	quoted := make([]string, len(*l.dst))
	for i, s := range *l.dst {
		quoted[i] = Quote(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

type dict struct {
	dst   *map[string]string
	check func(key, value string) error
}

func (d dict) Set(v any) error {
	table, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf(`%s isn't allowed; allowed is a table of strings: {… = "…"}`, show(v))
	}
	var all map[string]string
	for _, key := range slices.Sorted(maps.Keys(table)) {
		s, err := asText(table[key])
		if err == nil {
			err = d.check(key, s)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", show(key), err)
		}
		if all == nil {
			all = make(map[string]string, len(table))
		}
		all[key] = s
	}
	*d.dst = all
	return nil
}

func (d dict) TOML() string {
	var pairs []string
	for _, key := range slices.Sorted(maps.Keys(*d.dst)) {
		pairs = append(pairs, Quote(key)+" = "+Quote((*d.dst)[key]))
	}
	return "{" + strings.Join(pairs, ", ") + "}"
}

func asText(v any) (string, error) {
	s, ok := v.(string)
	if !ok {
		return "", fmt.Errorf("%s isn't a string; put it in quotes", show(v))
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		return "", fmt.Errorf("%s has a control character", show(v))
	}
	return s, nil
}

// show is a value in an error message.
func show(v any) string {
	switch v := v.(type) {
	case string:
		if r := []rune(v); len(r) > 60 {
			v = string(r[:60]) + "…"
		}
		return strconv.Quote(v)
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	}
	return fmt.Sprint(v)
}

// Quote writes s as a basic string. JSON's rules are TOML's for a string
// without control characters, which no value has.
func Quote(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string can't fail
	return strings.TrimSuffix(b.String(), "\n")
}
