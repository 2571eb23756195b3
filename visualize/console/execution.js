// The page of an execution, updated live: graph, table, timeline and events, and the details of the
// selection.

import {
  announce,
  ask,
  attempt,
  aws,
  badge,
  button,
  crumbs,
  fill,
  follow,
  h,
  last,
  link,
  machineOf,
  path,
  plain,
  selectTab,
  tabBar,
  took,
  when,
} from "./lib.js";
import { Picture } from "./picture.js";
import { redriveDialog, startDialog, stopDialog } from "./dialogs.js";
import { eventList, stateTable, timeline } from "./execution-tables.js";
import { eventPanel } from "./event-panel.js";
import { executionPanel } from "./execution-panel.js";
import { statePanel } from "./state-panel.js";
import { causeMessage, ID, NO_NAME, STATE, V, VISIT, W } from "./stream-rows.js";

const VIEWS = ["Graph", "Table", "Timeline", "Events"];
const NOTHING = () => ({
  rows: [], // events
  visits: new Map(), // id of the StateEntered event -> visit
  order: [], // the ids of the visits, in order of entry
  states: {}, // name -> what the graph shows of a state
  taken: [], // ids of the edges of the graph that were followed
  seen: 0, // id of the last event
});

export async function executionPage(main, context, arn, view = "Graph", state) {
  await context.ready;
  const page = new ExecutionPage(main, context, arn);
  await page.open(VIEWS.includes(view) ? view : "Graph", state);
  return page;
}

/**
 * described   DescribeExecution's answer
 * summary     {status, start, end, now, events, transitions, redrives, waiting, failure}: the last
 *             message of the stream, see visualize/live.py
 * selected    name of a state; number: which of its visits, from 1, 0 for the last one
 * event       id of the selected event
 */
class ExecutionPage {
  constructor(main, { info }, arn) {
    Object.assign(this, { main, info, arn, selected: undefined, ...NOTHING() });
    this.picture = new Picture(arn, {
      choose: (name) => this.select(name),
      reload: () => this.restart(),
    });
    this.eventList = eventList(this);
    this.table = stateTable(this);
    this.timeline = timeline(this);
  }

  async open(view, state) {
    this.described = await this.describe();
    this.selected = state; // in the address from the start; shown once the graph is there
    this.layout(view);
    this.header();
    this.overview();
    this.stream();
    const drawn = attempt(() => this.picture.load()).then(() => {
      if (this.picture.svg) this.picture.clear();
      this.repaint();
    });
    this.clock = setInterval(() => this.tick(), 250);
    if (state) drawn.then(() => this.select(state));
  }

