// The lists of an execution's page: its events, its states as a table and as a timeline.

import { badge, h, last, link, plain, status, took } from "./lib.js";
import { Rows } from "./rows.js";
import { AT, ERROR, ID, STATE, TYPE, V } from "./stream-rows.js";

const BAD = /(Failed|TimedOut|Aborted)$/;

export const eventList = (page) =>
  new Rows({
    label: "Events",
    columns: eventColumns(page),
    tone: (row) => (BAD.test(row[TYPE]) ? "bad" : ""),
    open: (row) => page.showEvent(row),
  });

const eventColumns = (page) => [
  {
    title: "ID",
    width: "4.5rem",
    narrow: "2.5rem",
    cell: (row) => String(row[ID]),
    class: "number first",
  },
  {
    title: "Elapsed",
    width: "6.5rem",
    cell: (row) => `${(row[AT] - (page.summary?.start ?? row[AT])).toFixed(3)} s`,
    class: "number first wide",
  },
  {
    title: "Type",
    width: "minmax(9rem, 1fr)",
    narrow: "minmax(0, 1.4fr)",
    cell: (row) => row[TYPE],
  },
  { title: "State", width: "minmax(7rem, 2fr)", cell: (row) => plain(row[STATE] ?? "") },
  {
    title: "Error",
    width: "minmax(5rem, 1fr)",
    cell: (row) => plain(row[ERROR] ?? ""),
    class: "wide",
  },
];

/** The events of one visit: without the name of the state. */
export function visitEventList(page, visit) {
  const columns = eventColumns(page).filter(({ title }) => title !== "State");
  columns.find(({ title }) => title === "Type").width = "minmax(9rem, 2fr)";
  const list = new Rows({
    label: `Events of ${visit[V.name]}`,
    columns,
    tone: (row) => (BAD.test(row[TYPE]) ? "bad" : ""),
    open: (row) => page.showEvent(row),
  });
  list.element.classList.add("short");
  return list;
}

export function stateTable(page) {
  const of = (entered) => page.visits.get(entered);
  return new Rows({
    label: "States, in order of entry",
    columns: [
      {
        title: "State",
        width: "minmax(12rem, 2fr)",
        cell: (each) => nameCell(page, of(each)),
        class: "strong",
      },
      { title: "Type", width: "6rem", cell: (each) => of(each)[V.type], class: "wide" },
      {
        title: "Status",
        width: "7.5rem",
        narrow: "6rem",
        cell: (each) => badge(of(each)[V.status]),
      },
      {
        title: "Attempts",
        width: "5rem",
        cell: (each) => String(of(each)[V.attempts] || ""),
        class: "number wide",
      },
      {
        title: "Start",
        width: "6.5rem",
        cell: (each) => `${(of(each)[V.start] - page.summary.start).toFixed(3)} s`,
        class: "number wide",
      },
      {
        title: "Duration",
        width: "6.5rem",
        narrow: "4.5rem",
        cell: (each) => took(page.duration(of(each))),
        class: "number",
      },
      {
        title: "Resource or error",
        width: "minmax(8rem, 1.5fr)",
        cell: (each) => resourceCell(of(each)),
        class: "wide",
      },
    ],
    tone: (each) => (of(each)[V.status] === "failed" ? "bad" : ""),
    open: (each) => page.selectVisit(each),
  });
}

export function timeline(page) {
  const of = (entered) => page.visits.get(entered);
  return new Rows({
    label: "Timeline",
    columns: [
      {
        title: "State",
        width: "minmax(10rem, 16rem)",
        cell: (each) => nameCell(page, of(each)),
      },
      {
        title: "Time",
        width: "minmax(10rem, 1fr)",
        cell: (each) => timeCell(page, of(each)),
        class: "lane",
      },
      {
        title: "Duration",
        width: "6rem",
        narrow: "4.5rem",
        cell: (each) => took(page.duration(of(each))),
        class: "number",
      },
    ],
    open: (each) => page.selectVisit(each),
  });
}

/** The state's name, indented by the number of Parallels and Maps around it. */
function nameCell(page, visit) {
  let depth = 0;
  for (let each = visit; each[V.parent] != null; each = page.visits.get(each[V.parent])) depth++;
  const cell = h(
    "span",
    { class: "indented" },
    visit[V.index] != null && h("span", { class: "muted" }, `#${visit[V.index]} `),
    plain(visit[V.name]),
  );
  cell.style.paddingLeft = `${Math.min(8, depth) * 16}px`;
  return cell;
}

/** A visit's error or resource, and a link to the Map Run or execution that it started. */
function resourceCell(visit) {
  const text = plain(visit[V.error] ?? visit[V.resource] ?? "");
  const [run, child] = [visit[V.run], visit[V.child]];
  if (!run && !child) return text;
  const to = run ? link("r", run) : link("x", child);
  const name = run ? "Map Run" : plain(last(child));
  return h("span", {}, text, text && " ", h("a", { href: to, tabindex: "-1" }, name));
}

/** A bar from the visit's start to its end, on a track for the whole execution. */
function timeCell(page, visit) {
  const { start } = page.summary;
  const whole = Math.max(0.001, page.now() - start);
  const part = (seconds) => `${((100 * seconds) / whole).toFixed(2)}%`;
  const after = visit[V.start] - start;
  const length = page.duration(visit);
  const bar = h("span", { class: `fill-${status(visit[V.status])} bar-of-time` });
  bar.style.left = `min(${part(after)}, 100% - 2px)`;
  bar.style.width = part(length);
  const facts = [status(visit[V.status]), `${took(after)} after the start`];
  const label = [...facts, `duration ${took(length)}`].join(", ");
  return h("span", { class: "track", role: "img", "aria-label": label }, bar);
}
