// JSON to read and to copy.

import { button, fill, h, page, toast } from "./lib.js";

const TOKEN = /"(?:\\.|[^"\\])*"|[{}[\],:]|[^\s{}[\],:"]+/g;
const TOKENS = 3000; // that are shown at first

// an escape of JSON: of a pair of surrogates, of one character, or another
const ESCAPE = /\\u(d[89ab]..)\\u(d[c-f]..)|\\u([0-9a-f]{4})|\\./gi;
const UNREADABLE = /[\u0000-\u00a0\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]/;
/** A string with letters in place of the escapes that many programs write for them. */
const readable = (token) =>
  token.replace(ESCAPE, (escape, high, low, one) => {
    const codes = [high ?? one, low].filter(Boolean).map((code) => parseInt(code, 16));
    const letter = String.fromCharCode(...codes);
    return codes.length === 2 || (codes.length && !UNREADABLE.test(letter)) ? letter : escape;
  });

/** [text, kind] pieces of JSON text laid out in lines, every digit kept. Works for any text. */
function* pieces(text) {
  let depth = 0;
  let before = "";
  let open = false;
  const line = () => `\n${"  ".repeat(depth)}`;
  for (const [token] of text.matchAll(TOKEN)) {
    const closes = token === "}" || token === "]";
    if (closes) depth--;
    if (before === "," || (open && !closes) || (closes && !open)) yield [line(), ""];
    if (token === ":") yield [": ", ""];
    else if ("{}[],".includes(token)) yield [token, ""];
    else if (token[0] === '"') yield [readable(token), "string"];
    else yield [token, "number"];
    open = token === "{" || token === "[";
    if (open) depth++;
    before = token;
  }
}
export const pretty = (text) => [...pieces(text)].map(([piece]) => piece).join("");

export function isJson(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** An element that shows JSON, with a button that copies it. A very long text is cut at first. */
export function json(text, label = "JSON") {
  const pre = h("pre", { class: "json", tabindex: "0", role: "group", "aria-label": label });
  if (text == null) return h("p", { class: "muted" }, "none");
  const prose = !isJson(text);
  pre.classList.toggle("prose", prose);
  const tokens = [];
  for (const piece of prose ? [[text, ""]] : pieces(text)) {
    tokens.push(piece);
    if (tokens.length > TOKENS) break;
  }
  const more = tokens.length > TOKENS && tokens.pop();
  const shown = tokens.map(([piece, kind], index) => {
    const key = kind === "string" && tokens[index + 1]?.[0] === ": ";
    const to = kind === "string" && !key ? page(piece) : null;
    if (to) return h("a", { class: kind, href: to }, piece);
    return kind ? h("span", { class: key ? "key" : kind }, piece) : piece;
  });
  const showAll = () => {
    pre.textContent = pretty(text);
  };
  fill(pre, ...shown, more && button("\n… show all", showAll, { class: "plain" }));
  const copy = () =>
    navigator.clipboard.writeText(prose ? text : pretty(text)).then(
      () => toast("Copied"),
      () => toast("The browser refused to copy", true),
    );
  const properties = { class: "plain copy", "aria-label": `Copy ${label}`, title: "Copy" };
  return h("div", { class: "jsonbox" }, pre, button("⧉", copy, properties));
}
