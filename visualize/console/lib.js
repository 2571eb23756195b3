// What every page uses: elements, calls, words. Texts of users reach the page as text nodes only; nothing here parses HTML.

/** An element. Properties that begin with "on" are listeners; false, null and undefined ones are left out, as such children are. */
export function h(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === false || value == null) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...kept(children));
  return element;
}
const kept = (children) => children.flat(Infinity).filter((each) => each != null && each !== false);

/** Put children in the place of what an element holds. */
export function fill(element, ...children) {
  element.replaceChildren(...kept(children));
  return element;
}
export const $ = (selector, root = document) => root.querySelector(selector);

// --- calls ---------------------------------------------------------------------------------------------------------------

export class Refusal extends Error {
  constructor(code, message) {
    super(message || code);
    this.code = code;
  }
}

async function answer(response) {
  const text = await response.text();
  let body = {};
  try { body = JSON.parse(text); } catch { /* not ours: a proxy's page, or nothing */ }
  if (response.ok) return body;
  const code = (body.__type ?? body.code ?? `HTTP ${response.status}`).split("#").pop();
  throw new Refusal(code, body.message);
}

const offline = () => { throw new Refusal("Offline", "The server does not respond."); };

/** An operation of the AWS API. Raises Refusal. */
export const aws = async (operation, input = {}) =>
  answer(await fetch("/", {
    method: "POST",
    headers: { "Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": `AWSStepFunctions.${operation}` },
    body: JSON.stringify(input),
  }).catch(offline));

export const path = (name, query = {}) => {
  const given = Object.entries(query).filter(([, value]) => value != null && value !== "");
  return `/console/api/${name}?${new URLSearchParams(given)}`;
};
/** What the AWS API does not tell. Raises Refusal. */
export const ask = async (name, query) => answer(await fetch(path(name, query)).catch(offline));

/** Follow a stream while the page can be seen. query() is asked at each opening. Returns a function that ends it. */
export function follow(name, query, take, state = () => {}) {
  let source = null, timer = 0, over = false;
  const close = () => { clearTimeout(timer); source?.close(); source = null; };
  const open = () => {
    close();
    if (over || document.hidden) return;
    source = new EventSource(path(name, query()));
    source.onopen = () => state("live");
    source.onmessage = (event) => take(JSON.parse(event.data), event.lastEventId);
    source.addEventListener("end", () => { close(); over = true; state("end"); });
    source.addEventListener("damaged", (event) => { close(); over = true; state("damaged", JSON.parse(event.data).message); });
    source.onerror = () => { state("lost"); close(); timer = setTimeout(open, 1500); };
  };
  const seen = () => (document.hidden ? close() : source === null && open());
  document.addEventListener("visibilitychange", seen);
  open();
  return () => { over = true; close(); document.removeEventListener("visibilitychange", seen); };
}

// --- words ---------------------------------------------------------------------------------------------------------------

/** 2 ms, 1.24 s, 41.0 s, 2 min 05 s, 3 h 20 min, 12 d 4 h. */
export function took(seconds) {
  seconds = Math.max(0, seconds);
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 59.95) return `${seconds.toFixed(seconds < 9.995 ? 2 : 1)} s`;
  const whole = Math.round(seconds), two = (number) => String(number).padStart(2, "0");
  if (whole >= 86400) return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
  if (whole >= 3600) return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
  return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
}
/** 2026-11-28 11:24:08 UTC, as the command writes it; exact: with milliseconds. */
export function when(seconds, exact = false) {
  const text = new Date(Math.round(seconds * 1000)).toISOString().replace("T", " ");
  return `${text.slice(0, exact ? 23 : 19)} UTC`;
}
export const count = (number, thing) => `${number.toLocaleString("en")} ${thing}${number === 1 ? "" : "s"}`;
/** SUCCEEDED, timed out -> succeeded, timed-out: the class names of the pictures. */
export const status = (word) => word.toLowerCase().replace(/[ _]/g, "-");
/** parked: whether it runs for the API and cannot go on. */
export const badge = (word, parked) => h("span", { class: `badge-${status(word)} badge` }, status(word).replace(/-/g, " ") + (parked ? ", parked" : ""));
export const last = (arn) => arn.slice(arn.lastIndexOf(":") + 1);
export const machineOf = (arn) => arn.split(":").slice(0, 7).join(":");
export const link = (...parts) => `#/${parts.map(encodeURIComponent).join("/")}`;
/** A text for one line: control characters are shown, and not obeyed. */
export const plain = (text, limit = 200) => {
  const cut = text.length > limit ? `${text.slice(0, limit - 1)}…` : text;
  return cut.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, (each) =>
    each === "\n" ? "\\n" : `\\u${each.charCodeAt(0).toString(16).padStart(4, "0")}`);
};

