// Dialogs: start, stop, redrive, results of tasks, keyboard shortcuts.

import { ask, attempt, aws, button, factsList, fill, h, last, open, plain, toast } from "./lib.js";
import { isJson, pretty } from "./json.js";

const RECENT_INPUTS = 5;

let number = 0;

/**
 * Show a dialog. submit() -> whether it may close; an error stays in the dialog. Focus returns to
 * where it was.
 */
function dialog(title, body, action, submit, wide = false) {
  const before = document.activeElement;
  const id = `dialog-${++number}`;
  const fault = h("p", { class: "fault", role: "alert" });
  const confirm = h("button", { class: "primary", type: "submit" }, action ?? "");
  const form = h(
    "form",
    {
      onsubmit: async (event) => {
        event.preventDefault();
        confirm.disabled = true;
        try {
          if (await submit()) box.close();
        } catch (error) {
          fault.textContent = `${error.code ?? "Error"}: ${error.message}`;
        }
        confirm.disabled = false;
      },
    },
    h("h2", { id }, title),
    body,
    fault,
    h(
      "div",
      { class: "bar ends" },
      button(action ? "Cancel" : "Close", () => box.close()),
      action && confirm,
    ),
  );
  const box = h(
    "dialog",
    {
      "aria-labelledby": id,
      class: wide ? "wide" : "",
      onclose: () => {
        box.remove();
        before?.focus?.();
      },
    },
    form,
  );
  document.body.append(box);
  box.showModal();
  return box;
}

function field(label, input, help) {
  const id = `help-${++number}`;
  if (help) input.setAttribute("aria-describedby", id);
  return h(
    "div",
    { class: "field" },
    h("label", {}, h("span", {}, label), input),
    help && h("small", { class: "muted", id }, help),
  );
}

const textField = (maxlength) =>
  h("input", { type: "text", maxlength, autocomplete: "off", spellcheck: "false" });

// --- start ---------------------------------------------------------------------------------------

/** Start an execution of a machine. input: JSON text to begin with */
export function startDialog(arn, machine, input = "{}") {
  const name = textField("80");
  const text = h("textarea", {
    rows: "14",
    spellcheck: "false",
    value: pretty(input),
    oninput: check,
  });
  const revision = h("select", {}, h("option", { value: arn }, "Current revision"));
  const recent = h("div", { class: "recent" });
  const problem = h("small", { class: "muted" }, "");
  function check() {
    let words = "";
    try {
      JSON.parse(text.value);
    } catch (fault) {
      words = fault.message;
    }
    problem.textContent = words;
    text.setAttribute("aria-invalid", words !== "");
  }
  function use(value) {
    text.value = pretty(value);
    check();
  }
  check();
  attempt(async () => revision.append(...(await revisions(arn))));
  if (machine.type === "STANDARD") {
    attempt(async () => {
      const inputs = await recentInputs(arn);
      const chip = ([value, from]) =>
        button(plain(from, 24), () => use(value), {
          class: "plain chip",
          title: value.slice(0, 300),
        });
      if (inputs.length) {
        fill(recent, h("span", { class: "muted" }, "Recent inputs: "), ...inputs.map(chip));
      }
    });
  }
  const box = dialog(
    `New execution of ${machine.name}`,
    h(
      "div",
      { class: "stack" },
      h(
        "div",
        { class: "two" },
        field("Name", name, "Leave empty to generate a name"),
        field("Revision", revision),
      ),
      field("Input", text),
      problem,
      recent,
    ),
    "Start",
    async () => {
      if (!isJson(text.value)) {
        text.focus();
        return false;
      }
      const start = machine.type === "EXPRESS" ? startExpress : startStandard;
      open("x", await start(revision.value, text.value, name.value));
      return true;
    },
    true,
  );
  text.focus();
  return box;
}

async function revisions(arn) {
  const [versions, aliases] = await Promise.all([
    aws("ListStateMachineVersions", { stateMachineArn: arn }),
    aws("ListStateMachineAliases", { stateMachineArn: arn }),
  ]);
  const option = (value, kind) => h("option", { value }, `${kind} ${last(value)}`);
  return [
    ...aliases.stateMachineAliases.map((each) => option(each.stateMachineAliasArn, "alias")),
    ...versions.stateMachineVersions.map((each) => option(each.stateMachineVersionArn, "version")),
  ];
}

