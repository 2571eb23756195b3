// What every page uses: elements, calls, texts. Texts of users reach the page as text nodes only;
// nothing here parses HTML.

/**
 * An element. Properties that begin with "on" are listeners. Properties and children that are
 * false, null or undefined are left out.
 */
export function h(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === false || value == null) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...present(children));
  return element;
}
const present = (children) =>
  children.flat(Infinity).filter((each) => each != null && each !== false);

/** Replace the children of an element. */
export function fill(element, ...children) {
  element.replaceChildren(...present(children));
  return element;
}
export const $ = (selector, root = document) => root.querySelector(selector);

export const button = (text, onclick, properties) =>
  h("button", { type: "button", onclick, ...properties }, text);
export const closeButton = (close) =>
  button("✕", close, { class: "plain", "aria-label": "Close", title: "Esc" });

/** The links to the pages above this one. steps: [[text, ...parts of the link]] */
export const crumbs = (...steps) =>
  h(
    "nav",
    { class: "crumbs", "aria-label": "You are here" },
    ...steps.flatMap(([text, ...parts], index) => [
      index ? h("span", { "aria-hidden": "true" }, "/") : null,
      h("a", { href: link(...parts) }, text),
    ]),
  );

/** A list of names and values, without those that have no value. pairs: [[name, value]] */
export const factsList = (pairs, properties) =>
  h(
    "dl",
    { class: "facts-list", ...properties },
    ...pairs
      .filter(([, value]) => value != null && value !== false && value !== "")
      .flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
  );

/** A short table. rows: arrays of cells, or elements; a cell is a text or an element */
export const table = (titles, rows) =>
  h(
    "table",
    {},
    h("thead", {}, h("tr", {}, ...titles.map((each) => h("th", { scope: "col" }, each)))),
    h(
      "tbody",
      {},
      ...rows.map((row) =>
        Array.isArray(row) ? h("tr", {}, ...row.map((each) => h("td", {}, each))) : row,
      ),
    ),
  );

// --- calls ---------------------------------------------------------------------------------------

export class Refusal extends Error {
  constructor(code, message) {
    super(message || code);
    this.code = code;
  }
}

async function bodyOf(response) {
  const text = await response.text();
  let body = {};
  try {
    body = JSON.parse(text);
  } catch {
    /* an empty answer, or the page of a proxy */
  }
  if (response.ok) return body;
  const code = (body.__type ?? body.code ?? `HTTP ${response.status}`).split("#").pop();
  throw new Refusal(code, body.message);
}

const offline = () => {
  throw new Refusal("Offline", "The server does not respond.");
};

/** An operation of the AWS API. Raises Refusal. */
export const aws = async (operation, input = {}) =>
  bodyOf(
    await fetch("/", {
      method: "POST",
      headers: {
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": `AWSStepFunctions.${operation}`,
      },
      body: JSON.stringify(input),
    }).catch(offline),
  );

/** The items of a paged operation, at most about `most` of them. member: the items in an answer */
export async function allItems(operation, input, member, most = 10_000) {
  const items = [];
  let nextToken;
  do {
    const page = await aws(operation, { ...input, ...(nextToken && { nextToken }) });
    items.push(...page[member]);
    nextToken = page.nextToken;
  } while (nextToken && items.length < most);
  return items;
}

export const path = (name, query = {}) => {
  const present = Object.entries(query).filter(([, value]) => value != null && value !== "");
  return `/console/api/${name}?${new URLSearchParams(present)}`;
};
/** An answer of the console's own routes. Raises Refusal. */
export const ask = async (name, query) => bodyOf(await fetch(path(name, query)).catch(offline));

/**
 * Follow a stream while the page is visible. query() is called at each opening. take(message, id),
 * state("live" | "lost" | "end" | "full" | "damaged", reason). Returns a function that ends it.
 */
export function follow(name, query, take, state = () => {}) {
  let source = null;
  let timer = 0;
  let ended = false;
  const close = () => {
    clearTimeout(timer);
    source?.close();
    source = null;
  };
  const open = () => {
    close();
    if (ended || document.hidden) return;
    source = new EventSource(path(name, query()));
    source.onopen = () => state("live");
    source.onmessage = (event) => take(JSON.parse(event.data), event.lastEventId);
    source.addEventListener("end", () => {
      close();
      ended = true;
      state("end");
    });
    for (const word of ["full", "damaged"])
      source.addEventListener(word, (event) => {
        close();
        ended = true;
        state(word, JSON.parse(event.data).message);
      });
    source.onerror = () => {
      state("lost");
      close();
      timer = setTimeout(open, 1500);
    };
  };
  const onVisibility = () => (document.hidden ? close() : source === null && open());
  document.addEventListener("visibilitychange", onVisibility);
  open();
  return () => {
    ended = true;
    close();
    document.removeEventListener("visibilitychange", onVisibility);
  };
}

// --- words ---------------------------------------------------------------------------------------

