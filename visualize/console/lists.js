// The pages that are lists: state machines, one machine, executions, Map Runs.

import { ask, attempt, aws, badge, count, fill, follow, h, json, last, link, machineOf, tabs, took, when } from "./lib.js";
import { Rows } from "./rows.js";
import { startDialog } from "./dialogs.js";

const go = (...parts) => { location.hash = link(...parts); };
const anchor = (text, ...parts) => h("a", { href: link(...parts), tabindex: "-1" }, text);
const KEPT = 5000; // executions in one list of the page, however many more start while it is open
const STATUSES = ["RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"];

export const crumbs = (...steps) => h("nav", { class: "crumbs", "aria-label": "You are here" },
  ...steps.flatMap(([text, ...parts], index) => [index ? h("span", { "aria-hidden": "true" }, "/") : null, h("a", { href: link(...parts) }, text)]));

/** Every item of a paged operation, up to a number. */
async function every(operation, input, member, most = 10_000) {
  const found = [];
  let nextToken;
  do {
    const page = await aws(operation, { ...input, ...(nextToken && { nextToken }) });
    found.push(...page[member]);
    nextToken = page.nextToken;
  } while (nextToken && found.length < most);
  return found;
}

// --- state machines ------------------------------------------------------------------------------------------------------

export async function machinesPage(main) {
  const recent = new Map(); // machine ARN -> its last executions, or the promise of them
  const rows = new Rows({
    label: "State machines",
    columns: [
      { title: "Name", width: "minmax(12rem, 2fr)", cell: (each) => anchor(each.name, "m", each.stateMachineArn), class: "strong" },
      { title: "Type", width: "7rem", cell: (each) => each.type.toLowerCase(), class: "wide" },
      { title: "Last executions", width: "minmax(13rem, 1fr)", cell: dots },
      { title: "Created", width: "12rem", cell: (each) => when(each.creationDate), class: "number wide" },
    ],
    open: (each) => go("m", each.stateMachineArn),
    empty: "No state machines. Create one with an AWS SDK or the AWS CLI; `stepwell env` prints the settings.",
  });
  function dots(machine) {
    const known = recent.get(machine.stateMachineArn);
    if (Array.isArray(known)) {
      return h("span", { class: "dots" }, ...known.map((each) => h("a", {
        class: `dot dot-${each.status.toLowerCase().replace("_", "-")}`, href: link("x", each.executionArn), tabindex: "-1",
        title: `${each.name}: ${each.status.toLowerCase()}`, "aria-label": `${each.name}: ${each.status.toLowerCase()}`,
      })), known.length ? h("span", { class: "muted" }, when(known[0].startDate)) : h("span", { class: "muted" }, "never started"));
    }
    if (!known && machine.type === "STANDARD") {
      recent.set(machine.stateMachineArn, ask("search", { machine: machine.stateMachineArn, limit: 12 })
        .then((found) => found.executions, () => []).then((found) => { recent.set(machine.stateMachineArn, found); rows.set(rows.rows); }));
    }
    return "";
  }
  let all = [];
  const filter = h("input", { type: "search", placeholder: "Search state machines", "aria-label": "Search state machines", oninput: show });
  const total = h("span", { class: "muted" });
  function show() {
    const text = filter.value.toLowerCase();
    rows.set(all.filter((each) => each.name.toLowerCase().includes(text)));
    total.textContent = count(all.length, "state machine");
  }
  const reload = async () => {
    all = (await attempt(() => every("ListStateMachines", { maxResults: 1000 }, "stateMachines"))) ?? all;
    all.sort((one, other) => (one.name < other.name ? -1 : 1));
    show();
  };
  fill(main, h("div", { class: "bar" }, h("h1", {}, "State machines"), total, h("span", { class: "grow" }), filter,
    h("button", { type: "button", onclick: reload }, "Refresh")), rows.wrap);
  await reload();
  const stop = follow("changes", () => ({}), (news) => {
    for (const each of news.executions) {
      const known = recent.get(each.stateMachineArn);
      if (!Array.isArray(known)) continue;
      const at = known.findIndex((one) => one.executionArn === each.executionArn);
      if (at >= 0) known[at] = each;
      else known.unshift(each);
      known.length = Math.min(known.length, 12);
    }
    if (news.executions.some((each) => !all.some((one) => one.stateMachineArn === each.stateMachineArn))) reload();
    rows.set(rows.rows);
  });
  return { list: rows, search: filter, close: stop };
}

