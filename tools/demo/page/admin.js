// The administrator's half: ask, wait for the user, watch, and say how it ended.

import RFB from "/novnc/core/rfb.js";

const TIMEOUT = 20; // seconds that the user has
const $ = (id) => document.getElementById(id);

// What a shadow's end looks like to the page: the WebSocket's close event and
// the ended event of the audit. Either may come first.
export class Administrator {
  #request = null; // AbortController of the question while the user is asked
  #grant = null; // what the user said Yes to
  #rfb = null;
  #tick = 0; // timer of the countdown or the clock

  constructor() {
    $("form").addEventListener("submit", (e) => {
      e.preventDefault();
      this.#ask($("admin").value.trim());
    });
    $("stop").addEventListener("click", () => this.#stop());
    this.#set("idle", "Nobody is watching", "Press Shadow. The user is asked first.");
  }

  // heard takes an event of the audit log.
  heard(event) {
    if (event.type === "prompted" && this.#request) this.#countDown();
    if (event.type === "ended" && event.id === this.#grant?.id) this.#facts(event);
  }

  async #ask(admin) {
    const request = (this.#request = new AbortController());
    this.#grant = null;
    this.#set("asking", "Asking the user", `A question from ${admin} is open in the desktop on the left.`);
    try {
      const response = await fetch("/api/shadows", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ admin }),
        signal: request.signal,
      });
      const answer = await response.json();
      this.#request = null;
      if (response.ok) this.#watch(answer);
      else this.#refused(answer);
    } catch (error) {
      this.#request = null;
      if (request.signal.aborted) this.#set("idle", "Withdrawn", "The question has been taken back.");
      else this.#set("refused", "The demo’s server does not answer", `${error.message}. Is it still running?`);
    }
  }

  #refused(problem) {
    const title = problem.reason ? capital(problem.title) : "That did not work";
    this.#set("refused", title, problem.detail ?? "", problem.reason ? `Reason ${problem.reason}` : "");
  }

  // #watch connects noVNC to the port that was granted. The WebSocket is made
  // here and not by noVNC, which doesn't tell how a connection was closed.
  #watch(grant) {
    this.#grant = grant;
    const url = new URL(grant.url);
    url.hostname = location.hostname; // the host's own name may not resolve where the page is opened
    this.#set("connecting", "The user said Yes", `Connecting to port ${grant.port} …`);
    const socket = new WebSocket(url);
    socket.addEventListener("close", (e) => this.#closed(grant, e));
    const rfb = (this.#rfb = new RFB($("view"), socket));
    rfb.scaleViewport = true;
    rfb.background = "transparent";
    rfb.addEventListener("connect", () => {
      $("view").querySelector("canvas").setAttribute("aria-label", $("view").dataset.label);
      this.#set("live", "", "");
      this.#clock();
    });
  }

  #closed(grant, event) {
    $("view").replaceChildren();
    this.#rfb = null;
    if (this.#grant !== grant) return; // another shadow has begun
    const reason = event.reason || "the connection ended";
    this.#set("ended", capital(reason), "The administrator sees nothing any more.", `WebSocket close code ${event.code}`);
    if (grant.ended) this.#facts(grant.ended);
  }

  // #facts adds what the audit says about a shadow that has ended.
  #facts(event) {
    this.#grant.ended = event;
    if (document.body.dataset.shadow !== "ended") return;
    $("notice-title").textContent = capital(event.sentence);
    const code = $("notice-facts").textContent.split("\n")[0];
    $("notice-facts").textContent = `${code}\nReason ${event.reason}\n${capital(figures(event))}`;
  }

  async #stop() {
    if (this.#request) {
      this.#request.abort();
      return;
    }
    const response = await fetch(`/api/shadows/${encodeURIComponent(this.#grant.id)}`, { method: "DELETE" });
    if (!response.ok) this.#rfb?.disconnect();
  }

  // #set shows a state: what the notice says and which buttons there are.
  #set(state, title, text, facts = "") {
    clearInterval(this.#tick);
    document.body.dataset.shadow = state;
    const busy = state === "asking" || state === "connecting" || state === "live";
    const keyboard = document.activeElement === $("shadow") || document.activeElement === $("stop");
    $("notice").hidden = state === "live";
    $("notice-title").textContent = title;
    $("notice-text").textContent = text;
    $("notice-facts").textContent = facts;
    $("countdown").hidden = true;
    $("live").hidden = state !== "live";
    $("admin").disabled = busy;
    $("shadow").hidden = busy;
    $("stop").hidden = !busy;
    $("stop").textContent = state === "asking" ? "Withdraw" : "Stop";
    if (keyboard) (busy ? $("stop") : $("shadow")).focus();
  }

  #countDown() {
    const end = performance.now() + TIMEOUT * 1000;
    const show = () => {
      const left = Math.max(0, (end - performance.now()) / 1000);
      $("seconds").textContent = Math.ceil(left);
      $("progress").value = left;
    };
    clearInterval(this.#tick);
    this.#tick = setInterval(show, 100);
    show();
    $("countdown").hidden = false;
  }

  #clock() {
    const start = performance.now();
    const show = () => {
      const s = Math.floor((performance.now() - start) / 1000);
      $("clock").textContent = `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
    };
    this.#tick = setInterval(show, 250);
    show();
  }
}

// figures are the numbers of an ended event, in words.
export function figures(event) {
  const parts = [];
  if (event.seconds) parts.push(`viewed for ${event.seconds.toFixed(1)} s`);
  if (event.sent) parts.push(`${Math.ceil(event.sent / 1024)} KiB sent`);
  if (event.viewer || event.dropped) parts.push(`${event.dropped ?? 0} input messages stopped`);
  return parts.join(" · ");
}

function capital(words) {
  return words.charAt(0).toUpperCase() + words.slice(1);
}
