package dialog

import (
	"testing"

	"vda.internal/shadow/consent"
)

// What stands between the start of the child and a picture: opening fonts, setting text,
// drawing. Every round opens its fonts anew, as every child does.
func BenchmarkPicture(b *testing.B) {
	for name, q := range map[string]Question{
		"Latin":    ask(`CORP\alice`, "vda1.corp.example", ""),
		"Arabic":   ask("أحمد العربي", "vda1.corp.example", ""),
		"Japanese": {Language: "ja", No: "いいえ", Yes: "はい", Head: consent.Sentence{{Text: `CORP\alice`, Role: consent.Name}, {Text: " が画面の閲覧を求めています"}}},
		"missing":  ask("\U000e0fff\U0010fffe\u0378", "vda1.corp.example", ""),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				lib, err := newLibrary(q.Language)
				if err != nil {
					b.Fatal(err)
				}
				layout(q, lib, 1, true).update(state{left: q.Left, ready: true, focus: denyButton})
			}
		})
	}
}
