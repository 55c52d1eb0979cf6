// What has happened: the audit of all hosts, filtered, and the life of one shadow.

import { clean } from "../../../viewer/page/text.js";
import { has, pair, parts, t } from "../../../viewer/page/words.js";
import { call, listen, said } from "./api.js";
import { button, el, field, named, status } from "./dom.js";
import { duration, moment, number, size, when } from "./format.js";

const TYPES = ["requested", "prompted", "granted", "refused", "connected", "rejected", "away", "returned", "paused", "resumed", "changed", "ended"];
const FILTERS = ["q", "admin", "user", "host", "type", "since", "until"];
const PAGE = 100; // events at a time
const REST = 2000; // ms between looks for new events

export class Activity {
  #params;
  #events = [];
  #next = ""; // cursor of older events
  #stop = () => {};
  #timer = 0;
  #asked = 0; // number of the last question; what answers another is dropped
  #rows = el("tbody", { role: "rowgroup" });
  #said = status("p.count");
  #more = button("button", t("activity.more"), () => this.#older());
  #inputs = {};
  #known = new Map(); // rows by event

  constructor({ params, navigate, me }) {
    this.me = me;
    this.navigate = navigate;
    this.#params = params;
    this.#life = params.get("shadow");
    this.title = t(this.#life ? "activity.life" : "activity.title");
    const heading = this.#life ? el("h1", { tabindex: "-1" }, this.title, " ", el("code", {}, clean(this.#life))) : el("h1", { tabindex: "-1" }, this.title);
    const titles = ["time", "event", "admin", "user", "host", "details"].map((key) => t(`activity.${key}`));
    this.element = el("div.activity", {}, el("div.heading", {}, heading, this.#said),
      this.#life ? el("p", {}, el("a", { href: "/activity" }, t("activity.all"))) : this.#form(),
      el("p.links", {}, this.#download("csv", t("activity.csv")), this.#download("jsonl", t("activity.jsonl"))),
      el("div.scroll", { role: "region", "aria-label": this.title, tabindex: "0" }, el("table", { role: "table" },
        el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, titles.map((title) => el("th", { scope: "col", role: "columnheader" }, title)))),
        this.#rows)),
      el("div.actions", {}, this.#more));
    this.#more.hidden = true;
    this.#load();
    if (!params.get("until")) this.#stop = listen("events", Object.fromEntries([...TYPES, "message", "left_out"].map((type) => [type, () => this.#later()])));
  }
  #life;

  close() {
    this.#stop();
    this.#asked = -1;
    clearTimeout(this.#timer);
  }

  #form() {
    const input = (key, attributes = {}) => {
      const value = this.#params.get(key) ?? "";
      const control = key === "type"
        ? el("select", {}, el("option", { value: "" }, t("activity.anyType")), TYPES.map((type) => el("option", { value: type, selected: type === value }, t(`event.${type}`))))
        : el("input", { autocomplete: "off", spellcheck: "false", maxlength: "200", value: attributes.type ? toLocal(value) : value, ...attributes });
      this.#inputs[key] = control;
      return field(t(`filter.${key}`), control);
    };
    const chosen = FILTERS.some((key) => this.#params.get(key));
    const form = el("form.filters", { onsubmit: (e) => (e.preventDefault(), this.#apply()) },
      input("q", { type: "search" }), input("admin"), input("user"), input("host"), input("type"),
      input("since", { type: "datetime-local" }), input("until", { type: "datetime-local" }),
      el("div.actions", {}, el("button.primary", { type: "submit" }, t("filter.apply")),
        chosen && el("a.button", { href: "/activity" }, t("filter.clear"))));
    const roomy = matchMedia("(min-width: 40rem) and (min-height: 30rem)").matches;
    return el("details", { open: chosen || roomy }, el("summary", {}, t("filter.title")), form);
  }

  #apply() {
    const params = new URLSearchParams();
    for (const key of FILTERS) {
      const value = this.#inputs[key].value.trim();
      if (value) params.set(key, key === "since" || key === "until" ? new Date(value).toISOString() : value);
    }
    this.navigate(`/activity${params.size ? `?${params}` : ""}`);
  }

  #query(more = {}) {
    const query = new URLSearchParams();
    for (const key of [...FILTERS, "shadow"]) if (this.#params.get(key)) query.set(key, this.#params.get(key));
    for (const [key, value] of Object.entries(more)) query.set(key, value);
    return `activity?${query}`;
  }

  #download(format, label) {
    return el("a", { href: `/api/v1/${this.#query({ format })}`, download: `activity.${format}` }, label);
  }

  // #later looks for new events, not more often than each REST.
  #later() {
    this.#timer ||= setTimeout(() => {
      this.#timer = 0;
      this.#load({ background: true });
    }, this.#events.length ? REST : 0);
  }

  async #load(options) {
    const asked = ++this.#asked;
    try {
      const { events, next } = await call("GET", this.#query({ limit: PAGE }), options);
      if (asked !== this.#asked) return;
      // Older pages that have been read stay.
      const fresh = events ?? [];
      const last = fresh.at(-1);
      const at = last ? this.#events.findIndex((event) => same(event, last)) : -1;
      if (at < 0) this.#next = next ?? "";
      this.#events = at < 0 ? fresh : [...fresh, ...this.#events.slice(at + 1)];
      this.#render();
    } catch (problem) {
      if (asked === this.#asked) this.#failed(problem);
    }
  }

  async #older() {
    const asked = ++this.#asked;
    try {
      const { events, next } = await call("GET", this.#query({ limit: PAGE, before: this.#next }));
      if (asked !== this.#asked) return;
      this.#events.push(...(events ?? []));
      this.#next = next ?? "";
      this.#render();
    } catch (problem) {
      if (asked === this.#asked) this.#failed(problem);
    }
  }

  #failed(problem) {
    this.#said.textContent = problem.words?.().join(". ") ?? t("problem.gate");
  }

  #render() {
    const events = this.#life ? [...this.#events].reverse() : this.#events;
    const rows = new Map();
    for (const event of events) {
      const key = `${event.host} ${event.time} ${event.id} ${event.type}`;
      rows.set(key, this.#known.get(key) ?? this.#row(event));
    }
    this.#known = rows;
    for (const row of [...this.#rows.children]) if (![...rows.values()].includes(row)) row.remove();
    let before = this.#rows.firstChild;
    for (const row of rows.values()) {
      if (row === before) before = before.nextSibling;
      else this.#rows.insertBefore(row, before);
    }
    this.#more.hidden = !this.#next;
    const words = events.length ? t("activity.count", { count: number(events.length) }) : t("activity.none");
    if (this.#said.textContent !== words) this.#said.textContent = words;
  }

  #row(event) {
    const cell = (key, ...content) => el("td", { role: "cell", "data-label": t(`activity.${key}`) }, el("div", {}, ...content));
    const life = !this.#life && event.id;
    const what = t(has(`event.${event.type}`) ? `event.${event.type}` : "event.other");
    return el(`tr.${TYPES.includes(event.type) ? event.type : "other"}`, { role: "row" },
      cell("time", el("time", { datetime: event.time, title: moment(event.time) }, when(event.time, true))),
      cell("event", life ? el("a", { href: `/activity?shadow=${encodeURIComponent(event.id)}` }, what) : what),
      cell("admin", named(event.admin)),
      cell("user", named(event.user)),
      cell("host", named(event.hostname ?? event.host), event.session && el("span.quiet", {}, " ", named(event.session))),
      cell("details", ...details(event)));
  }
}

const same = (a, b) => a.time === b.time && a.id === b.id && a.type === b.type && a.host === b.host;

// toLocal is a time as an input of type datetime-local wants it.
function toLocal(time) {
  const date = new Date(time || NaN);
  if (Number.isNaN(date.getTime())) return "";
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

// details are what an event says beyond who and where, each in a line of its own.
function details(event) {
  const lines = [];
  if (event.purpose) lines.push(parts("detail.purpose", { purpose: named(event.purpose, 200) }));
  if (event.reason) {
    const key = [`${event.type === "ended" ? "end" : "why"}.${event.reason}`, `why.${event.reason}`].find(has);
    lines.push(key ? pair(key)[0] : said(event.reason));
  }
  if (event.consent && has(`basis.${event.consent}`) && event.type === "granted") lines.push(t(`basis.${event.consent}`));
  if (event.rule && event.rule !== "none") lines.push(t("detail.rule", { rule: event.rule }));
  if (event.viewer) lines.push(parts("detail.from", { address: named(event.viewer) }));
  else if (event.client) lines.push(parts("detail.from", { address: named(event.client) }));
  if (event.seconds) lines.push(t("detail.seconds", { length: duration(event.seconds) }));
  if (event.sent) lines.push(t("detail.sent", { size: size(event.sent) }));
  if (event.dropped) lines.push(t("detail.dropped", { count: number(event.dropped) }));
  if (event.ended_by?.user) lines.push(parts("detail.endedBy", { user: named(event.ended_by.user) }));
  if (event.detail) lines.push(el("span.quiet", {}, said(event.detail)));
  return lines.map((line) => el("div", {}, line));
}
