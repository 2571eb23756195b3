// The list of state machines, and the page of one.

import {
  allItems,
  ask,
  attempt,
  aws,
  badge,
  button,
  count,
  crumbs,
  factsList,
  fill,
  follow,
  h,
  last,
  link,
  open,
  rowLink,
  table,
  tabs,
  when,
} from "./lib.js";
import { json } from "./json.js";
import { Rows } from "./rows.js";
import { executionList } from "./executions.js";
import { startDialog } from "./dialogs.js";

const RECENT = 12; // executions shown beside a machine

export async function machinesPage(main) {
  let machines = [];
  const recent = new RecentExecutions(() => rows.set(rows.rows));
  const rows = new Rows({
    label: "State machines",
    columns: [
      {
        title: "Name",
        width: "minmax(12rem, 2fr)",
        cell: (each) => rowLink(each.name, "m", each.stateMachineArn),
        class: "strong",
      },
      { title: "Type", width: "7rem", cell: (each) => each.type.toLowerCase(), class: "wide" },
      {
        title: "Last executions",
        width: "minmax(13rem, 1fr)",
        cell: (each) => recent.cell(each),
      },
      {
        title: "Created",
        width: "12rem",
        cell: (each) => when(each.creationDate),
        class: "number wide",
      },
    ],
    open: (each) => open("m", each.stateMachineArn),
    empty:
      "No state machines. Create one with an AWS SDK or the AWS CLI; `stepwell env` prints the " +
      "settings.",
  });
  const filter = h("input", {
    type: "search",
    placeholder: "Search state machines",
    "aria-label": "Search state machines",
    oninput: show,
  });
  const total = h("span", { class: "muted" });
  function show() {
    const text = filter.value.toLowerCase();
    rows.set(machines.filter((each) => each.name.toLowerCase().includes(text)));
    total.textContent = count(machines.length, "state machine");
  }
  async function reload() {
    const all = await attempt(() =>
      allItems("ListStateMachines", { maxResults: 1000 }, "stateMachines"),
    );
    if (all) machines = all.sort((one, other) => (one.name < other.name ? -1 : 1));
    show();
  }
  fill(
    main,
    h(
      "div",
      { class: "bar" },
      h("h1", {}, "State machines"),
      total,
      h("span", { class: "grow" }),
      filter,
      button("Refresh", reload),
    ),
    rows.wrap,
  );
  await reload();
  const stop = follow(
    "changes",
    () => ({}),
    ({ executions }) => {
      executions.forEach((each) => recent.update(each));
      const known = new Set(machines.map((each) => each.stateMachineArn));
      if (executions.some((each) => !known.has(each.stateMachineArn))) reload();
      rows.set(rows.rows);
    },
  );
  return { list: rows, search: filter, close: stop };
}

/** The last executions of each machine, loaded when its row is shown. onload: some have arrived */
class RecentExecutions {
  constructor(onload) {
    this.onload = onload;
    this.known = new Map(); // machine ARN -> executions, null while they are loaded
  }

  cell(machine) {
    const executions = this.known.get(machine.stateMachineArn);
    if (executions === undefined && machine.type === "STANDARD") this.load(machine.stateMachineArn);
    if (!executions) return "";
    const [newest] = executions;
    const text = newest ? when(newest.startDate) : "never started";
    return h(
      "span",
      { class: "dots" },
      ...executions.map(statusDot),
      h("span", { class: "muted" }, text),
    );
  }

  async load(machine) {
    this.known.set(machine, null);
    const answer = await ask("search", { machine, limit: RECENT }).catch(() => null);
    this.known.set(machine, answer?.executions ?? []);
    this.onload();
  }

  /** An execution has started or ended. */
  update(execution) {
    const executions = this.known.get(execution.stateMachineArn);
    if (!executions) return;
    const at = executions.findIndex((each) => each.executionArn === execution.executionArn);
    if (at >= 0) executions[at] = execution;
    else executions.unshift(execution);
    executions.length = Math.min(executions.length, RECENT);
  }
}

function statusDot({ executionArn, name, status }) {
  const title = `${name}: ${status.toLowerCase()}`;
  return h("a", {
    class: `dot dot-${status.toLowerCase().replace("_", "-")}`,
    href: link("x", executionArn),
    tabindex: "-1",
    title,
    "aria-label": title,
  });
}

