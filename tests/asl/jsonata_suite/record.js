// Writes the results of generated.json again, as JSONata 2.0.6 computes them:
//   npm install jsonata@2.0.6 && node record.js generated.json
const fs = require("fs");
const jsonata = require("jsonata");

const file = process.argv[2];
const suite = JSON.parse(fs.readFileSync(file, "utf8"));

// Values that a state cannot return.
function unsupported(value) {
  if (typeof value === "number") return !Number.isFinite(value);
  if (typeof value === "function") return true;
  if (value === null || typeof value !== "object") return false;
  if (value._jsonata_lambda || value._jsonata_function) return true;
  return Object.values(value).some(unsupported);
}

async function result(source) {
  try {
    const expression = jsonata(source);
    expression.assign("eval", null);
    const states = { input: suite.input, context: suite.context };
    const bindings = JSON.parse(JSON.stringify({ states, ...suite.variables }));
    const value = await expression.evaluate(undefined, bindings);
    if (value === undefined) return { undefined: true };
    return unsupported(value) ? { unsupported: true } : { value };
  } catch (error) {
    return { code: error.code };
  }
}

(async () => {
  const cases = [];
  for (const { expr } of suite.cases) cases.push({ expr, ...(await result(expr)) });
  const lines = cases.map((each) => JSON.stringify(each)).join(",\n");
  const head = ["input", "context", "variables"].map((name) => `"${name}": ${JSON.stringify(suite[name])},\n`);
  fs.writeFileSync(file, `{${head.join("")}"cases": [\n${lines}\n]}\n`);
})();