/** 2 ms, 1.24 s, 41.0 s, 2 min 05 s, 3 h 20 min, 12 d 4 h, 30 d. */
export function took(seconds) {
  seconds = Math.max(0, seconds);
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 59.95) return `${seconds.toFixed(seconds < 9.995 ? 2 : 1)} s`;
  const whole = Math.round(seconds);
  const two = (number) => String(number).padStart(2, "0");
  const days = Math.floor(whole / 86400);
  const hours = Math.floor((whole % 86400) / 3600);
  if (days) return hours ? `${days} d ${hours} h` : `${days} d`;
  if (whole >= 3600)
    return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
  return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
}
/** 2026-11-28 11:24:08 UTC, as the command prints it; exact: with milliseconds. */
export function when(seconds, exact = false) {
  const text = new Date(Math.round(seconds * 1000)).toISOString().replace("T", " ");
  return `${text.slice(0, exact ? 23 : 19)} UTC`;
}
/** The same for a cell of a list, which omits the zone on a phone. */
export const whenCell = (seconds) =>
  h("span", {}, when(seconds).slice(0, -4), h("span", { class: "wide" }, " UTC"));
export const count = (number, thing) =>
  `${number.toLocaleString("en")} ${thing}${number === 1 ? "" : "s"}`;
/** SUCCEEDED -> succeeded, timed out -> timed-out: the class names of the pictures. */
export const status = (word) => word.toLowerCase().replace(/[ _]/g, "-");
/** parked: whether the execution is running for the API but cannot proceed. */
export const badge = (word, parked) =>
  h(
    "span",
    { class: `badge-${status(word)} badge` },
    status(word).replace(/-/g, " ") + (parked ? ", parked" : ""),
  );
export const last = (arn) => arn.slice(arn.lastIndexOf(":") + 1);
export const machineOf = (arn) => arn.split(":").slice(0, 7).join(":");
/** The address of a page. */
export const link = (...parts) => `#/${parts.map(encodeURIComponent).join("/")}`;
export const open = (...parts) => {
  location.hash = link(...parts);
};
/** A link in a row, which is itself what the Tab key reaches. */
export const rowLink = (text, ...parts) => h("a", { href: link(...parts), tabindex: "-1" }, text);
/** A text for one line, with its control characters escaped. */
export const plain = (text, limit = 200) => {
  const cut = text.length > limit ? `${text.slice(0, limit - 1)}…` : text;
  return cut.replace(
    /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (each) => (each === "\n" ? "\\n" : `\\u${each.charCodeAt(0).toString(16).padStart(4, "0")}`),
  );
};

/** The address of the page of an ARN (perhaps a JSON string), null if it has none. */
export function page(text) {
  const arn = text.replace(/^"|"$/g, "");
  const kind = PAGES[/^arn:[^:]*:states:[^:]*:\d+:([A-Za-z]+):[^\s"\\]+$/.exec(arn)?.[1]];
  return kind ? link(kind, kind === "m" ? machineOf(arn).split("/")[0] : arn) : null;
}
const PAGES = { execution: "x", express: "x", stateMachine: "m", mapRun: "r" };
/** A text; a link if it is an ARN that has a page. */
export const linked = (text, words = text) => {
  const to = page(text);
  return to ? h("a", { href: to }, words) : words;
};

// --- messages ------------------------------------------------------------------------------------

export const announce = (text) => {
  $("#announce").textContent = text;
};

export function toast(text, bad = false) {
  const box = h("div", { class: bad ? "toast bad" : "toast" }, plain(text, 400));
  $("#toasts").append(box);
  setTimeout(() => box.remove(), bad ? 8000 : 3000);
}
/** Await work(); an error is shown as a toast, and the result is undefined. */
export async function attempt(work) {
  try {
    return await work();
  } catch (fault) {
    toast(fault instanceof Refusal ? `${fault.code}: ${fault.message}` : String(fault), true);
    return undefined;
  }
}

/**
 * Tabs, whose panel is filled when they are selected. list: [[name, fill(panel)]]; selected: a
 * name; onselect(name). Returns {bar, panel, select(index)}.
 */
export function tabs(label, list, selected, onselect) {
  const panel = h("div", {
    class: "panel",
    role: "tabpanel",
    tabindex: "0",
    id: `panel-${status(label)}`,
  });
  const bar = tabBar(
    { class: "tabs", "aria-label": label },
    list.map(([name], index) => ({
      name,
      id: `tab-${status(label)}-${index}`,
      "aria-controls": panel.id,
    })),
    (index) => select(index),
  );
  function select(index) {
    selectTab(bar, index, panel);
    fill(panel);
    onselect?.(list[index][0]);
    list[index][1](panel);
  }
  const first = list.findIndex(([name]) => name === selected);
  queueMicrotask(() => select(Math.max(0, first)));
  return { bar, panel, select };
}

/** The bar alone. list: [{name, ...properties of its button}]; select(index) */
export function tabBar(properties, list, select) {
  const bar = h("div", { role: "tablist", ...properties });
  bar.append(
    ...list.map(({ name, ...others }, index) =>
      button(name, () => select(index), {
        role: "tab",
        onkeydown: (event) => {
          const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
          if (!step) return;
          event.preventDefault();
          const next = (index + step + list.length) % list.length;
          select(next);
          bar.children[next].focus();
        },
        ...others,
      }),
    ),
  );
  return bar;
}
/** Show which tab of a bar is selected, and name the panel by it. */
export function selectTab(bar, index, panel) {
  [...bar.children].forEach((each, place) => {
    each.setAttribute("aria-selected", place === index);
    each.tabIndex = place === index ? 0 : -1;
  });
  panel.setAttribute("aria-labelledby", bar.children[index].id);
}
