package dialog

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func testLibrary(t testing.TB, speaks string) *library {
	lib, err := newLibrary(speaks)
	require.NoError(t, err)
	return lib
}

// hostile are names that try to break the layout. They come cut to 64 runes.
var hostile = []string{
	"x", `CORP\alice`, strings.Repeat("W", 64), strings.Repeat("i ", 32), strings.Repeat("﷽", 64),
	strings.Repeat("张", 64), strings.Repeat("\U0010ffff", 64), strings.Repeat("a\u0301\u0301", 21), strings.Repeat("⸻", 64),
	strings.Repeat("क्ष", 21), strings.Repeat("לא ", 21), strings.Repeat("ุ", 64), "\u0301", strings.Repeat("𒐫", 64),
}

func TestLinesFit(t *testing.T) {
	lib := testLibrary(t, "en")
	st := lib.style(false, 14)
	for _, name := range hostile {
		for _, width := range []int{20, 100, 404} {
			for i, l := range breakLines([]span{{name, st, black, true}, {" wants to view your screen", st, black, false}}, width, 5) {
				assert.LessOrEqual(t, l.width.Ceil(), max(width, 3*2*14+1), "%q in %d, line %d", name, width, i)
				assert.Less(t, i, 5)
			}
		}
	}
}

// text is what lines say, in the order in which it is read.
func text(lines []line) []string {
	var all []string
	for _, l := range lines {
		all = append(all, said(l.clusters))
	}
	return all
}

func said(clusters []cluster) string {
	var b strings.Builder
	for _, c := range clusters {
		b.WriteString(string(c.text))
	}
	return b.String()
}

func TestBreakLines(t *testing.T) {
	lib := testLibrary(t, "en")
	st := lib.style(false, 10)
	set := func(s string, width, most int) []string {
		return text(breakLines([]span{{s, st, black, false}}, width, most))
	}
	assert.Equal(t, []string{"one two"}, set("one two", 200, 3))
	assert.Equal(t, []string{"one", "two", "three"}, set("one two three", 27, 3))
	assert.Equal(t, []string{"one", "two…"}, set("one two three four", 27, 2))
	assert.Empty(t, set("", 100, 3))
	assert.Empty(t, strings.Trim(strings.Join(set(strings.Repeat("m", 40), 50, 100), ""), "m"), "a long word loses nothing")
	assert.Equal(t, 40, len(strings.Join(set(strings.Repeat("m", 40), 50, 100), "")))
}

// Japanese and Chinese break between characters, but not before a full stop or within
// quotation marks' edges.
func TestBreakLinesOfIdeographs(t *testing.T) {
	st := testLibrary(t, "ja").style(false, 10)
	set := func(s string, width int) []string { return text(breakLines([]span{{s, st, black, false}}, width, 9)) }
	assert.Equal(t, []string{"画面を", "見る。"}, set("画面を見る。", 30))
	assert.Equal(t, []string{"画面見", "る。"}, set("画面見る。", 40), "no full stop begins a line")
	assert.Equal(t, []string{"画面", "「は", "い」"}, set("画面「はい」", 30), "no quotation mark ends one")
}

func TestBalanceLines(t *testing.T) {
	st := testLibrary(t, "en").style(false, 10)
	s := []span{{"the last word of this would stand alone otherwise", st, black, false}}
	width := breakLines(s, 10000, 1)[0].width.Ceil() - 1
	require.Equal(t, []string{"the last word of this would stand alone", "otherwise"}, text(breakLines(s, width, 3)))
	assert.Equal(t, []string{"the last word of this would", "stand alone otherwise"}, text(balanceLines(s, width, 3)))

	s = []span{{strings.Repeat("Z", 20) + "…", st, black, true}, {" is", st, black, false}}
	width = breakLines(s[:1], 10000, 1)[0].width.Ceil()
	assert.Equal(t, []string{s[0].text, "is"}, text(balanceLines(s, width, 3)), "no word is torn for it")

	chinese := testLibrary(t, "zh").style(false, 10)
	s = []span{{"正在查看您的屏幕。如果您选择“是”，该连接将被断开。", chinese, black, false}}
	require.Equal(t, []string{"正在查看您的屏幕。如果您选择“是”，该", "连接将被断开。"}, text(breakLines(s, 195, 3)))
	assert.Equal(t, []string{"正在查看您的屏幕。如果您选择“是”，", "该连接将被断开。"}, text(balanceLines(s, 195, 3)), "behind punctuation")
}

// A name keeps its own direction, and the words keep theirs.
func TestDirections(t *testing.T) {
	st := testLibrary(t, "en").style(false, 10)
	visual := func(name, words string) string {
		lines := breakLines([]span{{name, st, black, true}, {words, st, black, false}}, 10000, 1)
		return said(lines[0].visual())
	}
	assert.Equal(t, "alice views", visual("alice", " views"))
	assert.Equal(t, "גבא views", visual("אבג", " views"))
	assert.Equal(t, "12 גבא 3 views", visual("אבג 12", " 3 views"), "numbers of the words stay with the words")
	assert.Equal(t, ")גבא( views", visual("(אבג)", " views"), "what is drawn is mirrored")
	assert.Equal(t, "CORP\\גבא views", visual("CORP\\אבג", " views"))
	assert.Equal(t, "Zoë :12 גבא xyz", visual("Zoë :אבג 12 xyz", ""), "which begins from the left")
	assert.Equal(t, "Zoë :גבא xyz 12", visual("Zoë :אבג xyz 12", ""))
	assert.Equal(t, "גבא alice", visual("alice", " אבג"), "the words decide where a sentence begins, not the name")
}

