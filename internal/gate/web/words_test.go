package web

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/consent"
)

var languages = []string{"de", "en", "es", "fr", "ja", "zh"}

// The folders of both catalogues: the page's of a granted port, which the console uses as well,
// and the console's own.
const sharedWords, ownWords = "../../viewer/page/lang", "page/lang"

// catalogue reads a language's words: one or two sentences by key.
func catalogue(t *testing.T, folder, language string) map[string][]string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder, language+".json"))
	require.NoError(t, err)
	dec := json.NewDecoder(bytes.NewReader(data))
	var raw map[string]json.RawMessage
	require.NoError(t, dec.Decode(&raw), language)
	require.Len(t, raw, bytes.Count(data, []byte("\n  \"")), "%s says a key twice, or two in a line", language)
	words := map[string][]string{}
	for key, value := range raw {
		var one string
		var two []string
		if json.Unmarshal(value, &one) == nil {
			two = []string{one}
		} else {
			require.NoError(t, json.Unmarshal(value, &two), key)
			require.Len(t, two, 2, key)
		}
		words[key] = two
	}
	return words
}

var placeholder = regexp.MustCompile(`\{\w+\}`)

// shape is what a translation must have as well: how many sentences, and the placeholders.
func shape(sentences []string) [][]string {
	var s [][]string
	for _, sentence := range sentences {
		found := placeholder.FindAllString(sentence, -1)
		slices.Sort(found)
		s = append(s, found)
	}
	return s
}

func TestEveryLanguageHasEveryWord(t *testing.T) {
	for _, folder := range []string{sharedWords, ownWords} {
		files, err := filepath.Glob(filepath.Join(folder, "*.json"))
		require.NoError(t, err)
		require.Len(t, files, len(languages))
		english := catalogue(t, folder, "en")
		for _, language := range languages {
			words := catalogue(t, folder, language)
			assert.ElementsMatch(t, slices.Collect(maps.Keys(english)), slices.Collect(maps.Keys(words)), "%s/%s", folder, language)
			same := 0
			for key, sentences := range words {
				assert.Equal(t, shape(english[key]), shape(sentences), "%s/%s: %s", folder, language, key)
				for _, sentence := range sentences {
					assert.NotEmpty(t, strings.TrimSpace(sentence), "%s/%s: %s", folder, language, key)
				}
				if slices.Equal(sentences, english[key]) {
					same++
				}
			}
			assert.True(t, language == "en" || same < len(words)/8, "%s/%s is not translated", folder, language)
		}
	}
	for key := range catalogue(t, ownWords, "en") {
		assert.NotContains(t, catalogue(t, sharedWords, "en"), key, "both catalogues have it")
	}
}

// The question and the console speak the same languages.
func TestLanguagesAreThoseOfTheQuestion(t *testing.T) {
	for _, language := range languages {
		assert.Equal(t, language, consent.Texts{}.Wording(consent.Request{Admin: "a", Locale: language}).Language)
	}
}

// Whatever refuses or ends a view has words.
func TestEveryReasonHasWords(t *testing.T) {
	shared, own := catalogue(t, sharedWords, "en"), catalogue(t, ownWords, "en")
	refusals := slices.Index(shadow.Reasons(), shadow.Superseded)
	for i, reason := range shadow.Reasons() {
		both := slices.Contains([]shadow.Reason{shadow.Disabled, shadow.PromptFailed, shadow.DisplayUnreachable, shadow.SourceFailed, shadow.SessionEnded, shadow.StoppedByAdmin, shadow.Shutdown}, reason)
		if i < refusals || both {
			assert.Len(t, own["why."+string(reason)], 2, "a refusal: what, and what to do")
		}
		if i >= refusals || both {
			assert.Len(t, shared["end."+string(reason)], 2, "an end: what, and what to do")
		}
	}
}

// The modules ask for words that are there, and for all of them.
func TestWordsAreUsed(t *testing.T) {
	known := catalogue(t, sharedWords, "en")
	maps.Copy(known, catalogue(t, ownWords, "en"))
	var source strings.Builder
	for _, folder := range []string{"page", "../../viewer/page"} {
		files, err := filepath.Glob(filepath.Join(folder, "*.js"))
		require.NoError(t, err)
		for _, file := range files {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			source.Write(data)
		}
	}
	all := source.String()
	for _, m := range regexp.MustCompile(`\b(?:t|pair|parts)\("([^"]+)"`).FindAllStringSubmatch(all, -1) {
		assert.Contains(t, known, m[1])
	}
	// A key may be made of a prefix and a name.
	prefixes := map[string]bool{}
	for _, m := range regexp.MustCompile("`([\\w.]+\\.)\\$\\{").FindAllStringSubmatch(all, -1) {
		prefixes[m[1]] = true
	}
	for key := range known {
		used := strings.Contains(all, `"`+key+`"`)
		for prefix := range prefixes {
			used = used || strings.HasPrefix(key, prefix)
		}
		assert.True(t, used, "nothing uses %s", key)
	}
}
