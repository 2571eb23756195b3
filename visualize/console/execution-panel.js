// The details of an execution, while no state and no event is selected.

import {
  attempt,
  aws,
  badge,
  button,
  factsList,
  fill,
  h,
  link,
  linked,
  machineOf,
  plain,
  tabs,
  when,
} from "./lib.js";
import { json } from "./json.js";
import { callbackDialog } from "./dialogs.js";
import { NO_NAME, V, W } from "./stream-rows.js";

export function executionPanel(page) {
  const x = page.described;
  const parts = tabs(
    "Execution",
    [
      ["Input & output", (panel) => fill(panel, ...inputOutput(page))],
      ["Definition", (panel) => definition(page, panel)],
      ["Details", (panel) => fill(panel, details(page))],
    ],
    page.executionTab,
    (name) => {
      page.executionTab = name;
    },
  );
  fill(
    page.aside,
    h(
      "div",
      { class: "side-head" },
      h("div", { class: "bar flat" }, h("h2", {}, "Execution"), badge(x.status, page.parked)),
      h("p", { class: "muted" }, "Select a state or an event to show its details."),
    ),
    parts.bar,
    parts.panel,
  );
}

function inputOutput(page) {
  const x = page.described;
  const mapRuns = [...page.visits.values()].filter((each) => each[V.run]);
  return [
    page.failed && [
      h("h3", {}, "Error"),
      h("p", { class: "fault strong" }, x.error ?? NO_NAME),
      x.cause != null && json(x.cause, "Cause"),
      failedState(page),
    ],
    waiting(page),
    h("h3", {}, "Input"),
    json(x.input ?? null, "Input"),
    x.output != null && [h("h3", {}, "Output"), json(x.output, "Output")],
    mapRuns.length > 0 && [h("h3", {}, "Map Runs"), ...mapRuns.map(mapRunLink)],
  ];
}

const mapRunLink = (visit) =>
  h(
    "p",
    {},
    h("a", { href: link("r", visit[V.run]) }, plain(visit[V.name])),
    " ",
    badge(visit[V.status]),
  );

/** The state whose failure made the execution fail. */
function failedState(page) {
  const visit = page.visits.get(page.summary?.failure);
  return visit && h("p", {}, "in ", visitButton(page, visit));
}

const visitButton = (page, visit) =>
  button(plain(visit[V.name]), () => page.selectVisit(visit[V.entered]), { class: "plain link" });

/** What open states wait for, with the task tokens. */
function waiting(page) {
  const rows = page.summary?.waiting ?? [];
  if (!rows.length) return null;
  return [
    h("h3", {}, "Waiting"),
    ...rows.map((row) => {
      const visit = page.visits.get(row[W.entered]);
      const until = row[W.until] ? ` until ${when(row[W.until])}` : "";
      const words = h("span", { class: "muted" }, ` ${row[W.words]}${until}`);
      const name = visit && visitButton(page, visit);
      return h("div", { class: "waiting" }, h("p", {}, name, words), ...waitActions(page, row));
    }),
  ];
}

/** What can be done about a wait. */
export const waitActions = (page, row) => [taskToken(page, row), fireTimer(page, row)];

/** A button that ends the wait of a Wait state, or before a retry. */
function fireTimer(page, row) {
  if (!["timer", "retry"].includes(row[W.kind]) || page.info.readOnly || page.express) return null;
  const fire = async () => {
    const asked = { executionArn: page.arn, enteredEventId: row[W.entered] };
    if (await attempt(() => aws("FireTimer", asked))) page.afterAction();
  };
  return button("End wait now", fire, { title: "The state continues, as if its time had come" });
}

/** The task token of a waiting state, and a button to report the task's result. */
function taskToken(page, row) {
  const token = row[W.token];
  if (!token) return null;
  const report = () => {
    const name = page.visits.get(row[W.entered])[V.name];
    callbackDialog(name, token, () => page.afterAction());
  };
  const title = h("p", { class: "muted" }, "Task token");
  return [title, json(token, "Task token"), !page.info.readOnly && button("Answer", report)];
}

async function definition(page, panel) {
  const machine = await attempt(() =>
    page.express
      ? aws("DescribeStateMachine", { stateMachineArn: machineOf(page.described.stateMachineArn) })
      : aws("DescribeStateMachineForExecution", { executionArn: page.arn }),
  );
  if (machine) fill(panel, json(machine.definition, "Definition"));
}

function details(page) {
  const x = page.described;
  return factsList([
    ["ARN", x.executionArn],
    ["State machine", linked(x.stateMachineArn)],
    ["Map Run", x.mapRunArn && linked(x.mapRunArn)],
    ["Started", when(x.startDate, true)],
    ["Stopped", x.stopDate && when(x.stopDate, true)],
    ["Redrive", !page.express && (x.redriveStatusReason ?? x.redriveStatus)],
    ["Trace header", x.traceHeader],
  ]);
}
