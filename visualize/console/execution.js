// The page of an execution, updated live: graph, table, timeline and events, and the details of the selection.

import { $, announce, ask, attempt, aws, badge, count, fill, follow, h, json, last, link, linked, machineOf, path, plain, status, tabs, took, when } from "./lib.js";
import { Rows, note } from "./rows.js";
import { Picture } from "./picture.js";
import { crumbs } from "./lists.js";
import { callbackDialog, redriveDialog, startDialog, stopDialog } from "./dialogs.js";

const VIEWS = ["Graph", "Table", "Timeline", "Events"];
// the places of a row of an event and of a visit (visualize/live.py)
const [ID, AT, TYPE, STATE, VISIT, ERROR] = [0, 1, 2, 3, 4, 5];
const V = { entered: 0, name: 1, type: 2, status: 3, start: 4, end: 5, parent: 6, index: 7, attempts: 8, error: 9, resource: 10, run: 11, child: 12, retries: 13, redrives: 14 };
const W = { entered: 0, kind: 1, words: 2, until: 3, token: 4 };
const NO_NAME = "no error name";
const BAD = /(Failed|TimedOut|Aborted)$/;

export async function executionPage(main, context, arn, view = "Graph", state) {
  await context.ready;
  const page = new Execution(main, context, arn);
  await page.open(VIEWS.includes(view) ? view : "Graph", state);
  return page;
}

class Execution {
  constructor(main, { info }, arn) {
    Object.assign(this, { main, info, arn, rows: [], visits: new Map(), order: [], states: {}, taken: [], picked: undefined, seen: 0 });
    this.picture = new Picture(arn, { choose: (name) => this.pick(name), reload: () => this.restart() });
    this.eventList = this.events();
    this.table = this.stateTable();
    this.timeline = this.timelineTable();
  }

  async open(view, state) {
    this.described = await this.describe();
    this.picked = state; // known to the address from the start; shown once the picture is there
    this.layout(view);
    this.header();
    this.side();
    this.stream();
    const drawn = attempt(() => this.picture.load()).then(() => { this.picture.svg && this.picture.clear(); this.repaint(); });
    this.clock = setInterval(() => this.tick(), 250);
    if (state) drawn.then(() => this.pick(state));
  }

  /** Of an Express execution the API says nothing. */
  async describe() {
    const found = await (this.express ? ask("look", { arn: this.arn }) : aws("DescribeExecution", { executionArn: this.arn }));
    this.parked = found.status === "RUNNING" ? (await ask("parked", { arn: this.arn })).parked : undefined;
    return found;
  }

  get express() {
    return this.arn.includes(":express:");
  }

  close() {
    this.stop?.();
    clearInterval(this.clock);
    cancelAnimationFrame(this.frame);
    this.closed = true;
  }

  // --- the frame of the page ---------------------------------------------------------------------------------------------

  layout(view) {
    this.top = h("div", { class: "bar execution-bar" });
    this.waits = h("span", { class: "waits" });
    this.facts = h("div", { class: "facts" });
    this.bar = h("div", { class: "tabs views", role: "tablist", "aria-label": "Views" }, ...VIEWS.map((name, index) => h("button", {
      type: "button", role: "tab", id: `view-${index}`, "aria-controls": "view", title: String(index + 1), onclick: () => this.show(name),
      onkeydown: (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        event.preventDefault();
        this.show(VIEWS[(index + step + VIEWS.length) % VIEWS.length]);
        $('[aria-selected="true"]', this.bar).focus();
      },
    }, name)));
    this.link = h("span", { class: "link muted", role: "status" });
    this.body = h("div", { class: "view", id: "view", role: "tabpanel", tabindex: "-1" });
    this.aside = h("aside", { class: "side", "aria-label": "Details" });
    fill(this.main, h("h1", { class: "unseen" }, `Execution ${this.described.name}`), this.top, this.facts,
      h("div", { class: "split" }, h("div", { class: "left-side" }, h("div", { class: "views-bar" }, this.bar, this.link), this.body), this.aside));
    this.show(view);
  }

