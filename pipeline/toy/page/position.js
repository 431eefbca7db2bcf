// Where the reader is: one record, and its way into the address fragment and back.

const CHOICES = {
  phase: ["forward", "loss", "backward", "update"],
  mode: ["training", "evaluation"],
  units: ["auto", "z", "m", "h", "y", "gradient", "moved"],
  lines: ["auto", "weights", "gradients", "updates"],
  speed: ["slow", "medium", "fast"],
  language: ["en", "ko"],
  section: ["networks", "loss", "vector", "answer", "legend"],
  arm: ARMS,
};
const NAMES = UNITS.concat(upTo(WIDTH.logits).map((unit) => ({ layer: "logits", unit }))).map(
  ({ layer, unit }) => nameOf(layer, unit),
);

const position = {
  update: openingUpdate(),
  phase: "forward",
  mode: "training",
  units: "auto",
  lines: "auto",
  speed: matchMedia("(prefers-reduced-motion: reduce)").matches ? "slow" : "medium",
  unit: "h1.2",
  language: "en",
  section: "networks",
  arm: ARMS[0],
};

// Without an update nothing is trained, and nothing comes after the loss.
const NEEDS_AN_UPDATE = { mode: ["training"], phase: ["backward", "update"] };
const isOffered = (name, value) => UPDATES > 0 || !NEEDS_AN_UPDATE[name]?.includes(value);

/** Takes over what is known and possible among the changes, and leaves the rest as it was. */
function accept(wanted) {
  for (const [name, values] of Object.entries(CHOICES)) {
    if (values.includes(wanted[name]) && isOffered(name, wanted[name]))
      position[name] = wanted[name];
  }
  if (NAMES.includes(wanted.unit)) position.unit = wanted.unit;
  const update = Number(wanted.update ?? NaN);
  if (Number.isInteger(update)) {
    position.update = Math.min(Math.max(update, Math.min(1, UPDATES)), UPDATES);
  }
  if (!isOffered("mode", position.mode)) position.mode = "evaluation";
}

/** Goes somewhere: the address follows where it can, and the page is drawn. */
function go(wanted) {
  if ("update" in wanted || "phase" in wanted) rest();
  accept(wanted);
  writeFragment();
  draw();
}

/** Where a phase on or back leads; the last of an update is followed by the first of the next. */
function phaseFrom(by) {
  const phases = CHOICES.phase.filter((phase) => isOffered("phase", phase));
  const last = Math.max(UPDATES, 1) * phases.length - 1;
  const here = Math.max(position.update - 1, 0) * phases.length + phases.indexOf(position.phase);
  const there = Math.min(Math.max(here + by, 0), last);
  const update = Math.min(Math.floor(there / phases.length) + 1, UPDATES);
  return { update, phase: phases[there % phases.length] };
}

/** The next value of a choice, and the first after the last. */
function turn(name) {
  const values = CHOICES[name].filter((value) => isOffered(name, value));
  go({ [name]: values[(values.indexOf(position[name]) + 1) % values.length] });
}

const isTraining = () => position.mode === "training";
const step = () => position.update - 1;
const stand = () => (position.phase === "update" ? position.update : Math.max(step(), 0));
const sample = () => (UPDATES ? trace.sample[step()] : 0);

/** The layer and the index of the unit that is read. */
function chosen() {
  const place = NAMES.indexOf(position.unit);
  const isHidden = place < UNITS.length;
  return isHidden ? UNITS[place] : { layer: "logits", unit: place - UNITS.length };
}

/** Which quantity stands at the units, and which the lines show. */
function shown() {
  const ofPhase = {
    forward: ["y", "weights"],
    loss: ["y", "weights"],
    backward: ["gradient", "gradients"],
    update: ["moved", "updates"],
  };
  const [units, lines] = isTraining() ? ofPhase[position.phase] : ofPhase.forward;
  return {
    units: position.units === "auto" ? units : position.units,
    lines: position.lines === "auto" ? lines : position.lines,
  };
}
