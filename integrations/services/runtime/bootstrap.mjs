// The main program of a Node function's process: behaves as Lambda's Node runtime.
// It uses the Runtime API (see runtime_api.py) on an inherited socket; texts and shapes follow AWS's runtime.

import { existsSync } from "node:fs";
import { Socket } from "node:net";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const API = "/2018-06-01/runtime/";
const root = process.env.LAMBDA_TASK_ROOT;
const socket = new Socket({ fd: Number(process.argv[2]), readable: true, writable: true });
process.argv.length = 2;

// --- HTTP on one socket: pipelined requests get their responses in order ---

let received = Buffer.alloc(0);
const replies = []; // resolvers of the awaited responses

socket.on("data", (data) => {
  received = received.length ? Buffer.concat([received, data]) : data;
  for (;;) {
    const end = received.indexOf("\r\n\r\n");
    if (end < 0) return;
    const headers = {};
    for (const line of received.toString("latin1", 0, end).split("\r\n").slice(1)) {
      const colon = line.indexOf(": ");
      headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 2);
    }
    const size = end + 4 + Number(headers["content-length"]);
    if (received.length < size) return;
    const body = received.subarray(end + 4, size);
    received = received.subarray(size);
    replies.shift()({ headers, body });
  }
});
socket.on("close", () => process.exit(0));
socket.on("error", () => process.exit(0));

const NEXT = `GET ${API}invocation/next HTTP/1.1\r\nHost: runtime\r\n\r\n`;

function send(path, text, then = "") {
  const body = Buffer.from(text);
  const head = `POST ${API}${path} HTTP/1.1\r\nHost: runtime\r\nContent-Length: ${body.length}\r\n\r\n`;
  const acknowledgement = new Promise((resolve) => replies.push(resolve));
  const next = then && new Promise((resolve) => replies.push(resolve));
  socket.write(Buffer.concat([Buffer.from(head), body, Buffer.from(then)]));
  return then ? next : acknowledgement;
}

function first() {
  const next = new Promise((resolve) => replies.push(resolve));
  socket.write(NEXT);
  return next;
}

// --- payloads ---

function fault(error, type) {
  if (error instanceof Error) {
    const lines = (error.stack ?? "").replaceAll(root, "/var/task").split("\n");
    return { errorType: type ?? error.name, errorMessage: error.message, trace: lines.filter((line) => !line.includes(import.meta.url)) };
  }
  return { errorType: type ?? typeof error, errorMessage: String(error), trace: [] };
}

function marshal(result) {
  try {
    return [true, JSON.stringify(result === undefined ? null : result) ?? "null"];
  } catch {
    return [false, JSON.stringify(fault(new Error("Unable to stringify response body"), "Runtime.MarshalError"))];
  }
}

class Context {
  constructor(headers, settle) {
    const env = process.env;
    this.awsRequestId = headers["lambda-runtime-aws-request-id"];
    this.invokedFunctionArn = headers["lambda-runtime-invoked-function-arn"];
    this.functionName = env.AWS_LAMBDA_FUNCTION_NAME;
    this.functionVersion = env.AWS_LAMBDA_FUNCTION_VERSION;
    this.memoryLimitInMB = env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE;
    this.logGroupName = env.AWS_LAMBDA_LOG_GROUP_NAME;
    this.logStreamName = env.AWS_LAMBDA_LOG_STREAM_NAME;
    this.callbackWaitsForEmptyEventLoop = true;
    this.taskToken = headers["stepwell-task-token"]; // not in AWS
    const client = headers["lambda-runtime-client-context"];
    if (client) this.clientContext = JSON.parse(client);
    const deadline = Number(headers["lambda-runtime-deadline-ms"]);
    this.getRemainingTimeInMillis = () => Math.max(0, deadline - Date.now());
    this.done = settle;
    this.succeed = (result) => settle(null, result);
    this.fail = (error) => settle(error ?? "handled");
  }
}

let abandon = null; // ends the current call, if the event loop is empty