  show(view) {
    this.view = view;
    this.bar.querySelectorAll("[role=tab]").forEach((each, index) => {
      each.setAttribute("aria-selected", VIEWS[index] === view);
      each.tabIndex = VIEWS[index] === view ? 0 : -1;
    });
    this.body.setAttribute("aria-labelledby", `view-${VIEWS.indexOf(view)}`);
    this.list = { Graph: this.eventList, Table: this.table, Timeline: this.timeline, Events: this.eventList }[view];
    if (view === "Graph") fill(this.body, this.picture.element, h("div", { class: "under" }, this.eventList.wrap));
    else fill(this.body, this.list.wrap);
    this.address();
    this.render();
  }

  address() {
    history.replaceState(null, "", link(...["x", this.arn, this.view, this.picked].filter((each) => each !== undefined)));
  }

  key(event) {
    if (VIEWS[event.key - 1]) return this.show(VIEWS[event.key - 1]), true;
    if (event.key === "Escape" && this.picked !== undefined) return this.pick(undefined), true;
    return this.view === "Graph" && this.picture.key(event);
  }

  get start() {
    return this.info.readOnly ? undefined : () => this.again();
  }

  // --- what comes in -----------------------------------------------------------------------------------------------------

  stream() {
    this.stop = follow("watch", () => ({ arn: this.arn, after: this.seen || null, collapse: [...this.picture.collapsed].join("\n") }),
      (message) => this.take(message), (how, why) => this.connection(how, why));
  }

  /** From the beginning: boxes of the picture were opened or closed. */
  async restart() {
    this.stop();
    Object.assign(this, { rows: [], visits: new Map(), order: [], states: {}, taken: [], seen: 0 });
    await attempt(() => this.picture.load());
    this.picture.clear();
    this.stream();
  }

  connection(how, why) {
    this.link.textContent = { live: this.described.status === "RUNNING" ? "● live" : "", lost: "connection lost, reconnecting…", end: "", damaged: `the definition or the history cannot be read: ${why}` }[how];
    if (how === "end") this.refresh();
  }

  take(message) {
    if (!message.rows || this.closed) return;
    for (const row of message.rows) if (row[ID] > this.seen) { this.rows.push(row); this.seen = row[ID]; }
    for (const visit of message.visits) {
      if (!this.visits.has(visit[V.entered])) this.order.push(visit[V.entered]);
      this.visits.set(visit[V.entered], visit);
    }
    Object.assign(this.states, message.states);
    this.taken.push(...message.taken);
    const { rows, visits, states, taken, whole, ...facts } = message;
    const before = this.told?.status, awaited = JSON.stringify(this.told?.waiting ?? []);
    this.told = facts;
    this.skew = Math.min(this.skew ?? Infinity, Date.now() / 1000 - facts.clock);
    this.picture.paint(states, taken);
    this.follow(states);
    if (this.picked !== undefined && message.visits.some((each) => each[V.name] === this.picked)) this.inspectSoon();
    if (before && before !== facts.status) this.ended(facts.status);
    if (awaited !== JSON.stringify(facts.waiting)) this.awaits();
    this.render();
  }

  /** What is waited for has changed. */
  awaits() {
    this.hint();
    if (this.picked === undefined && this.event === undefined) this.side();
  }

  hint() {
    const found = this.told?.waiting ?? [], more = found.length > 1 ? ` and ${found.length - 1} more` : "";
    this.waits.title = this.parked ?? "";
    this.waits.textContent = this.parked ?? (found.length ? found[0][W.words] + more : "");
  }

  async ended(how) {
    announce(`Execution ${how}`);
    await this.refresh();
  }

  async refresh() {
    const found = await attempt(() => this.describe());
    if (!found || this.closed) return;
    this.described = found;
    this.header();
    if (this.picked === undefined && this.event === undefined) this.side();
  }

  repaint() {
    this.picture.paint(this.states, this.taken);
    if (this.picked !== undefined) this.picture.select(this.picked);
    this.follow(this.states);
  }

  /** Keep in view what goes on, or what failed. */
  follow(states) {
    const name = Object.keys(states).findLast((each) => ["running", "failed", "timed-out"].includes(states[each].status));
    if (name !== undefined && this.picked === undefined) this.picture.reveal(name);
  }

