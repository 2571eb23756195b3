// The graph of a state machine: drawn by the server, coloured here by swapping classes; with zoom,
// an overview map of large ones, and boxes that can be collapsed.

import { ask, h } from "./lib.js";

const STATUSES = ["succeeded", "failed", "timed-out", "caught", "running", "aborted", "not-run"];
const MAP = 150; // pixels of the overview map's longer side
const CALM = matchMedia("(prefers-reduced-motion: reduce)");

export class Picture {
  /** choose(name): a state was clicked. reload(): boxes were collapsed or opened. */
  constructor(arn, { choose = () => {}, reload = null } = {}) {
    Object.assign(this, { arn, choose, reload });
    this.collapsed = new Set();
    this.scale = 1;
    this.view = h("div", {
      class: "picture-view",
      tabindex: "0",
      role: "group",
      "aria-label": "Graph of the state machine",
    });
    const button = (text, label, act) =>
      h("button", { type: "button", "aria-label": label, title: label, onclick: act }, text);
    this.tools = h(
      "div",
      { class: "tools", role: "group", "aria-label": "Zoom" },
      button("+", "Zoom in (+)", () => this.zoom(1.25)),
      button("−", "Zoom out (-)", () => this.zoom(0.8)),
      button("⤢", "Fit (0)", () => this.fit(true)),
    );
    this.mini = h("div", { class: "mini", "aria-hidden": "true" });
    this.element = h("div", { class: "picture" }, this.view, this.tools, this.mini);
    this.view.addEventListener(
      "wheel",
      (event) => {
        if (!event.ctrlKey && !event.metaKey) return;
        event.preventDefault();
        this.zoom(event.deltaY < 0 ? 1.1 : 0.9, event);
      },
      { passive: false },
    );
    this.view.addEventListener("scroll", () => this.frame(), { passive: true });
    new ResizeObserver(() => this.svg && (this.touched ? this.frame() : this.fit())).observe(
      this.view,
    );
    this.drag();
    this.view.addEventListener("click", (event) => this.click(event));
    this.view.addEventListener("keydown", (event) => {
      const name = this.nameOf(event.target);
      if (name === undefined || !["Enter", " ", "c"].includes(event.key)) return;
      event.preventDefault();
      event.stopPropagation();
      if (event.key === "c") this.toggle(name);
      else this.choose(name);
    });
    this.view.addEventListener("dblclick", (event) => {
      const name = this.nameOf(event.target);
      if (name !== undefined) this.toggle(name);
    });
  }

  async load() {
    const diagram = await ask("diagram", {
      arn: this.arn,
      collapse: [...this.collapsed].join("\n"),
    });
    const svg = document.importNode(
      new DOMParser().parseFromString(diagram.svg, "image/svg+xml").documentElement,
      true,
    );
    this.width = Number(svg.getAttribute("width"));
    this.height = Number(svg.getAttribute("height"));
    this.ids = new Map(Object.entries(diagram.ids));
    this.names = new Map(Object.entries(diagram.ids).map(([name, id]) => [id, name]));
    this.svg = svg;
    const copy = svg.cloneNode(true);
    this.parts = new Map(); // id -> its elements, in the graph and in the overview map
    for (const root of [svg, copy]) {
      for (const each of root.querySelectorAll("g[id]")) {
        if (!this.parts.has(each.id)) this.parts.set(each.id, []);
        this.parts.get(each.id).push(each);
      }
    }
    for (const each of copy.querySelectorAll("[id], [tabindex], [role]"))
      for (const name of ["id", "tabindex", "role", "aria-label"]) each.removeAttribute(name);
    for (const name of ["role", "aria-label"]) copy.removeAttribute(name);
    this.visible = h("div", { class: "visible-part" });
    this.view.replaceChildren(svg);
    this.mini.replaceChildren(copy, this.visible);
    const shrink = MAP / Math.max(this.width, this.height);
    copy.setAttribute("width", this.width * shrink);
    copy.setAttribute("height", this.height * shrink);
    this.shrink = shrink;
    this.mini.onpointerdown = (event) => {
      const box = this.mini.getBoundingClientRect();
      this.touched = true;
      this.view.scrollTo(
        ((event.clientX - box.left) / shrink) * this.scale - this.view.clientWidth / 2,
        ((event.clientY - box.top) / shrink) * this.scale - this.view.clientHeight / 2,
      );
    };
    this.fit();
    if (this.selected !== undefined) this.select(this.selected);
  }

  // --- colours ---

  /** Show that nothing has run. */
  clear() {
    for (const [id, elements] of this.parts) {
      for (const each of elements) {
        if (each.classList.contains("state") || each.classList.contains("composite"))
          this.swap(each, "not-run");
        else if (each.matches(".edge, .rule, .join, .jump")) {
          each.classList.remove("taken");
          each.classList.add("not-taken");
        }
      }
      if (id) this.pill(id, "");
    }
  }

  swap(element, status) {
    element.classList.remove(...STATUSES);
    element.classList.add(status);
  }

  /** states, taken: as in a message of the stream, see visualize/live.py */
  paint(states, taken) {
    if (!this.svg) return;
    for (const [name, row] of Object.entries(states)) {
      const id = this.ids.get(name);
      if (id === undefined) continue; // in a collapsed box
      for (const each of [
        ...this.parts.get(id),
        ...(this.parts.get(id.replace(/^state-/, "box-")) ?? []),
      ])
        this.swap(each, row.status);
      const words = row.notes; // the same as in pictures
      this.pill(id, words.join(" · "));
      const main = this.parts.get(id)[0];
      main.dataset.label ??= main.getAttribute("aria-label");
      main.setAttribute(
        "aria-label",
        [
          main.dataset.label,
          row.status.replace("-", " "),
          ...words,
          ...(row.error ? [row.error] : []),
        ].join(", "),
      );
    }
    for (const id of taken)
      for (const each of this.parts.get(id) ?? []) {
        each.classList.add("taken");
        each.classList.remove("not-taken");
      }
  }

