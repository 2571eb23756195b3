// Functions, topics, queues, rules and schedules: a list, and beside it recent deliveries and the selected item.

import { ask, attempt, fill, h, json, last, link, linked, plain, status, tabs, when } from "./lib.js";
import { Rows } from "./rows.js";

const [AT, FROM, TO, ID, OUTCOME, ATTEMPT, ERROR] = [0, 1, 2, 3, 4, 5, 6]; // of a delivery
const EVERY = 2000; // milliseconds

/** The name at the end of an ARN. */
const short = (text) => (/^(arn:|https?:\/\/[^/]+\/\d+\/)/.test(text) ? last(text).split("/").pop() : text);
const TONES = { delivered: "succeeded", ran: "succeeded", failed: "failed", "given up": "failed" };

export async function servicePage(main, context, service, picked) {
  await context.ready;
  let found = await ask("listing", { service });
  const filter = h("input", { type: "search", placeholder: "Search", "aria-label": "Search", oninput: () => show() });
  const total = h("span", { class: "muted" });
  const aside = h("aside", { class: "side", "aria-label": "Details" });
  const rows = new Rows({
    label: found.title,
    columns: found.columns.map((title, index) => ({
      title, width: index ? "minmax(5rem, 1fr)" : "minmax(12rem, 2fr)", class: index > 1 ? "wide" : index ? "" : "strong",
      cell: ({ cells }) => (index ? linked(cells[index], plain(short(cells[index]))) : h("span", { title: cells[0] }, plain(short(cells[0])))),
    })),
    open: ({ arn }) => pick(arn),
    empty: "None.",
  });
  let told = "", timer = 0, over = false, tab, deliveries;

  function show() {
    const text = filter.value.toLowerCase();
    rows.set(found.rows.filter(({ cells }) => cells.some((cell) => cell.toLowerCase().includes(text))));
    total.textContent = `${found.rows.length.toLocaleString("en")}${found.more ? " and more" : ""}`;
  }

  async function pick(arn) {
    picked = arn;
    history.replaceState(null, "", link(...["s", service, arn].filter((each) => each !== undefined)));
    await side();
  }

  /** What is beside the list: of the service, or of what is picked. */
  async function side() {
    const arn = picked, thing = arn === undefined ? null : await attempt(() => ask("thing", { service, arn }));
    if (arn !== picked || over) return;
    told = "";
    deliveries = new Rows({
      label: "Recent deliveries", columns: COLUMNS, tone: (row) => (TONES[row[OUTCOME]] === "failed" ? "bad" : ""),
      open: (row) => describe(row), empty: "No deliveries since the server started.",
    });
    const part = ({ title, columns, rows, more }) => [`${title} (${rows.length}${more ? "+" : ""})`, (panel) => fill(panel, rows.length
      ? h("table", {}, h("thead", {}, h("tr", {}, ...columns.map((each) => h("th", { scope: "col" }, each)))),
        h("tbody", {}, ...rows.map((row) => h("tr", {}, ...row.map((cell) => h("td", { title: cell }, linked(cell, plain(short(cell), 300))))))))
      : h("p", { class: "muted" }, "None."))];
    const place = h("div", { class: "deliveries" }, deliveries.wrap);
    const parts = tabs("Thing", [
      ["Recent deliveries", (panel) => fill(panel, place)],
      ...(thing?.parts ?? []).map(part),
      ...(thing ? [["Details", (panel) => fill(panel, json(thing.facts, "Details"))]] : []),
    ], tab, (name) => { tab = name; });
    function describe(row) {
      fill(place, deliveries.wrap, h("dl", { class: "facts-list", tabindex: "0" }, ...[["From", row[FROM] || "unknown"], ["To", row[TO]], ["Id", row[ID]], ["When", when(row[AT], true)],
        ["Outcome", `${row[OUTCOME]}, attempt ${row[ATTEMPT].toLocaleString("en")}`], ["Error", row[ERROR]]].filter(([, value]) => value)
        .flatMap(([name, value]) => [h("dt", {}, name), h("dd", { class: name === "Error" ? "fault" : "" }, linked(value, plain(value, 2000)))])));
    }
    fill(aside, h("div", { class: "side-head" }, h("div", { class: "bar flat" }, h("h2", {}, arn === undefined ? found.title : plain(short(arn))), h("span", { class: "grow" }),
      arn !== undefined && h("button", { type: "button", class: "plain", "aria-label": "Close", title: "Esc", onclick: () => pick(undefined) }, "✕")),
    h("p", { class: "muted" }, arn === undefined ? "Select an item to show its details." : plain(arn, 400))), parts.bar, parts.panel);
    await refresh();
  }

  async function refresh() {
    clearTimeout(timer);
    const arn = picked;
    const [list, news] = document.hidden ? [] : await Promise.all([ask("listing", { service }), ask("deliveries", { service, arn })]).catch(() => []);
    if (over) return;
    timer = setTimeout(refresh, EVERY);
    if (!news || arn !== picked) return;
    const now = JSON.stringify([list, news]);
    if (now === told) return;
    told = now;
    found = list;
    show();
    deliveries.set(news.rows);
  }

  fill(main, h("div", { class: "bar" }, h("h1", {}, found.title), total, h("span", { class: "grow" }), filter),
    h("div", { class: "split things" }, h("div", { class: "left-side" }, rows.wrap), aside));
  show();
  await side();
  return {
    list: rows, search: filter, close: () => { over = true; clearTimeout(timer); },
    key: (event) => event.key === "Escape" && picked !== undefined && (pick(undefined), true),
  };
}

const COLUMNS = [
  { title: "When", width: "11rem", narrow: "10.5rem", cell: (row) => when(row[AT]), class: "number first" },
  { title: "From", width: "minmax(5rem, 1fr)", cell: (row) => plain(last(row[FROM])), class: "wide" },
  { title: "To", width: "minmax(5rem, 1fr)", cell: (row) => plain(row[TO].startsWith("arn:") ? last(row[TO]) : row[TO]) },
  { title: "Outcome", width: "6.5rem", narrow: "5.5rem", cell: (row) => h("span", { class: `badge badge-${TONES[row[OUTCOME]] ?? status(row[OUTCOME])}` }, row[OUTCOME]) },
];
