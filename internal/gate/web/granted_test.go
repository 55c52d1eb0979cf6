package web

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"

	"vda.internal/shadow/internal/viewer"
)

// startPort serves the page of a granted port whose host keeps a lost view for so long.
func startPort(t *testing.T, keeps time.Duration) *gate {
	t.Helper()
	g := &gate{screens: make(chan *screen, 10)}
	mux := http.NewServeMux()
	mux.Handle("/", viewer.Page(keeps))
	mux.HandleFunc("/websockify", func(w http.ResponseWriter, r *http.Request) { g.show(w, r, func(*screen) {}) })
	g.serve(t, mux)
	return g
}

// listens notes what is said in live regions from now on.
func (p *tab) listens() {
	p.t.Helper()
	eval[any](p, `(window.heard = [], new MutationObserver((all) => all.forEach(({ target }) => {
		const region = (target.nodeType === 1 ? target : target.parentElement)?.closest("[role=status], [aria-live]");
		const words = region?.innerText.replace(/[\u2068\u2069]/g, "").replace(/\s+/g, " ").trim();
		if (words) window.heard.push(words);
	})).observe(document.body, { subtree: true, childList: true, characterData: true }), 1)`)
}

// said is all of that, without what is said twice in a row.
func (p *tab) said() []string {
	p.t.Helper()
	return eval[[]string](p, `heard.filter((words, i) => words !== heard[i - 1])`)
}

// The page of a granted port can be used by everybody, in all its states, light and dark: it always has a heading,
// the picture has a name, and what is read out isn't the seconds.
func TestThePageOfAGrantedPort(t *testing.T) {
	for name, colours := range map[string]func(*tab){"light": func(*tab) {}, "dark": dark} {
		t.Run(name, func(t *testing.T) {
			g := startPort(t, time.Hour)
			p := g.open(t, "/", speaks("en"))
			colours(p)
			is := func(state, title string) {
				t.Helper()
				p.until(`document.body.dataset.state === %s`, quote(state))
				p.says("h1", title)
				assert.Equal(t, 1.0, eval[float64](p, `document.querySelectorAll("h1").length`))
				p.accessible(name + ", " + state)
				for _, width := range []int64{390, 1280} {
					p.do(chromedp.EmulateViewport(width, 800))
					assert.False(t, eval[bool](p, `document.documentElement.scrollWidth > innerWidth`), state)
					p.shoot(fmt.Sprintf("granted-%s-%s-%d-%s", state, name, width, strings.Fields(title)[0]))
				}
			}
			is("ended", "This address is incomplete")

			g.set(func() { g.away = true })
			p.do(chromedp.Navigate(g.URL+"/#TOKEN"), chromedp.Reload())
			is("away", "The connection was lost")
			g.set(func() { g.away = false })
			s := next(t, g.screens)
			is("live", "bob@vda1")
			assert.Equal(t, "img The shared screen", eval[string](p, `(c => c.getAttribute("role") + " " + c.getAttribute("aria-label"))(document.querySelector("canvas"))`))

			p.listens()
			s.names <- "bob@vda1 (paused by the user)"
			is("live", "Paused by the user")
			assert.Equal(t, "Paused by the user – bob@vda1", eval[string](p, `document.title`))
			assert.Equal(t, "Paused by the user", eval[string](p, `document.querySelector("canvas").getAttribute("aria-label")`))
			s.names <- "bob@vda1"
			is("live", "bob@vda1")
			assert.Equal(t, "The shared screen", eval[string](p, `document.querySelector("canvas").getAttribute("aria-label")`))

			g.set(func() { g.away = true })
			s.drop()
			is("away", "The connection was lost")
			left := eval[string](p, `document.getElementById("left").innerText`)
			p.until(`document.getElementById("left").innerText !== %s`, quote(left))
			g.set(func() { g.away = false })
			s = next(t, g.screens)
			is("live", "bob@vda1")
			s.close(4002, "stopped_by_user")
			is("ended", "The user stopped the view")
			lost := "The connection was lost Coming back …"
			paused := "Paused by the user The picture comes back when the user resumes."
			assert.Equal(t, []string{paused, "bob@vda1", lost, "bob@vda1", "The user stopped the view Ask the user before you ask again."}, p.said())
		})
	}
}
