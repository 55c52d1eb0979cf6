package dialog

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/consent/desktop/internal/accessible"
)

// partsOf are the parts of a window by what they are, as screen readers find them.
func partsOf(t accessible.Tree) map[string]string {
	all := map[string]string{}
	for _, p := range t.Parts {
		all[p.ID] = p.Name
	}
	return all
}

// Screen readers find whose view ends, and what is only claimed of them: in the question what a Yes does, in a notice, which has
// no Yes, what it does by itself.
func TestReadersFindWhoWatches(t *testing.T) {
	for language, w := range sixLanguages(t) {
		lib := testLibrary(t, language)
		asked := Question{
			Language: language, Head: w.Question, Sees: w.Sees, Cannot: w.Cannot, Replaces: w.Replaces, Watcher: w.Watcher, Countdown: w.Countdown,
			No: w.No, Yes: w.Yes, Left: 20 * time.Second,
		}
		told := asked
		told.Head, told.Replaces, told.Countdown, told.No, told.Yes, told.Notice = w.Notice, w.Displaces, w.Begins, w.Stop, "", consent.NoticeTime
		for ends, q := range map[string]Question{w.Replaces.Text(0): asked, w.Displaces.Text(0): told} {
			d := &prompt{window: &window{}, controls: newControls(), view: layout(q, lib, 1, true)}
			tree := d.tree(state{left: q.Left})
			assert.Contains(t, tree.Window.Description, ends+" "+w.Watcher.Text(0), language)
			parts := partsOf(tree)
			assert.Equal(t, ends, parts["replaces"], language)
			assert.Equal(t, w.Watcher.Text(0), parts["watcher"], language)
			assert.Equal(t, q.Yes, parts[allowPart], language)
			assert.Equal(t, q.No, parts[denyPart], language)
		}
	}
}

// Screen readers find what is only claimed of who views, in the banner's last words as before.
func TestReadersFindADoubt(t *testing.T) {
	for language, w := range sixLanguages(t) {
		n := Notice{Language: language, Viewing: w.Viewing, Doubt: w.Doubt, Stop: w.Stop, Ended: w.Ended}
		b := &banner{window: &window{}, notice: n, view: layoutBanner(n, testLibrary(t, language), 1, 640)}
		tree := b.tree()
		assert.Equal(t, w.Doubt.Text(0), tree.Window.Description, language)
		assert.Equal(t, map[string]string{"viewing": w.Viewing.Text(0), "doubt": w.Doubt.Text(0), "stop": w.Stop}, partsOf(tree))

		why := w.Reason("viewer_left")
		b.conclude(why)
		tree = b.tree()
		assert.Equal(t, w.Ended.Text(0), tree.Window.Name, language)
		assert.Equal(t, w.Doubt.Text(0)+" "+why, tree.Window.Description, language)
		assert.Equal(t, map[string]string{"ended": w.Ended.Text(0), "doubt": w.Doubt.Text(0), "why": why}, partsOf(tree))
	}
}