  /** The AWS API does not describe Express executions. */
  async describe() {
    const described = await (this.express
      ? ask("look", { arn: this.arn })
      : aws("DescribeExecution", { executionArn: this.arn }));
    const running = described.status === "RUNNING";
    this.parked = running ? (await ask("parked", { arn: this.arn })).parked : undefined;
    return described;
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

  // --- layout ------------------------------------------------------------------------------------

  layout(view) {
    this.top = h("div", { class: "bar execution-bar" });
    this.waits = h("span", { class: "waits" });
    this.facts = h("div", { class: "facts" });
    this.bar = tabBar(
      { class: "tabs views", "aria-label": "Views" },
      VIEWS.map((name, index) => ({
        name,
        id: `view-${index}`,
        "aria-controls": "view",
        title: String(index + 1),
      })),
      (index) => this.show(VIEWS[index]),
    );
    this.link = h("span", { class: "link muted", role: "status" });
    this.body = h("div", { class: "view", id: "view", role: "tabpanel", tabindex: "-1" });
    this.aside = h("aside", { class: "side", "aria-label": "Details" });
    const left = h(
      "div",
      { class: "left-side" },
      h("div", { class: "views-bar" }, this.bar, this.link),
      this.body,
    );
    fill(
      this.main,
      h("h1", { class: "unseen" }, `Execution ${this.described.name}`),
      this.top,
      this.facts,
      h("div", { class: "split" }, left, this.aside),
    );
    this.show(view);
  }

  show(view) {
    this.view = view;
    selectTab(this.bar, VIEWS.indexOf(view), this.body);
    this.list = { Table: this.table, Timeline: this.timeline }[view] ?? this.eventList;
    if (view === "Graph") {
      fill(this.body, this.picture.element, h("div", { class: "under" }, this.eventList.wrap));
    } else {
      fill(this.body, this.list.wrap);
    }
    this.updateAddress();
    this.render();
  }

  updateAddress() {
    const parts = ["x", this.arn, this.view, this.selected];
    history.replaceState(null, "", link(...parts.filter((each) => each !== undefined)));
  }

  /** Whether the page has handled a key. */
  key(event) {
    const view = VIEWS[event.key - 1];
    if (view) this.show(view);
    else if (event.key === "Escape" && this.selected !== undefined) this.select(undefined);
    else return this.view === "Graph" && this.picture.key(event);
    return true;
  }

  get start() {
    return this.info.readOnly ? undefined : () => this.startAgain();
  }

  // --- the stream --------------------------------------------------------------------------------

  stream() {
    const query = () => ({
      arn: this.arn,
      after: this.seen || null,
      collapse: [...this.picture.collapsed].join("\n"),
    });
    this.stop = follow(
      "watch",
      query,
      (message) => this.take(message),
      (state, reason) => this.connection(state, reason),
    );
  }

  /** Read everything again: a box of the graph was opened or closed. */
  async restart() {
    this.stop();
    Object.assign(this, NOTHING());
    await attempt(() => this.picture.load());
    this.picture.clear();
    this.stream();
  }

  connection(state, reason) {
    this.link.textContent = {
      live: this.described.status === "RUNNING" ? "● live" : "",
      lost: "connection lost, reconnecting…",
      end: "",
      full: reason,
      damaged: `the definition or the history cannot be read: ${reason}`,
    }[state];
    if (state === "end") this.refresh();
  }

  take(message) {
    if (!message.rows || this.closed) return;
    const { rows, visits, states, taken, whole, ...summary } = message;
    for (const row of rows) {
      if (row[ID] <= this.seen) continue;
      this.rows.push(row);
      this.seen = row[ID];
    }
    for (const visit of visits) {
      if (!this.visits.has(visit[V.entered])) this.order.push(visit[V.entered]);
      this.visits.set(visit[V.entered], visit);
    }
    Object.assign(this.states, states);
    this.taken.push(...taken);
    const earlier = this.summary;
    this.summary = summary;
    this.skew = Math.min(this.skew ?? Infinity, Date.now() / 1000 - summary.clock);
    this.picture.paint(states, taken);
    this.reveal(states);
    if (this.selected !== undefined && visits.some((each) => each[V.name] === this.selected)) {
      this.inspectSoon();
    }
    if (earlier && earlier.status !== summary.status) {
      announce(`Execution ${summary.status}`);
      this.refresh();
    }
    if (JSON.stringify(earlier?.waiting ?? []) !== JSON.stringify(summary.waiting)) {
      this.showWaiting();
      this.overview();
    }
    this.render();
  }

  async refresh() {
    const described = await attempt(() => this.describe());
    if (!described || this.closed) return;
    this.described = described;
    this.header();
    this.overview();
  }

  repaint() {
    this.picture.paint(this.states, this.taken);
    if (this.selected !== undefined) this.picture.select(this.selected);
    this.reveal(this.states);
  }

  /** Scroll the graph to the state that runs or failed, unless another one is selected. */
  reveal(states) {
    const name = Object.keys(states).findLast((each) =>
      ["running", "failed", "timed-out"].includes(states[each].status),
    );
    if (name !== undefined && this.selected === undefined) this.picture.reveal(name);
  }

  /** Show the rows of the list; at most once per animation frame. */
  render() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      if (this.closed) return;
      this.numbers();
      this.list.set(this.list === this.eventList ? this.rows : this.order, this.running);
    });
  }

  get running() {
    return this.summary?.status === "running";
  }

  tick() {
    if (!this.running || document.hidden) return;
    this.numbers();
    if (this.view === "Timeline" || this.view === "Table") this.list.set(this.order);
  }

  /** The server's time, in epoch seconds; after the end of the execution, that time. */
  now() {
    if (this.running) return Date.now() / 1000 - (this.skew ?? 0);
    return this.summary?.end ?? this.summary?.now ?? 0;
  }

  /** Seconds. */
  duration(visit) {
    return Math.max(0, (visit[V.end] ?? this.now()) - visit[V.start]);
  }

  visitsOf(name) {
    return this.order.map((each) => this.visits.get(each)).filter((each) => each[V.name] === name);
  }

  // --- header and actions ------------------------------------------------------------------------

  header() {
    const { described: x, info } = this;
    const machine = machineOf(x.stateMachineArn).split("/")[0];
    const done = () => this.afterAction();
    const stop = button("Stop", () => stopDialog(this.arn, done), {
      disabled: x.status !== "RUNNING",
    });
    const redrive = button("Redrive from failure", () => redriveDialog(this.arn, done), {
      disabled: x.redriveStatus !== "REDRIVABLE",
      title: x.redriveStatusReason,
    });
    fill(
      this.top,
      crumbs(
        ["State machines"],
        [last(machine), "m", machine],
        ...(x.mapRunArn ? [["Map Run", "r", x.mapRunArn]] : []),
      ),
      h("strong", { class: "title" }, x.name),
      badge(x.status, this.parked),
      this.waits,
      h("span", { class: "grow" }),
      !info.readOnly && !this.express && [stop, redrive],
      h("a", { class: "button", href: path("export", { arn: this.arn }), download: "" }, "Export"),
      !info.readOnly &&
        button("New execution", () => this.startAgain(), { class: "primary", title: "n" }),
    );
    this.values = { duration: h("span"), events: h("span"), transitions: h("span") };
    fill(
      this.facts,
      fact("Started", when(x.startDate, true)),
      fact("Duration", this.values.duration),
      fact("Events", this.values.events),
      fact("Transitions", this.values.transitions),
      x.redriveCount > 0 && fact("Redrives", String(x.redriveCount)),
      x.stopDate && fact("Stopped", when(x.stopDate, true)),
      x.stateMachineVersionArn && fact("Version", last(x.stateMachineVersionArn)),
      x.stateMachineAliasArn && fact("Alias", last(x.stateMachineAliasArn)),
      this.failed && errorFact(x),
    );
    this.numbers();
    this.showWaiting();
  }

  get failed() {
    const { status, error, cause } = this.described;
    return status === "FAILED" || error != null || cause != null;
  }

  numbers() {
    const { described: x, summary, values } = this;
    values.duration.textContent = took((x.stopDate ?? (this.now() || x.startDate)) - x.startDate);
    values.events.textContent = (summary?.events ?? 0).toLocaleString("en");
    values.transitions.textContent = (summary?.transitions ?? 0).toLocaleString("en");
  }

  /** Why the execution is parked, or what its first waiting state waits for. */
  showWaiting() {
    const [first, ...others] = this.summary?.waiting ?? [];
    const more = others.length ? ` and ${others.length} more` : "";
    this.waits.title = this.parked ?? "";
    this.waits.textContent = this.parked ?? (first ? first[W.words] + more : "");
  }

  async afterAction() {
    await this.refresh();
    if (this.described.status === "RUNNING" && !this.running) {
      this.stop();
      this.stream(); // it had ended
    }
  }

  async startAgain() {
    const arn = machineOf(this.described.stateMachineArn).split("/")[0];
    const machine = await attempt(() => aws("DescribeStateMachine", { stateMachineArn: arn }));
    if (machine) startDialog(arn, machine, this.described.input);
  }

  // --- the selection -----------------------------------------------------------------------------

  /** Show the details of the execution, if no state and no event is selected. */
  overview() {
    if (this.selected === undefined && this.event === undefined) executionPanel(this);
  }

  /** Select a state and one of its visits (from 1; 0: the last one). */
  select(name, number = 0) {
    this.event = undefined;
    this.selected = name;
    this.number = number;
    this.updateAddress();
    const element = this.picture.select(name);
    if (name === undefined) return this.overview();
    if (element) this.picture.reveal(name, true);
    statePanel(this);
  }

  selectVisit(entered) {
    const name = this.visits.get(entered)[V.name];
    this.select(name, this.visitsOf(name).findIndex((each) => each[V.entered] === entered) + 1);
  }

  inspectSoon() {
    clearTimeout(this.inspecting);
    this.inspecting = setTimeout(() => {
      if (!this.closed && this.selected !== undefined && this.event === undefined) {
        statePanel(this, true);
      }
    }, 300);
  }

  /** Show an event. row: of the stream */
  async showEvent(row) {
    this.event = row[ID];
    const event = await attempt(() => ask("event", { arn: this.arn, id: row[ID] }));
    if (!event || this.event !== row[ID] || this.closed) return;
    if (row[STATE] != null) {
      this.picture.select(row[STATE]);
      this.picture.reveal(row[STATE], true);
    }
    eventPanel(this, event, row[STATE], row[VISIT]);
  }
}

const fact = (name, value, properties) =>
  h("div", properties, h("span", { class: "muted" }, name), h("span", {}, value));

function errorFact({ error, cause }) {
  const name = h("strong", { class: "fault" }, error ?? NO_NAME);
  const message = plain(causeMessage(cause), 300);
  const text = h("span", { class: "fault", title: cause?.slice(0, 1000) }, message);
  return fact("Error", [name, " ", text], { class: "last" });
}
