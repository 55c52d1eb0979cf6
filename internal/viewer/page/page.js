// The page of a granted port: it connects noVNC to its own origin, with the token from the
// fragment, shows the session fitted, and says in words what ended it.

import { Connection } from "./connection.js";
import de from "./lang/de.json";
import en from "./lang/en.json";
import es from "./lang/es.json";
import fr from "./lang/fr.json";
import ja from "./lang/ja.json";
import zh from "./lang/zh.json";
import { clean } from "./text.js";
import { endWords, language, pair, t, use } from "./words.js";

const chosen = language(navigator.languages ?? []);
use(chosen, { en, de, fr, es, ja, zh }[chosen]);

const token = new URLSearchParams(`token=${location.hash.slice(1)}`).get("token");
const patience = Number(document.body.dataset.reconnect ?? 0) * 1000; // ms that the host keeps a lost view
const $ = (id) => document.getElementById(id);

// show says the words that are read out when they change, and others that are not.
function show(state, [title, text = ""], { left = "", facts = "" } = {}) {
  document.body.dataset.state = state;
  for (const [id, words] of Object.entries({ title, text, left, facts })) if ($(id).textContent !== words) $(id).textContent = words;
}

let name = ""; // of the desktop
let paused = false; // by the user

const MARK = " (paused by the user)"; // what the host puts behind the name then (pausing.go)

function named(text) {
  paused = text.endsWith(MARK);
  name = clean(paused ? text.slice(0, -MARK.length) : text);
  if (document.body.dataset.state === "live") live();
}

// live says what the picture is. Who can't see it hears so when it is paused, and when it is back.
function live() {
  const words = paused ? pair("view.paused") : [name || t("view.title")];
  document.title = paused ? `${words[0]} – ${name || t("view.title")}` : words[0];
  show("live", words);
  const canvas = $("view").querySelector("canvas");
  canvas?.setAttribute("role", "img");
  canvas?.setAttribute("aria-label", paused ? words[0] : t("view.screen"));
}

function changed(state, { left, code, reason, seen }) {
  if (state === "connecting") show("connecting", [t("view.connecting")]);
  if (state === "live") live();
  if (state === "away") show("away", pair("view.lost"), { left: t("view.left", { seconds: left }) });
  if (state === "ended") {
    const silent = !seen && (code === 1005 || code === 1006);
    const facts = reason ? t("view.codeReason", { code, reason }) : t("view.code", { code });
    ended(silent ? pair("end.unreachable") : endWords({ code, reason }), facts);
  }
}

function ended(words, facts) {
  document.title = words[0];
  show("ended", words, { facts });
}

function start() {
  document.title = t("view.title");
  if (!token) return ended(pair("end.token missing"));
  if (typeof WebSocket !== "function") return ended(pair("end.old browser"));
  const url = new URL("websockify", location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  url.hash = "";
  url.searchParams.set("token", token);
  const connection = new Connection({ target: $("view"), url, patience, changed, named });
  addEventListener("beforeunload", () => connection.leave());
  addEventListener("pageshow", (e) => e.persisted && location.reload());
}

start();