/** [[input, name of an execution that had it]], newest first. */
async function recentInputs(machine) {
  const { executions } = await ask("search", { machine, limit: 8 });
  const describe = ({ executionArn }) =>
    aws("DescribeExecution", { executionArn }).catch(() => ({}));
  const inputs = new Map();
  for (const { input, name } of await Promise.all(executions.map(describe))) {
    if (input && !inputs.has(input)) inputs.set(input, name);
  }
  return [...inputs].slice(0, RECENT_INPUTS);
}

/** Returns the execution's ARN. */
async function startStandard(stateMachineArn, input, name) {
  const started = await aws("StartExecution", { stateMachineArn, input, ...(name && { name }) });
  return started.executionArn;
}

/** Announces the name first, so that the server keeps the execution's events for the page. */
async function startExpress(stateMachineArn, input, name) {
  name ||= crypto.randomUUID?.() ?? `page-${Date.now()}-${Math.random().toString(36).slice(2)}`;
  await ask("expect", { name });
  return (await aws("StartSyncExecution", { stateMachineArn, input, name })).executionArn;
}

// --- stop, answer, redrive -----------------------------------------------------------------------

export function stopDialog(arn, done) {
  const error = textField("256");
  const cause = h("textarea", { rows: "4" });
  dialog(
    "Stop this execution?",
    h(
      "div",
      { class: "stack" },
      h("p", {}, "Running states are aborted. A stopped execution can be redriven."),
      field("Error", error, "Optional"),
      field("Cause", cause),
    ),
    "Stop",
    async () => {
      await aws("StopExecution", {
        executionArn: arn,
        ...(error.value && { error: error.value }),
        ...(cause.value && { cause: cause.value }),
      });
      toast("Stopped");
      done();
      return true;
    },
  );
}

/** Report the result of a task that waits for its token. name: of its state */
export function callbackDialog(name, taskToken, done) {
  const output = h("textarea", { rows: "6", spellcheck: "false", value: "{}" });
  const error = textField("256");
  const result = h(
    "select",
    {},
    h("option", { value: "success" }, "Succeeded"),
    h("option", { value: "failure" }, "Failed"),
  );
  const outputField = field("Output", output, "JSON");
  const errorField = field("Error", error, "Optional");
  const show = () => {
    outputField.hidden = result.value !== "success";
    errorField.hidden = result.value === "success";
  };
  result.addEventListener("change", show);
  show();
  dialog(
    `Answer ${name}`,
    h("div", { class: "stack" }, field("Result", result), outputField, errorField),
    "Send",
    async () => {
      if (result.value === "success") {
        await aws("SendTaskSuccess", { taskToken, output: output.value });
      } else {
        await aws("SendTaskFailure", { taskToken, ...(error.value && { error: error.value }) });
      }
      toast("Sent");
      done();
      return true;
    },
  );
}

export function redriveDialog(arn, done) {
  const words =
    "The execution restarts from the states that did not succeed, with the same input and " +
    "history.";
  dialog("Redrive from failure?", h("p", {}, words), "Redrive", async () => {
    await aws("RedriveExecution", { executionArn: arn });
    toast("Redriven");
    done();
    return true;
  });
}

// --- help ----------------------------------------------------------------------------------------

const KEYS = [
  ["j k", "next and previous row"],
  ["Enter", "open the row"],
  ["1 2 3 4", "graph, table, timeline, events"],
  ["/", "search"],
  ["n", "new execution"],
  ["+ − 0", "zoom the graph, fit"],
  ["t", "switch between light and dark"],
  ["Esc", "close or go back"],
  ["?", "this list"],
];
export function helpDialog() {
  const keys = (names) => names.split(" ").map((each) => h("kbd", {}, each));
  const list = factsList(KEYS.map(([names, action]) => [keys(names), action]));
  dialog("Keyboard shortcuts", list, null, () => true);
}
