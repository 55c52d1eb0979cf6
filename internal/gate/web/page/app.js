// The console: finds who is signed in, and shows the page that the address names.

import en from "./lang/en.json";
import shared from "../../../viewer/page/lang/en.json";
import { language, LANGUAGES, t, use } from "../../../viewer/page/words.js";
import { Activity } from "./activity.js";
import { call, onSignedOut } from "./api.js";
import { button, el, named } from "./dom.js";
import { Me } from "./me.js";
import { may, Sessions } from "./sessions.js";
import { SignIn } from "./signin.js";
import { View } from "./view.js";

const catalogues = {
  en: async () => [{ default: shared }, { default: en }],
  de: () => Promise.all([import("../../../viewer/page/lang/de.json"), import("./lang/de.json")]),
  fr: () => Promise.all([import("../../../viewer/page/lang/fr.json"), import("./lang/fr.json")]),
  es: () => Promise.all([import("../../../viewer/page/lang/es.json"), import("./lang/es.json")]),
  ja: () => Promise.all([import("../../../viewer/page/lang/ja.json"), import("./lang/ja.json")]),
  zh: () => Promise.all([import("../../../viewer/page/lang/zh.json"), import("./lang/zh.json")]),
};
const OWN_NAMES = { en: "English", de: "Deutsch", fr: "Français", es: "Español", ja: "日本語", zh: "简体中文" };
const CHOICE = "language"; // key of the choice that is kept

const routes = [
  [/^\/$/, Sessions, "list", "sessions.title"],
  [/^\/activity$/, Activity, "audit", "activity.title"],
  [/^\/me$/, Me],
  [/^\/view\/(?<id>[\w-]+)$/, View, "shadow", "view.title"],
  [/^\/signin$/, SignIn],
];

let me = null;
let page = null; // what is shown
let turn = 0; // counts what is to be shown, so that what comes late is dropped

// speak loads the words of a language.
async function speak(name) {
  const [common, own] = await catalogues[name]().catch(() => catalogues.en());
  use(name, { ...common.default, ...own.default });
}

const preferred = () => language([localStorage.getItem(CHOICE), ...(navigator.languages ?? [])].filter(Boolean));

// navigate shows another address of the console.
function navigate(path, replace = false) {
  history[replace ? "replaceState" : "pushState"](null, "", path);
  show(true);
}

// replace changes parameters of the address without leaving the page.
function replace(parameters) {
  const url = new URL(location.href);
  for (const [key, value] of Object.entries(parameters)) {
    if (value) url.searchParams.set(key, value);
    else url.searchParams.delete(key);
  }
  url.searchParams.delete("ask");
  history.replaceState(null, "", url);
}

// show shows the page of the address; moved has the focus go to its heading.
async function show(moved) {
  const mine = ++turn;
  page?.close();
  page = null;
  const { Page, needs, title, id } = route();
  if (Page !== SignIn && !me) {
    try {
      me = await call("GET", "me");
    } catch (problem) {
      if (mine === turn && problem.status !== 401) trouble(problem);
      return;
    }
    if (mine !== turn) return;
  }
  if (Page === SignIn) me = null;
  const allowed = !needs || may(me, needs);
  const context = { me, params: new URLSearchParams(location.search), navigate, replace, id };
  page = allowed ? new Page(context) : notAllowed(t(title));
  frame(page, Page);
  document.title = `${page.title} · Shadow`;
  if (moved && !page.element.contains(document.activeElement)) page.element.querySelector("h1")?.focus();
}

function route() {
  for (const [pattern, Page, needs, title] of routes) {
    const match = pattern.exec(location.pathname);
    if (match) return { Page, needs, title, id: match.groups?.id };
  }
  return { Page: Sessions, needs: "list", title: "sessions.title" };
}

// isOurs says whether an address is one of the console's pages: a proxy in front of it may have others on its origin.
const isOurs = (url) => url.origin === location.origin && routes.some(([pattern]) => pattern.test(url.pathname));

const notAllowed = (title) => ({
  title, close() {},
  element: el("div.card", {}, el("h1", { tabindex: "-1" }, title), el("p", {}, t("problem.notAllowed")), el("p", {}, el("a", { href: "/me" }, t("me.title")))),
});

// frame puts a page into what all pages have around them.
function frame(page, Page) {
  const link = (path, label) => el("a", { href: path, "aria-current": location.pathname === path ? "page" : null }, label);
  const header = me && el("header.site", {},
    el("nav", { "aria-label": t("nav.label") }, may(me, "list") && link("/", t("sessions.title")), may(me, "audit") && link("/activity", t("activity.title")), link("/me", t("me.title"))),
    el("p.who", {}, named(me.full_name || me.name), " ", button("button", t("nav.signOut"), signOut)));
  const main = el("main", { id: "main" }, page.element);
  const whole = Page === View;
  document.body.className = whole ? "whole" : Page === SignIn ? "bare" : "";
  document.body.replaceChildren(...[el("a.skip", { href: "#main", onclick: skip }, t("nav.skip")), !whole && header, main, !whole && footer()].filter(Boolean));
}

function skip(event) {
  event.preventDefault();
  document.querySelector("main h1")?.focus();
}

function footer() {
  const now = preferred();
  const choice = el("select", { "aria-label": t("nav.language"), onchange: () => choose(choice.value) },
    LANGUAGES.map((name) => el("option", { value: name, lang: name === "zh" ? "zh-Hans" : name, selected: name === now }, OWN_NAMES[name])));
  return el("footer.site", {}, choice);
}

async function choose(name) {
  localStorage.setItem(CHOICE, name);
  await speak(name);
  await show(false);
  document.querySelector("footer select")?.focus();
}

async function signOut() {
  const answer = await call("POST", "signout", { body: {}, quiet: true }).catch(() => null);
  sessionStorage.clear(); // it has what was said of views
  me = null;
  const next = new URL(answer?.next ?? "/signin", location.href);
  if (isOurs(next)) navigate(next.pathname + next.search);
  else if (next.protocol === "https:" || next.protocol === "http:") location.assign(next);
}

// trouble says that the gate doesn't answer, and tries again.
function trouble(problem) {
  const [title, text] = problem.words();
  const retry = button("button.primary", t("signin.again"), () => show(true));
  document.body.replaceChildren(el("main", { id: "main" }, el("div.card", {}, el("h1", { tabindex: "-1" }, title), el("p", {}, text), el("div.actions", {}, retry))));
  document.title = title;
}

onSignedOut((reason) => {
  if (location.pathname === "/signin") return;
  me = null;
  sessionStorage.clear();
  const why = reason === "clock" ? "&error=clock" : "";
  navigate(`/signin?next=${encodeURIComponent(location.pathname + location.search)}${why}`, true);
});

// Links within the console change the page without loading it anew.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]");
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || link.download || link.target) return;
  const url = new URL(link.href);
  if (!isOurs(url)) return;
  event.preventDefault();
  navigate(url.pathname + url.search);
});
addEventListener("popstate", () => show(true));
addEventListener("pageshow", (event) => event.persisted && location.reload());

await speak(preferred());
await show(false);
