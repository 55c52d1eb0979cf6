// Signing in: by name and password, or at the organisation's identity provider.

import { clean } from "../../../viewer/page/text.js";
import { pair, t } from "../../../viewer/page/words.js";
import { call } from "./api.js";
import { el, field, status } from "./dom.js";

// local is where to go after signing in: a path of this console, whatever the address says.
export function local(next) {
  const within = /^\/(?![/\\])/;
  if (!next || !within.test(next)) return "/";
  const url = new URL(next, location.origin); // which makes //evil.example of /.//evil.example
  return url.origin === location.origin && within.test(url.pathname) && !url.pathname.startsWith("/signin") ? url.pathname + url.search : "/";
}

export class SignIn {
  #next;
  #said = status("div.said");
  #timer = 0;
  #name = el("input", { name: "username", autocomplete: "username", required: true, maxlength: "256", autocapitalize: "none", spellcheck: "false" });
  #password = el("input", { name: "password", type: "password", autocomplete: "current-password", required: true, maxlength: "1024" });
  #shown = el("input", { type: "checkbox", id: "shown", onchange: () => (this.#password.type = this.#shown.checked ? "text" : "password") });
  #submit = el("button.primary", { type: "submit" }, t("signin.send"));
  #ways = el("div");

  constructor({ params, navigate }) {
    this.title = t("signin.title");
    this.#next = local(params.get("next"));
    this.navigate = navigate;
    this.element = el("div.card.signin", {}, el("h1", { tabindex: "-1" }, this.title), this.#said, this.#ways);
    const error = params.get("error");
    if (error) this.#say(pair({ provider: "signin.oidc_down", refused: "signin.oidc_refused", clock: "signin.clock", exit: "signin.oidc_exit" }[error] ?? "signin.oidc_failed"));
    this.#load();
  }

  close() {
    clearInterval(this.#timer);
  }

  async #load() {
    let ways;
    try {
      ways = await call("GET", "signin", { quiet: true });
    } catch (problem) {
      this.#say(problem.words());
      this.#ways.replaceChildren(el("div.actions", {}, el("button", { type: "button", onclick: () => location.reload() }, t("signin.again"))));
      return;
    }
    const methods = ways.methods ?? [];
    if (methods.includes("header")) {
      // Whoever gets here is signed in by the proxy in front, or never will be.
      const signedIn = await call("GET", "me", { quiet: true }).then(() => true, () => false);
      if (signedIn) return this.navigate(this.#next, true);
      if (methods.length === 1) this.#say(pair("signin.header"));
    }
    const parts = [];
    if (methods.includes("oidc")) {
      const href = `/signin/oidc?next=${encodeURIComponent(this.#next)}`;
      parts.push(el("a.button.primary", { href }, t("signin.oidc", { provider: clean(ways.oidc?.label) || "OpenID" })));
    }
    if (methods.includes("oidc") && methods.includes("password")) parts.push(el("p.or", {}, t("signin.or")));
    if (methods.includes("password")) parts.push(el("form", { method: "post", onsubmit: (e) => (e.preventDefault(), this.#send()) },
      field(t("signin.name"), this.#name), field(t("signin.password"), this.#password),
      el("p.check", {}, this.#shown, el("label", { for: "shown" }, t("signin.show"))), el("div.actions", {}, this.#submit)));
    this.#ways.replaceChildren(...parts);
    if (methods.includes("password") && !methods.includes("oidc")) this.#name.focus();
  }

  async #send() {
    this.#submit.disabled = true;
    this.#shown.checked = false;
    this.#password.type = "password";
    try {
      await call("POST", "signin", { body: { name: this.#name.value, password: this.#password.value }, quiet: true });
      this.navigate(this.#next, true);
    } catch (problem) {
      this.#submit.disabled = false;
      if (problem.status === 429) return this.#wait(problem.retryAfter);
      this.#say(problem.status === 401 ? pair("signin.wrong") : problem.words());
      this.#password.value = "";
      this.#password.focus();
    }
  }

  // #wait says how long no name is taken.
  #wait(seconds) {
    const until = performance.now() + (seconds || 60) * 1000;
    this.#say(pair("problem.often"));
    const tick = () => {
      const left = Math.ceil((until - performance.now()) / 1000);
      this.#submit.disabled = left > 0;
      this.#submit.textContent = left > 0 ? t("signin.sendIn", { seconds: left }) : t("signin.send");
      if (left <= 0) clearInterval(this.#timer);
    };
    clearInterval(this.#timer);
    this.#timer = setInterval(tick, 200);
    tick();
  }

  #say([title, text]) {
    this.#said.replaceChildren(el("p.strong", {}, title), el("p", {}, text));
  }
}