function call(handler, headers, body) {
  return new Promise((resolve) => {
    const finish = (answer) => {
      abandon = null;
      socket.ref();
      resolve(answer);
    };
    const settle = (error, result) =>
      finish(error === null || error === undefined ? marshal(result) : [false, JSON.stringify(fault(error))]);
    abandon = finish;
    let event;
    try {
      event = JSON.parse(body.toString());
    } catch (error) {
      return finish([false, JSON.stringify(fault(error, "Runtime.UnmarshalError"))]);
    }
    try {
      const result = handler(event, new Context(headers, settle), settle);
      if (typeof result?.then === "function") result.then((value) => settle(null, value), (error) => settle(error ?? "undefined"));
      else if (result !== undefined && handler.length < 3) settle(null, result);
    } catch (error) {
      settle(error);
    }
    if (abandon) socket.unref(); // an empty event loop ends the call: see beforeExit
  });
}

process.on("beforeExit", () => abandon?.([true, "null"]));

async function die(error, type, code) {
  abandon = null;
  console.error(error);
  await send(current ? `invocation/${current}/error` : "init/error", JSON.stringify(fault(error, type)));
  process.exit(code);
}
process.on("uncaughtException", (error) => die(error, undefined, 129));
process.on("unhandledRejection", (error) => die(new Error(String(error?.stack ?? error)), "Runtime.UnhandledPromiseRejection", 128));

// --- the console, as CloudWatch shows it ---

let current = "";
for (const [name, level] of Object.entries({ log: "INFO", info: "INFO", debug: "DEBUG", warn: "WARN", error: "ERROR", trace: "TRACE" })) {
  const write = console[name].bind(console);
  console[name] = (message, ...rest) => write(`${new Date().toISOString()}\t${current || "undefined"}\t${level}\t%s`, message, ...rest);
}

// --- loading ---

class LoadError extends Error {
  constructor(type, message, cause) {
    super(message);
    this.name = type;
    if (cause?.stack) this.stack = `${type}: ${cause.stack}`;
  }
}

async function load(text) {
  const base = text.slice(text.lastIndexOf("/") + 1);
  const dot = base.indexOf(".");
  if (dot < 0) throw new LoadError("Runtime.MalformedHandlerName", "Bad handler");
  const path = text.slice(0, text.lastIndexOf("/") + 1) + base.slice(0, dot);
  const file = [".js", ".mjs", ".cjs"].map((ending) => join(root, path + ending)).find(existsSync);
  if (!file) throw new LoadError("Runtime.ImportModuleError", `Error: Cannot find module '${path}'`);
  let loaded;
  try {
    loaded = await import(pathToFileURL(file).href);
  } catch (error) {
    if (error instanceof SyntaxError) throw new LoadError("Runtime.UserCodeSyntaxError", `SyntaxError: ${error.message}`, error);
    if (/^(ERR_)?MODULE_NOT_FOUND$/.test(error?.code)) throw new LoadError("Runtime.ImportModuleError", `Error: ${error.message}`, error);
    throw error;
  }
  const names = base.slice(dot + 1).split(".");
  const find = (from) => names.reduce((value, name) => value?.[name], from);
  const handler = find(loaded) ?? find(loaded.default);
  if (handler === undefined) throw new LoadError("Runtime.HandlerNotFound", `${text} is undefined or not exported`);
  if (typeof handler !== "function") throw new LoadError("Runtime.HandlerNotFound", `${text} is not a function`);
  return handler;
}

async function main() {
  let handler;
  try {
    handler = await load(process.env._HANDLER);
  } catch (error) {
    await send("init/error", JSON.stringify(fault(error)));
    process.exit(1);
  }
  let { headers, body } = await first();
  for (;;) {
    current = headers["lambda-runtime-aws-request-id"];
    process.env._X_AMZN_TRACE_ID = headers["lambda-runtime-trace-id"] ?? "";
    const [succeeded, text] = await call(handler, headers, body);
    const next = send(`invocation/${current}/${succeeded ? "response" : "error"}`, text, NEXT);
    ({ headers, body } = await next);
  }
}

await main();