// Letters join, marks stand on their letters: what shaping is for.
func TestShaping(t *testing.T) {
	st := testLibrary(t, "en").style(false, 20)
	glyphs := func(s string) (ids []uint32, clusters int) {
		all := set([]span{{s, st, black, true}})
		for _, c := range all {
			require.NotNil(t, c.face, "%s has no font", s)
			for _, g := range c.glyphs {
				ids = append(ids, uint32(g.GlyphID))
			}
		}
		return ids, len(all)
	}
	alone, _ := glyphs("ب")
	joined, _ := glyphs("ببب")
	assert.NotContains(t, joined, alone[0], "an Arabic letter looks different among others")
	_, n := glyphs("क्ष")
	assert.Equal(t, 1, n, "a conjunct is one")
	ids, n := glyphs("e\u0301")
	assert.Equal(t, 1, n)
	assert.Len(t, ids, 1, "one glyph is there for both")
}

// Each of these has a glyph in some font.
func TestFallback(t *testing.T) {
	for _, name := range []string{
		"Ελένη Παπαδοπούλου", "Мария Иванова", "أحمد العربي", "יעל כהן", "अमित शर्मा", "สมชาย ใจดี", "张伟", "山田 太郎", "김민수", "Nguyễn Thị Ánh",
	} {
		for _, bold := range []bool{false, true} {
			st := testLibrary(t, "en").style(bold, 14)
			for _, c := range set([]span{{name, st, black, true}}) {
				assert.NotNil(t, c.face, "%s: %q", name, string(c.text))
			}
		}
	}
}

// What no font has is a box that can be seen, and nothing else suffers.
func TestMissingGlyph(t *testing.T) {
	st := testLibrary(t, "en").style(false, 14)
	all := set([]span{{"a\U000e0fff\U0010fffeb", st, black, true}})
	require.Len(t, all, 4)
	assert.Nil(t, all[1].face)
	assert.Nil(t, all[2].face)
	assert.Positive(t, all[1].advance)
	assert.NotNil(t, all[3].face)
}

// Han characters look different in Japan and China.
func TestRegions(t *testing.T) {
	look := func(speaks string) int {
		lib := testLibrary(t, speaks)
		set([]span{{"直", lib.style(false, 14), black, false}})
		for file, f := range lib.system {
			if f != nil {
				return file.nth
			}
		}
		return -1
	}
	assert.NotEqual(t, look("ja"), look("zh"))
}

// A name in many scripts opens no more than so many files.
func TestFacesAreBounded(t *testing.T) {
	lib := testLibrary(t, "en")
	st := lib.style(true, 14)
	all := set([]span{{"عאअআਅઅଅஅఅಅമഅසกກཀကაԱአកᠠᎠܐނߊⴰ⠁♠𝔸😀⌘∑◆✓", st, black, true}})
	assert.Greater(t, len(all), 30)
	assert.LessOrEqual(t, lib.opened, maxFaces)
	assert.Greater(t, lib.opened, maxFaces/2, "the test opens too few to mean anything")
}

// A question of Latin letters opens no font file, which keeps it quick.
func TestLatinOpensNoFile(t *testing.T) {
	lib := testLibrary(t, "en")
	layout(ask(`CORP\alice Müller`, "vda1.corp.example", "Ελένη Иванова"), lib, 2, true).update(state{left: 5})
	assert.Empty(t, lib.system)
}

// Whatever a name holds, every rune is shown once and in its turn, and lines fit.
func FuzzSet(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	for _, s := range []string{"أحمد العربي (IT) 42", "CORP\\יעל כהן 42 abc", "क्षितिज", "สมชาย ใจดี", "김민수", "\u202eabc\u2066def", "a\u0301\u0302\u0303", "👩‍👩‍👧 x"} {
		f.Add(s)
	}
	lib, err := newLibrary("en")
	require.NoError(f, err)
	st := lib.style(true, 14)
	f.Fuzz(func(t *testing.T, s string) {
		runes := []rune(s)
		if len(runes) > 64 {
			runes = runes[:64]
		}
		s = string(runes)
		spans := []span{{s, st, black, true}, {" views", st, black, false}}
		all := set(spans)
		require.Equal(t, s+" views", said(all))
		lines := balanceLines(spans, 120, 3)
		require.LessOrEqual(t, len(lines), 3)
		for _, l := range lines {
			require.Len(t, l.visual(), len(l.clusters))
			require.LessOrEqual(t, l.width.Ceil(), max(120, 64*2*14))
		}
	})
}
