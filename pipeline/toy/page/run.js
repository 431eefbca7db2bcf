// The run: its numbers exactly as they were, and what they say about a unit.
//
// A `step` is the index of an update, from 0. A `stand` is a moment between updates: 0 is the
// start, u stands behind update u.

const run = JSON.parse(byId("run").textContent);
const ARMS = run.arms;
const HIDDEN = ["h1", "h2"];
const LAYERS = [...HIDDEN, "logits"];
const WIDTH = { x: 4, h1: run.widths[0], h2: run.widths[1], logits: 2 };
const UPDATES = run.shown;
const UNITS = HIDDEN.flatMap((layer) => upTo(WIDTH[layer]).map((unit) => ({ layer, unit })));
const CAUSES = ["active", "dropped", "inactive", "both"];

// The decimals are the shortest that name a float32: rounding to float32 gives its every bit back.
const exact = (values) => (Array.isArray(values) ? values.map(exact) : Math.fround(Number(values)));
const trace = Object.fromEntries(
  Object.entries(run.trace).map(([name, values]) => [name, exact(values)]),
);
const PAIRS = 2 ** WIDTH.h1 * trace["samples/x"].length;

const linear = (layer) => `linear${LAYERS.indexOf(layer) + 1}`;
const source = (layer) => ["x", ...HIDDEN][LAYERS.indexOf(layer)];
const nameOf = (layer, unit) => (layer === "logits" ? `logit ${unit}` : `${layer}.${unit + 1}`);
const hasRelu = (arm, layer) => arm.includes("relu") && layer !== "logits";
const drops = (arm, layer) => arm.includes("dropout") && run.drop_rate > 0 && layer !== "logits";
const scaleOf = (arm, layer) => (drops(arm, layer) ? 1 / (1 - run.drop_rate) : 1);

/** z, mask, h, y or gradient_z, gradient_h, gradient_y of a unit in an update's pass. */
const passed = (arm, layer, unit, step, quantity) =>
  trace[`${arm}/${layer}/${quantity}`][step][unit];

/** Which of the four causes a unit had in an update's pass. */
function cause(arm, layer, unit, step) {
  const isOpen = !hasRelu(arm, layer) || passed(arm, layer, unit, step, "z") > 0;
  const isKept = passed(arm, layer, unit, step, "mask") === 1;
  if (isOpen) return isKept ? "active" : "dropped";
  return isKept ? "inactive" : "both";
}

/** z of a unit for one of the ten samples, in evaluation mode. */
const evaluated = (arm, layer, unit, stand, sample) =>
  trace[`${arm}/${layer}/evaluation_z`][stand][sample][unit];

/** For how many of the ten samples a unit's z is above 0, in evaluation mode. */
const fired = (arm, layer, unit, stand) => trace[`${arm}/${layer}/fired`][stand][unit];

const isDead = (arm, layer, unit, stand) =>
  hasRelu(arm, layer) && fired(arm, layer, unit, stand) === 0;

/** For how many pairs of a mask before it and a sample a unit's z is above 0; h1 has none. */
const wakes = (arm, layer, unit, stand) =>
  layer === "h2" && drops(arm, layer) ? trace[`${arm}/h2/mask_fired`][stand][unit] : 0;

/** The incoming weights of a unit and, last, its bias. */
const incoming = (arm, layer, unit, stand) => [
  ...trace[`${arm}/${linear(layer)}.weight`][stand][unit],
  trace[`${arm}/${linear(layer)}.bias`][stand][unit],
];

/** The gradients of the same. */
const pulls = (arm, layer, unit, step) => [
  ...trace[`${arm}/gradient_${linear(layer)}.weight`][step][unit],
  trace[`${arm}/gradient_${linear(layer)}.bias`][step][unit],
];

/** The changes of the same in an update. */
function changes(arm, layer, unit, step) {
  const before = incoming(arm, layer, unit, step);
  return incoming(arm, layer, unit, step + 1).map((value, index) => value - before[index]);
}

/** How far a unit's incoming weights and bias moved in an update. */
const moved = (arm, layer, unit, step) => length(changes(arm, layer, unit, step));

/** The last update up to a stand in which they moved; 0 where there is none. */
function lastMove(arm, layer, unit, stand) {
  let update = stand;
  while (update > 0 && moved(arm, layer, unit, update - 1) === 0) update -= 1;
  return update;
}

/**
 * The update at which the page opens: the first in which gradients reach hidden units in every
 * network and dropout alone makes a zero in every network that has it; else the first with
 * gradients in every network, else the first of all.
 */
function openingUpdate() {
  const isAny = (arm, step, holds) =>
    UNITS.some(({ layer, unit }) => holds(arm, layer, unit, step));
  const learns = (arm, step) =>
    isAny(arm, step, (...where) => passed(...where, "gradient_z") !== 0);
  const isStruck = (arm, step) =>
    !drops(arm, "h1") || isAny(arm, step, (...where) => cause(...where) === "dropped");
  const learning = upTo(UPDATES).filter((step) => ARMS.every((arm) => learns(arm, step)));
  const telling = learning.find((step) => ARMS.every((arm) => isStruck(arm, step)));
  return Math.min((telling ?? learning[0] ?? 0) + 1, UPDATES);
}
