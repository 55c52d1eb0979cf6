// Elements, made of text and nodes only: there is no way here from a string to markup.

import { clean } from "../../../viewer/page/text.js";

// el makes an element: "button.primary", its attributes (on… are listeners; false, null and
// undefined are left out; true is an attribute without a value), and its children.
export function el(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const node = document.createElement(tag);
  if (classes.length) node.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== false && value != null) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child != null && child !== false));
  return node;
}

// named is a name from outside, made safe and kept to its own direction.
export const named = (text, most) => el("bdi", {}, clean(text, most));

// field is a labelled form control.
export function field(label, control, hint) {
  const id = (control.id ||= `f${++count}`);
  if (hint) control.setAttribute("aria-describedby", `${id}-hint`);
  return el("div.field", {}, el("label", { for: id }, label), control, hint && el("p.hint", { id: `${id}-hint` }, hint));
}
let count = 0;

// button is a button that does something here.
export const button = (name, label, onclick, attributes = {}) => el(name, { type: "button", onclick, ...attributes }, label);

// status is a region whose words are read out when they change.
export const status = (name = "p.status") => el(name, { role: "status" });
