// The frame around the pages: which one is shown, the keyboard, light and dark.

import { $, ask, attempt, fill, h, link } from "./lib.js";
import { executionsPage, machinePage, machinesPage, mapRunPage } from "./lists.js";
import { helpDialog } from "./dialogs.js";

const main = $("#main");
const context = { info: { readOnly: true, listings: {} } };
context.ready = attempt(() => ask("info")).then((info) => { context.info = info ?? context.info; });
let page = null, visit = 0;

const PAGES = {
  "": [machinesPage, "State machines", ""],
  m: [machinePage, "State machine", ""],
  executions: [executionsPage, "Executions", "executions"],
  x: [async (...given) => (await import("./execution.js")).executionPage(...given), "Execution", "executions"],
  r: [mapRunPage, "Map Run", "executions"],
  s: [async (...given) => (await import("./services.js")).servicePage(...given), "Service", null],
};

const parts = () => location.hash.replace(/^#\/?/, "").split("/").map((each) => {
  try { return decodeURIComponent(each); } catch { return ""; }
});

/** Tell which section this page belongs to. */
function here() {
  const [kind, name] = parts(), section = (PAGES[kind] ?? PAGES[""])[2] ?? name;
  for (const each of document.querySelectorAll("#nav a")) {
    if (each.dataset.section === section) each.setAttribute("aria-current", "page");
    else each.removeAttribute("aria-current");
  }
}

async function show() {
  const mine = ++visit;
  const [kind, ...rest] = parts();
  const [make, title] = PAGES[kind] ?? PAGES[""];
  page?.close();
  page = null;
  const place = h("div", { class: "page" }); // one that comes late finds its place gone
  fill(main, place);
  here();
  document.title = `${rest[0]?.split(":").pop() || title} · stepwell`;
  try {
    const made = await make(place, context, ...rest);
    if (mine === visit) page = made;
    else made?.close();
  } catch (fault) {
    fill(place, h("div", { class: "pad" }, h("h1", {}, "Page not available"), h("p", { class: "fault" }, `${fault.code ?? fault.name}: ${fault.message}`),
      h("p", {}, h("a", { href: "#/" }, "State machines"))));
    if (!fault.code) console.error(fault);
  }
}

// --- light and dark ------------------------------------------------------------------------------------------------------

const THEME = "stepwell-theme";
const dark = () => (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
function theme(name) {
  if (name) document.documentElement.dataset.theme = name;
  $("#theme").setAttribute("aria-pressed", dark());
}
function toggle() {
  const next = dark() ? "light" : "dark";
  try { localStorage.setItem(THEME, next); } catch { /* not allowed to keep it */ }
  theme(next);
}

// --- the keyboard --------------------------------------------------------------------------------------------------------

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || $("dialog[open]")) return;
  if (event.target.closest("input, textarea, select")) {
    if (event.key === "Escape") { event.preventDefault(); event.target.blur(); } // what is typed stays
    return;
  }
  const keys = { t: toggle, "?": helpDialog, n: page?.start, "/": page?.search && (() => page.search.focus()) };
  if (page?.key?.(event)) event.preventDefault();
  else if (keys[event.key] && !(event.key === "n" && context.info.readOnly)) { event.preventDefault(); keys[event.key](); }
  else if (event.key === "Escape") { if (parts()[0]) history.back(); }
  else page?.list?.key(event);
});

// --- begin ---------------------------------------------------------------------------------------------------------------

let kept = null;
try { kept = localStorage.getItem(THEME); } catch { /* not allowed to read it */ }
theme(kept);
addEventListener("hashchange", show);
$("#theme").addEventListener("click", toggle);
$("#help").addEventListener("click", helpDialog);
$(".skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
show();
await context.ready;
fill($("#nav"),
  h("a", { href: "#/", "data-section": "" }, "State machines"), h("a", { href: "#/executions", "data-section": "executions" }, "Executions"),
  ...Object.entries(context.info.listings).map(([name, title]) => h("a", { href: link("s", name), "data-section": name }, title)));
fill($("#where"), context.info.region && `${context.info.region} · ${context.info.account}`, context.info.readOnly && h("span", { class: "badge" }, "read only"));
here();
