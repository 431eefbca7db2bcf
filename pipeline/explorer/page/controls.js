// Pen, buttons and keys, and the drawing of it all.

const KEYS = {
  KeyM: () => go({ mode: isTraining() ? "evaluation" : "training" }),
  KeyL: () => go({ language: position.language === "en" ? "ko" : "en" }),
  KeyN: () => nextMasks(),
  KeyK: () => keepDrawing(!isDrawing),
  KeyC: () => clear(),
  KeyE: () => erase(!isErasing),
  KeyI: () => take((position.sample + 1) % samples.length),
};

const cards = networks.map((network, index) => {
  const title = html("h3", {}, network.name);
  const facts = html("p", { class: "formula" });
  const rate = html("input", {
    type: "range",
    min: 0,
    max: MOST_RATE,
    step: 0.05,
    oninput: () => {
      position.rates[index] = Number(rate.value);
      drawAnew();
      changed();
    },
  });
  const rateText = html("output", {});
  const rateName = html("span", { class: "label" });
  const slider = html("label", { class: "labelled rate" }, rateName, rate, rateText);
  const outcome = makeOutcome(index);
  const fields = network.layers.map((_, layer) => makeField(index, layer));
  const reading = makeReading(index);
  const node = html(
    "article",
    { class: "card network-card", "data-network": index },
    html(
      "div",
      { class: "parts" },
      html("div", { class: "heading" }, title, facts),
      slider,
      outcome.node,
      html("div", { class: "fields" }, ...fields.map((field) => field.node)),
      reading.node,
    ),
  );
  const draw = () => {
    const { rates: p, seed, epochs, accuracy, parameters } = network;
    const values = { p, seed, epoch: epochs.at(-1), accuracy: `${(100 * accuracy).toFixed(2)}\u00a0%` };
    set(facts, { text: say("facts", { ...values, parameters: parameters.toLocaleString(position.language) }) });
    rate.value = position.rates[index];
    set(rate, { disabled: !isTraining() });
    set(rateName, { text: say(network.rateName) });
    const isAsTrained = position.rates[index] === network.drop_rate;
    const value = brief(position.rates[index]);
    set(rateText, { text: isAsTrained ? say("rate_trained", { value }) : value });
    set(node, { "data-front": position.network === index });
    for (const part of [outcome, ...fields]) part.draw();
    if (!isHurried()) reading.draw();
  };
  return { node, draw };
});

/** Goes somewhere: the page is drawn, and the address follows. */
function go(wanted) {
  accept(wanted);
  changed();
}

let frames = 0;

/** While a stroke is drawn, what is read of a unit follows every fourth frame: it is laid out anew. */
const isHurried = () => last !== null && frames % 4 !== 0;

let isDue = false;

/** Draws the page before the next frame, however much has changed until then. */
function changed() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    draw();
  });
}

function draw() {
  if (document.documentElement.lang !== position.language || !byId("legend").childElementCount) {
    speak();
    drawLegend();
    drawFrame();
  }
  for (const button of document.querySelectorAll("[data-set]")) {
    const { set: name, value } = button.dataset;
    set(button, { "aria-pressed": String(String(position[name]) === value) });
    if (name === "mode") set(button, { text: say(`mode_${value}`) });
  }
  set(byId("next"), { disabled: !isMasked() });
  set(byId("keep"), { disabled: !isMasked(), "aria-pressed": String(isDrawing) });
  set(byId("erase"), { "aria-pressed": String(isErasing) });
  const { passes } = now[position.network].tally;
  set(byId("passes"), { text: isTraining() && passes > 1 ? say("passes", { passes: grouped(passes) }) : "" });
  drawSamples();
  frames += 1;
  for (const card of cards) card.draw();
  clearTimeout(rest);
  rest = setTimeout(settle, 500);
}

let rest = 0;

/** Once the hand rests: a screen reader hears the answer, and the address follows. */
function settle() {
  writeFragment();
  const answers = networks.map((network, index) => `${network.name}: ${verdictOf(index)}`);
  set(byId("answers"), { text: isDrawing ? "" : answers.join(" ") });
}

function drawLegend() {
  const entry = (key, look, options) =>
    html(
      "li",
      {},
      glyph(look, options),
      html("strong", {}, say(key)),
      html("div", {}, html("span", {}, say(`${key}_means`))),
    );
  byId("legend").replaceChildren(
    ...CAUSES.map((cause) => entry(`cause_${cause}`, cause)),
    entry("state_dead", "inactive", { dies: true }),
  );
}

function drawFrame() {
  const names = listed(networks.map(({ name }) => name));
  set(byId("kicker"), { text: say("kicker", { dataset: run.dataset, names }) });
  byId("keys").replaceChildren(
    ...["pad", "next", "keep", "mode", "clear", "erase", "image", "units", "language"].map((name) =>
      html("li", {}, html("kbd", {}, say(`key_${name}`)), ` ${say(`key_${name}_does`)}`),
    ),
  );
}

function nextMasks() {
  if (!isMasked()) return;
  position.masks += 1;
  drawAnew();
  changed();
}