// --- executions ----------------------------------------------------------------------------------------------------------

/** A table of executions with filters, kept up to date. machine: ARN, or null for all. */
function executions(machine) {
  const known = new Map();
  let token = null, searched = 0, asked = 0, cut = false;
  const rows = new Rows({
    label: "Executions",
    columns: [
      { title: "Name", width: "minmax(14rem, 2fr)", cell: (each) => anchor(each.name, "x", each.executionArn), class: "strong" },
      ...(machine ? [] : [{ title: "State machine", width: "minmax(9rem, 1fr)", cell: (each) => anchor(last(each.stateMachineArn), "m", machineOf(each.stateMachineArn).split("/")[0]), class: "wide" }]),
      { title: "Status", width: "8rem", narrow: "6rem", cell: (each) => badge(each.status, each.parked) },
      { title: "Started", width: "12rem", narrow: "10.5rem", cell: (each) => when(each.startDate), class: "number" },
      { title: "Duration", width: "7rem", cell: (each) => (each.stopDate ? took(each.stopDate - each.startDate) : ""), class: "number wide" },
    ],
    open: (each) => go("x", each.executionArn),
    empty: "No executions.",
  });
  const text = h("input", { type: "search", placeholder: "Search by name", "aria-label": "Search executions by name", oninput: soon });
  const choice = h("select", { "aria-label": "Status", onchange: () => load() }, h("option", { value: "" }, "Any status"),
    ...STATUSES.map((each) => h("option", { value: each }, each.toLowerCase().replace("_", " "))));
  const more = h("button", { type: "button", onclick: () => load(true) }, "Load more");
  const told = h("span", { class: "muted", role: "status" });
  const show = () => {
    const newest = [...known.values()].sort((one, other) => other.startDate - one.startDate);
    for (const each of newest.splice(KEPT)) { known.delete(each.executionArn); token = null; cut = true; }
    rows.set(newest);
    more.hidden = !token;
    told.textContent = `${cut ? "newest " : ""}${count(known.size, "execution")}${token ? " so far" : ""}${text.value && token ? `, ${searched.toLocaleString("en")} searched` : ""}`;
  };
  let timer = 0;
  function soon() { clearTimeout(timer); timer = setTimeout(load, 200); }
  async function load(onward = false) {
    const mine = ++asked;
    const found = await attempt(() => ask("search", {
      machine, status: choice.value, name: text.value, limit: 100, token: onward === true ? token : null,
    }));
    if (!found || mine !== asked) return;
    if (onward !== true) { known.clear(); searched = 0; cut = false; }
    for (const each of found.executions) known.set(each.executionArn, each);
    token = found.nextToken;
    searched += found.searched;
    show();
  }
  const fits = (each) => (!choice.value || each.status === choice.value) && each.name.toLowerCase().includes(text.value.toLowerCase());
  const stop = follow("changes", () => ({ machine }), (news) => {
    if (news.more) return soon();
    for (const each of news.executions) {
      if (fits(each)) known.set(each.executionArn, each);
      else known.delete(each.executionArn);
    }
    show();
  });
  const element = h("div", { class: "stack" }, h("div", { class: "bar small" }, text, choice, told, h("span", { class: "grow" }), more), rows.wrap);
  return { element, rows, text, load, close: () => { clearTimeout(timer); stop(); } };
}

