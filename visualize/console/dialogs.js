// Dialogs: start, stop, redrive, callback results, keyboard shortcuts.

import { ask, attempt, aws, fill, h, isJson, last, link, pretty, toast } from "./lib.js";

let number = 0;

/** A dialog: submit() returns whether it may close. Focus comes back to where it was. */
function dialog(title, body, action, submit, wide = false) {
  const before = document.activeElement;
  const id = `dialog-${++number}`;
  const fault = h("p", { class: "fault", role: "alert" });
  const go = h("button", { class: "primary", type: "submit" }, action ?? "");
  const form = h("form", {
    onsubmit: async (event) => {
      event.preventDefault();
      go.disabled = true;
      try { if (await submit(fault)) box.close(); }
      catch (refused) { fault.textContent = `${refused.code ?? "Error"}: ${refused.message}`; }
      go.disabled = false;
    },
  }, h("h2", { id }, title), body, fault,
  h("div", { class: "bar ends" }, h("button", { type: "button", onclick: () => box.close() }, action ? "Cancel" : "Close"), action && go));
  const box = h("dialog", { "aria-labelledby": id, class: wide ? "wide" : "", onclose: () => { box.remove(); before?.focus?.(); } }, form);
  document.body.append(box);
  box.showModal();
  return box;
}

function field(label, input, help) {
  const id = `help-${++number}`;
  if (help) input.setAttribute("aria-describedby", id);
  return h("div", { class: "field" }, h("label", {}, h("span", {}, label), input), help && h("small", { class: "muted", id }, help));
}

/** Start an execution of a machine; input: JSON text to begin with. */
export function startDialog(arn, machine, input = "{}") {
  const name = h("input", { type: "text", maxlength: "80", autocomplete: "off", spellcheck: "false" });
  const text = h("textarea", { rows: "14", spellcheck: "false", value: pretty(input), oninput: check });
  const which = h("select", {}, h("option", { value: arn }, "Current revision"));
  const recent = h("div", { class: "recent" });
  const told = h("small", { class: "muted" }, "");
  function check() {
    let words = "";
    try { JSON.parse(text.value); } catch (fault) { words = fault.message; }
    told.textContent = words;
    text.setAttribute("aria-invalid", words !== "");
  }
  check();
  attempt(async () => {
    const [versions, aliases] = await Promise.all([
      aws("ListStateMachineVersions", { stateMachineArn: arn }), aws("ListStateMachineAliases", { stateMachineArn: arn }),
    ]);
    which.append(...aliases.stateMachineAliases.map((each) => h("option", { value: each.stateMachineAliasArn }, `alias ${last(each.stateMachineAliasArn)}`)),
      ...versions.stateMachineVersions.map((each) => h("option", { value: each.stateMachineVersionArn }, `version ${last(each.stateMachineVersionArn)}`)));
  });
  if (machine.type === "STANDARD") attempt(async () => {
    const found = await ask("search", { machine: arn, limit: 8 });
    const inputs = new Map();
    for (const each of await Promise.all(found.executions.map((one) => aws("DescribeExecution", { executionArn: one.executionArn }).catch(() => ({}))))) {
      if (each.input && !inputs.has(each.input)) inputs.set(each.input, each.name);
    }
    if (inputs.size) fill(recent, h("span", { class: "muted" }, "Recent inputs: "), ...[...inputs].slice(0, 5).map(([value, from]) =>
      h("button", { type: "button", class: "plain chip", title: value.slice(0, 300), onclick: () => { text.value = pretty(value); check(); } }, from.slice(0, 24))));
  });
  const box = dialog(`New execution of ${machine.name}`, h("div", { class: "stack" },
    h("div", { class: "two" }, field("Name", name, "Leave empty to generate a name"), field("Revision", which)), field("Input", text), told, recent), "Start", async () => {
    if (!isJson(text.value)) { text.focus(); return false; }
    const given = { stateMachineArn: which.value, input: text.value, ...(name.value && { name: name.value }) };
    if (machine.type === "EXPRESS") {
      given.name ??= crypto.randomUUID?.() ?? `page-${Date.now()}-${Math.random().toString(36).slice(2)}`;
      await ask("expect", { name: given.name }); // or nothing of it would be kept
      location.hash = link("x", (await aws("StartSyncExecution", given)).executionArn);
      return true;
    }
    const started = await aws("StartExecution", given);
    location.hash = link("x", started.executionArn);
    return true;
  }, true);
  text.focus();
  return box;
}

export function stopDialog(arn, done) {
  const error = h("input", { type: "text", maxlength: "256", spellcheck: "false" }), cause = h("textarea", { rows: "4" });
  dialog("Stop this execution?", h("div", { class: "stack" }, h("p", {}, "Running states are aborted. A stopped execution can be redriven."),
    field("Error", error, "Optional"), field("Cause", cause)), "Stop", async () => {
    await aws("StopExecution", { executionArn: arn, ...(error.value && { error: error.value }), ...(cause.value && { cause: cause.value }) });
    toast("Stopped");
    done();
    return true;
  });
}

/** Answer a task that waits for its token. */
export function callbackDialog(name, taskToken, done) {
  const output = h("textarea", { rows: "6", spellcheck: "false", value: "{}" }), error = h("input", { type: "text", maxlength: "256", spellcheck: "false" });
  const how = h("select", {}, h("option", { value: "success" }, "Succeeded"), h("option", { value: "failure" }, "Failed"));
  const fields = [field("Output", output, "JSON"), field("Error", error, "Optional")];
  const show = () => fields.forEach((each, index) => { each.hidden = (how.value === "success") !== (index === 0); });
  how.addEventListener("change", show);
  show();
  dialog(`Answer ${name}`, h("div", { class: "stack" }, field("Result", how), ...fields), "Send", async () => {
    if (how.value === "failure") await aws("SendTaskFailure", { taskToken, ...(error.value && { error: error.value }) });
    else await aws("SendTaskSuccess", { taskToken, output: output.value });
    toast("Sent");
    done();
    return true;
  });
}

export function redriveDialog(arn, done) {
  dialog("Redrive from failure?", h("p", {}, "The execution restarts from the states that did not succeed, with the same input and history."), "Redrive", async () => {
    await aws("RedriveExecution", { executionArn: arn });
    toast("Redriven");
    done();
    return true;
  });
}

const KEYS = [
  ["j k", "next and previous row"], ["Enter", "open the row"], ["1 2 3 4", "graph, table, timeline, events"], ["/", "search"], ["n", "new execution"],
  ["+ − 0", "zoom the graph, fit"], ["t", "switch between light and dark"], ["Esc", "close or go back"], ["?", "this list"],
];
export const helpDialog = () => dialog("Keyboard shortcuts", h("dl", { class: "facts-list" }, ...KEYS.flatMap(([keys, what]) => [
  h("dt", {}, ...keys.split(" ").map((each) => h("kbd", {}, each))), h("dd", {}, what)])), null, () => true);
