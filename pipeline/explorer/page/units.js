// Every unit of a layer as a mark on a field, coloured and shaped by its cause.

// Dots of the screen from one unit to the next; more where a finger has to hit it.
const CELL = matchMedia("(pointer: coarse)").matches ? 18 : 14;
// An active unit's mark grows with its value.
const SIZES = [0.5, 0.64, 0.78, 0.9, 1];

/** Colours of the style sheet by name, and marks drawn once for each look: copied from then on. */
const colours = new Map();
const marks = new Map();

function colourOf(name) {
  if (!colours.has(name)) {
    const style = getComputedStyle(document.documentElement);
    colours.set(name, style.getPropertyValue(`--${name}`).trim());
  }
  return colours.get(name);
}

function markOf(look, size, dies) {
  const key = `${look} ${size} ${dies}`;
  if (!marks.has(key)) marks.set(key, drawnMark(look, size, dies));
  return marks.get(key);
}

function drawnMark(look, size, dies) {
  const dots = CELL * devicePixelRatio;
  const canvas = html("canvas", { width: Math.floor(dots), height: Math.floor(dots) });
  const context = canvas.getContext("2d");
  const scale = (dots / 52) * size;
  context.translate(dots / 2, dots / 2);
  context.scale(scale, scale);
  context.fillStyle = colourOf(look);
  context.strokeStyle = colourOf("ink");
  context.lineWidth = 2.6 / size;
  const shape = new Path2D(SHAPES[look]);
  context.fill(shape);
  if (look === "active") context.stroke(shape);
  if (dies) {
    context.scale(1 / size, 1 / size);
    context.strokeStyle = colourOf("dead");
    context.lineWidth = 5;
    context.strokeRect(-22, -22, 44, 44);
    context.stroke(new Path2D("M-22-22L22 22M22-22L-22 22"));
  }
  return canvas;
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  colours.clear();
  marks.clear();
  changed();
});

/** A layer of a network: its counts by cause, and its units. */
function makeField(index, layer) {
  const network = networks[index];
  const { units } = network.layers[layer];
  const canvas = html("canvas", { class: "field-units" });
  const context = canvas.getContext("2d");
  const tallies = html("span", { class: "tallies" });
  const title = html("h4", {});
  const keys = html("input", {
    type: "range",
    class: "visually-hidden",
    min: 1,
    max: units,
    oninput: () => pick(layer, Number(keys.value) - 1, index),
    onkeydown: (event) => {
      const rows = { ArrowUp: -columns, ArrowDown: columns }[event.key];
      if (!rows) return;
      event.preventDefault();
      pick(layer, within(position.unit + rows, 0, units - 1), index);
    },
    onfocus: () => position.layer !== layer && pick(layer, 0, index),
  });
  const node = html(
    "div",
    { class: "field" },
    html("div", { class: "field-head" }, title, tallies),
    canvas,
    keys,
  );
  let columns = 1;

  canvas.addEventListener("pointerdown", (event) => {
    const { left, top } = canvas.getBoundingClientRect();
    const column = Math.floor((event.clientX - left) / CELL);
    const unit = Math.floor((event.clientY - top) / CELL) * columns + column;
    if (column >= columns || unit >= units) return;
    event.preventDefault();
    pick(layer, unit, index);
    keys.focus({ preventScroll: true });
  });

  // The marks of a field stand in as many columns as there is room for.
  const fit = () => {
    const room = Math.max(1, Math.min(units, Math.floor(node.clientWidth / CELL)));
    if (room === columns && canvas.style.width) return;
    columns = room;
    drawn = [];
    const [width, height] = [columns * CELL, Math.ceil(units / columns) * CELL];
    Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
    set(canvas, {
      width: Math.ceil(width * devicePixelRatio),
      height: Math.ceil(height * devicePixelRatio),
    });
    changed();
  };
  new ResizeObserver(fit).observe(node);

  // What is drawn at every unit's place: only what has changed is drawn again.
  let drawn = [];
  const mark = (unit, look, size, dies) => {
    const isRead = position.layer === layer && position.unit === unit;
    const picture = markOf(look, size, dies);
    const place = drawn[unit];
    if (place?.picture === picture && place.isRead === isRead) return;
    drawn[unit] = { picture, isRead };
    const side = canvas.width / columns;
    const [x, top] = [(unit % columns) * side, Math.floor(unit / columns) * side];
    context.clearRect(x, top, side, side);
    context.drawImage(picture, x, top);
    if (!isRead) return;
    const line = 2 * devicePixelRatio;
    context.lineWidth = line;
    context.strokeStyle = colourOf("accent");
    context.strokeRect(x + line / 2, top + line / 2, side - line, side - line);
  };

  const draw = () => {
    const layers = shown(index);
    const { y } = layers[layer];
    let most = 0;
    for (const value of y) most = Math.max(most, Math.abs(value));
    const found = { active: 0, dropped: 0, inactive: 0, both: 0 };
    let dead = 0;
    for (let unit = 0; unit < units; unit += 1) {
      const cause = causeIn(network, layers, layer, unit);
      const dies = isDead(network, layer, unit);
      found[cause] += 1;
      dead += dies;
      const share = most ? Math.sqrt(Math.abs(y[unit]) / most) : 0;
      const size = cause === "active" ? SIZES[Math.min(Math.floor(share * 5), 4)] : 0.86;
      mark(unit, cause, size, dies);
    }
    drawTallies(found, dead);
    const name = network.layers[layer].name;
    set(title, { text: say("layer", { name, units }) });
    const value = position.layer === layer ? Math.min(position.unit, units - 1) : 0;
    keys.value = value + 1;
    const unitName = nameOf(network.layers[layer], value);
    const cause = say(`cause_${causeIn(network, layers, layer, value)}`);
    set(keys, {
      "aria-label": say("label_units", { name }),
      "aria-valuetext": isDead(network, layer, value)
        ? `${unitName}, ${cause}, ${say("state_dead")}`
        : `${unitName}, ${cause}`,
    });
  };

  /** Each cause with its count; what does not occur is left out. */
  const entries = CAUSES.map((cause) => [cause, glyph(cause), html("span")]);
  const deadEntry = [glyph("inactive", { dies: true }), html("span")];
  tallies.append(
    ...entries.map(([, mark, text]) => html("span", { class: "count" }, mark, text)),
    html("span", { class: "count" }, ...deadEntry),
  );
  const drawTallies = (found, dead) => {
    for (const [cause, , text] of entries) {
      set(text, { text: say("tally", { count: found[cause], words: say(`cause_${cause}`) }) });
      set(text.parentNode, { hidden: !found[cause] });
    }
    set(deadEntry[1], { text: say("tally_dead", { count: dead }) });
    set(deadEntry[1].parentNode, { hidden: !dead });
  };
  return { node, draw };
}

/** Reads another unit; in a network that has not so many, nothing is read. */
function pick(layer, unit, index) {
  Object.assign(position, { layer, unit });
  if (index !== undefined) position.network = index;
  changed();
}
