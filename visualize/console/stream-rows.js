// The rows of an execution's stream are arrays: the places of their members (visualize/live.py).

/** Of an event. */
export const [ID, AT, TYPE, STATE, VISIT, ERROR] = [0, 1, 2, 3, 4, 5];
/** Of a visit of a state. */
export const V = {
  entered: 0,
  name: 1,
  type: 2,
  status: 3,
  start: 4,
  end: 5,
  parent: 6,
  index: 7,
  attempts: 8,
  error: 9,
  resource: 10,
  run: 11,
  child: 12,
  retries: 13,
  redrives: 14,
};
/** Of a visit that waits for something. */
export const W = { entered: 0, kind: 1, words: 2, until: 3, token: 4 };

export const NO_NAME = "no error name";

/** The message of a cause: that of the exception, if a function raised one. */
export function causeMessage(cause) {
  try {
    return String(JSON.parse(cause).errorMessage ?? cause);
  } catch {
    return cause ?? "";
  }
}
