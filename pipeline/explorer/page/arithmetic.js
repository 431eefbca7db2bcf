// A network's pass: sums in double precision, kept as the float32 that PyTorch has.

/** Numbers in [0, 1), the same for the same seed: Marsaglia's xorshift (2003), 32 bits. */
function makeRandom(seed) {
  // Spread by the golden ratio, so that neighbouring seeds start far apart.
  let state = Math.imul(seed + 1, 0x9e3779b1) | 1;
  const next = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  for (const _ of upTo(8)) next();
  return next;
}

/** The image, a byte a pixel, as a network takes it. */
const scaledFor = ({ scaling }, pixels) =>
  Float32Array.from(pixels, (value) => (value / 255 - scaling.mean) / scaling.deviation);

/** What a layer's activation makes of z. */
const ACTIVATIONS = {
  relu: (z) => Math.max(z, 0),
  none: (z) => z,
  sigmoid: (z) => Math.fround(1 / (1 + Math.exp(-z))),
  leaky_relu: (z) => Math.max(z, Math.fround(0.01 * z)),
};

/** z of a layer: its weights times what comes in, plus its bias. */
function linear(layer, incoming) {
  const { inputs, units, weight, bias } = layer;
  // Most of what comes in is zero: only the rest is multiplied.
  const seen = [];
  for (let index = 0; index < inputs; index += 1) if (incoming[index] !== 0) seen.push(index);
  const z = new Float32Array(units);
  for (let unit = 0; unit < units; unit += 1) {
    const row = unit * inputs;
    let sum = bias[unit];
    for (const index of seen) sum += weight[row + index] * incoming[index];
    z[unit] = sum;
  }
  return z;
}

/** A mask of so many units: 1 = kept; null where none is dropped. */
function drawMask(units, rate, random) {
  if (rate === 0) return null;
  const kept = new Uint8Array(units);
  for (let unit = 0; unit < units; unit += 1) kept[unit] = random() >= rate ? 1 : 0;
  return kept;
}

/** A mask for each layer; `rate` is the largest of their drop rates. */
const drawMasks = (network, rate, random) =>
  network.layers.map(({ units, share }) => drawMask(units, rate * share, random));

/** What dropout leaves of the input, scaled; the input itself where none of it is dropped. */
function dropInput(network, input, rate, random) {
  const inputRate = rate * network.input_share;
  const kept = drawMask(input.length, inputRate, random);
  return kept ? input.map((value, index) => (kept[index] ? value / (1 - inputRate) : 0)) : input;
}

/** What every layer does: `x` comes in, z, the mask and y. `first` is the z of the first layer. */
function pass(network, input, first, { rate = 0, masks = null } = {}) {
  let x = input;
  return network.layers.map((layer, index) => {
    const z = index ? linear(layer, x) : first;
    const kept = masks ? masks[index] : null;
    const scale = kept ? 1 / (1 - rate * layer.share) : 1;
    const activate = ACTIVATIONS[layer.activation];
    const y = new Float32Array(layer.units);
    for (let unit = 0; unit < layer.units; unit += 1) {
      if (!kept || kept[unit]) y[unit] = activate(z[unit]) * scale;
    }
    const made = { x, z, kept, y };
    x = y;
    return made;
  });
}

/** The probabilities that logits stand for. */
function softmax(logits) {
  const most = Math.max(...logits);
  const weights = Array.from(logits, (logit) => Math.exp(logit - most));
  const sum = total(weights);
  return weights.map((weight) => weight / sum);
}

const largest = (values) => values.indexOf(Math.max(...values));

/** Which of the four causes a unit has in a pass. */
function causeIn(network, layers, layer, unit) {
  const { z, kept } = layers[layer];
  const isOpen = network.layers[layer].activation !== "relu" || z[unit] > 0;
  const isKept = !kept || kept[unit] === 1;
  if (isOpen) return isKept ? "active" : "dropped";
  return isKept ? "inactive" : "both";
}