  /** At most once per animation frame. */
  render() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      if (this.closed) return;
      this.numbers();
      this.list.set(this.list === this.eventList ? this.rows : this.order, this.told?.status === "running");
    });
  }

  tick() {
    if (this.told?.status !== "running" || document.hidden) return;
    this.numbers();
    if (this.view === "Timeline" || this.view === "Table") this.list.set(this.order);
  }

  /** The server's time now. */
  now() {
    return this.told?.status === "running" ? Date.now() / 1000 - (this.skew ?? 0) : this.told?.end ?? this.told?.now ?? 0;
  }

  // --- head --------------------------------------------------------------------------------------------------------------

  header() {
    const { described: x, info } = this, runs = x.status === "RUNNING";
    const machine = machineOf(x.stateMachineArn).split("/")[0];
    const act = (name, act, enabled, title) => h("button", { type: "button", onclick: act, disabled: !enabled, title }, name);
    const after = () => this.afterAction();
    fill(this.top, crumbs(["State machines"], [last(machine), "m", machine], ...(x.mapRunArn ? [["Map Run", "r", x.mapRunArn]] : [])),
      h("strong", { class: "title" }, x.name), badge(x.status, this.parked), this.waits, h("span", { class: "grow" }),
      !info.readOnly && !this.express && act("Stop", () => stopDialog(this.arn, after), runs),
      !info.readOnly && !this.express && act("Redrive from failure", () => redriveDialog(this.arn, after), x.redriveStatus === "REDRIVABLE", x.redriveStatusReason),
      h("a", { class: "button", href: path("export", { arn: this.arn }), download: "" }, "Export"),
      !info.readOnly && h("button", { type: "button", class: "primary", onclick: () => this.again(), title: "n" }, "New execution"));
    const fact = (name, ...value) => h("div", { class: name === "Error" ? "last" : null }, h("span", { class: "muted" }, name), h("span", {}, ...value));
    this.values = { duration: h("span"), events: h("span"), transitions: h("span") };
    fill(this.facts, fact("Started", when(x.startDate, true)), fact("Duration", this.values.duration), fact("Events", this.values.events),
      fact("Transitions", this.values.transitions), x.redriveCount > 0 && fact("Redrives", String(x.redriveCount)), x.stopDate && fact("Stopped", when(x.stopDate, true)),
      x.stateMachineVersionArn && fact("Version", last(x.stateMachineVersionArn)), x.stateMachineAliasArn && fact("Alias", last(x.stateMachineAliasArn)),
      (x.status === "FAILED" || x.error != null || x.cause != null) && fact("Error", h("strong", { class: "fault" }, x.error ?? NO_NAME), " ",
        h("span", { class: "fault", title: x.cause?.slice(0, 1000) }, plain(gist(x.cause), 300))));
    this.numbers();
    this.hint();
  }

  numbers() {
    const { described: x, told, values } = this;
    values.duration.textContent = took((x.stopDate ?? (this.now() || x.startDate)) - x.startDate);
    values.events.textContent = (told?.events ?? 0).toLocaleString("en");
    values.transitions.textContent = (told?.transitions ?? 0).toLocaleString("en");
  }

  async afterAction() {
    await this.refresh();
    if (this.described.status === "RUNNING" && this.told?.status !== "running") {
      this.stop();
      this.stream(); // it had ended
    }
  }

  async again() {
    const arn = machineOf(this.described.stateMachineArn).split("/")[0];
    const machine = await attempt(() => aws("DescribeStateMachine", { stateMachineArn: arn }));
    if (machine) startDialog(arn, machine, this.described.input);
  }

  // --- lists -------------------------------------------------------------------------------------------------------------

  events() {
    return new Rows({
      label: "Events",
      columns: [
        { title: "ID", width: "4.5rem", narrow: "2.5rem", cell: (row) => String(row[ID]), class: "number first" },
        { title: "Elapsed", width: "6.5rem", cell: (row) => `${(row[AT] - (this.told?.start ?? row[AT])).toFixed(3)} s`, class: "number first wide" },
        { title: "Type", width: "minmax(9rem, 1fr)", narrow: "minmax(0, 1.4fr)", cell: (row) => row[TYPE] },
        { title: "State", width: "minmax(7rem, 2fr)", cell: (row) => plain(row[STATE] ?? "") },
        { title: "Error", width: "minmax(5rem, 1fr)", cell: (row) => plain(row[ERROR] ?? ""), class: "wide" },
      ],
      tone: (row) => (BAD.test(row[TYPE]) ? "bad" : ""),
      open: (row) => this.showEvent(row),
    });
  }

  depth(visit) {
    let depth = 0;
    for (let each = visit; each[V.parent] != null; each = this.visits.get(each[V.parent])) depth++;
    return depth;
  }

  nameCell(entered) {
    const visit = this.visits.get(entered);
    const cell = h("span", { class: "indented" }, visit[V.index] != null && h("span", { class: "muted" }, `#${visit[V.index]} `), plain(visit[V.name]));
    cell.style.paddingLeft = `${Math.min(8, this.depth(visit)) * 16}px`;
    return cell;
  }

  length(visit) {
    return Math.max(0, (visit[V.end] ?? this.now()) - visit[V.start]);
  }

  stateTable() {
    const of = (entered) => this.visits.get(entered);
    return new Rows({
      label: "States, in order of entry",
      columns: [
        { title: "State", width: "minmax(12rem, 2fr)", cell: (each) => this.nameCell(each), class: "strong" },
        { title: "Type", width: "6rem", cell: (each) => of(each)[V.type], class: "wide" },
        { title: "Status", width: "7.5rem", narrow: "6rem", cell: (each) => badge(of(each)[V.status]) },
        { title: "Attempts", width: "5rem", cell: (each) => String(of(each)[V.attempts] || ""), class: "number wide" },
        { title: "Start", width: "6.5rem", cell: (each) => `${(of(each)[V.start] - this.told.start).toFixed(3)} s`, class: "number wide" },
        { title: "Duration", width: "6.5rem", narrow: "4.5rem", cell: (each) => took(this.length(of(each))), class: "number" },
        { title: "Resource or error", width: "minmax(8rem, 1.5fr)", cell: (each) => this.about(of(each)), class: "wide" },
      ],
      tone: (each) => (of(each)[V.status] === "failed" ? "bad" : ""),
      open: (each) => this.pickVisit(each),
    });
  }

  /** A visit's error, or what it asks for: a link where that has a page. */
  about(visit) {
    const to = visit[V.run] ? link("r", visit[V.run]) : visit[V.child] ? link("x", visit[V.child]) : null;
    const text = plain(visit[V.error] ?? visit[V.resource] ?? "");
    return to ? h("span", {}, text, text && " ", h("a", { href: to, tabindex: "-1" }, visit[V.run] ? "Map Run" : plain(last(visit[V.child])))) : text;
  }

  timelineTable() {
    const of = (entered) => this.visits.get(entered);
    return new Rows({
      label: "Timeline",
      columns: [
        { title: "State", width: "minmax(10rem, 16rem)", cell: (each) => this.nameCell(each) },
        { title: "Time", width: "minmax(10rem, 1fr)", cell: (each) => this.lane(of(each)), class: "lane" },
        { title: "Duration", width: "6rem", narrow: "4.5rem", cell: (each) => took(this.length(of(each))), class: "number" },
      ],
      open: (each) => this.pickVisit(each),
    });
  }

  lane(visit) {
    const begin = this.told.start, whole = Math.max(0.001, this.now() - begin), part = (seconds) => `${(100 * seconds / whole).toFixed(2)}%`;
    const bar = h("span", { class: `fill-${status(visit[V.status])} bar-of-time` });
    bar.style.left = `min(${part(visit[V.start] - begin)}, 100% - 2px)`;
    bar.style.width = part(this.length(visit));
    return h("span", { class: "track", role: "img", "aria-label": `${status(visit[V.status])}, ${took(visit[V.start] - begin)} after the start, duration ${took(this.length(visit))}` }, bar);
  }

  // --- the side ----------------------------------------------------------------------------------------------------------

  /** The execution itself, where no state is picked. */
  side() {
    const x = this.described;
    const runs = [...this.visits.values()].filter((each) => each[V.run]);
    const parts = tabs("Execution", [
      ["Input & output", (panel) => fill(panel,
        (x.status === "FAILED" || x.error != null || x.cause != null) && [h("h3", {}, "Error"), h("p", { class: "fault strong" }, x.error ?? NO_NAME), cause(x.cause), this.failing()],
        this.waitingFor(),
        h("h3", {}, "Input"), json(x.input ?? null, "Input"), x.output != null && [h("h3", {}, "Output"), json(x.output, "Output")],
        runs.length > 0 && [h("h3", {}, "Map Runs"), ...runs.map((each) => h("p", {}, h("a", { href: link("r", each[V.run]) }, plain(each[V.name])), " ", badge(each[V.status])))])],
      ["Definition", async (panel) => {
        const found = await attempt(() => (this.express ? aws("DescribeStateMachine", { stateMachineArn: machineOf(this.described.stateMachineArn) })
          : aws("DescribeStateMachineForExecution", { executionArn: this.arn })));
        if (found) fill(panel, json(found.definition, "Definition"));
      }],
      ["Details", (panel) => fill(panel, h("dl", { class: "facts-list" }, ...[["ARN", x.executionArn], ["State machine", linked(x.stateMachineArn)], ["Map Run", x.mapRunArn && linked(x.mapRunArn)], ["Started", when(x.startDate, true)],
        ["Stopped", x.stopDate && when(x.stopDate, true)], ["Redrive", !this.express && (x.redriveStatusReason ?? x.redriveStatus)], ["Trace header", x.traceHeader]]
        .filter(([, value]) => value).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])))],
    ], this.sideTab, (name) => { this.sideTab = name; });
    fill(this.aside, h("div", { class: "side-head" }, h("div", { class: "bar flat" }, h("h2", {}, "Execution"), badge(x.status, this.parked)), h("p", { class: "muted" }, "Select a state or an event to show its details.")), parts.bar, parts.panel);
  }

  /** The state that made it fail. */
  failing() {
    const visit = this.visits.get(this.told?.failure);
    return visit && h("p", {}, "in ", h("button", { type: "button", class: "plain link", onclick: () => this.pickVisit(visit[V.entered]) }, plain(visit[V.name])));
  }

  /** What open states wait for, with the task tokens. */
  waitingFor() {
    const found = this.told?.waiting ?? [];
    return found.length > 0 && [h("h3", {}, "Waiting"), ...found.map((each) => h("div", { class: "waiting" },
      h("p", {}, h("button", { type: "button", class: "plain link", onclick: () => this.pickVisit(each[W.entered]) }, plain(this.visits.get(each[W.entered])?.[V.name] ?? "")),
        h("span", { class: "muted" }, ` ${each[W.words]}${each[W.until] ? ` until ${when(each[W.until])}` : ""}`)), this.token(each)))];
  }

  /** The task token of a row of what is waited for, and how to answer it. */
  token(row) {
    return row[W.token] && [json(row[W.token], "Task token"),
      !this.info.readOnly && h("button", { type: "button", onclick: () => callbackDialog(this.visits.get(row[W.entered])[V.name], row[W.token], () => this.afterAction()) }, "Answer")];
  }

  pickVisit(entered) {
    const name = this.visits.get(entered)[V.name];
    this.pick(name, this.of(name).findIndex((each) => each[V.entered] === entered) + 1);
  }

  of(name) {
    return this.order.map((each) => this.visits.get(each)).filter((each) => each[V.name] === name);
  }

  /** A state, and which of its visits (from 1; the last one if none is given). */
  pick(name, visit = 0) {
    this.event = undefined;
    this.picked = name;
    this.number = visit;
    this.address();
    const element = this.picture.select(name);
    if (name === undefined) return this.side();
    if (element) this.picture.reveal(name, true);
    this.inspect();
  }

  inspectSoon() {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => !this.closed && this.picked !== undefined && this.event === undefined && this.inspect(true), 300);
  }

  async inspect(again = false) {
    const name = this.picked, visits = this.of(name), number = this.number || visits.length, visit = visits[number - 1];
    const asked = (this.asked = (this.asked ?? 0) + 1);
    const needs = visit ? [ask("inspect", { arn: this.arn, state: name, visit: number })] : [];
    const [flow] = await Promise.all(needs).catch((fault) => [{ fault }]);
    if (asked !== this.asked || this.closed) return;
    const same = JSON.stringify([name, number, flow, visit]);
    if (again && same === this.shown) return;
    this.shown = same;
    const step = (by) => h("button", { type: "button", class: "plain", "aria-label": by < 0 ? "Earlier visit" : "Later visit", disabled: !visits[number - 1 + by],
      onclick: () => this.pick(name, number + by) }, by < 0 ? "‹" : "›");
    const waits = visit && this.told?.waiting?.find((each) => each[W.entered] === visit[V.entered]);
    const head = h("div", { class: "side-head" }, h("div", { class: "bar flat" }, h("h2", {}, plain(name)), badge(visit ? visit[V.status] : "not run"), h("span", { class: "grow" }),
      h("button", { type: "button", class: "plain", "aria-label": "Close", title: "Esc", onclick: () => this.pick(undefined) }, "✕")),
    visit && h("p", { class: "muted" }, [visit[V.type], visit[V.end] != null && took(this.length(visit)), visit[V.retries] > 0 && (visit[V.retries] === 1 ? "1 retry" : `${visit[V.retries]} retries`), visit[V.redrives] > 0 && count(visit[V.redrives], "redrive"),
      visit[V.index] != null && `iteration ${visit[V.index]}`].filter(Boolean).join(" · "),
    visits.length > 1 && h("span", { class: "visits" }, step(-1), `visit ${number.toLocaleString("en")} of ${visits.length.toLocaleString("en")}`, step(1))),
    flow?.error != null && h("p", { class: "fault" }, h("strong", {}, plain(flow.error)), flow.cause ? `: ${plain(gist(flow.cause), 200)}` : ""),
    visit?.[V.run] && h("p", {}, h("a", { href: link("r", visit[V.run]) }, "Map Run")),
    visit?.[V.child] && h("p", {}, "Started ", h("a", { href: link("x", visit[V.child]) }, plain(last(visit[V.child])))),
    waits && h("p", { class: "waits" }, waits[W.words], waits[W.until] ? ` until ${when(waits[W.until])}` : ""), waits && this.token(waits));
    const unvisited = (panel) => fill(panel, note(flow?.fault ? flow.fault.message : "This state has not run."));
    const parts = tabs("State", [
      ["Input & output", (panel) => (flow && !flow.fault ? this.inputOutput(panel, flow) : unvisited(panel))],
      ["Data flow", (panel) => (flow && !flow.fault ? this.flow(panel, flow) : unvisited(panel))],
      ["Definition", async (panel) => {
        const found = await attempt(() => ask("state", { arn: this.arn, state: name }));
        if (found) fill(panel, json(found.definition, "Definition"));
      }],
      ["Retries", (panel) => (visit ? this.tries(panel, visit) : unvisited(panel))],
      ["Events", (panel) => (visit ? this.visitEvents(panel, visit) : unvisited(panel))],
    ], this.stateTab, (tab) => { this.stateTab = tab; });
    const focused = document.activeElement?.closest?.(".side") && document.activeElement.id;
    fill(this.aside, head, parts.bar, parts.panel);
    if (focused) queueMicrotask(() => document.getElementById(focused)?.focus());
  }

  inputOutput(panel, flow) {
    fill(panel, h("h3", {}, "Input"), json(flow.input, "Input"), h("h3", {}, "Output"), flow.output == null ? note(flow.status === "running" ? "not available yet" : "none") : json(flow.output, "Output"),
      flow.cause && [h("h3", {}, "Cause"), cause(flow.cause)],
      Object.keys(flow.variables).length > 0 && [h("h3", {}, "Variables"), ...Object.entries(flow.variables).map(([name, value]) => [h("h4", {}, `$${name}`), json(value, name)])]);
  }

  flow(panel, flow) {
    fill(panel, h("p", { class: "muted" }, flow.queryLanguage), ...flow.stages.map((stage) => h("section", { class: "stage" },
      h("header", {}, h("strong", {}, stage.name), stage.field !== undefined && stage.field.length <= 60 && h("code", {}, plain(stage.field, 60))),
      stage.field !== undefined && stage.field.length > 60 && json(stage.field, `${stage.name} as defined`),
      stage.value !== undefined && json(stage.value, stage.name), stage.note && h("p", { class: "muted" }, plain(stage.note, 2000)))));
  }

  tries(panel, visit) {
    const rows = this.rows.filter((row) => row[VISIT] === visit[V.entered]);
    const found = [], redrives = this.rows.filter((row) => row[TYPE] === "ExecutionRedriven").map((row) => row[ID]);
    for (const row of rows) {
      if (/Scheduled$|^(Map|Parallel)StateStarted$/.test(row[TYPE])) found.push({ at: row[AT], redriven: redrives.some((id) => id < row[ID] && (rows.findLast((each) => each[ID] < row[ID])?.[ID] ?? 0) < id) });
      else if (/(Failed|TimedOut|Succeeded)$/.test(row[TYPE]) && found.length && !found.at(-1).end) Object.assign(found.at(-1), { end: row[AT], type: row[TYPE], error: row[ERROR], id: row[ID] });
    }
    if (!found.length) return void fill(panel, note("No attempts: a state of this type does not call a service."));
    fill(panel, h("table", {}, h("thead", {}, h("tr", {}, ...["Attempt", "Started after", "Duration", "Result"].map((each) => h("th", { scope: "col" }, each)))),
      h("tbody", {}, ...found.map((each, index) => h("tr", { class: each.error ? "bad" : "" }, h("td", {}, `${index + 1}${each.redriven ? " (redrive)" : ""}`), h("td", {}, took(each.at - visit[V.start])),
        h("td", {}, each.end ? took(each.end - each.at) : "running"), h("td", {}, each.error ? h("button", { type: "button", class: "plain fault", onclick: () => this.showEvent(rows.find((row) => row[ID] === each.id)) }, plain(each.error)) : each.type ?? ""))))));
  }

  visitEvents(panel, visit) {
    const list = this.events();
    list.columns.splice(3, 1);
    list.columns[2].width = "minmax(9rem, 2fr)";
    const short = new Rows({ label: `Events of ${visit[V.name]}`, columns: list.columns, tone: list.tone, open: list.open });
    short.element.classList.add("short");
    fill(panel, short.wrap);
    short.set(this.rows.filter((row) => row[VISIT] === visit[V.entered]));
  }

  async showEvent(row) {
    this.event = row[ID];
    const found = await attempt(() => ask("event", { arn: this.arn, id: row[ID] }));
    if (!found || this.event !== row[ID] || this.closed) return;
    if (row[STATE] != null) { this.picture.select(row[STATE]); this.picture.reveal(row[STATE], true); }
    const details = Object.entries(found).find(([name]) => name.endsWith("EventDetails"))?.[1] ?? {};
    const { input, output, parameters, cause: why, error, assignedVariables, inputDetails, outputDetails, assignedVariablesDetails, ...others } = details;
    fill(this.aside, h("div", { class: "side-head" }, h("div", { class: "bar flat" }, h("h2", {}, `Event ${row[ID]}`), h("span", { class: "grow" }),
      h("button", { type: "button", class: "plain", "aria-label": "Close", title: "Esc", onclick: () => this.pick(undefined) }, "✕")),
    h("p", { class: "muted" }, `${found.type} · ${when(found.timestamp, true)} · after event ${found.previousEventId}`),
    row[STATE] != null && h("p", {}, h("button", { type: "button", class: "plain", onclick: () => this.pickVisit(row[VISIT]) }, `State ${plain(row[STATE])}`))),
    h("div", { class: "panel", tabindex: "0", role: "group", "aria-label": "Event" },
      error != null && h("p", { class: "fault strong" }, plain(error)), why != null && cause(why),
      Object.keys(others).length > 0 && json(JSON.stringify(others), "Details"),
      [["Input", input], ["Parameters", parameters], ["Output", output]].map(([name, text]) => text != null && [h("h3", {}, name), json(text, name)]),
      assignedVariables && [h("h3", {}, "Assigned"), ...Object.entries(assignedVariables).map(([name, text]) => [h("h4", {}, `$${name}`), json(text, name)])]));
  }
}

/** What people want to read of a cause: the message, of what a function gave. */
function gist(text) {
  try { return String(JSON.parse(text).errorMessage ?? text); } catch { return text ?? ""; }
}
const cause = (text) => (text == null ? null : json(text, "Cause"));