export async function executionsPage(main) {
  const table = executions(null);
  fill(main, h("div", { class: "bar" }, h("h1", {}, "Executions")), table.element);
  await table.load();
  return { list: table.rows, search: table.text, close: table.close };
}

// --- one machine ---------------------------------------------------------------------------------------------------------

export async function machinePage(main, context, arn, view = "Executions") {
  await context.ready;
  const { info } = context;
  const machine = await aws("DescribeStateMachine", { stateMachineArn: arn });
  const page = { list: null, search: null, close: () => table?.close(), start: () => startDialog(arn, machine) };
  let table = null;
  const start = h("button", { class: "primary", type: "button", onclick: page.start, title: "n" }, "New execution");
  const shown = tabs("Machine", [
    ["Executions", (panel) => {
      if (machine.type === "EXPRESS") return void fill(panel, h("p", { class: "muted pad" }, "Express executions are not stored."));
      table = executions(arn);
      page.list = table.rows;
      page.search = table.text;
      const beside = h("aside", { class: "side", "aria-label": "Diagram" });
      fill(panel, h("div", { class: "split half" }, table.element, beside));
      table.load();
      if (matchMedia("(min-width: 1100px)").matches) picture(beside, arn);
    }],
    ["Diagram", (panel) => picture(panel, arn)],
    ["Definition", (panel) => fill(panel, h("div", { class: "pad scroll" }, json(machine.definition, "Definition")))],
    ["Versions and aliases", (panel) => versions(panel, arn)],
    ["Details", (panel) => fill(panel, details(machine))],
  ], view, (name) => {
    table?.close();
    table = page.list = page.search = null;
    history.replaceState(null, "", link("m", arn, name));
  });
  fill(main, h("div", { class: "bar" }, crumbs(["State machines"]), h("h1", {}, machine.name), h("span", { class: "badge" }, machine.type.toLowerCase()),
    machine.status === "DELETING" && badge("ABORTED"), h("span", { class: "grow" }), !info.readOnly && start), shown.bar, shown.panel);
  return page;
}

async function picture(place, arn) {
  const { Picture } = await import("./picture.js");
  const made = new Picture(arn);
  fill(place, made.element);
  attempt(() => made.load());
}