// --- one machine --------------------------------------------------------------------------------

export async function machinePage(main, context, arn, view = "Executions") {
  await context.ready;
  const { info } = context;
  const machine = await aws("DescribeStateMachine", { stateMachineArn: arn });
  const page = {
    list: null,
    search: null,
    close: () => executions?.close(),
    start: () => startDialog(arn, machine),
  };
  let executions = null;
  function showExecutions(panel) {
    if (machine.type === "EXPRESS") {
      fill(panel, h("p", { class: "muted pad" }, "Express executions are not stored."));
      return;
    }
    executions = executionList(arn);
    page.list = executions.rows;
    page.search = executions.text;
    const beside = h("aside", { class: "side", "aria-label": "Diagram" });
    fill(panel, h("div", { class: "split half" }, executions.element, beside));
    executions.load();
    if (matchMedia("(min-width: 1100px)").matches) showDiagram(beside, arn);
  }
  const definition = () =>
    h("div", { class: "pad scroll" }, json(machine.definition, "Definition"));
  const parts = tabs(
    "Machine",
    [
      ["Executions", showExecutions],
      ["Diagram", (panel) => showDiagram(panel, arn)],
      ["Definition", (panel) => fill(panel, definition())],
      ["Versions and aliases", (panel) => showVersions(panel, arn)],
      ["Details", (panel) => fill(panel, details(machine))],
    ],
    view,
    (name) => {
      executions?.close();
      executions = page.list = page.search = null;
      history.replaceState(null, "", link("m", arn, name));
    },
  );
  fill(
    main,
    h(
      "div",
      { class: "bar" },
      crumbs(["State machines"]),
      h("h1", {}, machine.name),
      h("span", { class: "badge" }, machine.type.toLowerCase()),
      machine.status === "DELETING" && badge("ABORTED"),
      h("span", { class: "grow" }),
      !info.readOnly && button("New execution", page.start, { class: "primary", title: "n" }),
    ),
    parts.bar,
    parts.panel,
  );
  return page;
}

async function showDiagram(place, arn) {
  const { Picture } = await import("./picture.js");
  const picture = new Picture(arn);
  fill(place, picture.element);
  attempt(() => picture.load());
}

const details = (machine) =>
  factsList(
    [
      ["ARN", machine.stateMachineArn],
      ["Role", machine.roleArn],
      ["Created", when(machine.creationDate)],
      ["Revision", machine.revisionId ?? "INITIAL"],
      ["Description", machine.description],
      ["Logging", machine.loggingConfiguration?.level],
      ["Tracing", machine.tracingConfiguration?.enabled ? "on" : "off"],
    ],
    { class: "facts-list pad" },
  );

async function showVersions(panel, arn) {
  const input = { stateMachineArn: arn };
  const lists = await attempt(() =>
    Promise.all([
      allItems("ListStateMachineVersions", input, "stateMachineVersions"),
      allItems("ListStateMachineAliases", input, "stateMachineAliases"),
    ]),
  );
  if (!lists) return;
  const [versions, names] = lists;
  const aliases = await Promise.all(
    names.map(({ stateMachineAliasArn }) =>
      aws("DescribeStateMachineAlias", { stateMachineAliasArn }),
    ),
  );
  const routes = (alias) =>
    alias.routingConfiguration
      .map((route) => `version ${last(route.stateMachineVersionArn)} (${route.weight} %)`)
      .join(", ");
  const aliasRows = aliases.map((each) => [
    each.name,
    routes(each),
    when(each.updateDate ?? each.creationDate),
    each.description ?? "",
  ]);
  const versionRows = versions.map((each) => [
    last(each.stateMachineVersionArn),
    when(each.creationDate),
    each.stateMachineVersionArn,
  ]);
  const part = (title, empty, titles, rows) => [
    h("h2", {}, title),
    rows.length ? table(titles, rows) : h("p", { class: "muted" }, empty),
  ];
  fill(
    panel,
    h(
      "div",
      { class: "pad scroll" },
      part("Aliases", "No aliases.", ["Alias", "Routes to", "Updated", "Description"], aliasRows),
      part("Versions", "No versions.", ["Version", "Created", "ARN"], versionRows),
    ),
  );
}
