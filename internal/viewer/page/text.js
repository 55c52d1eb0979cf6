// Text from outside (names, purposes, window titles) is somebody else's: it is shown as text
// only, without what could move, hide or paint over the words around it. The rules are those
// of the question (consent/clean.go).

const blank = /[\s\u115f\u1160\u2800\u3164\uffa0]+/gu;
const unseen = /[\p{C}\ufffd]/gu; // controls, bidi overrides, zero width, private, unassigned
const plain = /^(?:[!-~]+(?: [!-~]+)*)?$/;
const marks = /(\p{M}{2})\p{M}+/gu;

// clean is text as one line of at most `most` characters; what isn't a string is empty.
export function clean(text, most = 64) {
  if (typeof text !== "string") return "";
  if (text.length <= most && plain.test(text)) return text; // as most are
  // A name of a megabyte costs no more than a long one.
  const line = text.slice(0, 16 * most).replace(blank, " ").replace(unseen, "").replace(marks, "$1").trim();
  const runes = Array.from(line);
  return runes.length <= most ? line : `${runes.slice(0, most - 1).join("").trimEnd()}…`;
}

const direction = /\p{L}/u;

// isolate is clean text that keeps its direction to itself, for titles and labels, which
// can't hold a <bdi>. What has no letter has no direction.
export function isolate(text) {
  const line = clean(text);
  return direction.test(line) ? `\u2068${line}\u2069` : line;
}
