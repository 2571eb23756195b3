// The details of a selected state: one of its visits with input and output, data flow, attempts and
// events; and its definition.

import {
  ask,
  attempt,
  badge,
  button,
  closeButton,
  count,
  fill,
  h,
  last,
  link,
  plain,
  table,
  tabs,
  took,
  when,
} from "./lib.js";
import { json } from "./json.js";
import { note } from "./rows.js";
import { visitEventList } from "./execution-tables.js";
import { waitActions } from "./execution-panel.js";
import { AT, causeMessage, ERROR, ID, TYPE, V, VISIT, W } from "./stream-rows.js";

const FLOW = 1; // the index of the tab "Data flow"
const FIELD_CHARS = 60; // of a field's text beside the name of its stage; a longer one goes below

/** Show the selected state. update: only if something has changed since */
export async function statePanel(page, update = false) {
  const name = page.selected;
  const visits = page.visitsOf(name);
  const number = page.number || visits.length;
  const visit = visits[number - 1];
  const request = (page.inspection = (page.inspection ?? 0) + 1);
  let flow, fault;
  if (visit) {
    try {
      flow = await ask("inspect", { arn: page.arn, state: name, visit: number });
    } catch (refusal) {
      fault = refusal;
    }
  }
  if (request !== page.inspection || page.closed) return;
  const content = JSON.stringify([name, number, flow, fault?.message, visit]);
  if (update && content === page.shownState) return;
  page.shownState = content;
  const missing = (panel) => fill(panel, note(fault ? fault.message : "This state has not run."));
  const parts = tabs(
    "State",
    [
      ["Input & output", (panel) => (flow ? fill(panel, ...inputOutput(flow)) : missing(panel))],
      ["Data flow", (panel) => (flow ? fill(panel, ...stages(flow)) : missing(panel))],
      [
        "Definition",
        async (panel) => {
          const state = await attempt(() => ask("state", { arn: page.arn, state: name }));
          if (state) fill(panel, json(state.definition, "Definition"));
        },
      ],
      ["Retries", (panel) => (visit ? fill(panel, attempts(page, visit)) : missing(panel))],
      ["Events", (panel) => (visit ? showEvents(page, panel, visit) : missing(panel))],
    ],
    page.stateTab,
    (tab) => {
      page.stateTab = tab;
    },
  );
  const focused = document.activeElement?.closest?.(".side") && document.activeElement.id;
  const why = () => parts.select(FLOW);
  fill(page.aside, heading(page, visits, number, flow, why), parts.bar, parts.panel);
  if (focused) queueMicrotask(() => document.getElementById(focused)?.focus());
}

function heading(page, visits, number, flow, why) {
  const visit = visits[number - 1];
  return h(
    "div",
    { class: "side-head" },
    h(
      "div",
      { class: "bar flat" },
      h("h2", {}, plain(page.selected)),
      badge(visit ? visit[V.status] : "not run"),
      h("span", { class: "grow" }),
      closeButton(() => page.select(undefined)),
    ),
    visit && h("p", { class: "muted" }, facts(page, visit), steps(page, visits, number)),
    flow?.error != null && error(flow, why),
    visit && started(visit),
    visit && waiting(page, visit),
  );
}

const facts = (page, visit) =>
  [
    visit[V.type],
    visit[V.end] != null && took(page.duration(visit)),
    visit[V.retries] > 0 && (visit[V.retries] === 1 ? "1 retry" : `${visit[V.retries]} retries`),
    visit[V.redrives] > 0 && count(visit[V.redrives], "redrive"),
    visit[V.index] != null && `iteration ${visit[V.index]}`,
  ]
    .filter(Boolean)
    .join(" · ");

/** Buttons for the earlier and the later visit. */
function steps(page, visits, number) {
  if (visits.length < 2) return null;
  const step = (by, label, sign) =>
    button(sign, () => page.select(page.selected, number + by), {
      class: "plain",
      "aria-label": label,
      disabled: !visits[number - 1 + by],
    });
  const position = `visit ${number.toLocaleString("en")} of ${visits.length.toLocaleString("en")}`;
  return h(
    "span",
    { class: "visits" },
    step(-1, "Earlier visit", "‹"),
    position,
    step(1, "Later visit", "›"),
  );
}

const error = (flow, why) =>
  h(
    "p",
    { class: "fault" },
    h("strong", {}, plain(flow.error)),
    flow.cause ? `: ${plain(causeMessage(flow.cause), 200)}` : "",
    flow.hints.some(({ level }) => level === "cause") &&
      [" ", button("Why?", why, { class: "plain", "aria-label": "Why did it fail?" })],
  );

