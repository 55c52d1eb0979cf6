// The sessions of all hosts, as they are now.

import { clean } from "../../../viewer/page/text.js";
import { parts, t } from "../../../viewer/page/words.js";
import { call, listen, said, why } from "./api.js";
import { Ask } from "./ask.js";
import { button, el, named, status } from "./dom.js";
import { number, when } from "./format.js";
import { List } from "./list.js";

// may reports whether anything that I am allowed includes a word of the access table.
export const may = (me, word) => (me.may ?? []).some((rule) => rule.may?.includes(word));

// rowId is a session's id among those of all hosts.
export const rowId = (session) => `${session.host}/${session.id}`;

export class Sessions {
  #all = new Map(); // by rowId; objects as the API has them, each in an Entry
  #sorted = []; // all of them in order; null: to be sorted
  #hosts = null; // by id; null: not known yet
  #words = []; // what is searched for
  #pending = 0;
  #arrived = false;
  #stop;
  #quiet; // timer: a search is announced when typing rests

  constructor({ me, params, replace, navigate }) {
    this.me = me;
    this.replace = replace;
    this.navigate = navigate;
    this.title = t("sessions.title");
    this.#search = el("input", {
      id: "search", type: "search", autocomplete: "off", spellcheck: "false", maxlength: "200",
      placeholder: t("sessions.search.hint"), "aria-label": t("sessions.search"),
      oninput: () => this.#searched(),
      onkeydown: (e) => e.key === "ArrowDown" && (e.preventDefault(), this.#list.focus()),
    });
    this.#search.value = params.get("q") ?? "";
    this.#words = terms(this.#search.value);
    this.#list = new List({
      label: t("sessions.title"),
      head: ["host", "user", "display", "state", "since", "action"].map((name) => t(`sessions.${name}`)),
      fill: (node, { session }) => this.#row(node, session),
      activate: ({ session }) => this.#open(session),
    });
    this.element = el("div.sessions", {},
      el("div.heading", {}, el("h1", { tabindex: "-1" }, this.title), this.#count, el("search", {}, this.#search)),
      this.#down, this.#notices, this.#said, this.#list.element, this.#empty);
    this.#asked = params.get("ask");
    this.#stop = listen("sessions/events", {
      snapshot: ({ sessions }) => this.#snapshot(sessions),
      change: ({ sessions }) => this.#change(sessions),
      gone: ({ ids }) => this.#gone(ids),
      hosts: (data) => this.#hostsAre(data.hosts ?? data),
    }, (down) => (this.#down.hidden = !down));
    call("GET", "hosts").then((data) => this.#hosts ?? this.#hostsAre(data.hosts), () => {}); // an event is newer
  }
  #search;
  #list;
  #asked; // of the address: whom to ask as soon as the list is there
  #ask = null;
  #count = el("p.count", { id: "count" });
  #down = el("p.notice.warn", { role: "status", hidden: true }, t("sessions.lost"));
  #notices = el("div", { role: "status" });
  #said = status("p.unseen");
  #empty = el("p.empty", { hidden: true });

  close() {
    this.#stop();
    this.#ask?.close();
    this.#list.close();
    clearTimeout(this.#quiet);
    cancelAnimationFrame(this.#pending);
  }

  #snapshot(sessions) {
    this.#all = new Map((sessions ?? []).map((session) => [rowId(session), new Entry(session)]));
    this.#sorted = null;
    this.#arrived = true;
    this.#render();
    this.#tellDialog();
    const asked = this.#asked && this.#all.get(this.#asked);
    this.#asked = null;
    if (asked) this.#dialog(asked.session);
  }

  #change(sessions) {
    for (const session of sessions ?? []) {
      const next = new Entry(session), old = this.#all.get(next.id);
      this.#all.set(next.id, next);
      if (!this.#sorted) continue;
      if (old?.key === next.key) this.#sorted[find(this.#sorted, next)] = next;
      else this.#sorted = null;
    }
    this.#later();
    this.#tellDialog();
  }

  #gone(ids) {
    for (const id of ids ?? []) this.#all.delete(id);
    this.#sorted = null;
    this.#later();
    this.#tellDialog();
  }

  #hostsAre(hosts) {
    this.#hosts = new Map((hosts ?? []).map((host) => [host.id, host]));
    const lost = [...this.#hosts.values()].filter((host) => host.state === "down");
    const shown = lost.slice(0, 3).map((host) => el("p.notice.warn", {}, parts("sessions.hostDown", { host: named(host.name ?? host.id) }),
      host.detail && el("span.detail", {}, " ", said(host.detail, 200))));
    if (lost.length > 3) shown.push(el("p.notice.warn", {}, t("sessions.hostsDown", { count: number(lost.length - 3) })));
    const crowded = [...this.#hosts.values()].filter((host) => host.crowded);
    shown.push(...crowded.slice(0, 3).map((host) => el("p.notice.warn", {}, parts("sessions.hostCrowded", { host: named(host.name ?? host.id) }))));
    if (crowded.length > 3) shown.push(el("p.notice.warn", {}, t("sessions.hostsCrowded", { count: number(crowded.length - 3) })));
    this.#tell(shown);
  }

  // #tell shows notices. Those that are there already stay: a region's new elements are read out.
  #tell(notices) {
    const there = [...this.#notices.children];
    const next = notices.map((one) => there.find((old) => old.isEqualNode(one)) ?? one);
    for (const old of there) if (!next.includes(old)) old.remove();
    next.forEach((one, i) => this.#notices.children[i] !== one && this.#notices.insertBefore(one, this.#notices.children[i] ?? null));
  }

  #later() {
    this.#pending ||= requestAnimationFrame(() => {
      this.#pending = 0;
      this.#render();
    });
  }

  #render() {
    if (!this.#arrived) return;
    this.#sorted ??= [...this.#all.values()].sort(byKey);
    const rows = this.#words.length ? this.#sorted.filter((row) => this.#words.every((word) => row.text.includes(word))) : this.#sorted;
    this.#list.show(rows);
    const all = number(this.#sorted.length);
    this.#count.textContent = this.#words.length ? t("sessions.found", { count: number(rows.length), all }) : t("sessions.count", { count: all });
    this.#empty.hidden = rows.length > 0;
    this.#list.element.hidden = rows.length === 0;
    if (!rows.length) this.#empty.replaceChildren(...(this.#words.length
      ? [t("sessions.nothing"), " ", button("button", t("sessions.all"), () => this.#clear())]
      : [t("sessions.none")]));
  }

  #searched() {
    this.#words = terms(this.#search.value);
    this.#render();
    clearTimeout(this.#quiet);
    this.#quiet = setTimeout(() => {
      this.replace({ q: this.#search.value.trim() });
      this.#said.textContent = this.#count.textContent;
    }, 400);
  }

  #clear() {
    this.#search.value = "";
    this.#searched();
    this.#search.focus();
  }

  #row(node, session) {
    const { title, kind } = condition(session);
    const cell = (name, label, ...content) => el(`div.cell.${name}`, { role: "gridcell", "data-label": t(`sessions.${label}`) }, ...content);
    const action = isMine(session) ? "sessions.return" : session.shadowable && may(this.me, "shadow") ? "sessions.ask" : "sessions.details";
    node.replaceChildren(
      cell("host", "host", named(session.hostname ?? session.host)),
      cell("user", "user", session.user ? named(session.user) : el("span.quiet", {}, t("sessions.nobody"))),
      cell("display", "display", named(session.display), " ", el("span.quiet", {}, named(session.id))),
      cell("state", "state", el(`span.is.${kind}`, {}, title)),
      cell("since", "since", when(session.since)),
      cell("action", "action", el(action === "sessions.details" ? "button" : "button.primary", { type: "button", tabindex: "-1" }, t(action))),
    );
  }

  #open(session) {
    if (isMine(session)) return this.navigate(`/view/${encodeURIComponent(session.shadow.id)}?host=${encodeURIComponent(session.host)}`);
    this.#dialog(session);
  }

  #dialog(session) {
    this.#ask?.close();
    this.#ask = new Ask({
      session, me: this.me, host: this.#hosts?.get(session.host) ?? {},
      navigate: (path) => this.navigate(path),
      closed: () => {
        this.#ask = null;
        this.#list.focus();
      },
    });
    this.element.append(this.#ask.element);
    this.#ask.show();
  }

  #tellDialog() {
    if (this.#ask) this.#ask.update(this.#all.get(rowId(this.#ask.session))?.session ?? null);
  }
}