  pill(id, text) {
    const pill = this.parts.get(id)?.[0]?.querySelector(".pill");
    if (!pill) return;
    if (!text) return void pill.removeAttribute("data-text");
    if (pill.getAttribute("data-text") === text) return;
    pill.setAttribute("data-text", text);
    const words = pill.querySelector("text");
    const rect = pill.querySelector("rect");
    words.textContent = text;
    // a hidden text cannot be measured
    const width = 12 + (words.getComputedTextLength() || 5.4 * text.length);
    rect.setAttribute("x", -width);
    words.setAttribute("x", -width / 2);
    rect.setAttribute("width", width);
  }

  select(name) {
    this.selected = name;
    for (const each of this.svg?.querySelectorAll(".state.selected") ?? [])
      each.classList.remove("selected");
    const element = this.parts?.get(this.ids?.get(name))?.[0];
    element?.classList.add("selected");
    return element;
  }

  /** Scroll to a state, unless the reader has moved the graph. */
  reveal(name, always = false) {
    const element = this.parts?.get(this.ids?.get(name))?.[0];
    if (!element || (this.touched && !always)) return;
    const box = element.getBoundingClientRect();
    const view = this.view.getBoundingClientRect();
    if (
      box.top >= view.top + 20 &&
      box.bottom <= view.bottom - 60 &&
      box.left >= view.left &&
      box.right <= view.right
    )
      return;
    this.view.scrollBy({
      left: box.left + box.width / 2 - view.left - view.width / 2,
      top: box.top + box.height / 2 - view.top - view.height / 2,
      behavior: CALM.matches ? "auto" : "smooth",
    });
  }

  // --- selecting and collapsing ---

  nameOf(target) {
    const group = target.closest?.("g.state, g.composite");
    return group ? this.names.get(group.id.replace(/^box-/, "state-")) : undefined;
  }

  click(event) {
    if (this.moved) return;
    const group = event.target.closest("g.state");
    this.choose(group ? this.names.get(group.id) : undefined);
  }

  toggle(name) {
    const type = this.parts.get(this.ids.get(name))?.[0]?.dataset.type;
    if (type !== "Parallel" && type !== "Map") return;
    if (!this.collapsed.delete(name)) this.collapsed.add(name);
    (this.reload ?? (() => this.load()))();
  }

  // --- zoom ---

  size() {
    this.svg.setAttribute("width", this.width * this.scale);
    this.svg.setAttribute("height", this.height * this.scale);
    this.frame();
  }

  /** whole: fit all of the graph. Else fit its width, but keep the texts legible. */
  fit(whole = this.whole) {
    if (!this.svg || !this.view.clientWidth) return;
    this.touched = false;
    this.whole = whole;
    const wide = (this.view.clientWidth - 26) / this.width;
    const high = (this.view.clientHeight - 26) / this.height;
    this.scale = whole
      ? Math.min(wide, high, 1.3)
      : Math.max(Math.min(wide, Math.max(high, 1.05), 1.3), 0.6);
    this.size();
    this.view.scrollTo(Math.max(0, (this.width * this.scale - this.view.clientWidth) / 2), 0);
  }

  zoom(factor, at) {
    if (!this.svg) return;
    this.touched = true;
    const box = this.view.getBoundingClientRect();
    const x = at ? at.clientX - box.left : box.width / 2;
    const y = at ? at.clientY - box.top : box.height / 2;
    const before = this.scale;
    this.scale = Math.max(0.1, Math.min(4, before * factor));
    const left = ((this.view.scrollLeft + x) * this.scale) / before - x;
    const top = ((this.view.scrollTop + y) * this.scale) / before - y;
    this.size();
    this.view.scrollTo(left, top);
  }

  key(event) {
    const keys = {
      "+": () => this.zoom(1.25),
      "=": () => this.zoom(1.25),
      "-": () => this.zoom(0.8),
      0: () => this.fit(true),
    };
    keys[event.key]?.();
    return event.key in keys;
  }

  drag() {
    let from = null;
    this.view.addEventListener("pointerdown", (event) => {
      this.moved = false;
      if (event.button === 0 && event.pointerType === "mouse")
        from = [event.clientX, event.clientY, this.view.scrollLeft, this.view.scrollTop];
    });
    addEventListener("pointerup", () => {
      from = null;
      this.view.classList.remove("dragging");
    });
    this.view.addEventListener("pointermove", (event) => {
      if (!from) return;
      const [x, y, left, top] = from;
      if (Math.abs(event.clientX - x) + Math.abs(event.clientY - y) < 5) return;
      this.moved = this.touched = true;
      this.view.classList.add("dragging");
      this.view.scrollTo(left - event.clientX + x, top - event.clientY + y);
    });
  }

  /** Mark the visible part of the graph on the overview map. */
  frame() {
    if (!this.svg) return;
    const { clientWidth, clientHeight, scrollLeft, scrollTop } = this.view;
    const large =
      clientWidth > 500 &&
      this.width * this.height * this.scale ** 2 > 2.2 * clientWidth * clientHeight;
    this.mini.hidden = !large;
    const by = this.shrink / this.scale;
    Object.assign(this.visible.style, {
      left: `${scrollLeft * by}px`,
      top: `${scrollTop * by}px`,
      width: `${Math.min(clientWidth * by, this.width * this.shrink)}px`,
      height: `${Math.min(clientHeight * by, this.height * this.shrink)}px`,
    });
  }
}
