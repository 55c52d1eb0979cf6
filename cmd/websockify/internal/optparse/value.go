package optparse

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// True returns a Set for an option without value, which sets v.
func True(v *bool) func(string) error {
	return func(string) error { *v = true; return nil }
}

// String returns a Set that takes any value.
func String(v *string) func(string) error {
	return func(s string) error { *v = s; return nil }
}

// Int returns a Set that takes an integer as optparse does: decimal, or with
// 0x, 0b, or a leading 0, which means octal.
func Int(v *int) func(string) error {
	return func(s string) error {
		n, err := parseInt(s)
		if err != nil {
			return fmt.Errorf("invalid integer value: %s", Quote(s))
		}
		*v = n
		return nil
	}
}

// Seconds returns a Set that takes a whole number of seconds, as Int does, or
// a duration that names its unit ("1m30s").
func Seconds(v *time.Duration) func(string) error {
	const most = int64(1 << 62 / time.Second) // of which an int of 32 bits is never
	return func(s string) error {
		if n, err := parseInt(s); err == nil && -most < int64(n) && int64(n) < most {
			*v = time.Duration(n) * time.Second
			return nil
		}
		d, err := time.ParseDuration(s)
		if err != nil {
			return fmt.Errorf("invalid integer value: %s", Quote(s))
		}
		*v = d
		return nil
	}
}

// Choice returns a Set that takes one of the choices.
func Choice(v *string, choices ...string) func(string) error {
	return func(s string) error {
		if !slices.Contains(choices, s) {
			quoted := make([]string, len(choices))
			for i, c := range choices {
				quoted[i] = Quote(c)
			}
			return fmt.Errorf("invalid choice: %s (choose from %s)", Quote(s), strings.Join(quoted, ", "))
		}
		*v = s
		return nil
	}
}

func parseInt(s string) (int, error) {
	base, lower := 10, strings.ToLower(s)
	switch {
	case strings.HasPrefix(lower, "0x"):
		base, s = 16, s[2:]
	case strings.HasPrefix(lower, "0b"):
		base, s = 2, s[2:]
	case strings.HasPrefix(lower, "0"):
		base = 8
	}
	s = strings.TrimSpace(s)
	if !strings.Contains("_"+s+"_", "__") {
		s = strings.ReplaceAll(s, "_", "") // between digits, as in Python
	}
	n, err := strconv.ParseInt(s, base, strconv.IntSize)
	return int(n), err
}

// Quote writes s as Python's messages do, in single quotes where it can.
func Quote(s string) string {
	q := strconv.Quote(s)
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		return q
	}
	q = strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
	return "'" + strings.ReplaceAll(q, "'", `\'`) + "'"
}
