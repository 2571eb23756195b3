// A table of any length: only visible rows are in the document.

import { fill, h } from "./lib.js";

const HEIGHT = 28;
const MOST = 38; // rows in the document

let number = 0;

/**
 * columns   [{title, width (CSS), narrow (the same on a phone), class, cell(row, index) -> text or
 *           element}]; class wide: not on a phone
 * open      (row, index): called at Enter or a click
 * tone      (row) -> class of the row
 * empty     text that is shown without rows
 */
export class Rows {
  constructor({ label, columns, open = () => {}, tone = () => "", empty = "No entries." }) {
    Object.assign(this, { open, tone, empty });
    this.rows = [];
    this.at = -1;
    this.id = `rows-${++number}`;
    this.shown = new Map();
    this.body = h("div", { class: "rows-body", role: "rowgroup" });
    this.message = h("p", { class: "rows-empty muted" });
    this.head = h("div", { class: "row rows-head", role: "row", "aria-rowindex": "1" });
    this.element = h(
      "div",
      {
        class: "rows",
        role: "grid",
        tabindex: "0",
        "aria-label": label,
        onkeydown: (event) => this.key(event),
      },
      h("div", { role: "rowgroup", class: "rows-heads" }, this.head),
      this.body,
    );
    this.show(columns);
    this.wrap = h("div", { class: "rows-wrap" }, this.element, this.message);
    this.element.addEventListener("scroll", () => this.soon(), { passive: true });
    new ResizeObserver(() => this.soon()).observe(this.element);
  }

  /** Show these columns; the rows are drawn again at the next set(). */
  show(columns) {
    this.columns = columns;
    const narrow = columns.filter((each) => !/\bwide\b/.test(each.class));
    const { style } = this.element;
    style.setProperty("--wide", columns.map((each) => each.width).join(" "));
    style.setProperty("--narrow", narrow.map((each) => each.narrow ?? "minmax(0, 1fr)").join(" "));
    const title = (each) => h("span", { role: "columnheader", class: each.class }, each.title);
    fill(this.head, ...columns.map(title));
  }

  /** Show these rows (also a changed array again). stick: stay at the end if it is visible */
  set(rows, stick = false) {
    const view = this.element;
    const end = view.scrollTop + view.clientHeight >= view.scrollHeight - HEIGHT;
    this.rows = rows;
    this.stale = true;
    this.body.style.height = `${rows.length * HEIGHT}px`;
    view.setAttribute("aria-rowcount", rows.length + 1);
    this.message.textContent = rows.length ? "" : this.empty;
    if (stick && end) view.scrollTop = view.scrollHeight;
    this.soon();
  }

  soon() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.draw();
    });
  }

  draw() {
    const view = this.element;
    const first = Math.max(0, Math.floor(view.scrollTop / HEIGHT) - 1);
    const until = Math.min(
      this.rows.length,
      first + Math.min(MOST, Math.ceil(view.clientHeight / HEIGHT) + 3),
    );
    for (const [index, element] of this.shown) {
      if (index < first || index >= until || this.stale) {
        element.remove();
        this.shown.delete(index);
      }
    }
    this.stale = false;
    for (let index = first; index < until; index++) {
      if (!this.shown.has(index)) {
        const row = this.make(index);
        this.shown.set(index, row);
        this.body.append(row);
      }
    }
    const active = this.shown.get(this.at);
    if (active) view.setAttribute("aria-activedescendant", active.id);
    else view.removeAttribute("aria-activedescendant");
  }

  make(index) {
    const row = this.rows[index];
    const element = h(
      "div",
      {
        class: `row ${this.tone(row)} ${index === this.at ? "active" : ""}`,
        role: "row",
        id: `${this.id}-${index}`,
        "aria-rowindex": index + 2,
        "aria-selected": index === this.at ? "true" : "false",
        onclick: (event) => {
          if (event.target.closest("a, button") || getSelection().toString()) return;
          this.select(index);
          this.open(row, index);
        },
      },
      ...this.columns.map((each) => {
        const content = each.cell(row, index);
        return h(
          "span",
          {
            role: "gridcell",
            class: each.class,
            title: typeof content === "string" && content.length > 24 ? content : null,
          },
          content,
        );
      }),
    );
    element.style.transform = `translateY(${index * HEIGHT}px)`;
    return element;
  }

  select(index) {
    if (!this.rows.length) return;
    this.at = Math.max(0, Math.min(this.rows.length - 1, index));
    const view = this.element;
    const top = this.at * HEIGHT;
    const head = HEIGHT;
    if (top < view.scrollTop) view.scrollTop = top;
    else if (top + HEIGHT > view.scrollTop + view.clientHeight - head)
      view.scrollTop = top + HEIGHT - view.clientHeight + head;
    this.stale = true;
    this.soon();
  }

  /** Whether the key was handled. */
  key(event) {
    const page = Math.max(1, Math.floor(this.element.clientHeight / HEIGHT) - 2);
    const steps = {
      j: 1,
      ArrowDown: 1,
      k: -1,
      ArrowUp: -1,
      PageDown: page,
      PageUp: -page,
      Home: -Infinity,
      End: Infinity,
    };
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return false;
    if (event.key in steps) {
      const step = steps[event.key];
      // so that Enter opens the row, not a link that has the focus
      this.element.focus({ preventScroll: true });
      this.select(
        step === Infinity ? this.rows.length - 1 : step === -Infinity ? 0 : this.at + step,
      );
    } else if (
      event.key === "Enter" &&
      this.at >= 0 &&
      this.rows[this.at] &&
      !event.target.closest?.("a, button")
    ) {
      this.open(this.rows[this.at], this.at);
    } else return false;
    event.preventDefault();
    return true;
  }
}

export const note = (text) => fill(h("p", { class: "muted pad" }), text);
