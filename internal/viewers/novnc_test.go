package viewers

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testenv"
)

// releases are those of noVNC's npm packages, and two of other people's for what is older than 1.0.0,
// which npm hasn't got of noVNC itself. short ones run in make test: the oldest with modules, the last
// that asks for red in the third byte, and the newest. 1.5.0 and
// 1.6.0 are on npm as CommonJS only, which no browser loads.
var releases = []struct {
	name, pack string
	file       string // that shows it is there
	page       string
	short      bool
	fox        bool // Firefox shows it as well
}{
	{"0.5", "novnc-node@0.5.3", "dist/novnc-node.js", page05, false, false},
	{"0.6", "@nraynaud/novnc@0.6.1", "lib/rfb.js", page06, false, false},
	{"1.0.0", "@novnc/novnc@1.0.0", "core/rfb.js", page, true, true},
	{"1.1.0", "@novnc/novnc@1.1.0", "core/rfb.js", page, false, false},
	{"1.2.0", "@novnc/novnc@1.2.0", "core/rfb.js", page, true, true},
	{"1.3.0", "@novnc/novnc@1.3.0", "core/rfb.js", page, false, false},
	{"1.4.0", "@novnc/novnc@1.4.0", "core/rfb.js", page, false, false},
	{"1.7.0", "@novnc/novnc@1.7.0", "core/rfb.js", page, true, true},
}

// release returns the folder of a package, from npm if it isn't in the user's cache yet.
func release(t *testing.T, pack, file string) string {
	t.Helper()
	npm := testenv.Program(t, "npm", "npm")
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	dir := filepath.Join(cache, "shadow-viewers", strings.NewReplacer("/", "-", "@", "-").Replace(pack))
	if _, err := os.Stat(filepath.Join(dir, "package", file)); err == nil {
		return filepath.Join(dir, "package")
	}
	require.NoError(t, os.MkdirAll(dir, 0o755))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	get := exec.CommandContext(ctx, npm, "pack", "--silent", pack)
	get.Dir = dir
	out, err := get.CombinedOutput()
	if err != nil {
		testenv.Lack(t, "%s from npm is needed: %v: %s", pack, err, out)
	}
	unpack := exec.CommandContext(ctx, "tar", "xzf", strings.TrimSpace(string(out)))
	unpack.Dir = dir
	out, err = unpack.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return filepath.Join(dir, "package")
}

// serve serves a page with each release, at its name, and returns the address. A page shows the session whose
// WebSocket's address socket returns for it.
func serve(t *testing.T, socket func() string) (address string) {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/pako/", http.StripPrefix("/pako/", http.FileServer(http.Dir(release(t, "pako@1.0.11", "lib/zlib/inflate.js")))))
	for _, r := range releases {
		base := "/" + r.name
		mux.HandleFunc(base+"/novnc/", func(w http.ResponseWriter, q *http.Request) {
			http.StripPrefix(base+"/novnc/", http.FileServer(http.Dir(release(t, r.pack, r.file)))).ServeHTTP(w, q)
		})
		mux.HandleFunc(base+"/{$}", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<script>const target = "+strconv.Quote(socket())+";"+listens+"</script>"+strings.ReplaceAll(r.page, "/novnc/", base+"/novnc/"))
		})
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// listens is JavaScript that keeps what a page says to the session's server.
const listens = `
window.sent = [];
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (d) {
	window.sent.push(...(ArrayBuffer.isView(d) ? new Uint8Array(d.buffer, d.byteOffset, d.byteLength) : new Uint8Array(d)));
	return send.call(this, d);
};`

// page shows the session at target with noVNC as somebody uses it who believes that he controls it: viewOnly
// isn't set.
const page = `<!doctype html><div id="v" style="width:600px;height:500px"></div><script type="module">
import RFB from "/novnc/core/rfb.js";
window.ended = "";
window.onerror = m => { window.ended = m; };
window.rfb = new RFB(document.getElementById("v"), target, {});
window.rfb.addEventListener("disconnect", () => { window.ended = "disconnected"; });
</script>`

// page05 and page06 are the same for releases that have no modules and draw on a canvas that is given.
const page05 = `<!doctype html><canvas id="v"></canvas><script src="/novnc/dist/novnc-node.js"></script><script>
window.ended = "";
window.onerror = m => { window.ended = m; };
window.rfb = new noVNC.RFB({target: document.getElementById("v"), encrypt: false, onUpdateState: (rfb, state, old, text) => {
	if (state === "failed") window.ended = state + ": " + text;
}});
window.rfb.connect(target, "");
</script>`

const page06 = `<!doctype html><canvas id="v"></canvas><script>
const modules = {};
function load(path) {
	if (modules[path]) return modules[path].exports;
	const m = modules[path] = {exports: {}}, get = new XMLHttpRequest();
	get.open("GET", path + ".js", false);
	get.send();
	new Function("require", "module", "exports", get.responseText)(
		p => load(new URL(p.replace(/[.]js$/, "").replace(/^pako/, "/pako"), location.origin + path).pathname), m, m.exports);
	return m.exports;
}
window.ended = "";
window.onerror = m => { window.ended = m; };
const module06 = load("/novnc/lib/rfb"), RFB = module06.default || module06;
window.rfb = new RFB({target: document.getElementById("v"), encrypt: false, onDisconnected: (rfb, why) => { window.ended = "disconnected: " + why; }});
const at = new URL(target);
window.rfb.connect(at.hostname, at.port, "", at.pathname.slice(1) + at.search);
</script>`
