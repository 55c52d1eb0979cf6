package tlsstore_test

import (
	"errors"
	"fmt"

	"vda.internal/shadow/tlsstore"
)

// What keeps a pair from being used is a list of values, with a sentence and a
// remedy each.
func ExampleStore_Load() {
	store := tlsstore.Store{Dir: "/nonexistent"}
	_, err := store.Load("vda1.corp")
	var le *tlsstore.LoadError
	if errors.As(err, &le) {
		for _, f := range le.Findings {
			fmt.Printf("%s %s: %s\nto do: %s\n", f.Severity, f.Code, f.Sentence, f.Remedy)
		}
	}
	// Output:
	// error no_dir: the directory /nonexistent doesn't exist
	// to do: make it with: mkdir -p -m 755 /nonexistent, and put shadowingcert.pem and shadowingkey.pem into it
}
