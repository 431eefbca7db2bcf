// Where the reader is: one record, and its way into the address fragment and back.

const CHOICES = {
  mode: ["training", "evaluation"],
  language: ["en", "ko"],
};
const MOST_RATE = 0.9;
const DRAWN = -1; // the place of a sample where a drawing is shown instead

/** A unit to begin with: the first dead one, if there is any. */
function firstDead(network) {
  for (const [layer, { units }] of network.layers.entries()) {
    const unit = upTo(units).find((each) => isDead(network, layer, each));
    if (unit !== undefined) return { layer, unit };
  }
  return { layer: 0, unit: 0 };
}

const position = {
  mode: "training",
  language: "en",
  // Which test image is shown.
  sample: Math.floor(samples.length / 2),
  // Which masks are drawn.
  masks: 1,
  // The layer's index and the unit's.
  ...firstDead(networks.at(-1)),
  // Of each network, what drops its units.
  rates: networks.map((network) => network.drop_rate),
  // Which network is shown where there is room for one only.
  network: 0,
};

const within = (value, least, most) => Math.min(Math.max(value, least), most);
const isWhole = (value) => Number.isInteger(Number(value ?? NaN));

/** How many units the wider network has in a layer. */
const widest = (layer) => Math.max(...networks.map(({ layers }) => layers[layer]?.units ?? 0));
const DEEPEST = Math.max(...networks.map(({ layers }) => layers.length)) - 1;

/** Takes over what is known and possible among the changes, and leaves the rest as it was. */
function accept(wanted) {
  for (const [name, values] of Object.entries(CHOICES)) {
    if (values.includes(wanted[name])) position[name] = wanted[name];
  }
  const limits = {
    // A drawing is not part of an address.
    sample: [0, samples.length - 1],
    masks: [1, 1e9],
    network: [0, networks.length - 1],
    layer: [0, DEEPEST],
  };
  for (const [name, [least, most]] of Object.entries(limits)) {
    if (isWhole(wanted[name])) position[name] = within(Number(wanted[name]), least, most);
  }
  if (isWhole(wanted.unit)) position.unit = Number(wanted.unit);
  position.unit = within(position.unit, 0, widest(position.layer) - 1);
  const rates = String(wanted.rates ?? "").split(",").map(Number);
  if (rates.length === networks.length && wanted.rates !== undefined && !rates.some(Number.isNaN)) {
    position.rates = rates.map((rate) => within(rate, 0, MOST_RATE));
  }
}

const isTraining = () => position.mode === "training";
/** Whether dropout masks are drawn: for one network, or for any. */
const isMasked = (index) =>
  isTraining() &&
  (index === undefined ? position.rates.some((rate) => rate > 0) : position.rates[index] > 0);