// Masks drawn on and on: every frame counts some passes, but the marks change only now and then.
let isDrawing = false;
const PASSES_A_FRAME = 4; // so that the mean can be watched as it settles
const SHOWN_MS = matchMedia("(prefers-reduced-motion: reduce)").matches ? 2000 : 250;
let shownAt = 0;

function keepDrawing(isOn) {
  isDrawing = isOn && isMasked();
  if (isDrawing && now[0].tally.passes === MOST_PASSES) nextMasks();
  if (isDrawing) requestAnimationFrame(drawOn);
  changed();
}

function drawOn(time) {
  if (!isDrawing) return;
  for (let count = 0; count < PASSES_A_FRAME && now[0].tally.passes < MOST_PASSES; count += 1) {
    drawNext();
  }
  if (now[0].tally.passes === MOST_PASSES || !isMasked()) isDrawing = false;
  if (!isDrawing || time - shownAt > SHOWN_MS) {
    shownAt = time;
    changed();
  }
  if (isDrawing) requestAnimationFrame(drawOn);
}

// The pad takes a mouse, a finger, a pen, or the arrow keys and the space bar.
let last = null;
let frame = null;
const pen = { x: SIDE.width / 2, y: SIDE.height / 2, isDown: false };

function dotAt(event) {
  const { left, top, width, height } = frame;
  return {
    x: ((event.clientX - left) / width) * SIDE.width,
    y: ((event.clientY - top) / height) * SIDE.height,
  };
}

/** After a stroke: what the networks see is made anew, before the next frame. */
let isInked = false;
function inked() {
  position.sample = DRAWN;
  if (isInked) return;
  isInked = true;
  requestAnimationFrame(() => {
    isInked = false;
    refresh();
  });
}

function refresh() {
  const pixels = seen();
  paint(preview, pixels);
  look(pixels);
  draw();
}

pad.addEventListener("pointerdown", (event) => {
  pad.setPointerCapture(event.pointerId);
  frame = pad.getBoundingClientRect();
  last = dotAt(event);
  hint(false);
  stroke(last, last);
  inked();
});
pad.addEventListener("pointermove", (event) => {
  if (!last) return;
  const events = event.getCoalescedEvents?.() ?? [];
  for (const each of events.length ? events : [event]) {
    const there = dotAt(each);
    stroke(last, there);
    last = there;
  }
  inked();
});
for (const end of ["pointerup", "pointercancel"]) {
  pad.addEventListener(end, () => {
    last = null;
    changed();
  });
}

const PEN_KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
pad.addEventListener("keydown", (event) => {
  const way = PEN_KEYS[event.key];
  if (event.key === " ") {
    pen.isDown = !pen.isDown;
    if (pen.isDown) {
      stroke(pen, pen);
      inked();
    }
  } else if (way) {
    const from = { ...pen };
    pen.x = within(pen.x + way[0] * DOTS, 0, SIDE.width);
    pen.y = within(pen.y + way[1] * DOTS, 0, SIDE.height);
    if (pen.isDown) {
      stroke(from, pen);
      inked();
    }
  } else return;
  event.preventDefault();
  hint(false);
  drawCursor();
});
pad.addEventListener("focus", () => drawCursor());
pad.addEventListener("blur", () => {
  pen.isDown = false;
  drawCursor();
});

/** Where the pen stands that the keys move. */
function drawCursor() {
  const cursor = byId("cursor");
  const isShown = document.activeElement === pad && pad.matches(":focus-visible");
  set(cursor, { hidden: !isShown, "data-down": pen.isDown });
  cursor.style.left = `${(100 * pen.x) / SIDE.width}%`;
  cursor.style.top = `${(100 * pen.y) / SIDE.height}%`;
}

const hint = (isShown) => set(byId("hint"), { hidden: !isShown });

function clear() {
  wipe();
  hint(true);
  position.sample = DRAWN;
  pen.isDown = false;
  erase(false);
  refresh();
}

function erase(isOn) {
  isErasing = isOn;
  changed();
}

for (const button of document.querySelectorAll("[data-set]")) {
  button.addEventListener("click", () => go({ [button.dataset.set]: button.dataset.value }));
}
byId("next").addEventListener("click", nextMasks);
byId("keep").addEventListener("click", () => keepDrawing(!isDrawing));
byId("clear").addEventListener("click", clear);
byId("erase").addEventListener("click", () => erase(!isErasing));

document.addEventListener("keydown", (event) => {
  const act = KEYS[codeOf(event)];
  if (!act || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  event.preventDefault();
  act();
});
window.addEventListener("hashchange", () => {
  readFragment();
  take(position.sample);
});

set(byId("networks"), { "data-count": networks.length }).append(...cards.map((card) => card.node));
set(byId("tabs"), { hidden: networks.length < 2 });
byId("tabs").append(
  ...networks.map(({ name }, index) =>
    html("button", { type: "button", "data-set": "network", "data-value": index, onclick: () => go({ network: index }) }, name),
  ),
);
readFragment();
wipe();
take(position.sample);
