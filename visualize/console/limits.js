// The limits in force: those that differ from the defaults first.

import { ask, fill, h } from "./lib.js";
import { Rows } from "./rows.js";

const SIZES = [
  [2 ** 30, "GiB"],
  [2 ** 20, "MiB"],
  [2 ** 10, "KiB"],
];
const SPANS = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "min"],
];
const UNITS = { bytes: [SIZES, "bytes"], seconds: [SPANS, "s"], chars: [[], "characters"] };

/** 4194304 of payload_bytes -> 4 MiB; a number that no unit divides is written out. */
function shown(name, value) {
  const [larger, unit] = UNITS[name.split("_").pop()] ?? [[], ""];
  const fits = larger.find(([size]) => value >= size && value % size === 0);
  const [size, word] = fits ?? [1, unit];
  return `${(value / size).toLocaleString("en")} ${word}`.trim();
}

export async function limitsPage(main) {
  const { limits } = await ask("limits");
  const differs = ({ value, default: usual }) => value !== usual;
  limits.sort((one, other) => differs(other) - differs(one));
  const changed = limits.filter(differs).length;
  const rows = new Rows({
    label: "Limits",
    columns: [
      {
        title: "Limit",
        width: "minmax(14rem, 2fr)",
        cell: ({ name }) => h("code", {}, name),
        class: "strong",
      },
      {
        title: "In force",
        width: "minmax(8rem, 1fr)",
        cell: (each) =>
          differs(each)
            ? h("span", { class: "badge badge-running" }, shown(each.name, each.value))
            : shown(each.name, each.value),
        class: "number",
      },
      {
        title: "Default",
        width: "minmax(8rem, 1fr)",
        cell: (each) => shown(each.name, each.default),
        class: "number muted",
      },
    ],
    empty: "None.",
  });
  const filter = h("input", {
    type: "search",
    placeholder: "Search limits",
    "aria-label": "Search limits",
    oninput: show,
  });
  function show() {
    const text = filter.value.toLowerCase();
    rows.set(limits.filter(({ name }) => name.includes(text)));
  }
  const words = changed
    ? `${changed} of ${limits.length} differ from the defaults`
    : "all have their defaults, which are AWS's quotas where AWS has any";
  fill(
    main,
    h(
      "div",
      { class: "bar" },
      h("h1", {}, "Limits"),
      h("span", { class: "muted" }, words),
      h("span", { class: "grow" }),
      filter,
    ),
    rows.wrap,
  );
  show();
  return { close() {}, list: rows, search: filter };
}
