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
  when,
  whenCell,
} from "./lib.js";
import { Rows } from "./rows.js";

const AGAIN_MS = 1000; // between two answers to the same query while executions change
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
    placeholder: "Name, or customer=ada total>100",
    "aria-label": "Search executions",
    "aria-describedby": "search-fault",
    spellcheck: "false",
    oninput: loadSoon,
  });
  const fault = h("p", { class: "fault below", role: "alert", id: "search-fault", hidden: true });
  const notes = h("p", { class: "muted below", role: "status", hidden: true });
  /** A column with the values of a search attribute; each leads to its search. */
  const attribute = (name) => ({
    title: name,
    width: "minmax(4.5rem, 1fr)",
    class: "wide values",
    cell: ({ searchAttributes: of }) =>
      h("span", {}, ...(of?.[name] ?? []).map((value) => valueLink(name, value, search))),
  });
  function search(query) {
    text.value = query;
    load();
  }
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
    if (token && searched) parts.push(`${searched.toLocaleString("en")} searched`);
    total.textContent = parts.join(", ");
  }

  let timer = 0;
  function loadSoon() {
    clearTimeout(timer);
    timer = setTimeout(load, 200);
  }
  // whether an execution fits a query is known to the server only
  const isQuery = () => text.value.split(/\s+/).some((each) => /^[a-z_][\w-]*[<>=]/i.test(each));
  let again = 0;
  function loadAgain() {
    again ||= setTimeout(() => {
      again = 0;
      if (isQuery()) load(false, known.size);
    }, AGAIN_MS);
  }
  /** next: the next page, in addition to what is shown; size: of the page, at least */
  async function load(next = false, size = 0) {
    const request = ++requests;
    const query = {
      machine,
      status: choice.value,
      name: text.value,
      limit: Math.max(100, size),
      token: next ? token : null,
    };
    const answer = await attempt(() => ask("search", query));
    if (!answer || request !== requests) return;
    fault.hidden = !answer.fault;
    fault.textContent = answer.fault ?? "";
    text.setAttribute("aria-invalid", String(Boolean(answer.fault)));
    if (answer.fault) return;
    if (!next) {
      known.clear();
      searched = 0;
      cut = false;
      const named = answer.attributes ?? [];
      rows.show([...columns(machine, named.length > 0), ...named.map(attribute)]);
      fill(notes, ...notesOf(answer));
      notes.hidden = !notes.hasChildNodes();
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
      if (isQuery()) return loadAgain();
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
    clearTimeout(again);
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
  const element = h("div", { class: "stack" }, filters, fault, notes, rows.wrap);
  return { element, rows, text, load, close };
}

function valueLink(name, value, search) {
  const query = `${name}=${JSON.stringify(value)}`;
  const shown = typeof value === "string" ? value : JSON.stringify(value);
  const onclick = () => search(query);
  return h("button", { class: "plain link value", title: query, onclick }, shown);
}

/** What the index does not have. */
function* notesOf({ partialAttributes = [], unknownAttributes = [] }) {
  const partial = new Set(partialAttributes.map((each) => each.name));
  for (const { name, stateMachineArn, since, change } of partialAttributes) {
    const of = last(stateMachineArn);
    const command = h("code", {}, `stepwell machines index ${of}`);
    yield change === "CHANGED"
      ? h(
          "span",
          {},
          `${name} finds executions of ${of} that started since ${when(since)}; `,
          command,
          " indexes earlier ones. ",
        )
      : `${name} was removed from ${of} at ${when(since)}: later executions are not found. `;
  }
  const unknown = unknownAttributes.filter((each) => !partial.has(each));
  if (unknown.length) yield `No execution has the search attribute ${unknown.join(", ")}.`;
}

/** narrow: other columns follow */
const columns = (machine, narrow = false) => [
  {
    title: "Name",
    width: narrow ? "minmax(9rem, 2fr)" : "minmax(14rem, 2fr)",
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
    width: narrow ? "5rem" : "7rem",
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
