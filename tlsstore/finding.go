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

// The codes of what is always an error.
const (
	NoDir         Code = "no_dir"          // the directory is missing or can't be read
	NoCert        Code = "no_cert"         // no shadowingcert.*
	NoKey         Code = "no_key"          // no shadowingkey.*, and no key beside the certificate
	Unreadable    Code = "unreadable"      // a file can't be read, or isn't one
	BadFormat     Code = "bad_format"      // a file is broken, or in a format that isn't read
	Encrypted     Code = "encrypted"       // there is no passphrase for an encrypted file
	BadPassphrase Code = "bad_passphrase"  // the passphrase doesn't open the file
	BadOwner      Code = "bad_owner"       // a file or directory belongs to the wrong user
	BadMode       Code = "bad_mode"        // a file or directory is open to others
	Mismatch      Code = "mismatch"        // key and certificate don't belong together
	WeakSignature Code = "weak_signature"  // a certificate is signed with less than SHA-256, by another
	NotForServers Code = "not_for_servers" // the certificate is for other uses than a server's
)

// The codes of what is an error or a warning.
const (
	WeakKey     Code = "weak_key"      // a key is too short, or on a curve that browsers lack; an error if no handshake can use it
	Expired     Code = "expired"       // a certificate's time is over; an error if it is the host's own, not an authority's
	NotYetValid Code = "not_yet_valid" // a certificate's time has not begun; likewise
)

// The codes of warnings. All but Several and Unrelated mean that browsers will
// refuse the certificate, and are errors to a Store that is Strict.
const (
	NameMismatch    Code = "name_mismatch"    // the certificate doesn't name the host
	CNOnly          Code = "cn_only"          // the name is in the Common Name alone
	SelfSigned      Code = "self_signed"      // the certificate is its own authority's
	IncompleteChain Code = "incomplete_chain" // an authority's certificate is missing
	NotAuthority    Code = "not_authority"    // a certificate in the chain may not issue others
	BadUsage        Code = "bad_usage"        // the certificate's key may not sign
	LongLife        Code = "long_life"        // the certificate is valid for too long a time
	Several         Code = "several"          // more than one file could be meant
	Unrelated       Code = "unrelated"        // a certificate in the file is of no use
)

// A Finding is something that is wrong, or odd, with the store.
type Finding struct {
	Severity Severity // whether it keeps viewers out
	Code     Code     // the one word for it
	Sentence string   // what is wrong: lower case, without a full stop
	Remedy   string   // what to do about it, likewise
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
func (e *LoadError) Error() string { return "tlsstore: " + e.Text() }

// Text is the error without this package's name.
func (e *LoadError) Text() string {
	var all []string
	for _, f := range e.Findings {
		if f.Severity == Error {
			all = append(all, f.String())
		}
	}
	return strings.Join(all, "; also: ")
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
