// One view: the picture, how it is shown, who views and since when, and how it ended.

import { clean, isolate } from "../../../viewer/page/text.js";
import { endWords, has, pair, parts, t } from "../../../viewer/page/words.js";
import { call, listen } from "./api.js";
import { monitorName } from "./ask.js";
import { button, el, named } from "./dom.js";
import { duration, number, when } from "./format.js";
import { may, rowId } from "./sessions.js";
import { Stage } from "./stage.js";

const CHECK = 5000; // ms between looks at the shadow and its latency
const PATIENCE = 30; // seconds that a host keeps a lost view, unless it says otherwise

export class View {
  #id;
  #where; // the host, by the address or the answer to the question; undefined: the gate knows which is one's own
  #about = {}; // what is known of the shadow: host, session, user, admin, since, paused
  #connection = null;
  #stage;
  #stop = () => {}; // of the events
  #timers = [];
  #state = "connecting";
  #closed = false;
  #liveSince = 0;

  constructor({ me, id, params, navigate }) {
    this.me = me;
    this.navigate = navigate;
    this.#id = id;
    this.title = t("view.title");
    const stored = JSON.parse(sessionStorage.getItem(`view ${id}`) ?? "{}");
    this.#where = params.get("host") ?? stored.host;
    if (stored.host === this.#where) this.#about = stored;
    this.#stage = new Stage(t("view.stage"));
    this.#bar.append(el("a.back", { href: "/" }, t("view.back")), this.#heading, this.#badge, this.#facts, this.#tools);
    this.element = el("section.view", {},
      this.#bar,
      el("div.frame", {}, this.#stage.element, this.#notice));
    this.#toolbar();
    this.#named();
    addEventListener("beforeunload", this.#leave);
    document.addEventListener("fullscreenchange", this.#fullScreened);
    this.element.addEventListener("pointerdown", (e) => this.#pressed(e), true);
    this.element.addEventListener("click", (e) => this.#blind && e.detail > 0 && (e.preventDefault(), e.stopPropagation()), true);
    this.#start();
  }
  #bar = el("header.bar");
  #blind = false; // what is being tapped on can't be seen
  #heading = el("h1", { tabindex: "-1" });
  #badge = el("p.badge", { role: "status" });
  #clock = el("span");
  #latency = el("span");
  #facts = el("p.facts", {}, this.#clock, this.#latency);
  #tools = el("div.tools", { role: "toolbar", "aria-label": t("view.tools") });
  #title = el("h2");
  #text = el("p.text");
  #more = el("div"); // which isn't read out: seconds, and what to do next
  #notice = el("div.over", {}, el("div", { role: "status" }, this.#title, this.#text), this.#more);
  #fit = button("button", t("view.fit"), () => this.#show("fit"));
  #full = button("button", t("view.1:1"), () => this.#show("full"));
  #screen = button("button", t("view.fullScreen"), () => this.#fullScreen());
  #halt = button("button.danger", t("view.stop"), () => this.#end());
  #monitor = el("select", { "aria-label": t("monitor.label"), hidden: true, onchange: () => this.#choose() });

  close() {
    this.#closed = true;
    this.#release();
    this.#connection?.close();
    removeEventListener("beforeunload", this.#leave);
    document.removeEventListener("fullscreenchange", this.#fullScreened);
  }

  #leave = () => this.#connection?.leave();
  #fullScreened = () => {
    this.#screen.textContent = t(document.fullscreenElement ? "view.leaveFullScreen" : "view.fullScreen");
    delete this.element.dataset.bar;
  };

  // #pressed shows the bar in full screen to who taps, for a finger doesn't hover, and hides it at the next tap
  // beside it. The tap that shows it does nothing else.
  #pressed({ pointerType, target }) {
    this.#blind = false;
    if (pointerType === "mouse" || !document.fullscreenElement) return;
    const seen = getComputedStyle(this.#bar).opacity !== "0", on = this.#bar.contains(target);
    this.#blind = on && !seen;
    if (on || !seen) return (this.element.dataset.bar = "shown");
    delete this.element.dataset.bar;
    if (this.#bar.contains(document.activeElement)) document.activeElement.blur();
  }

  #release() {
    this.#stop();
    this.#stop = () => {};
    this.#timers.forEach(clearInterval);
    this.#timers = [];
    this.#stage.close();
  }

  async #start() {
    this.#set("connecting");
    if (typeof WebSocket !== "function") return this.#over(pair("end.old browser"));
    // Whatever is known of the view, the WebSocket is tried, and at once: after a restart the gate knows a view by what only
    // that one carries, and says with its close reason what is wrong.
    const known = this.#look().then(() => this.#closed || this.#follow());
    const { Connection } = await import("../../../viewer/page/connection.js");
    if (this.#closed) return;
    const url = new URL(this.#at("/view"), location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    this.#connection = new Connection({
      target: this.#stage.target, url, patience: 1000 * PATIENCE,
      changed: (state, facts) => this.#changed(state, facts),
      resized: (width, height) => this.#resized(width, height),
    });
    known.then(() => this.#host()).then(({ reconnect }) => this.#connection.keptFor(1000 * (reconnect ?? PATIENCE)));
    this.#timers.push(setInterval(() => this.#tick(), 1000), setInterval(() => this.#check(), CHECK));
  }

  // #at is where something of the view is. It names the host, for another host may have a view of the same id.
  #at(path) {
    return `${path}/${encodeURIComponent(this.#id)}${this.#where ? `?host=${encodeURIComponent(this.#where)}` : ""}`;
  }

  // #look reads what is known of the shadow.
  async #look(options) {
    const shadow = await call("GET", this.#at("shadows"), options).catch(() => null);
    if (shadow) this.#know(shadow);
  }

  async #host() {
    const { hosts } = await call("GET", "hosts").catch(() => ({}));
    const host = hosts?.find(({ id }) => id === this.#about.host) ?? {};
    this.#about.hostname = host.name;
    this.#named();
    return host;
  }

  #know(shadow) {
    const { id, ...about } = shadow;
    Object.assign(this.#about, about);
    this.#about.paused = Boolean(shadow.paused);
    this.#named();
    this.#badges();
  }

  // #follow keeps to what the list says of this session.
  #follow() {
    if (!this.#about.host) return;
    const mine = `${this.#about.host}/${this.#about.session}`;
    const heard = ({ sessions }) => {
      const session = sessions?.find((row) => rowId(row) === mine);
      if (!session) return;
      this.#about.user = session.user;
      this.#monitors(session.monitors ?? []);
      if (session.shadow?.id === this.#id) this.#know({ ...session.shadow, user: session.user });
    };
    this.#stop = listen(`sessions/events?session=${encodeURIComponent(mine)}`, { snapshot: heard, change: heard }, undefined, true);
  }

  #named() {
    const { user, host, hostname } = this.#about;
    if (!host) return this.#heading.replaceChildren(t("view.title"));
    const at = hostname ?? host;
    this.#heading.replaceChildren(...parts("view.heading", { user: named(user), host: named(at) }));
    this.title = t("view.heading", { user: user ?? "", host: at });
    if (!this.#closed) document.title = this.title;
    this.#stage.label(t("view.screenOf", { user: user ?? "", host: at }));
  }

  #toolbar() {
    this.#tools.append(this.#fit, this.#full, this.#monitor, this.#screen, this.#halt);
    this.#screen.hidden = !document.fullscreenEnabled;
    this.#show("fit");
  }

  #show(how) {
    this.#stage.fit = how === "fit";
    this.#fit.setAttribute("aria-pressed", String(how === "fit"));
    this.#full.setAttribute("aria-pressed", String(how === "full"));
  }

  #fullScreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.element.requestFullscreen().catch(() => {});
  }

  #list = [];
  #size = [0, 0];

  #monitors(list) {
    if (JSON.stringify(list) === JSON.stringify(this.#list)) return;
    this.#list = list;
    this.#offer();
  }

  #resized(width, height) {
    this.#size = [width, height];
    this.#stage.size(width, height);
    this.#offer();
  }

  // #offer lets one of several monitors be chosen, if the picture is all of them.
  #offer() {
    const right = Math.max(0, ...this.#list.map((m) => m.x + m.width)), bottom = Math.max(0, ...this.#list.map((m) => m.y + m.height));
    const whole = this.#list.length > 1 && right === this.#size[0] && bottom === this.#size[1];
    this.#monitor.hidden = !whole;
    const chosen = this.#monitor.value;
    this.#monitor.replaceChildren(el("option", { value: "" }, t("monitor.all")), ...this.#list.map((m, i) => el("option", { value: m.name }, monitorName(m, i))));
    this.#monitor.value = whole && this.#list.some((m) => m.name === chosen) ? chosen : "";
    this.#choose();
  }

  #choose() {
    this.#stage.part = this.#list.find((m) => m.name === this.#monitor.value) ?? null;
  }

  #changed(state, { left, code, reason, seen }) {
    if (state === "live") {
      this.#liveSince ||= Date.now();
      this.#set("live");
      this.#stage.label();
      this.#look();
    }
    if (state === "connecting") this.#set("connecting");
    if (state === "away") {
      this.#set("away", pair("view.lost"));
      this.#more.replaceChildren(el("p.text", {}, t("view.left", { seconds: left })));
    }
    if (state === "ended") {
      if (reason === "sign_in") this.#look(); // which leads to signing in
      const silent = !seen && (code === 1005 || code === 1006);
      const facts = reason ? t("view.codeReason", { code, reason }) : t("view.code", { code });
      this.#over(silent ? pair("end.unreachable") : endWords({ code, reason }), facts, !reason || reason === "ended");
    }
  }

  #set(state, words) {
    this.#state = state;
    this.element.dataset.state = state;
    if (state === "connecting") words = [t("view.connecting"), ""];
    this.#notice.classList.toggle("unseen", !words); // what is said in it next is read out only if it was there
    this.#say(words);
    this.#more.replaceChildren();
    this.#badges();
  }

  // #say has words read out, unless they are there already.
  #say([title, text] = ["", ""]) {
    this.#title.hidden = !title;
    if (this.#title.textContent !== title) this.#title.textContent = title;
    if (this.#text.textContent !== text) this.#text.textContent = text;
  }

  #badges() {
    const paused = this.#state === "live" && this.#about.paused;
    const kind = paused ? "paused" : this.#state;
    const words = t(`badge.${kind}`);
    if (this.#badge.textContent !== words) this.#badge.textContent = words;
    this.element.dataset.kind = kind;
    const usable = this.#state === "live" || this.#state === "away" || this.#state === "connecting";
    for (const control of [this.#fit, this.#full, this.#screen, this.#halt]) control.disabled = !usable;
    this.#tick();
  }

  #tick() {
    const { admin, since } = this.#about;
    if (!this.#liveSince) return;
    if (this.#state !== "ended") this.#clock.replaceChildren(...parts("view.since", {
      admin: named(admin ?? this.me.name), time: when(since ?? this.#liveSince), length: duration((Date.now() - this.#liveSince) / 1000),
    }));
  }

  async #check() {
    if (this.#state !== "live") return this.#latency.replaceChildren();
    this.#look({ background: true, quiet: true }); // a view goes on when nobody has used the page for long
    if (this.#about.paused) return this.#latency.replaceChildren();
    const ms = await this.#connection.probe();
    if (ms !== null) this.#latency.textContent = t("view.latency", { ms: number(Math.round(ms)) });
  }

  async #end() {
    this.#halt.disabled = true;
    try {
      await call("DELETE", this.#at("shadows"));
    } catch (problem) {
      // A view that can't be stopped by asking ends with its connection.
      if (problem.status !== 404) this.#connection?.close();
      this.#over(pair("end.viewer_left"));
    }
  }

  async #over([title, text], facts = "", unsaid = false) {
    if (this.#state === "ended") return;
    this.#release();
    if (document.fullscreenElement) document.exitFullscreen();
    const hadFocus = this.element.contains(document.activeElement);
    const audit = may(this.me, "audit");
    const { host, session } = this.#about;
    const again = host && may(this.me, "shadow") && el("a.button.primary", { href: `/?ask=${encodeURIComponent(`${host}/${session}`)}` }, t("view.again"));
    this.#set("ended", [title, text]);
    this.#latency.replaceChildren();
    this.#more.replaceChildren(el("p.facts", {}, clean(facts, 200)), el("div.actions", {}, again, el("a.button", { href: "/" }, t("view.sessions")),
      audit && el("a.button", { href: `/${this.#life()}` }, t("view.whatHappened"))));
    if (hadFocus) this.#more.querySelector("a")?.focus();
    sessionStorage.removeItem(`view ${this.#id}`);
    document.title = `${title} ${isolate(clean(host))}`;
    if (unsaid && audit) this.#whatHappened();
  }

  // #life is where the audit of the view is: its host's, as far as that is known.
  #life() {
    const host = this.#where ?? this.#about.host;
    return `activity?shadow=${encodeURIComponent(this.#id)}${host ? `&host=${encodeURIComponent(host)}` : ""}`;
  }

  // #whatHappened reads from the audit why a view has ended that ended without a word.
  async #whatHappened() {
    const found = await call("GET", `${this.#life()}&type=ended&limit=1`).catch(() => null);
    const reason = found?.events?.[0]?.reason;
    if (!reason || !has(`end.${reason}`)) return;
    this.#say(pair(`end.${reason}`));
  }
}
