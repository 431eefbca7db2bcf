// The test images to take: those that are rightly classified, and the mistakes.

/** What each network reads in each sample, in evaluation mode. */
const readings = samples.map(({ pixels }) =>
  networks.map((network) => {
    const input = scaledFor(network, pixels);
    return largest(pass(network, input, linear(network.layers[0], input)).at(-1).y);
  }),
);

const isMistake = (place) => readings[place].some((label) => label !== samples[place].label);

const thumbnails = samples.map(({ pixels }, place) => {
  const canvas = html("canvas", { width: run.width, height: run.height, "aria-hidden": "true" });
  paint(canvas, pixels);
  return html("button", { type: "button", class: "sample", onclick: () => take(place) }, canvas);
});

/** Shows a test image. */
function take(place) {
  putOnPad(samples[place].pixels);
  position.sample = place;
  look(samples[place].pixels);
  changed();
}

function sampleWords(place) {
  const name = CLASSES[samples[place].label];
  if (!isMistake(place)) return say("sample_right", { name });
  const by = (index) => (networks.length > 1 ? ` (${networks[index].name})` : "");
  const read = readings[place].map((label, index) => `${CLASSES[label]}${by(index)}`);
  return say("sample_wrong", { name, read: listed(read) });
}

let drawnSamples = "";

function drawSamples() {
  const state = `${position.language} ${position.sample}`;
  if (state === drawnSamples) return;
  drawnSamples = state;
  for (const [place, button] of thumbnails.entries()) {
    const words = sampleWords(place);
    set(button, {
      title: words,
      "aria-label": words,
      "aria-pressed": String(position.sample === place),
    });
  }
}

for (const [place, button] of thumbnails.entries()) {
  byId(isMistake(place) ? "mistakes" : "right").append(button);
}
byId("mistakes-box").hidden = !byId("mistakes").childElementCount;
