// The page of a granted port: it connects noVNC to its own origin, with the token from the
// fragment, shows the session fitted, and says in words what ended it. When the connection is
// lost it comes back by itself for as long as the host keeps the view.

import RFB from "@novnc/novnc";
import { endWords, missing, unreachable } from "./words.js";

const RETRY = 1000; // ms between attempts to come back
const token = new URLSearchParams(`token=${location.hash.slice(1)}`).get("token");
const patience = Number(document.body.dataset.reconnect ?? 0) * 1000; // ms that the host keeps a lost view

const $ = (id) => document.getElementById(id);
let socket = null;
let seen = false; // there has been a picture
let lost = 0; // when the connection was lost; 0: it isn't
let timer = 0;

function show(state, title = "", text = "", facts = "") {
  document.body.dataset.state = state;
  $("title").textContent = title;
  $("text").textContent = text;
  $("facts").textContent = facts;
}

function connect() {
  const url = new URL("websockify", location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  url.hash = "";
  url.searchParams.set("token", token);
  // The WebSocket is made here: noVNC doesn't tell how a connection was closed.
  socket = new WebSocket(url, ["binary"]);
  const mine = socket;
  mine.addEventListener("close", (e) => { if (socket === mine) closed(e); });
  const rfb = new RFB($("view"), mine);
  rfb.viewOnly = true;
  rfb.scaleViewport = true;
  rfb.background = "transparent";
  rfb.addEventListener("connect", () => {
    seen = true;
    lost = 0;
    $("view").querySelector("canvas")?.setAttribute("aria-label", "The shared screen");
    show("live");
  });
  rfb.addEventListener("desktopname", (e) => { document.title = e.detail.name || "A view"; });
}

function closed(event) {
  socket = null;
  $("view").replaceChildren();
  // Whoever ended the view on purpose says why. A lost connection says nothing.
  const silent = event.code === 1006 || event.code === 1005;
  if (!silent || (!seen && patience === 0)) {
    ended(silent ? unreachable : endWords(event), event);
    return;
  }
  lost ||= performance.now();
  const left = Math.ceil((lost + patience - performance.now()) / 1000);
  if (left <= 0) {
    ended(seen ? endWords(event) : unreachable, event);
    return;
  }
  show("away", "The connection was lost", `Coming back … The host keeps this view for ${left} s.`);
  timer = setTimeout(connect, RETRY);
}

function ended([title, text], event) {
  document.title = title;
  const said = event?.reason ? `, ${event.reason}` : "";
  show("ended", title, text, event ? `Close code ${event.code}${said}` : "");
}

// A reload asks the host for this page before it closes the old connection, which is in the
// way: the port takes one viewer. So the connection goes first, and has a moment to be gone.
addEventListener("beforeunload", () => {
  clearTimeout(timer);
  const mine = socket;
  if (!mine) return;
  socket = null;
  mine.close(4000, "reload");
  for (const until = performance.now() + 150; performance.now() < until;);
});
addEventListener("pageshow", (e) => { if (e.persisted) location.reload(); });

if (token) connect();
else ended(missing);
