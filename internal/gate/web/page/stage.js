// Where the picture is shown: fitted or pixel by pixel, all of it or one monitor.

import { el } from "./dom.js";

export class Stage {
  #fit = true;
  #part = null;
  #width = 0;
  #height = 0;
  #label = "";
  #watch;
  target = el("div.target"); // noVNC fills it with the picture, scaled
  #window = el("div.window", {}, this.target); // what of it is seen

  constructor(label) {
    this.element = el("div.stage", { role: "region", tabindex: "0", "aria-label": label }, this.#window);
    this.#watch = new ResizeObserver(() => this.#arrange());
    this.#watch.observe(this.element);
  }

  // size is the picture's, in pixels.
  size(width, height) {
    this.#width = width;
    this.#height = height;
    this.#arrange();
  }

  // fit shows the picture as large as there is room; false shows it pixel by pixel.
  set fit(fit) {
    this.#fit = fit;
    this.#arrange();
  }

  // part is what is shown of the picture, {x, y, width, height}; null: all of it.
  set part(part) {
    this.#part = part;
    this.#arrange();
  }

  // label names the picture.
  label(text = this.#label) {
    this.#label = text;
    const canvas = this.target.querySelector("canvas");
    canvas?.setAttribute("role", "img");
    canvas?.setAttribute("aria-label", text);
  }

  close() {
    this.#watch.disconnect();
  }

  #arrange() {
    const { clientWidth, clientHeight } = this.element;
    const all = { x: 0, y: 0, width: this.#width, height: this.#height };
    const { x, y, width, height } = this.#part ?? all;
    if (!width || !height || !clientWidth || !clientHeight) return;
    const scale = this.#fit ? Math.min(clientWidth / width, clientHeight / height) : 1 / devicePixelRatio;
    this.element.classList.toggle("full", !this.#fit);
    const px = (n) => `${Math.floor(n * scale)}px`;
    Object.assign(this.#window.style, { width: px(width), height: px(height) });
    // noVNC scales the picture to its place, and keeps its shape.
    Object.assign(this.target.style, { width: px(this.#width), height: px(this.#height), left: `${-Math.floor(x * scale)}px`, top: `${-Math.floor(y * scale)}px` });
  }
}
