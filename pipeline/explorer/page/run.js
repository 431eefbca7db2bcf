// The networks as they were trained, and some test images.

const run = JSON.parse(byId("run").textContent);
const CLASSES = run.classes;
const PIXELS = run.height * run.width;
const CAUSES = ["active", "dropped", "inactive", "both"];

const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const floats = (text) => new Float32Array(bytes(text).buffer);
const counts = (text) => new Uint32Array(bytes(text).buffer);

const networks = run.networks.map((network) => {
  let inputs = PIXELS;
  const layers = network.layers.map((layer) => {
    const { units, fired, by_class: byClass } = layer;
    const made = {
      ...layer,
      inputs,
      drops: layer.share > 0,
      weight: floats(layer.weight),
      bias: floats(layer.bias),
      // By epoch and by class, one row of units or of classes after the other.
      fired: fired === undefined ? null : counts(fired),
      byClass: byClass === undefined ? null : counts(byClass),
    };
    inputs = units;
    return made;
  });
  // What is dropped at the rate that the reader may change.
  const ofLayers = layers.map(({ share }) => share).filter((share) => share > 0);
  const isOne = [network.input_share, ...ofLayers].every((share) => share === 0 || share === 1);
  const rateName = ofLayers.length === 0 ? "rate_input" : isOne ? "rate" : "rate_largest";
  return { ...network, layers, rateName, images: total(network.class_counts) };
});

/** One test image after the other, a byte a pixel, and what they show. */
const PICTURES = bytes(run.samples.pixels);
const samples = run.samples.labels.map((label, index) => ({
  label,
  place: run.samples.places[index],
  pixels: PICTURES.subarray(index * PIXELS, (index + 1) * PIXELS),
}));

/** For how many of the images trained on a unit fired at the end of each epoch; null without ReLU. */
function life(network, layer, unit) {
  const { fired, units } = network.layers[layer];
  return fired && network.epochs.map((_, index) => fired[index * units + unit]);
}

/** Of every unit of a layer, whether it fired for none of them with the weights that are used. */
const dead = networks.map(({ layers, epochs }) =>
  layers.map(({ fired, units }) => upTo(units).map((unit) => fired?.[(epochs.length - 1) * units + unit] === 0)),
);
const isDead = (network, layer, unit) => dead[networks.indexOf(network)][layer][unit];

/** The share of each class's images for which a unit fires. */
const shares = (network, layer, unit) =>
  CLASSES.map(
    (_, label) =>
      network.layers[layer].byClass[unit * CLASSES.length + label] / network.class_counts[label],
  );

const nameOf = (layer, unit) =>
  layer.name === "logits" ? say("logit", { name: CLASSES[unit] }) : `${layer.name}.${unit + 1}`;
