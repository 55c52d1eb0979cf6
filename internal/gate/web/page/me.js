// Who I am here, and what I may.

import { t } from "../../../viewer/page/words.js";
import { clockOff } from "./api.js";
import { el, named } from "./dom.js";
import { duration, moment } from "./format.js";
import { SignIns } from "./signins.js";

export class Me {
  #signIns;

  constructor({ me }) {
    this.#signIns = me.method !== "token" && new SignIns(me.method);
    this.title = t("me.title");
    const fact = (key, ...value) => el("div", {}, el("dt", {}, t(`me.${key}`)), el("dd", {}, ...value));
    const list = (names) => (names?.length ? names.flatMap((name, i) => [i > 0 && ", ", named(name, 100)]) : ["–"]);
    this.element = el("div.me", {}, el("h1", { tabindex: "-1" }, this.title),
      el("dl.facts", {},
        fact("name", named(me.name, 256)), me.full_name && fact("fullName", named(me.full_name, 256)),
        fact("groups", ...list(me.groups)),
        fact("method", t(`method.${["password", "oidc", "header", "token"].includes(me.method) ? me.method : "other"}`)),
        moment(me.since) && fact("since", moment(me.since)), moment(me.expires) && fact("expires", moment(me.expires))),
      clockOff() > 0 && el("p.notice.warn", {}, t("me.clock", { length: duration(clockOff()) })),
      el("h2", {}, t("me.may")),
      me.may?.length ? this.#table(me.may, list) : el("p.empty", {}, t("me.nothing")),
      el("p.quiet", {}, t("me.hosts.decide")), this.#signIns && this.#signIns.element);
  }

  #table(rules, list) {
    const cell = (label, ...content) => el("td", { role: "cell", "data-label": label }, el("div", {}, ...content));
    const head = ["rule", "hosts", "users", "allowed"].map((key) => t(`me.${key}`));
    const word = (name) => (["list", "shadow", "audit", "stop"].includes(name) ? t(`may.${name}`) : named(name));
    const rows = rules.map((rule) => el("tr", { role: "row" },
      cell(head[0], String(rule.rule ?? "")), cell(head[1], ...list(rule.hosts)), cell(head[2], ...list(rule.users)),
      cell(head[3], ...(rule.may ?? []).flatMap((name, i) => [i > 0 && ", ", word(name)]))));
    return el("div.scroll", { role: "region", "aria-label": t("me.may"), tabindex: "0" }, el("table", { role: "table" },
      el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, head.map((title) => el("th", { scope: "col", role: "columnheader" }, title)))),
      el("tbody", { role: "rowgroup" }, rows)));
  }

  close() {
    this.#signIns && this.#signIns.close();
  }
}
