package signin

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"
)

// Tokens is a file of tokens for scripts, one a line: ID:HASH:NAME:GROUP,GROUP:MADE:EXPIRES. Of a
// token only its hash is kept. What [Accounts] says of its file holds here, too.
type Tokens struct {
	Path string

	watched watched[map[string]Token]
}

// A Token is one line.
type Token struct {
	ID      string // public: what lists and logs show
	Name    string // that hosts are told
	Groups  []string
	Made    time.Time
	Expires time.Time

	sum [sha256.Size]byte
}

const (
	tokenPrefix = "sg" // so that scanners for lost secrets can know one
	tokenID     = 8    // hexadecimal digits
)

// Add makes a token for name, good until expires, and returns its text, which is nowhere else.
func (t *Tokens) Add(name string, groups []string, expires time.Time) (Token, string, error) {
	one := Token{ID: newID()[:tokenID], Name: name, Groups: groups, Made: time.Now().UTC().Truncate(time.Second), Expires: expires.UTC().Truncate(time.Second)}
	if err := errors.Join(checkName(name), checkGroups(groups)); err != nil {
		return Token{}, "", err
	}
	for _, g := range groups {
		if strings.ContainsAny(g, ",:") {
			return Token{}, "", fmt.Errorf("%q can't be a group of a token: it has a comma or a colon", g)
		}
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret)
	text := tokenPrefix + "_" + one.ID + "_" + base64.RawURLEncoding.EncodeToString(secret)
	one.sum = sha256.Sum256([]byte(text))
	return one, text, t.edit(func(lines []string) ([]string, error) { return append(lines, one.line()), nil })
}

// List lists the tokens, the oldest first. A file that isn't there has none.
func (t *Tokens) List() ([]Token, error) {
	all, err := t.watched.get(t.Path, parseTokens)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the tokens: %w", err)
	}
	var list []Token
	for _, one := range all {
		list = append(list, one)
	}
	slices.SortFunc(list, func(a, b Token) int {
		if n := a.Made.Compare(b.Made); n != 0 {
			return n
		}
		return strings.Compare(a.ID, b.ID)
	})
	return list, nil
}

// Remove removes a token. The error wraps [fs.ErrNotExist] if there is none.
func (t *Tokens) Remove(id string) error {
	return t.edit(func(lines []string) ([]string, error) {
		left := slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return strings.HasPrefix(line, id+":") })
		if len(left) == len(lines) {
			return nil, fmt.Errorf("there is no token %q: %w", id, fs.ErrNotExist)
		}
		return left, nil
	})
}

func (t *Tokens) edit(change func([]string) ([]string, error)) error {
	return editLines(t.Path, "# Tokens for scripts: ID:HASH:NAME:GROUPS:MADE:EXPIRES. Kept by shadowgate token.", func(data []byte) error {
		_, err := parseTokens(data)
		return err
	}, change)
}

// identify is the session of who shows a token.
func (t *Tokens) identify(text string, now time.Time) (*Session, error) {
	prefix, rest, _ := strings.Cut(text, "_")
	id, _, ok := strings.Cut(rest, "_")
	if prefix != tokenPrefix || !ok {
		return nil, ErrSignedOut
	}
	all, err := t.watched.get(t.Path, parseTokens)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrSignedOut
	}
	if err != nil {
		return nil, fmt.Errorf("the tokens: %w", err)
	}
	one, ok := all[id]
	sum := sha256.Sum256([]byte(text))
	if !ok || subtle.ConstantTimeCompare(sum[:], one.sum[:]) != 1 || !now.Before(one.Expires) {
		return nil, ErrSignedOut
	}
	return &Session{ID: "token-" + one.ID, Name: one.Name, Groups: one.Groups, Method: ByToken, Since: one.Made, Expires: one.Expires, Seen: now}, nil
}

// still reports whether a token's session goes on.
func (t *Tokens) still(s *Session) error {
	all, err := t.watched.get(t.Path, parseTokens)
	if err != nil {
		return fmt.Errorf("the tokens: %w", err)
	}
	if _, ok := all[strings.TrimPrefix(s.ID, "token-")]; !ok {
		return ErrSignedOut
	}
	return nil
}

func (t Token) line() string {
	return strings.Join([]string{t.ID, hex.EncodeToString(t.sum[:]), t.Name, strings.Join(t.Groups, ","),
		fmt.Sprint(t.Made.Unix()), fmt.Sprint(t.Expires.Unix())}, ":")
}

func parseTokens(data []byte) (map[string]Token, error) {
	all := map[string]Token{}
	err := eachLine(data, func(line string) error {
		t, err := parseToken(line)
		if _, twice := all[t.ID]; err == nil && twice {
			err = fmt.Errorf("%q is there twice", t.ID)
		}
		all[t.ID] = t
		return err
	})
	return all, err
}

func parseToken(line string) (Token, error) {
	parts := strings.Split(line, ":")
	if len(parts) != 6 || len(parts[0]) != tokenID {
		return Token{}, errors.New("it isn't ID:HASH:NAME:GROUPS:MADE:EXPIRES")
	}
	t := Token{ID: parts[0], Name: parts[2]}
	if parts[3] != "" {
		t.Groups = strings.Split(parts[3], ",")
	}
	if err := errors.Join(checkName(t.Name), checkGroups(t.Groups)); err != nil {
		return Token{}, err
	}
	sum, err := hex.DecodeString(parts[1])
	if err != nil || len(sum) != len(t.sum) {
		return Token{}, errors.New("the hash can't be read")
	}
	copy(t.sum[:], sum)
	var made, expires int64
	if _, err := fmt.Sscan(parts[4], &made); err != nil {
		return Token{}, errors.New("when it was made can't be read")
	}
	if _, err := fmt.Sscan(parts[5], &expires); err != nil {
		return Token{}, errors.New("when it expires can't be read")
	}
	t.Made, t.Expires = time.Unix(made, 0).UTC(), time.Unix(expires, 0).UTC()
	return t, nil
}
