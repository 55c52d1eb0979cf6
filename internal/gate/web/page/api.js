// The gate's API.

import { clean } from "../../../viewer/page/text.js";
import { has, pair, parts } from "../../../viewer/page/words.js";
import { el } from "./dom.js";
import { number } from "./format.js";

// A Problem is an answer that isn't a success; status 0 is no answer at all.
export class Problem extends Error {
  constructor(status, body, retryAfter) {
    super(body.title ?? `status ${status}`);
    this.status = status;
    this.reason = body.reason ?? "";
    this.detail = body.detail ?? "";
    this.retryAfter = body.retry_after || retryAfter || 0; // s
  }

  // words are what it means, as a pair.
  words() {
    const known = this.reason && [`why.${this.reason}`, `end.${this.reason}`].find(has);
    if (known) return pair(known);
    const key = { 0: "gate", 401: "signin", 403: "forbidden", 404: "gone", 429: "often", 502: "host", 503: "host", 504: "host" }[this.status];
    return key ? pair(`problem.${key}`) : pair("problem.other", { status: number(this.status) });
  }
}

let signedOut = () => {};

// onSignedOut has f called when an answer says that nobody is signed in, with its reason.
export const onSignedOut = (f) => (signedOut = f);

let used = true; // somebody has used the page since it last said so
for (const type of ["pointerdown", "pointermove", "keydown", "wheel"]) addEventListener(type, () => (used = true), { capture: true, passive: true });

// call asks the API and returns the answer's JSON, or null if it has none. In the background is what
// the page asks by itself: unless somebody uses the page, that doesn't keep them signed in.
export async function call(method, path, { body, signal, quiet, background } = {}) {
  const options = { method, signal, cache: "no-store", headers: { Accept: "application/json" } };
  if (background && !used) options.headers["Shadowgate-Background"] = "1";
  used = false;
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let response, answer;
  try {
    response = await fetch(`/api/v1/${path}`, options);
    answer = await response.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, {});
  }
  heard(response.headers.get("Date"));
  const data = parse(answer);
  if (response.ok) return data;
  if (response.status === 401 && !quiet) signedOut(data?.reason);
  throw new Problem(response.status, data ?? {}, Number(response.headers.get("Retry-After")) || 0);
}

let ahead = 0; // ms that this device's clock is ahead of the gate's

function heard(date) {
  const time = Date.parse(date);
  if (!Number.isNaN(time)) ahead = Date.now() - time;
}

// clockOff is by how many seconds the clocks of this device and of the gate differ; 0: by less than two minutes.
export const clockOff = () => (Math.abs(ahead) < 120_000 ? 0 : Math.round(Math.abs(ahead) / 1000));

function parse(text) {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}

const WORST = 30_000; // ms between attempts to listen again

// listen follows a stream of server-sent events: on has a function for each event's name,
// which is given its data. down is called with true when the stream is lost, and with false
// when it is there again. A quiet one doesn't lead to signing in. It returns a function that ends it.
export function listen(path, on, down = () => {}, quiet = false) {
  let source, timer, over = false, pause = 1000;
  const lost = async () => {
    source.close();
    if (over) return;
    down(true);
    // The stream doesn't say why: a question that would be refused for the same reason does.
    await call("GET", "me", { background: true, quiet }).catch(() => {});
    if (!over) timer = setTimeout(open, pause);
    pause = Math.min(2 * pause, WORST);
  };
  const open = () => {
    source = new EventSource(`/api/v1/${path}`);
    source.addEventListener("open", () => {
      pause = 1000;
      down(false);
    });
    source.addEventListener("error", lost);
    for (const [name, f] of Object.entries(on)) {
      source.addEventListener(name, (e) => {
        const data = parse(e.data);
        if (data) f(data);
      });
    }
  };
  open();
  return () => {
    over = true;
    clearTimeout(timer);
    source.close();
  };
}

// said is what a host or the gate said beyond the words for it: its own words, which are English, as a quotation.
export const said = (detail, most = 300) => (detail ? parts("problem.detail", { detail: el("bdi", { lang: "en" }, clean(detail, most)) }) : "");

// why is what keeps a session from being viewed, as a pair.
export const why = (reason) => pair(has(`why.${reason}`) ? `why.${reason}` : "why.unknown");
