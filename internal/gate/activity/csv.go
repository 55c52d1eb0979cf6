package activity

import (
	"encoding/csv"
	"fmt"
	"io"
	"strings"
	"time"
)

var heading = []string{"time", "host", "type", "id", "session", "user", "admin", "client", "purpose", "reason", "detail", "rule", "consent", "seconds", "sent", "received", "dropped"}

// WriteCSV writes a heading, and a line for each record with which each calls its argument, which
// reports whether it could be written. Spreadsheets run what looks like a formula, and whoever asks
// chooses purposes and names, so such a cell begins with an apostrophe.
func WriteCSV(w io.Writer, each func(write func(Record) bool) error) error {
	out := csv.NewWriter(w)
	if err := out.Write(heading); err != nil {
		return err
	}
	err := each(func(r Record) bool {
		line := []string{
			r.Time.UTC().Format(time.RFC3339Nano), r.Host, string(r.Type), r.ID, r.Session, r.User, r.Admin, r.Client, r.Purpose,
			string(r.Reason), r.Detail, r.Rule, r.Consent, fmt.Sprint(r.Duration), fmt.Sprint(r.Sent), fmt.Sprint(r.Received), fmt.Sprint(r.Dropped),
		}
		for i, cell := range line {
			line[i] = harmless(cell)
		}
		return out.Write(line) == nil
	})
	out.Flush()
	if err == nil {
		err = out.Error()
	}
	return err
}

// harmless is a cell that no spreadsheet takes for a formula, also if it takes semicolons or tabs for what
// divides cells.
func harmless(cell string) string {
	var b strings.Builder
	begins := true
	for _, r := range cell {
		if begins && strings.ContainsRune("=+-@\t\r|%", r) {
			b.WriteByte('\'')
		}
		b.WriteRune(r)
		begins = r == ';' || r == '\t'
	}
	return b.String()
}
