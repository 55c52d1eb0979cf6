package dialog

import "github.com/go-text/typesetting/language"

// fontFolders are where distributions keep fonts: Debian and Ubuntu, Fedora and its kin,
// SUSE, Arch. Those that aren't there are passed over.
var fontFolders = [...]string{
	"/usr/share/fonts/truetype/noto/", "/usr/share/fonts/opentype/noto/", "/usr/share/fonts/truetype/dejavu/",
	"/usr/share/fonts/truetype/droid/", "/usr/share/fonts/truetype/wqy/", "/usr/share/fonts/truetype/freefont/",
	"/usr/share/fonts/truetype/liberation/", "/usr/share/fonts/truetype/lohit-devanagari/", "/usr/share/fonts/opentype/tlwg/",
	"/usr/share/fonts/google-noto/", "/usr/share/fonts/google-noto-vf/", "/usr/share/fonts/google-noto-cjk/",
	"/usr/share/fonts/google-noto-sans-cjk-fonts/", "/usr/share/fonts/google-noto-sans-cjk-vf-fonts/",
	"/usr/share/fonts/dejavu-sans-fonts/", "/usr/share/fonts/dejavu/", "/usr/share/fonts/google-droid-sans-fonts/",
	"/usr/share/fonts/liberation-sans/", "/usr/share/fonts/liberation-sans-fonts/", "/usr/share/fonts/gnu-free/",
	"/usr/share/fonts/truetype/", "/usr/share/fonts/noto/", "/usr/share/fonts/noto-cjk/", "/usr/share/fonts/TTF/",
	"/usr/share/fonts/droid/", "/usr/share/fonts/wenquanyi/wqy-microhei/",
}

// A fontFile is a file's name in one of those folders.
type fontFile struct {
	name string
	nth  int // of a collection
}

// scriptNames are what Noto calls its fonts for one script.
var scriptNames = map[language.Script]string{
	language.Arabic: "Arabic", language.Armenian: "Armenian", language.Bengali: "Bengali", language.Cherokee: "Cherokee",
	language.Devanagari: "Devanagari", language.Ethiopic: "Ethiopic", language.Georgian: "Georgian", language.Gujarati: "Gujarati",
	language.Gurmukhi: "Gurmukhi", language.Hebrew: "Hebrew", language.Kannada: "Kannada", language.Khmer: "Khmer",
	language.Lao: "Lao", language.Malayalam: "Malayalam", language.Mongolian: "Mongolian", language.Myanmar: "Myanmar",
	language.Nko: "NKo", language.Oriya: "Oriya", language.Sinhala: "Sinhala", language.Syriac: "Syriac", language.Tamil: "Tamil",
	language.Telugu: "Telugu", language.Thaana: "Thaana", language.Thai: "Thai", language.Tifinagh: "Tifinagh",
}

// ideographic reports whether one of the large fonts for East Asia is the place to look.
func ideographic(s language.Script) bool {
	switch s {
	case language.Han, language.Hiragana, language.Katakana, language.Bopomofo, language.Hangul:
		return true
	}
	return false
}

// fontFiles are the files to look in for a glyph of a script, the best first. Han
// characters look different in Japan and China: the language decides which are used, and
// where it is neither's, China's are.
func fontFiles(s language.Script, speaks string, bold bool) []fontFile {
	weights := []string{"Regular"}
	if bold {
		weights = []string{"Bold", "Regular"}
	}
	var all []fontFile
	add := func(before, after string) {
		for _, w := range weights {
			all = append(all, fontFile{name: before + w + after})
		}
	}
	asian := func() {
		nth, region := 2, "SC"
		if speaks == "ja" {
			nth, region = 0, "JP"
		}
		for _, w := range weights {
			all = append(all, fontFile{"NotoSansCJK-" + w + ".ttc", nth}, fontFile{"NotoSans" + region + "-" + w + ".otf", 0})
		}
		all = append(all, fontFile{"NotoSansCJK-VF.ttc", nth}, fontFile{"DroidSansFallbackFull.ttf", 0},
			fontFile{"DroidSansFallback.ttf", 0}, fontFile{"wqy-microhei.ttc", 0})
	}
	name, own := scriptNames[s]
	switch {
	case own:
		add("NotoSans"+name+"-", ".ttf")
		all = append(all, fontFile{"NotoSans" + name + "[wght].ttf", 0}, fontFile{"NotoSans" + name + "-VF.ttf", 0})
	case ideographic(s):
		asian()
	}
	if bold {
		all = append(all, fontFile{"DejaVuSans-Bold.ttf", 0})
	}
	all = append(all, fontFile{"DejaVuSans.ttf", 0})
	add("NotoSans-", ".ttf")
	all = append(all, fontFile{"NotoSans[wght].ttf", 0})
	add("LiberationSans-", ".ttf")
	all = append(all, fontFile{"FreeSans.ttf", 0}, fontFile{"Lohit-Devanagari.ttf", 0}, fontFile{"Garuda.otf", 0},
		fontFile{"NotoSansSymbols-Regular.ttf", 0}, fontFile{"NotoSansSymbols2-Regular.ttf", 0})
	if !ideographic(s) {
		asian() // punctuation and symbols
	}
	return all
}
