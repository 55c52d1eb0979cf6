// A list of any length: only the rows that can be seen are elements. For assistive technology
// it is a grid that knows how many rows there are, and where each of those that it has belongs.
// The keyboard moves through all rows, seen or not; the row that has the focus is always there.

import { el } from "./dom.js";

const BEYOND = 10; // rows above and below those that are seen

export class List {
  #rows = []; // what is shown, in order
  #index = new Map(); // position by id
  #elements = new Map(); // by id
  #active = ""; // id of the row that Tab reaches
  #position = 0; // its position, in case it goes
  #height;
  #pending = 0;
  #fill;
  #activate;
  #body = el("div.body", { role: "rowgroup" });

  // head has the columns' titles. fill(element, row) puts a row's cells into its element.
  // activate(row) is called for Enter, and for a click on a button in it.
  constructor({ label, head, fill, activate }) {
    this.#fill = fill;
    this.#activate = activate;
    const header = el("div.row.head", { role: "row", "aria-rowindex": "1" }, head.map((title) => el("div", { role: "columnheader" }, title)));
    this.element = el("div.list", { role: "grid", "aria-label": label, "aria-rowcount": "1" },
      el("div.top", { role: "rowgroup" }, header), this.#body);
    this.element.addEventListener("scroll", () => this.#later(), { passive: true });
    this.element.addEventListener("keydown", (e) => this.#key(e));
    this.element.addEventListener("click", (e) => this.#click(e));
    this.element.addEventListener("focusin", (e) => {
      const id = e.target.closest(".row")?.dataset.id;
      if (id !== undefined && id !== this.#active) this.#choose(id);
    });
    this.#watch = new ResizeObserver(() => {
      this.#height = 0; // another layout may have other rows
      this.#later();
    });
    this.#watch.observe(this.element);
  }
  #watch;

  // show replaces the rows. Each has an id, and is another object once it has changed.
  show(rows) {
    this.#rows = rows;
    this.#index = new Map(rows.map((row, i) => [row.id, i]));
    this.element.setAttribute("aria-rowcount", String(rows.length + 1));
    this.#render();
  }

  close() {
    this.#watch.disconnect();
    cancelAnimationFrame(this.#pending);
  }

  // focus moves the focus to the row that has been chosen last.
  focus() {
    this.#elements.get(this.#active)?.focus();
  }

  #later() {
    this.#pending ||= requestAnimationFrame(() => {
      this.#pending = 0;
      this.#render();
    });
  }

  #measure() {
    if (!this.#height) this.#height = parseFloat(getComputedStyle(this.element).getPropertyValue("--row")) || 48;
    return this.#height;
  }

  #render() {
    const { element } = this;
    const focused = document.activeElement?.closest?.(".row")?.dataset.id;
    const height = this.#measure();
    this.#body.style.height = `${height * this.#rows.length}px`;
    // A row that has gone leaves its place to the next.
    if (!this.#index.has(this.#active)) this.#active = this.#rows[Math.min(this.#position, this.#rows.length - 1)]?.id ?? "";
    this.#position = this.#index.get(this.#active) ?? 0;
    const top = element.scrollTop;
    const first = Math.max(0, Math.floor(top / height) - BEYOND);
    const last = Math.min(this.#rows.length, Math.ceil((top + element.clientHeight) / height) + BEYOND);
    const wanted = new Map(this.#rows.slice(first, last).map((row, i) => [row.id, first + i]));
    if (this.#active) wanted.set(this.#active, this.#position);
    for (const [id, node] of this.#elements) {
      if (wanted.has(id)) continue;
      node.remove();
      this.#elements.delete(id);
    }
    let before = null; // elements are in the order of the rows, for who reads through them
    for (const [id, i] of [...wanted].sort((a, b) => b[1] - a[1])) {
      const node = this.#place(id, i);
      if (node.nextSibling !== before || node.parentNode !== this.#body) this.#move(node, before);
      before = node;
    }
    if (focused !== undefined && !this.#elements.has(focused)) this.focus();
  }

  // #move puts an element before another, and lets it keep the focus.
  #move(node, before) {
    const focused = node.contains(document.activeElement) ? document.activeElement : null;
    this.#body.insertBefore(node, before);
    focused?.focus({ preventScroll: true });
  }

  #place(id, i) {
    const row = this.#rows[i];
    let node = this.#elements.get(id);
    if (!node) {
      node = el("div.row", { role: "row" });
      node.dataset.id = id;
      this.#elements.set(id, node);
    }
    if (node.shown !== row) {
      const focused = node.contains(document.activeElement);
      this.#fill(node, row);
      node.shown = row;
      if (focused && !node.contains(document.activeElement)) node.focus({ preventScroll: true });
    }
    node.style.transform = `translateY(${i * this.#height}px)`;
    node.setAttribute("aria-rowindex", String(i + 2));
    node.tabIndex = id === this.#active ? 0 : -1;
    return node;
  }

  #choose(id) {
    const old = this.#elements.get(this.#active);
    if (old) old.tabIndex = -1;
    this.#active = id;
    this.#position = this.#index.get(id) ?? 0;
    const node = this.#elements.get(id);
    if (node) node.tabIndex = 0;
  }

  #key(event) {
    if (event.target.closest("button, a") && event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
    if (event.ctrlKey || event.altKey || event.metaKey || !this.#rows.length) return;
    const page = Math.max(1, Math.floor(this.element.clientHeight / this.#measure()) - 2);
    const to = {
      ArrowDown: this.#position + 1, ArrowUp: this.#position - 1, PageDown: this.#position + page, PageUp: this.#position - page,
      Home: 0, End: this.#rows.length - 1,
    }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      this.#go(Math.max(0, Math.min(this.#rows.length - 1, to)));
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.#activate(this.#rows[this.#position]);
    }
  }

  #go(position) {
    const { element } = this;
    const height = this.#measure();
    const above = position * height, head = this.#body.offsetTop;
    if (above < element.scrollTop) element.scrollTop = above;
    const below = above + height + head - element.clientHeight;
    if (below > element.scrollTop) element.scrollTop = below;
    this.#choose(this.#rows[position].id);
    this.#render();
    this.#elements.get(this.#active).focus({ preventScroll: true });
  }

  #click(event) {
    const id = event.target.closest(".row")?.dataset.id;
    if (id === undefined || !this.#index.has(id)) return;
    this.#choose(id);
    if (event.target.closest("button")) this.#activate(this.#rows[this.#index.get(id)]);
  }
}
