// What the networks make of the image that is shown: recomputed whenever something changes.

const MOST_PASSES = 1000;
/** A whole number as people write it. */
const grouped = (number) => number.toLocaleString(position.language);
const INPUT = new Float32Array(PIXELS);

const now = networks.map(() => ({ input: null, first: null, evaluation: null, training: null, tally: null }));

/** Shows the networks an image's pixels, 0 … 255. */
function look(pixels) {
  for (let index = 0; index < PIXELS; index += 1) INPUT[index] = pixels[index] / 255;
  for (const [index, network] of networks.entries()) {
    const input = scaledFor(network, pixels);
    const first = linear(network.layers[0], input);
    Object.assign(now[index], { input, first, evaluation: pass(network, input, first) });
  }
  drawAnew();
}

const isBlank = () => !INPUT.some((value) => value > 0);

/** The pass in training mode with the masks that are on. Equal networks get equal masks. */
function drawAnew() {
  for (const [index, network] of networks.entries()) {
    now[index].training = masked(index, position.masks);
    now[index].tally = {
      passes: 0,
      tied: 0,
      votes: new Uint32Array(CLASSES.length),
      probabilities: CLASSES.map(() => new Float32Array(MOST_PASSES)),
    };
    count(index, now[index].training);
  }
}

function masked(index, seed) {
  const network = networks[index];
  const rate = position.rates[index];
  const random = makeRandom(seed);
  const masks = drawMasks(network, rate, random);
  const whole = now[index].input;
  const input = dropInput(network, whole, rate, random);
  const first = input === whole ? now[index].first : linear(network.layers[0], input);
  return pass(network, input, first, { rate, masks });
}

/** Adds the answer of a pass to what is known of a network's answers under many masks. */
function count(index, layers) {
  const { tally } = now[index];
  if (tally.passes === MOST_PASSES) return;
  const answer = softmax(layers.at(-1).y);
  for (const [label, share] of answer.entries()) tally.probabilities[label][tally.passes] = share;
  // Logits that are dropped are all 0: where they are the largest, the pass tells nothing.
  const best = largest(answer);
  if (answer.lastIndexOf(answer[best]) === best) tally.votes[best] += 1;
  else tally.tied += 1;
  tally.passes += 1;
}

/** Draws the next masks, shows their pass, and counts its answer. */
function drawNext() {
  position.masks += 1;
  for (const index of networks.keys()) {
    now[index].training = masked(index, position.masks);
    count(index, now[index].training);
  }
}

/** The mean of a class's probability over the passes, and what 90 % of them lie between. */
function spread(index, label) {
  const { tally } = now[index];
  const values = tally.probabilities[label].slice(0, tally.passes).sort();
  const at = (share) => values[Math.round(share * (values.length - 1))];
  return { mean: total(values) / values.length, low: at(0.05), high: at(0.95) };
}

/** The pass that is shown of a network. */
const shown = (index) => now[index][position.mode];
