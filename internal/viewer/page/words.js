// The page's words, in one of six languages. A catalogue is an object: a key's value is a
// sentence, or two, a title and what to do next. {name} in a sentence is replaced.

import { isolate } from "./text.js";

export const LANGUAGES = ["en", "de", "fr", "es", "ja", "zh"];

let texts = {};

// use makes a catalogue the page's, and its language the document's.
export function use(language, catalogue) {
  texts = catalogue;
  document.documentElement.lang = language === "zh" ? "zh-Hans" : language;
}

// language is the first of the preferred languages (BCP 47) that there are words for;
// English if there is none. Traditional Chinese has none: simplified characters are
// another's.
export function language(preferred) {
  for (const tag of preferred) {
    const [name, ...rest] = tag.toLowerCase().split("-");
    if (name === "zh" && rest.some((part) => ["hant", "tw", "hk", "mo"].includes(part))) continue;
    if (LANGUAGES.includes(name)) return name;
  }
  return "en";
}

export const has = (key) => Object.hasOwn(texts, key);

const fill = (sentence, values) =>
  sentence.replace(/\{(\w+)\}/g, (whole, name) =>
    !Object.hasOwn(values, name) ? whole : typeof values[name] === "string" ? isolate(values[name]) : String(values[name]));

// t is a sentence. A string in values is from outside, and is made safe; a number isn't.
export function t(key, values = {}) {
  const found = texts[key] ?? key;
  return fill(Array.isArray(found) ? found[0] : found, values);
}

// pair is a title and what to do next.
export function pair(key, values = {}) {
  const found = texts[key] ?? key;
  return Array.isArray(found) ? found.map((sentence) => fill(sentence, values)) : [fill(found, values), ""];
}

// parts is a sentence as a list of strings and, where values has them, nodes.
export function parts(key, values = {}) {
  const found = texts[key] ?? key;
  return (Array.isArray(found) ? found[0] : found)
    .split(/(\{\w+\})/)
    .map((part) => (/^\{\w+\}$/.test(part) && Object.hasOwn(values, part.slice(1, -1)) ? values[part.slice(1, -1)] : part));
}

// endWords is what a WebSocket's close event means, as a pair.
export function endWords({ code, reason }) {
  const key = [`end.${reason}`, `code.${code}`].find(has);
  return pair(key ?? "end.unknown");
}
