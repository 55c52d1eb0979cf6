// One viewer's connection to a view: noVNC on a WebSocket. When it is lost it comes back by
// itself, for as long as the host keeps the view.

import RFB from "@novnc/novnc";

const RETRY = 1000; // ms between attempts to come back
const QUIET = 200; // ms without data before a probe, so that an answer is the probe's

const MISSED = 60000; // ms after which the other side has missed a connection that was lost without a word

// What a connection that was cut off closes with, if nobody said why: no status, the peer
// or the gateway going away, a gateway whose host is out of reach. The last one is for a
// viewer that took nothing: the host keeps its view as any that was lost.
const CUT = [1001, 1005, 1006, 1011, 1012, 1014];
const STALLED = 4008;
const isCut = (code, reason) => (CUT.includes(code) && !reason) || code === STALLED || reason === "host_unreachable";

export class Connection {
  #options;
  #socket = null;
  #seen = false; // there has been a picture
  #lost = 0; // when the connection was lost, or missed by the host; 0: it isn't
  #since = 0; // when it was lost
  #timer = 0;
  #over = false;
  #sizes = null; // watches the canvas
  #data = 0; // when the last data came
  #probing = null;

  // target holds the picture, url is the WebSocket's. patience (ms) is how long the host
  // keeps a lost view. changed(state, facts) is called with "connecting"; "live"; "away"
  // and {left} in seconds; "ended" and {code, reason, seen}. Optional: named(title) and
  // resized(width, height).
  constructor(options) {
    this.#options = options;
    this.#connect();
  }

  // keptFor says how long (ms) the host keeps a lost view, by whoever has learnt it.
  keptFor(patience) {
    this.#options.patience = patience;
  }

  // close ends the view.
  close() {
    this.#end(1000, "");
  }

  // leave closes the connection, which comes back after the page was loaded anew. A reload
  // asks for the page before it closes the old connection, which is in the way: the port
  // takes one viewer. So the connection goes first, and has a moment to be gone.
  leave() {
    if (!this.#socket) return this.#stop();
    this.#end(4000, "reload");
    for (const until = performance.now() + 150; performance.now() < until;);
  }

  // probe measures how long the way to the host and back takes, in ms: it asks for one pixel
  // while nothing else is on its way. It resolves to null if it can't be measured now.
  async probe() {
    const socket = this.#socket;
    if (!this.#live() || this.#probing || performance.now() - this.#data < QUIET) return null;
    const asked = performance.now();
    const answered = new Promise((resolve) => (this.#probing = resolve));
    socket.send(new Uint8Array([3, 0, 0, 0, 0, 0, 0, 1, 0, 1])); // FramebufferUpdateRequest, RFC 6143 7.5.3
    const timeout = setTimeout(() => this.#probing?.(null), 5000);
    const at = await answered;
    clearTimeout(timeout);
    this.#probing = null;
    return at && at - asked;
  }

  #live() {
    return this.#seen && !this.#lost && this.#socket?.readyState === WebSocket.OPEN;
  }

  #connect() {
    if (this.#over) return;
    const { target, url, changed } = this.#options;
    if (!this.#lost) changed("connecting", {});
    // The WebSocket is made here: noVNC doesn't say how a connection was closed.
    const socket = (this.#socket = new WebSocket(url, ["binary"]));
    socket.addEventListener("close", (e) => this.#socket === socket && this.#closed(e));
    socket.addEventListener("message", () => {
      this.#data = performance.now();
      this.#probing?.(this.#data);
    });
    const rfb = new RFB(target, socket);
    rfb.viewOnly = true;
    rfb.scaleViewport = true;
    rfb.background = "transparent";
    rfb.addEventListener("connect", () => {
      if (this.#socket !== socket) return;
      this.#seen = true;
      this.#lost = 0;
      this.#watchSize(target.querySelector("canvas"));
      changed("live", {});
    });
    rfb.addEventListener("desktopname", (e) => this.#options.named?.(e.detail.name));
  }

  #watchSize(canvas) {
    this.#sizes?.disconnect();
    if (!canvas || !this.#options.resized) return;
    const tell = () => this.#options.resized(canvas.width, canvas.height);
    this.#sizes = new MutationObserver(tell);
    this.#sizes.observe(canvas, { attributeFilter: ["width", "height"] });
    tell();
  }

  #closed(event) {
    const { target, patience, changed } = this.#options;
    this.#drop();
    target.replaceChildren();
    const facts = { code: event.code, reason: event.reason, seen: this.#seen };
    const now = performance.now();
    // The old connection is in the way of a new one for as long as nobody has missed it: after a
    // change of the network no word of its end gets through. From then on the host keeps the view.
    const busy = this.#lost && event.reason === "viewed_elsewhere" && now - this.#since < MISSED;
    const cut = busy || isCut(event.code, event.reason);
    if (!cut || (!this.#seen && patience === 0)) return this.#ended(facts);
    if (!this.#lost) this.#since = this.#lost = now;
    if (busy) this.#lost = now;
    const left = Math.ceil((this.#lost + patience - now) / 1000);
    if (left <= 0) return this.#ended(facts);
    changed("away", { left });
    this.#timer = setTimeout(() => this.#connect(), RETRY);
  }

  #ended(facts) {
    if (this.#over) return;
    this.#stop();
    this.#options.changed("ended", facts);
  }

  #end(code, reason) {
    const socket = this.#socket;
    this.#stop();
    socket?.close(code, reason);
    this.#options.target.replaceChildren();
  }

  #stop() {
    this.#over = true;
    clearTimeout(this.#timer);
    this.#drop();
  }

  #drop() {
    this.#socket = null;
    this.#sizes?.disconnect();
    this.#probing?.(null);
  }
}
