// Functions, topics, queues, rules and schedules: a list, and beside it recent deliveries and the
// selected item.

import {
  ask,
  attempt,
  closeButton,
  factsList,
  fill,
  h,
  last,
  link,
  linked,
  plain,
  status,
  table,
  tabs,
  when,
  whenCell,
} from "./lib.js";
import { json } from "./json.js";
import { Rows } from "./rows.js";

const [AT, FROM, TO, ID, OUTCOME, ATTEMPT, ERROR] = [0, 1, 2, 3, 4, 5, 6]; // of a delivery's row
const REFRESH_MILLISECONDS = 2000;
const TONES = { delivered: "succeeded", ran: "succeeded", failed: "failed", "given up": "failed" };

/** The name at the end of an ARN or a queue's URL. */
const short = (text) =>
  /^(arn:|https?:\/\/[^/]+\/\d+\/)/.test(text) ? last(text).split("/").pop() : text;

export async function servicePage(main, context, service, selected) {
  await context.ready;
  let listing = await ask("listing", { service });
  let shown = ""; // the answers that are shown, as JSON
  let timer = 0;
  let closed = false;
  let tab, deliveries;
  const filter = h("input", {
    type: "search",
    placeholder: "Search",
    "aria-label": "Search",
    oninput: show,
  });
  const total = h("span", { class: "muted" });
  const aside = h("aside", { class: "side", "aria-label": "Details" });
  const rows = new Rows({
    label: listing.title,
    columns: listing.columns.map(column),
    open: ({ arn }) => select(arn),
    empty: "None.",
  });

  function show() {
    const text = filter.value.toLowerCase();
    const matches = ({ cells }) => cells.some((cell) => cell.toLowerCase().includes(text));
    rows.set(listing.rows.filter(matches));
    total.textContent =
      listing.rows.length.toLocaleString("en") + (listing.more ? " and more" : "");
  }

  async function select(arn) {
    selected = arn;
    const parts = ["s", service, arn].filter((each) => each !== undefined);
    history.replaceState(null, "", link(...parts));
    await showDetails();
  }

  /** The details of the selected item; without one, the deliveries of the service. */
  async function showDetails() {
    const arn = selected;
    const item = arn === undefined ? null : await attempt(() => ask("thing", { service, arn }));
    if (arn !== selected || closed) return;
    shown = "";
    deliveries = new Rows({
      label: "Recent deliveries",
      columns: DELIVERY_COLUMNS,
      tone: (row) => (TONES[row[OUTCOME]] === "failed" ? "bad" : ""),
      open: (row) => fill(place, deliveries.wrap, delivery(row)),
      empty: "No deliveries since the server started.",
    });
    const place = h("div", { class: "deliveries" }, deliveries.wrap);
    const parts = tabs(
      "Thing",
      [
        ["Recent deliveries", (panel) => fill(panel, place)],
        ...(item?.parts ?? []).map(partTab),
        ...(item ? [["Details", (panel) => fill(panel, json(item.facts, "Details"))]] : []),
      ],
      tab,
      (name) => {
        tab = name;
      },
    );
    const title = arn === undefined ? listing.title : plain(short(arn));
    const words = arn === undefined ? "Select an item to show its details." : plain(arn, 400);
    const close = arn !== undefined && closeButton(() => select(undefined));
    fill(
      aside,
      h(
        "div",
        { class: "side-head" },
        h("div", { class: "bar flat" }, h("h2", {}, title), h("span", { class: "grow" }), close),
        h("p", { class: "muted" }, words),
      ),
      parts.bar,
      parts.panel,
    );
    await refresh();
  }

  async function refresh() {
    clearTimeout(timer);
    const arn = selected;
    const requests = [
      ["listing", { service }],
      ["deliveries", { service, arn }],
    ];
    const answers = document.hidden
      ? []
      : await Promise.all(requests.map((each) => ask(...each))).catch(() => []);
    if (closed) return;
    timer = setTimeout(refresh, REFRESH_MILLISECONDS);
    if (!answers.length || arn !== selected) return;
    const text = JSON.stringify(answers);
    if (text === shown) return;
    shown = text;
    listing = answers[0];
    show();
    deliveries.set(answers[1].rows);
  }

  fill(
    main,
    h(
      "div",
      { class: "bar" },
      h("h1", {}, listing.title),
      total,
      h("span", { class: "grow" }),
      filter,
    ),
    h("div", { class: "split things" }, h("div", { class: "left-side" }, rows.wrap), aside),
  );
  show();
  await showDetails();
  return {
    list: rows,
    search: filter,
    close() {
      closed = true;
      clearTimeout(timer);
    },
    key(event) {
      if (event.key !== "Escape" || selected === undefined) return false;
      select(undefined);
      return true;
    },
  };
}

const column = (title, index) => ({
  title,
  width: index ? "minmax(5rem, 1fr)" : "minmax(12rem, 2fr)",
  class: index > 1 ? "wide" : index ? "" : "strong",
  cell: ({ cells }) => {
    const text = plain(short(cells[index]));
    return index ? linked(cells[index], text) : h("span", { title: cells[0] }, text);
  },
});

/** The tab of a part of an item, such as the subscriptions of a topic. */
function partTab({ title, columns, rows, more }) {
  const cell = (text) => h("td", { title: text }, linked(text, plain(short(text), 300)));
  const show = () =>
    rows.length
      ? table(
          columns,
          rows.map((row) => h("tr", {}, ...row.map(cell))),
        )
      : h("p", { class: "muted" }, "None.");
  return [`${title} (${rows.length}${more ? "+" : ""})`, (panel) => fill(panel, show())];
}

function delivery(row) {
  const pairs = [
    ["From", row[FROM] || "unknown"],
    ["To", row[TO]],
    ["Id", row[ID]],
    ["When", when(row[AT], true)],
    ["Outcome", `${row[OUTCOME]}, attempt ${row[ATTEMPT].toLocaleString("en")}`],
  ].map(([name, value]) => [name, linked(value, plain(value, 2000))]);
  const error = row[ERROR] && h("span", { class: "fault" }, plain(row[ERROR], 2000));
  return factsList([...pairs, ["Error", error]], { tabindex: "0" });
}

const DELIVERY_COLUMNS = [
  {
    title: "When",
    width: "11rem",
    narrow: "8.9rem",
    cell: (row) => whenCell(row[AT]),
    class: "number first",
  },
  {
    title: "From",
    width: "minmax(5rem, 1fr)",
    cell: (row) => plain(last(row[FROM])),
    class: "wide",
  },
  {
    title: "To",
    width: "minmax(5rem, 1fr)",
    cell: (row) => plain(row[TO].startsWith("arn:") ? last(row[TO]) : row[TO]),
  },
  {
    title: "Outcome",
    width: "6.5rem",
    narrow: "5.5rem",
    cell: (row) => {
      const tone = TONES[row[OUTCOME]] ?? status(row[OUTCOME]);
      return h("span", { class: `badge badge-${tone}` }, row[OUTCOME]);
    },
  },
];
