// Asking a session's user: why, for which monitor, the user's time, and the answer in words.

import { pair, parts, t } from "../../../viewer/page/words.js";
import { call, said, why } from "./api.js";
import { button, el, field, named, status } from "./dom.js";
import { may } from "./sessions.js";

const TIME = 20; // seconds that the user has, unless the host says otherwise

export class Ask {
  #host;
  #closed;
  #navigate;
  #request = null; // AbortController while the user is asked
  #timer = 0;
  #since = 0; // when the question was put
  #state = "";

  // session is a row, or one that can't be viewed: then the dialog says why.
  constructor({ session, me, host, navigate, closed }) {
    Object.assign(this, { session });
    this.#host = host;
    this.#navigate = navigate;
    this.#closed = closed;
    this.#allowed = may(me, "shadow");
    this.#purpose.maxLength = 200;
    this.element = el("dialog.ask", {
      "aria-labelledby": "ask-title",
      oncancel: () => this.#takeBack(),
      onclose: () => this.#over(),
    }, el("h2", { id: "ask-title" }, parts("ask.title", this.#names())), this.#said, this.#body);
    this.#first();
  }
  #allowed;
  #there = true; // in the list
  #purpose = el("textarea", { rows: "2", autocomplete: "off" });
  #monitor = el("select");
  #said = status("div.said");
  #body = el("div");
  #seconds = el("span.number", { "aria-hidden": "true" });
  #bar = el("progress", { "aria-label": t("ask.left") });

  show() {
    this.element.showModal();
    import("../../../viewer/page/connection.js").catch(() => {}); // to have it when the user has said Yes
  }

  close() {
    this.element.close();
  }

  // update takes what the list says of the session; null: it has gone.
  update(session) {
    this.#there = Boolean(session);
    if (!session && this.#state !== "asking") return this.#refused(pair("why.session_ended"), "", "", 0);
    if (!session) return;
    const before = this.session;
    this.session = session;
    if (this.#state === "asking" && prompting(session) && !prompting(before)) this.#restart();
    if (["form", "shut"].includes(this.#state) && (before.shadowable !== session.shadowable || before.reason !== session.reason)) this.#first();
    if (this.#state === "form") this.#watched();
  }

  #names() {
    return { user: this.session.user ? named(this.session.user) : el("span", {}, t("sessions.nobody")), host: named(this.session.hostname ?? this.session.host) };
  }

  #first() {
    if (!this.session.shadowable) return this.#shut(why(this.session.reason), this.session.detail);
    if (!this.#allowed) return this.#shut(pair("why.not_permitted"), "");
    this.#form();
  }

  #shut([title, text], detail) {
    this.#set("shut");
    this.#say(title, text, said(detail));
    this.#body.replaceChildren(el("div.actions", {}, button("button", t("ask.close"), () => this.close())));
  }

  #form() {
    this.#set("form");
    const policy = this.#host.purpose ?? "optional";
    this.#purpose.required = policy === "required";
    const monitors = this.session.monitors ?? [];
    const choice = [el("option", { value: "" }, t("monitor.all")), ...monitors.map((monitor, i) => el("option", { value: monitor.name }, monitorName(monitor, i)))];
    this.#monitor.replaceChildren(...choice);
    const form = el("form", { method: "dialog", onsubmit: (e) => (e.preventDefault(), this.#send()) },
      field(t(policy === "required" ? "ask.purpose.required" : "ask.purpose"), this.#purpose, t(policy === "hidden" ? "ask.purpose.hidden" : "ask.purpose.hint")),
      monitors.length > 1 && field(t("monitor.label"), this.#monitor),
      el("div.actions", {}, button("button", t("ask.close"), () => this.close()), el("button.primary", { type: "submit" }, t("ask.send"))));
    this.#body.replaceChildren(form);
    this.#watched();
  }

  // #watched says who would be disconnected by a Yes.
  #watched() {
    const shadow = this.session.shadow;
    if (shadow && ["viewing", "away"].includes(shadow.state) && !shadow.mine) {
      this.#said.replaceChildren(el("p", {}, parts("ask.replaces", { admin: named(shadow.admin) })));
    } else this.#said.replaceChildren(el("p", {}, t("ask.explain")));
  }

  async #send() {
    if (this.#request) return;
    const request = (this.#request = new AbortController());
    this.#asking();
    const body = { host: this.session.host, session: this.session.id };
    if (this.#purpose.value.trim()) body.purpose = this.#purpose.value.trim();
    if (this.#monitor.value) body.monitor = this.#monitor.value;
    try {
      const grant = await call("POST", "shadows", { body, signal: request.signal });
      if (request.signal.aborted) return;
      this.#request = null;
      sessionStorage.setItem(`view ${grant.id}`, JSON.stringify({ ...body, user: this.session.user }));
      this.#leaving = true;
      this.close();
      this.#navigate(grant.view ?? `/view/${encodeURIComponent(grant.id)}`);
    } catch (problem) {
      if (request.signal.aborted) return;
      this.#request = null;
      this.#refused(problem.words?.() ?? pair("problem.gate"), problem.reason, said(problem.detail), problem.retryAfter);
    }
  }
  #leaving = false;

  #asking() {
    this.#set("asking");
    this.#say(parts("ask.asking", this.#names()), t("ask.asking.text"));
    const back = button("button", t("ask.cancel"), () => this.#takeBack());
    this.#body.replaceChildren(el("div.countdown", {}, this.#seconds, this.#bar), el("div.actions", {}, back));
    back.focus();
    this.#restart();
  }

  // #restart begins the user's time anew: the question is on the screen now.
  #restart() {
    this.#since = performance.now();
    const time = this.#host.timeout ?? TIME;
    this.#bar.max = time;
    const tick = () => {
      const left = Math.max(0, time - (performance.now() - this.#since) / 1000);
      this.#bar.value = left;
      this.#seconds.textContent = left > 0 ? t("ask.seconds", { seconds: Math.ceil(left) }) : t("ask.waiting");
    };
    clearInterval(this.#timer);
    this.#timer = setInterval(tick, 200);
    tick();
  }

  #refused([title, text], reason, detail, wait) {
    this.#set("refused");
    this.#say(title, text, detail);
    const again = button("button.primary", t("ask.again"), () => this.#first());
    const close = button("button", t("ask.close"), () => this.close());
    const gone = ["", "session_ended", "no_session"].includes(reason) && !this.#there;
    this.#body.replaceChildren(el("div.actions", {}, close, !gone && again));
    (gone || wait ? close : again).focus();
    if (reason === "purpose_missing") {
      this.#host = { ...this.#host, purpose: "required" };
      this.#form();
      this.#say(title, text, detail);
      this.#purpose.setAttribute("aria-invalid", "true");
      this.#purpose.focus();
    } else if (wait) this.#delay(again, wait);
  }

  // #delay keeps a button from being pressed for a number of seconds, and counts them down.
  #delay(again, wait) {
    const until = performance.now() + wait * 1000;
    const tick = () => {
      const left = Math.ceil((until - performance.now()) / 1000);
      again.disabled = left > 0;
      again.textContent = left > 0 ? t("ask.againIn", { seconds: left }) : t("ask.again");
      if (left <= 0) clearInterval(this.#timer);
    };
    this.#timer = setInterval(tick, 200);
    tick();
  }

  #takeBack() {
    this.#request?.abort();
    this.#request = null;
    this.close();
  }

  #over() {
    this.#request?.abort();
    this.#request = null;
    clearInterval(this.#timer);
    this.element.remove();
    if (!this.#leaving) this.#closed();
  }

  #set(state) {
    clearInterval(this.#timer);
    this.#state = state;
    this.element.dataset.state = state;
    this.#purpose.removeAttribute("aria-invalid");
  }

  #say(title, ...texts) {
    this.#said.replaceChildren(el("p.strong", {}, title), ...texts.filter(Boolean).map((text) => el("p", {}, text)));
  }
}

// prompting reports whether a session's user has a question on the screen.
const prompting = ({ asking, shadow }) => (asking ?? shadow)?.state === "prompting";

// monitorName is a monitor in words.
export const monitorName = (monitor, i) =>
  t(monitor.primary ? "monitor.primary" : "monitor.one", { number: i + 1, name: monitor.name, width: monitor.width, height: monitor.height });
