package tlsstore

import "strings"

// A Severity says whether a [Finding] keeps a certificate from being used.
type Severity uint8

// The severities. The zero Severity is the serious one.
const (
	Error   Severity = iota // the pair can't be used
	Warning                 // the pair is used, but somebody should have a look
)

// String is "error" or "warning".
func (s Severity) String() string {
	if s == Warning {
		return "warning"
	}
	return "error"
}

// A Code names a kind of [Finding], for programs.
type Code string

// The codes.
const (
	NoDir        Code = "no_dir"        // the directory is missing or can't be read
	NoCert       Code = "no_cert"       // no shadowingcert.*
	NoKey        Code = "no_key"        // no shadowingkey.*, and no key beside the certificate
	Unreadable   Code = "unreadable"    // a file can't be read, or isn't one
	BadFormat    Code = "bad_format"    // a file is broken, or in a format that isn't read
	Encrypted    Code = "encrypted"     // the key is encrypted
	BadOwner     Code = "bad_owner"     // a file or directory belongs to the wrong user
	BadMode      Code = "bad_mode"      // a file or directory is open to others
	Mismatch     Code = "mismatch"      // key and certificate don't belong together
	WeakKey      Code = "weak_key"      // the key is too short for TLS
	Expired      Code = "expired"       // the certificate's time is over
	NotYetValid  Code = "not_yet_valid" // the certificate's time has not begun
	NameMismatch Code = "name_mismatch" // warning: the certificate doesn't name the host
	CNOnly       Code = "cn_only"       // warning: the name is in the Common Name alone
	Several      Code = "several"       // warning: more than one file could be meant
)

// A Finding is something that is wrong, or odd, with the store.
type Finding struct {
	Severity Severity
	Code     Code
	Sentence string // what is wrong: lower case, without a full stop
	Remedy   string // what to do about it, likewise
}

// String is the sentence and the remedy.
func (f Finding) String() string { return f.Sentence + "; " + f.Remedy }

// LoadError is the error of [Store.Load] and [Store.TLSConfig]: why the pair
// can't be used, in words for an administrator.
type LoadError struct {
	Findings []Finding // all that was found; at least one has severity Error
	Err      error     // of the system or the decoder; nil if there is none
}

// Error implements error. Warnings are left out.
func (e *LoadError) Error() string {
	var all []string
	for _, f := range e.Findings {
		if f.Severity == Error {
			all = append(all, f.String())
		}
	}
	return "tlsstore: " + strings.Join(all, "; also: ")
}

// Unwrap returns what caused it.
func (e *LoadError) Unwrap() error { return e.Err }

// refuse makes the error of a single finding.
func refuse(code Code, cause error, sentence, remedy string) *LoadError {
	return &LoadError{
		Findings: []Finding{{Severity: Error, Code: code, Sentence: sentence, Remedy: remedy}},
		Err:      cause,
	}
}
