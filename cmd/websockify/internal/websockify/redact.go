package websockify

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// digest stands for a token in the log: whoever has the token can find it there.
func digest(token string) string {
	sum := sha256.Sum256([]byte(token))
	return "sha256:" + hex.EncodeToString(sum[:4])
}

// redact puts digests in the place of the tokens in a request's URI.
func redact(uri string) string {
	path, query, ok := strings.Cut(uri, "?")
	if !ok {
		return uri
	}
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		if unescape(name) == "token" && value != "" {
			pairs[i] = name + "=" + digest(strings.TrimRight(unescape(value), "\n"))
		}
	}
	return path + "?" + strings.Join(pairs, "&")
}
