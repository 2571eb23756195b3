// The page of a Map Run: its counts and its executions, failed ones first.

import {
  allItems,
  attempt,
  aws,
  badge,
  count,
  crumbs,
  fill,
  h,
  last,
  machineOf,
  open,
  rowLink,
  took,
  when,
} from "./lib.js";
import { Rows } from "./rows.js";

const COUNTS = {
  succeeded: "succeeded",
  failed: "failed",
  timedOut: "timed-out",
  aborted: "aborted",
  running: "running",
  pending: "not-run",
}; // member of itemCounts -> class of its colour
const FAILED_FIRST = ["FAILED", "TIMED_OUT", "PENDING_REDRIVE", "ABORTED", "RUNNING", "SUCCEEDED"];
const MOST = 1000; // executions

export async function mapRunPage(main, context, arn) {
  const head = h("div", {});
  const rows = new Rows({
    label: "Items, failed ones first",
    columns: COLUMNS,
    open: (each) => open("x", each.executionArn),
    tone: (each) => (each.status === "FAILED" || each.status === "TIMED_OUT" ? "bad" : ""),
  });
  let timer = 0;
  let closed = false;
  async function load() {
    const run = await aws("DescribeMapRun", { mapRunArn: arn });
    const executions = [];
    for (const statusFilter of FAILED_FIRST) {
      if (executions.length >= MOST) break;
      const input = { mapRunArn: arn, statusFilter, maxResults: MOST };
      executions.push(...(await allItems("ListExecutions", input, "executions", MOST)));
    }
    fill(head, heading(run), counts(run));
    rows.set(executions);
    if (run.status === "RUNNING" && !closed) timer = setTimeout(loadIfVisible, 1000);
  }
  function loadIfVisible() {
    if (document.hidden) timer = setTimeout(loadIfVisible, 2000);
    else attempt(load);
  }
  fill(main, head, rows.wrap);
  await load();
  const close = () => {
    closed = true;
    clearTimeout(timer);
  };
  return { list: rows, close };
}

function heading(run) {
  const machine = machineOf(run.executionArn.replace(":execution:", ":stateMachine:"));
  const duration = run.stopDate ? `, duration ${took(run.stopDate - run.startDate)}` : "";
  return h(
    "div",
    { class: "bar" },
    crumbs([last(machine), "m", machine], [last(run.executionArn), "x", run.executionArn]),
    h("h1", {}, "Map Run"),
    badge(run.status),
    h("span", { class: "grow" }),
    h("span", { class: "muted" }, `started ${when(run.startDate)}${duration}`),
  );
}

function counts(run) {
  const items = run.itemCounts;
  const parts = Object.entries(COUNTS).filter(([name]) => items[name]);
  const meter = parts.map(([name, tone]) => {
    const part = h("span", { class: `fill-${tone}` });
    part.style.flexGrow = items[name];
    return part;
  });
  const words = parts.map(([name, tone]) => {
    const word = name === "timedOut" ? "timed out" : name;
    return h("span", { class: `word-${tone}` }, ` · ${items[name].toLocaleString("en")} ${word}`);
  });
  const concurrency = run.maxConcurrency
    ? `at most ${run.maxConcurrency.toLocaleString("en")} concurrent`
    : "unlimited concurrency";
  const tolerated = run.toleratedFailureCount || `${run.toleratedFailurePercentage} %`;
  const label = parts.map(([name]) => `${items[name]} ${name}`).join(", ");
  return h(
    "div",
    { class: "pad" },
    h("div", { class: "meter", role: "img", "aria-label": label }, ...meter),
    h(
      "p",
      {},
      h("strong", {}, count(items.total, "item")),
      ...words,
      h("span", { class: "muted" }, ` · ${concurrency} · tolerates ${tolerated} failed`),
    ),
  );
}

/** The names of a Map Run differ in what follows the last hyphen: a phone shows only that. */
function shortName(name) {
  const start = name.lastIndexOf("-") + 1;
  return [h("span", { class: "wide" }, name.slice(0, start)), name.slice(start)];
}

const COLUMNS = [
  {
    title: "Execution",
    width: "minmax(16rem, 2fr)",
    cell: (each) => rowLink(shortName(each.name), "x", each.executionArn),
    class: "strong",
  },
  { title: "Status", width: "8rem", narrow: "6rem", cell: (each) => badge(each.status) },
  {
    title: "Items",
    width: "5rem",
    narrow: "3rem",
    cell: (each) => String(each.itemCount ?? 1),
    class: "number",
  },
  {
    title: "Started",
    width: "12rem",
    cell: (each) => when(each.startDate),
    class: "number wide",
  },
  {
    title: "Duration",
    width: "7rem",
    narrow: "4.5rem",
    cell: (each) => (each.stopDate ? took(each.stopDate - each.startDate) : ""),
    class: "number",
  },
];
