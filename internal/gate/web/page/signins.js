// Where somebody is signed in, and the way to end that.

import { clean } from "../../../viewer/page/text.js";
import { pair, t } from "../../../viewer/page/words.js";
import { call } from "./api.js";
import { button, el, field, status } from "./dom.js";
import { when } from "./format.js";

const PROOF = "/signin/oidc?again=1&next=%2Fme"; // where the provider asks who it is though it knows

export class SignIns {
  #method;
  #said = status();
  #list = el("div");
  #title = el("h2", { tabindex: "-1" }, t("signins.title"));
  #all = { signins: [], whole: true };
  #stop = new AbortController();
  #dialog = null;

  constructor(method) {
    this.#method = method;
    this.element = el("section.signins", {}, this.#title, this.#said, this.#list);
    this.#load();
  }

  close() {
    this.#stop.abort();
    this.#dialog?.remove();
  }

  async #load() {
    try {
      this.#all = await call("GET", "me/signins", { signal: this.#stop.signal });
    } catch (problem) {
      if (!this.#stop.signal.aborted) this.#say(problem.words());
      return;
    }
    const places = this.#all.signins ?? [];
    const others = places.some((place) => !place.current) || !this.#all.whole;
    this.#list.replaceChildren(...[
      places.length > 0 && this.#table(places),
      !others && el("p.empty", {}, t("signins.only")),
      !this.#all.whole && el("p.quiet", {}, t("signins.more")),
      others && el("div.actions", {}, button("button.danger", t("signins.endOthers"), () => this.#ask(null))),
    ].filter(Boolean));
  }

  #table(places) {
    const titles = ["signins.browser", "signins.from", "signins.since", "signins.seen", "sessions.action"].map((key) => t(key));
    const cell = (i, ...content) => el("td", { role: "cell", "data-label": titles[i] }, el("div", {}, ...content));
    const rows = places.map((place) => el("tr", { role: "row" },
      cell(0, el("bdi", {}, browser(place)), " ", place.current && el("span.tag", {}, t("signins.this"))),
      cell(1, el("bdi", {}, clean(place.from))), cell(2, when(place.since)), cell(3, when(place.seen)),
      cell(4, !place.current && button("button", t("signins.end"), () => this.#ask(place),
        { "aria-label": t("signins.endOne", { browser: browser(place), address: place.from ?? "" }) }))));
    return el("div.scroll", { role: "region", "aria-label": t("signins.title"), tabindex: "0" }, el("table", { role: "table" },
      el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, titles.map((title) => el("th", { scope: "col", role: "columnheader" }, title)))),
      el("tbody", { role: "rowgroup" }, rows)));
  }

  // #ask asks whether a place is to be ended, or all others if it is null, and for what shows that it is their owner who wants it.
  #ask(place) {
    const proof = this.#all.proof;
    const said = status("div.said");
    const password = proof === "password" && el("input", { type: "password", autocomplete: "current-password", required: true, maxlength: "1024" });
    const send = el("button.danger", { type: "submit" }, t(place ? "signins.end" : "signins.endOthers"));
    const form = el("form", { method: "dialog", onsubmit: (e) => (e.preventDefault(), end()) },
      password && field(t("signin.password"), password),
      el("div.actions", {}, button("button", t("signins.cancel"), () => dialog.close()),
        proof === "oidc" ? el("a.button.primary", { href: PROOF }, t("signins.again")) : send));
    const title = el("h2", { id: "signins-title" }, t(place ? "signins.confirm.one" : "signins.confirm.others"));
    const dialog = el("dialog.ask", { "aria-labelledby": "signins-title", onclose: () => dialog.remove() }, title,
      place && el("p", {}, t("signins.at", { browser: browser(place), address: place.from ?? "" })),
      el("p", {}, t("signins.confirm.text")),
      this.#method === "header" && el("p.quiet", {}, t("signins.header")),
      proof === "oidc" && el("p", {}, t("signins.prove")), said, form);
    const end = async () => {
      send.disabled = true;
      try {
        const body = place ? { id: place.id } : { others: true };
        if (password) body.password = password.value;
        await call("POST", "me/signins/end", { body, signal: this.#stop.signal });
      } catch (problem) {
        if (this.#stop.signal.aborted) return;
        send.disabled = false;
        const [strong, text] = password && problem.reason === "prove_again" ? pair("signins.wrong") : problem.words();
        said.replaceChildren(el("p.strong", {}, strong), el("p", {}, text));
        if (password) password.value = "";
        (password || send).focus();
        return;
      }
      dialog.close();
      this.#say([t("signins.ended"), ""]);
      await this.#load();
      this.#title.focus();
    };
    this.#dialog = dialog;
    document.body.append(dialog);
    dialog.showModal();
  }

  #say([title, text]) {
    this.#said.textContent = text ? `${title}. ${text}` : title;
  }
}

function browser(place) {
  const name = clean(place.browser) || t("signins.unknown");
  return place.system ? t("signins.on", { browser: name, system: clean(place.system) }) : name;
}