// isMine reports whether this browser views a session, or may return to it.
const isMine = ({ shadow }) => shadow?.mine && ["granted", "viewing", "away"].includes(shadow.state);

// condition is how a session is, in words, and of which kind that is.
export function condition(session) {
  const shadow = session.shadow;
  if (shadow) {
    const admin = named(shadow.admin);
    const by = shadow.mine ? "mine" : "other";
    const state = shadow.paused ? "paused" : { viewing: "viewing", away: "away" }[shadow.state] ?? "asking";
    return { title: parts(`state.${state}.${by}`, { admin }), kind: "busy" };
  }
  if (session.shadowable) return { title: [t("state.free")], kind: "free" };
  return { title: [why(session.reason)[0]], kind: "shut" };
}

const terms = (text) => text.toLowerCase().split(/\s+/).filter(Boolean);

// An Entry is a session with what it is sorted and searched by.
class Entry {
  #text = null;

  constructor(session) {
    this.session = session;
    this.id = rowId(session);
    this.key = names(session).join("\0").toLowerCase();
  }

  // text is what a search looks at. It is made when the first search does.
  get text() {
    if (this.#text === null) {
      const state = condition(this.session).title.map((part) => (typeof part === "string" ? part : part.textContent));
      this.#text = [...names(this.session).map((name) => clean(name)), state.join("")].join("\n").toLowerCase();
    }
    return this.#text;
  }
}

const names = (session) => [session.hostname ?? session.host, session.user, session.display, session.id];

const byKey = (a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.id < b.id ? -1 : a.id > b.id ? 1 : 0);

// find is where a row is in sorted rows.
function find(sorted, row) {
  let low = 0, high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (byKey(sorted[middle], row) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