/** The Map Run or the execution that a visit started. */
const started = (visit) => [
  visit[V.run] && h("p", {}, h("a", { href: link("r", visit[V.run]) }, "Map Run")),
  visit[V.child] &&
    h(
      "p",
      {},
      "Started ",
      h("a", { href: link("x", visit[V.child]) }, plain(last(visit[V.child]))),
    ),
];

function waiting(page, visit) {
  const row = page.summary?.waiting?.find((each) => each[W.entered] === visit[V.entered]);
  if (!row) return null;
  const until = row[W.until] ? ` until ${when(row[W.until])}` : "";
  return [h("p", { class: "waits" }, row[W.words] + until), ...waitActions(page, row)];
}

function inputOutput(flow) {
  const variables = Object.entries(flow.variables);
  return [
    h("h3", {}, "Input"),
    json(flow.input, "Input"),
    h("h3", {}, "Output"),
    flow.output == null
      ? note(flow.status === "running" ? "not available yet" : "none")
      : json(flow.output, "Output"),
    flow.cause && [h("h3", {}, "Cause"), json(flow.cause, "Cause")],
    variables.length > 0 && [
      h("h3", {}, "Variables"),
      ...variables.map(([name, value]) => [h("h4", {}, `$${name}`), json(value, name)]),
    ],
  ];
}

/** The data flow: each stage with its field and the value after it. */
const stages = (flow) => [
  h("p", { class: "muted" }, flow.queryLanguage),
  ...flow.stages.map(({ name, field, value, note }, index) => {
    const short = field !== undefined && field.length <= FIELD_CHARS;
    return h(
      "section",
      { class: "stage" },
      h("header", {}, h("strong", {}, name), short && h("code", {}, plain(field, FIELD_CHARS))),
      field !== undefined && !short && json(field, `${name} as defined`),
      value !== undefined && json(value, name),
      note && h("p", { class: "muted" }, plain(note, 2000)),
      flow.hints.filter((each) => each.stage === index).map(hint),
    );
  }),
];

const LEVELS = { cause: "Why", warning: "Check", note: "Note" };

/** A hint: why the state failed, or a value is not what was meant. Names in it are in backticks. */
const hint = ({ level, field, text }) =>
  h(
    "p",
    { class: `hint ${level}` },
    h("strong", {}, LEVELS[level]),
    field && [" ", h("code", { class: "muted" }, plain(field))],
    " ",
    plain(text, 2000)
      .split("`")
      .map((part, index) => (index % 2 ? h("code", {}, part) : part)),
  );

/** The attempts of a visit, from its events. */
function attempts(page, visit) {
  const rows = page.rows.filter((row) => row[VISIT] === visit[V.entered]);
  const redrives = page.rows
    .filter((row) => row[TYPE] === "ExecutionRedriven")
    .map((row) => row[ID]);
  const tries = [];
  rows.forEach((row, index) => {
    const earlier = index ? rows[index - 1][ID] : 0;
    if (/Scheduled$|^(Map|Parallel)StateStarted$/.test(row[TYPE])) {
      const redriven = redrives.some((id) => earlier < id && id < row[ID]);
      tries.push({ start: row[AT], redriven });
    } else if (tries.length && /(Failed|TimedOut|Succeeded)$/.test(row[TYPE])) {
      tries.at(-1).end ??= row;
    }
  });
  if (!tries.length) return note("No attempts: a state of this type does not call a service.");
  return table(
    ["Attempt", "Started after", "Duration", "Result"],
    tries.map(({ start, redriven, end }, index) => {
      const result = !end
        ? ""
        : end[ERROR]
          ? button(plain(end[ERROR]), () => page.showEvent(end), { class: "plain fault" })
          : end[TYPE];
      return h(
        "tr",
        { class: end?.[ERROR] ? "bad" : "" },
        h("td", {}, `${index + 1}${redriven ? " (redrive)" : ""}`),
        h("td", {}, took(start - visit[V.start])),
        h("td", {}, end ? took(end[AT] - start) : "running"),
        h("td", {}, result),
      );
    }),
  );
}

function showEvents(page, panel, visit) {
  const list = visitEventList(page, visit);
  fill(panel, list.wrap);
  list.set(page.rows.filter((row) => row[VISIT] === visit[V.entered]));
}