/** The page of what an ARN (perhaps a JSON string) names, null if there is none. */
export function page(text) {
  const arn = text.replace(/^"|"$/g, "");
  const kind = PAGES[/^arn:[^:]*:states:[^:]*:\d+:([A-Za-z]+):[^\s"\\]+$/.exec(arn)?.[1]];
  return kind ? link(kind, kind === "m" ? machineOf(arn).split("/")[0] : arn) : null;
}
const PAGES = { execution: "x", express: "x", stateMachine: "m", mapRun: "r" };
/** A text for people that is a link where it is an ARN with a page. */
export const linked = (text, words = text) => { const to = page(text); return to ? h("a", { href: to }, words) : words; };

// --- JSON ----------------------------------------------------------------------------------------------------------------

const TOKEN = /"(?:\\.|[^"\\])*"|[{}[\],:]|[^\s{}[\],:"]+/g;
const TOKENS = 3000;

/** JSON text laid out in lines, every digit as it was: [text, kind] pieces. Whatever it is, it comes back in full. */
function* pieces(text) {
  let depth = 0, before = "", open = "";
  const line = () => `\n${"  ".repeat(depth)}`;
  for (const [token] of text.matchAll(TOKEN)) {
    const closes = token === "}" || token === "]";
    if (closes) depth--;
    if (before === "," || (open && !closes) || (closes && !open)) yield [line(), ""];
    if (token === ":" ) yield [": ", ""];
    else if ("{}[],".includes(token)) yield [token, ""];
    else yield [token, token[0] === '"' ? "string" : "number"];
    open = token === "{" || token === "[";
    if (open) depth++;
    before = token;
  }
}
export const pretty = (text) => [...pieces(text)].map(([piece]) => piece).join("");

export function isJson(text) {
  try { JSON.parse(text); return true; } catch { return false; }
}

/** A JSON text to read and to copy; more than fits a screen many times over is shown when asked for. */
export function json(text, label = "JSON") {
  const pre = h("pre", { class: "json", tabindex: "0", role: "group", "aria-label": label });
  if (text == null) return h("p", { class: "muted" }, "none");
  const prose = !isJson(text);
  pre.classList.toggle("prose", prose);
  const show = (most) => {
    const found = prose ? [[text, ""]] : pieces(text);
    const shown = [], all = [];
    let more = false;
    for (const [piece, kind] of found) {
      if (all.length >= most) { more = true; break; }
      all.push([piece, kind]);
    }
    all.forEach(([piece, kind], index) => {
      const key = kind === "string" && all[index + 1]?.[0] === ": ";
      const to = kind === "string" && !key ? page(piece) : null;
      shown.push(to ? h("a", { class: kind, href: to }, piece) : kind ? h("span", { class: key ? "key" : kind }, piece) : piece);
    });
    fill(pre, ...shown, more && h("button", { class: "plain", type: "button", onclick: () => { pre.textContent = pretty(text); } }, "\n… show all"));
  };
  show(TOKENS);
  const copy = h("button", {
    class: "plain copy", type: "button", "aria-label": `Copy ${label}`, title: "Copy",
    onclick: () => navigator.clipboard.writeText(prose ? text : pretty(text)).then(() => toast("Copied"), () => toast("The browser refused to copy", true)),
  }, "⧉");
  return h("div", { class: "jsonbox" }, pre, copy);
}

// --- telling -------------------------------------------------------------------------------------------------------------

export const announce = (text) => { $("#announce").textContent = text; };

export function toast(text, bad = false) {
  const box = h("div", { class: bad ? "toast bad" : "toast" }, plain(text, 400));
  $("#toasts").append(box);
  setTimeout(() => box.remove(), bad ? 8000 : 3000);
}
/** Do something; what is refused is told. Gives undefined then. */
export async function attempt(work) {
  try { return await work(); } catch (fault) {
    toast(fault instanceof Refusal ? `${fault.code}: ${fault.message}` : String(fault), true);
    return undefined;
  }
}

/** A tab list over panels that are made when they are shown. tabs: [[name, make]]; make(panel) may be async. */
export function tabs(label, list, chosen, onchoose) {
  const panel = h("div", { class: "panel", role: "tabpanel", tabindex: "0", id: `panel-${status(label)}` });
  const buttons = list.map(([name], index) => h("button", {
    type: "button", role: "tab", id: `tab-${status(label)}-${index}`, "aria-controls": panel.id, onclick: () => choose(index),
    onkeydown: (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const next = (index + step + list.length) % list.length;
      choose(next);
      buttons[next].focus();
    },
  }, name));
  function choose(index) {
    buttons.forEach((each, place) => { each.setAttribute("aria-selected", place === index); each.tabIndex = place === index ? 0 : -1; });
    panel.setAttribute("aria-labelledby", buttons[index].id);
    fill(panel);
    onchoose?.(list[index][0]);
    list[index][1](panel);
  }
  const start = Math.max(0, list.findIndex(([name]) => name === chosen));
  queueMicrotask(() => choose(start));
  return { bar: h("div", { class: "tabs", role: "tablist", "aria-label": label }, ...buttons), panel, choose };
}
