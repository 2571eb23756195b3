// The frame around the pages: which one is shown, the keyboard, light and dark.

import { $, ask, attempt, fill, h, link } from "./lib.js";
import { executionsPage } from "./executions.js";
import { machinePage, machinesPage } from "./machines.js";
import { helpDialog } from "./dialogs.js";

const main = $("#main");
const context = { info: { readOnly: true, listings: {} } };
context.ready = attempt(() => ask("info")).then((info) => {
  context.info = info ?? context.info;
});
let page = null;
let visits = 0;

/** A page whose module is loaded when it is shown. */
const late =
  (module, name) =>
  async (...parameters) =>
    (await import(module))[name](...parameters);
// the first part of the address -> [page, title, section; null: the second part of the address]
const PAGES = {
  __proto__: null, // else "constructor" is a page
  "": [machinesPage, "State machines", ""],
  m: [machinePage, "State machine", ""],
  executions: [executionsPage, "Executions", "executions"],
  x: [late("./execution.js", "executionPage"), "Execution", "executions"],
  r: [late("./map-run.js", "mapRunPage"), "Map Run", "executions"],
  s: [late("./services.js", "servicePage"), "Service", null],
  limits: [late("./limits.js", "limitsPage"), "Limits", "limits"],
};

/** For an address that names no page: mistyped, or of another version. */
function unknownPage(place) {
  fill(
    place,
    h(
      "div",
      { class: "pad" },
      h("h1", {}, "Page not found"),
      h("p", { class: "fault" }, `There is no page at ${location.hash}.`),
      h("p", {}, h("a", { href: "#/" }, "State machines")),
    ),
  );
}

const parts = () =>
  location.hash
    .replace(/^#\/?/, "")
    .split("/")
    .map((each) => {
      try {
        return decodeURIComponent(each);
      } catch {
        return "";
      }
    });

/** Mark the section that this page belongs to. */
function markSection() {
  const [kind, name] = parts();
  const section = (PAGES[kind] ?? [])[2] ?? name;
  for (const each of document.querySelectorAll("#nav a")) {
    if (each.dataset.section === section) each.setAttribute("aria-current", "page");
    else each.removeAttribute("aria-current");
  }
}

async function show() {
  const visit = ++visits;
  const [kind, ...rest] = parts();
  const [make, title] = PAGES[kind] ?? [unknownPage, "Not found"];
  page?.close();
  page = null;
  const place = h("div", { class: "page" }); // of this visit: a page that loads late is not shown
  fill(main, place);
  markSection();
  document.title = `${(PAGES[kind] && rest[0]?.split(":").pop()) || title} · stepwell`;
  try {
    const loaded = await make(place, context, ...rest);
    if (visit === visits) page = loaded;
    else loaded?.close();
  } catch (fault) {
    fill(
      place,
      h(
        "div",
        { class: "pad" },
        h("h1", {}, "Page not available"),
        h("p", { class: "fault" }, `${fault.code ?? fault.name}: ${fault.message}`),
        h("p", {}, h("a", { href: "#/" }, "State machines")),
      ),
    );
    if (!fault.code) console.error(fault);
  }
}

// --- light and dark ------------------------------------------------------------------------------

const THEME = "stepwell-theme";
const dark = () =>
  (document.documentElement.dataset.theme ??
    (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
function theme(name) {
  if (name) document.documentElement.dataset.theme = name;
  $("#theme").setAttribute("aria-pressed", dark());
}
function switchTheme() {
  const next = dark() ? "light" : "dark";
  try {
    localStorage.setItem(THEME, next);
  } catch {
    /* the browser does not allow it */
  }
  theme(next);
}

// --- the keyboard --------------------------------------------------------------------------------

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || $("dialog[open]"))
    return;
  if (event.target.closest("input, textarea, select")) {
    if (event.key === "Escape") {
      event.preventDefault(); // it would delete what is typed
      event.target.blur();
    }
    return;
  }
  const keys = {
    t: switchTheme,
    "?": helpDialog,
    n: page?.start,
    "/": page?.search && (() => page.search.focus()),
  };
  if (page?.key?.(event)) event.preventDefault();
  else if (keys[event.key] && !(event.key === "n" && context.info.readOnly)) {
    event.preventDefault();
    keys[event.key]();
  } else if (event.key === "Escape") {
    if (parts()[0]) history.back();
  } else page?.list?.key(event);
});

// --- start ---------------------------------------------------------------------------------------

let stored = null;
try {
  stored = localStorage.getItem(THEME);
} catch {
  /* the browser does not allow it */
}
theme(stored);
addEventListener("hashchange", show);
$("#theme").addEventListener("click", switchTheme);
$("#help").addEventListener("click", helpDialog);
$(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
show();
await context.ready;
fill(
  $("#nav"),
  h("a", { href: "#/", "data-section": "" }, "State machines"),
  h("a", { href: "#/executions", "data-section": "executions" }, "Executions"),
  ...Object.entries(context.info.listings).map(([name, title]) =>
    h("a", { href: link("s", name), "data-section": name }, title),
  ),
);
fill(
  $("#where"),
  context.info.region && `${context.info.region} · ${context.info.account}`,
  context.info.readOnly && h("span", { class: "badge" }, "read only"),
  h("a", { href: "#/limits" }, "Limits"),
);
markSection();
