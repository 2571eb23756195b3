// The list of executions, of one state machine or of all.

import {
  ask,
  attempt,
  badge,
  button,
  count,
  fill,
  follow,
  h,
  last,
  machineOf,
  open,
  rowLink,
  took,
  whenCell,
} from "./lib.js";
import { Rows } from "./rows.js";

const MOST = 5000; // executions in a list, however many more start while it is open
const STATUSES = ["RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"];

export async function executionsPage(main) {
  const executions = executionList(null);
  fill(main, h("div", { class: "bar" }, h("h1", {}, "Executions")), executions.element);
  await executions.load();
  return { list: executions.rows, search: executions.text, close: executions.close };
}

/** A table of executions with filters, kept up to date. machine: ARN, or null for all. */
export function executionList(machine) {
  const known = new Map(); // ARN -> execution
  let token = null; // of the next page
  let searched = 0;
  let requests = 0;
  let cut = false;
  const rows = new Rows({
    label: "Executions",
    columns: columns(machine),
    open: (each) => open("x", each.executionArn),
    empty: "No executions.",
  });
  const text = h("input", {
    type: "search",
    placeholder: "Search by name",
    "aria-label": "Search executions by name",
    oninput: loadSoon,
  });
  const choice = h(
    "select",
    { "aria-label": "Status", onchange: () => load() },
    h("option", { value: "" }, "Any status"),
    ...STATUSES.map((each) => h("option", { value: each }, each.toLowerCase().replace("_", " "))),
  );
  const more = button("Load more", () => load(true));
  const total = h("span", { class: "muted", role: "status" });

  function show() {
    const newest = [...known.values()].sort((one, other) => other.startDate - one.startDate);
    for (const each of newest.splice(MOST)) {
      known.delete(each.executionArn);
      token = null;
      cut = true;
    }
    rows.set(newest);
    more.hidden = !token;
    const parts = [`${cut ? "newest " : ""}${count(known.size, "execution")}`];
    if (token) parts[0] += " so far";
    if (token && text.value) parts.push(`${searched.toLocaleString("en")} searched`);
    total.textContent = parts.join(", ");
  }

  let timer = 0;
  function loadSoon() {
    clearTimeout(timer);
    timer = setTimeout(load, 200);
  }
  /** next: the next page, in addition to what is shown */
  async function load(next = false) {
    const request = ++requests;
    const query = {
      machine,
      status: choice.value,
      name: text.value,
      limit: 100,
      token: next ? token : null,
    };
    const answer = await attempt(() => ask("search", query));
    if (!answer || request !== requests) return;
    if (!next) {
      known.clear();
      searched = 0;
      cut = false;
    }
    for (const each of answer.executions) known.set(each.executionArn, each);
    token = answer.nextToken;
    searched += answer.searched;
    show();
  }

  const matches = (each) =>
    (!choice.value || each.status === choice.value) &&
    each.name.toLowerCase().includes(text.value.toLowerCase());
  const stop = follow(
    "changes",
    () => ({ machine }),
    (changes) => {
      if (changes.more) return loadSoon();
      for (const each of changes.executions) {
        if (matches(each)) known.set(each.executionArn, each);
        else known.delete(each.executionArn);
      }
      show();
    },
  );
  function close() {
    clearTimeout(timer);
    stop();
  }
  const filters = h(
    "div",
    { class: "bar small" },
    text,
    choice,
    total,
    h("span", { class: "grow" }),
    more,
  );
  return { element: h("div", { class: "stack" }, filters, rows.wrap), rows, text, load, close };
}

const columns = (machine) => [
  {
    title: "Name",
    width: "minmax(14rem, 2fr)",
    cell: (each) => rowLink(each.name, "x", each.executionArn),
    class: "strong",
  },
  ...(machine ? [] : [MACHINE]),
  {
    title: "Status",
    width: "8rem",
    narrow: "5.5rem",
    cell: (each) => badge(each.status, each.parked),
  },
  {
    title: "Started",
    width: "12rem",
    narrow: "8.9rem",
    cell: (each) => whenCell(each.startDate),
    class: "number",
  },
  {
    title: "Duration",
    width: "7rem",
    cell: (each) => (each.stopDate ? took(each.stopDate - each.startDate) : ""),
    class: "number wide",
  },
];
const MACHINE = {
  title: "State machine",
  width: "minmax(9rem, 1fr)",
  cell: ({ stateMachineArn: arn }) => rowLink(last(arn), "m", machineOf(arn).split("/")[0]),
  class: "wide",
};