function details(machine) {
  const facts = [
    ["ARN", machine.stateMachineArn], ["Role", machine.roleArn], ["Created", when(machine.creationDate)], ["Revision", machine.revisionId ?? "INITIAL"],
    ["Description", machine.description], ["Logging", machine.loggingConfiguration?.level], ["Tracing", machine.tracingConfiguration?.enabled ? "on" : "off"],
  ];
  return h("dl", { class: "facts-list pad" }, ...facts.filter(([, value]) => value != null).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

async function versions(panel, arn) {
  const found = await attempt(() => Promise.all([
    every("ListStateMachineVersions", { stateMachineArn: arn }, "stateMachineVersions"),
    every("ListStateMachineAliases", { stateMachineArn: arn }, "stateMachineAliases"),
  ]));
  if (!found) return;
  const aliases = await Promise.all(found[1].map((each) => aws("DescribeStateMachineAlias", { stateMachineAliasArn: each.stateMachineAliasArn })));
  const table = (title, empty, heads, lines) => [h("h2", {}, title), lines.length ? h("table", {},
    h("thead", {}, h("tr", {}, ...heads.map((each) => h("th", { scope: "col" }, each)))),
    h("tbody", {}, ...lines.map((cells) => h("tr", {}, ...cells.map((each) => h("td", {}, each)))))) : h("p", { class: "muted" }, empty)];
  fill(panel, h("div", { class: "pad scroll" },
    table("Aliases", "No aliases.", ["Alias", "Routes to", "Updated", "Description"], aliases.map((each) => [
      each.name, each.routingConfiguration.map((route) => `version ${last(route.stateMachineVersionArn)} (${route.weight} %)`).join(", "),
      when(each.updateDate ?? each.creationDate), each.description ?? "",
    ])),
    table("Versions", "No versions.", ["Version", "Created", "ARN"], found[0].map((each) => [
      last(each.stateMachineVersionArn), when(each.creationDate), each.stateMachineVersionArn,
    ]))));
}

// --- a Map Run -----------------------------------------------------------------------------------------------------------

const COUNTS = [["succeeded", "succeeded"], ["failed", "failed"], ["timedOut", "timed-out"], ["aborted", "aborted"], ["running", "running"], ["pending", "not-run"]];
const FAILED_FIRST = ["FAILED", "TIMED_OUT", "PENDING_REDRIVE", "ABORTED", "RUNNING", "SUCCEEDED"];

export async function mapRunPage(main, context, arn) {
  const head = h("div", {});
  const rows = new Rows({
    label: "Items, failed ones first",
    columns: [
      { title: "Execution", width: "minmax(16rem, 2fr)", cell: (each) => anchor(each.name, "x", each.executionArn), class: "strong" },
      { title: "Status", width: "8rem", narrow: "6rem", cell: (each) => badge(each.status) },
      { title: "Items", width: "5rem", narrow: "3rem", cell: (each) => String(each.itemCount ?? 1), class: "number" },
      { title: "Started", width: "12rem", cell: (each) => when(each.startDate), class: "number wide" },
      { title: "Duration", width: "7rem", narrow: "4.5rem", cell: (each) => (each.stopDate ? took(each.stopDate - each.startDate) : ""), class: "number" },
    ],
    open: (each) => go("x", each.executionArn),
    tone: (each) => (each.status === "FAILED" || each.status === "TIMED_OUT" ? "bad" : ""),
  });
  let timer = 0, over = false;
  async function load() {
    const run = await aws("DescribeMapRun", { mapRunArn: arn });
    const found = [];
    for (const statusFilter of FAILED_FIRST) {
      if (found.length < 1000) found.push(...await every("ListExecutions", { mapRunArn: arn, statusFilter, maxResults: 1000 }, "executions", 1000));
    }
    const items = run.itemCounts, machine = run.executionArn.replace(":execution:", ":stateMachine:").split(":").slice(0, 7).join(":");
    const parts = COUNTS.filter(([name]) => items[name]);
    fill(head,
      h("div", { class: "bar" }, crumbs([last(machine), "m", machine], [last(run.executionArn), "x", run.executionArn]), h("h1", {}, "Map Run"), badge(run.status), h("span", { class: "grow" }),
        h("span", { class: "muted" }, `started ${when(run.startDate)}${run.stopDate ? `, duration ${took(run.stopDate - run.startDate)}` : ""}`)),
      h("div", { class: "pad" },
        h("div", { class: "meter", role: "img", "aria-label": parts.map(([name]) => `${items[name]} ${name}`).join(", ") },
          ...parts.map(([name, tone]) => { const part = h("span", { class: `fill-${tone}` }); part.style.flexGrow = items[name]; return part; })),
        h("p", {}, h("strong", {}, count(items.total, "item")), ...parts.map(([name, tone]) => h("span", { class: `word-${tone}` },
          ` · ${items[name].toLocaleString("en")} ${name === "timedOut" ? "timed out" : name}`)),
        h("span", { class: "muted" }, ` · ${run.maxConcurrency ? `at most ${run.maxConcurrency.toLocaleString("en")} concurrent` : "unlimited concurrency"} · tolerates ${run.toleratedFailureCount || `${run.toleratedFailurePercentage} %`} failed`))));
    rows.set(found);
    if (run.status === "RUNNING" && !over) timer = setTimeout(() => (document.hidden ? (timer = setTimeout(load, 2000)) : attempt(load)), 1000);
  }
  fill(main, head, rows.wrap);
  await load();
  return { list: rows, close: () => { over = true; clearTimeout(timer); } };
}
