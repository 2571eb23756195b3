// The details of an event.

import { button, closeButton, fill, h, plain, when } from "./lib.js";
import { json } from "./json.js";

/** event: as GetExecutionHistory shows it; state: name, visit: id of its StateEntered event */
export function eventPanel(page, event, state, visit) {
  const member = Object.entries(event).find(([name]) => name.endsWith("EventDetails"));
  const {
    input,
    output,
    parameters,
    cause,
    error,
    assignedVariables,
    inputDetails,
    outputDetails,
    assignedVariablesDetails,
    ...others
  } = member?.[1] ?? {};
  const values = [
    ["Input", input],
    ["Parameters", parameters],
    ["Output", output],
  ].filter(([, text]) => text != null);
  const heading = h(
    "div",
    { class: "bar flat" },
    h("h2", {}, `Event ${event.id}`),
    h("span", { class: "grow" }),
    closeButton(() => page.select(undefined)),
  );
  const facts = [event.type, when(event.timestamp, true), `after event ${event.previousEventId}`];
  const select = () => page.selectVisit(visit);
  fill(
    page.aside,
    h(
      "div",
      { class: "side-head" },
      heading,
      h("p", { class: "muted" }, facts.join(" · ")),
      state != null && h("p", {}, button(`State ${plain(state)}`, select, { class: "plain" })),
    ),
    h(
      "div",
      { class: "panel", tabindex: "0", role: "group", "aria-label": "Event" },
      error != null && h("p", { class: "fault strong" }, plain(error)),
      cause != null && json(cause, "Cause"),
      Object.keys(others).length > 0 && json(JSON.stringify(others), "Details"),
      values.map(([name, text]) => [h("h3", {}, name), json(text, name)]),
      assignedVariables && [
        h("h3", {}, "Assigned"),
        ...Object.entries(assignedVariables).map(([name, text]) => [
          h("h4", {}, `$${name}`),
          json(text, name),
        ]),
      ],
    ),
  );
}
