// One network: its units, marked by cause, and the lines between them.

const BOX = { width: 372, height: 264 };
const COLUMN = { x: 20, h1: 122, h2: 226, logits: 326 };
const GAP = { 2: 110, 3: 84, 4: 64 };

const place = (layer, unit) => ({
  x: COLUMN[layer],
  y: BOX.height / 2 + (unit - (WIDTH[layer] - 1) / 2) * GAP[WIDTH[layer]] - 10,
});

/** The size above which a line is at its thickest: that of the largest twentieth of the run. */
function largest(values) {
  const sizes = values.flat(Infinity).map(Math.abs);
  const known = sizes.filter((size) => size > 0 && Number.isFinite(size)).sort((a, b) => a - b);
  return known[Math.floor(0.95 * known.length)] ?? 1;
}
const everyLine = (prefix) =>
  ARMS.flatMap((arm) =>
    LAYERS.map((layer) => trace[`${arm}/${prefix}${linear(layer)}.weight`] ?? []),
  );
const LARGEST = { weights: largest(everyLine("")), gradients: largest(everyLine("gradient_")) };
LARGEST.updates = LARGEST.gradients * run.learning_rate;

/** The weight, gradient or change of every line into a unit, its bias last; null for none. */
function valuesInto(arm, layer, unit, quantity) {
  if (quantity === "weights") return incoming(arm, layer, unit, stand());
  if (!isTraining()) return null;
  return (quantity === "gradients" ? pulls : changes)(arm, layer, unit, step());
}

/** What stands at a unit: z, m, h, y, its gradient, or how far its weights moved. */
function valueAt(arm, layer, unit, quantity) {
  if (!isTraining()) {
    const z = evaluated(arm, layer, unit, stand(), sample());
    if (quantity === "z") return z;
    if (quantity === "h" || quantity === "y") return hasRelu(arm, layer) ? Math.max(z, 0) : z;
    return null;
  }
  if (quantity === "moved") return moved(arm, layer, unit, step());
  if (quantity === "m") return drops(arm, layer) ? passed(arm, layer, unit, step(), "mask") : null;
  const name = quantity === "gradient" ? "gradient_z" : quantity;
  return passed(arm, layer, unit, step(), name);
}

/** The cause of a hidden unit's value as it is shown. */
function causeNow(arm, layer, unit) {
  if (isTraining()) return cause(arm, layer, unit, step());
  const isOpen = !hasRelu(arm, layer) || valueAt(arm, layer, unit, "z") > 0;
  return isOpen ? "active" : "inactive";
}

const inputs = () => trace["samples/x"][sample()];
const target = () => trace["samples/target"][sample()];

/** What flows along the lines that leave a column's units. */
const outputsOf = (arm, layer) =>
  layer === "x" ? inputs() : upTo(WIDTH[layer]).map((unit) => valueAt(arm, layer, unit, "y"));

function makeNetwork(arm) {
  const lines = LAYERS.flatMap((layer) =>
    upTo(WIDTH[layer]).flatMap((unit) =>
      upTo(WIDTH[source(layer)]).map((from) => makeLine(arm, layer, unit, from)),
    ),
  );
  const nodes = [
    ...upTo(WIDTH.x).map(makeInput),
    ...LAYERS.flatMap((layer) => upTo(WIDTH[layer]).map((unit) => makeUnit(arm, layer, unit))),
  ];
  const node = svg(
    "svg",
    { class: "network", viewBox: `0 0 ${BOX.width} ${BOX.height}`, role: "group" },
    svg("g", { "aria-hidden": "true" }, ...lines.map((line) => line.node)),
    ...nodes.map((unit) => unit.node),
  );
  const draw = () => {
    set(node, { "aria-label": say("network", { arm: say(arm) }) });
    for (const part of [...lines, ...nodes]) part.draw();
  };
  return { node, draw };
}

function makeLine(arm, layer, unit, from) {
  const start = place(source(layer), from);
  const end = place(layer, unit);
  const title = svg("title");
  const { x: x1, y: y1 } = start;
  const { x: x2, y: y2 } = end;
  const node = svg("line", { class: "line", x1, y1, x2, y2 }, title);
  const startName = layer === "h1" ? `x${from + 1}` : nameOf(source(layer), from);
  const draw = () => {
    const quantity = shown().lines;
    const value = valuesInto(arm, layer, unit, quantity)?.[from] ?? null;
    const share = Math.min(Math.abs(value ?? 0) / LARGEST[quantity], 1);
    const isIdle = quantity === "weights" && outputsOf(arm, source(layer))[from] === 0;
    set(node, {
      "stroke-width": value ? (0.7 + 3.3 * Math.sqrt(share || 0)).toFixed(2) : 0.7,
      "data-sign": value === null ? "none" : value < 0 ? "negative" : value ? "positive" : "zero",
      "data-idle": isIdle,
      "data-chosen": nameOf(layer, unit) === position.unit,
    });
    const what = say(`lines_${quantity}`);
    set(title, { text: `${startName} → ${nameOf(layer, unit)} · ${what} ${written(value)}` });
  };
  return { node, draw };
}

function makeInput(index) {
  const { x, y } = place("x", index);
  const value = svg("text", { class: "input", y: 5 });
  const circle = svg("circle", { class: "input-ring", r: 15 });
  const node = svg("g", { transform: `translate(${x} ${y})` }, circle, value);
  const draw = () => set(value, { text: brief(inputs()[index]) });
  return { node, draw };
}

function makeUnit(arm, layer, unit) {
  const name = nameOf(layer, unit);
  const { x, y } = place(layer, unit);
  const mark = makeMark();
  const isLogit = layer === "logits";
  const label = svg("tspan", { class: "name" });
  const value = svg("tspan", { class: "value" });
  const share = svg("tspan", { class: "share" });
  // A hidden unit's name stands before its value, a class below it: it takes more room.
  for (const span of isLogit ? [value, label, share] : []) {
    set(span, { x: 0, dy: span === value ? 0 : 16 });
  }
  const words = svg("text", { y: 41 }, ...(isLogit ? [value, label, share] : [label, value]));
  const node = svg(
    "g",
    {
      class: "unit",
      transform: `translate(${x} ${y})`,
      tabindex: 0,
      role: "button",
      "data-arm": arm,
      "data-unit": name,
      onclick: () => go({ unit: name }),
      onfocus: () => position.unit !== name && go({ unit: name }),
      onkeydown: (event) => {
        if (event.key === "Enter" || event.key === " ") {
          event.preventDefault();
          go({ unit: name });
        }
      },
    },
    // A touch need not hit the shape itself.
    svg("rect", { class: "reach", x: -40, y: -40, width: 80, height: 84 }),
    svg("circle", { class: "focus", r: 32 }),
    svg("circle", { class: "choice-ring", r: 29 }),
    mark.node,
    words,
  );
  const draw = () => {
    const look = isLogit ? "logit" : causeNow(arm, layer, unit);
    const dies = isDead(arm, layer, unit, stand());
    const isTarget = isLogit && target() === unit;
    const quantity = shown().units;
    const shownValue = valueAt(arm, layer, unit, quantity);
    const amount = quantity === "m" ? whole(shownValue) : written(shownValue);
    mark.draw(look, { dies });
    set(label, {
      text: isLogit ? say(isTarget ? "class_target" : "class", { unit }) : `${name}\u2002`,
    });
    set(value, { text: amount });
    const isLoss = isLogit && position.phase === "loss";
    set(share, { text: isLoss ? `p ${softmax(arm)[unit].toFixed(4)}` : "" });
    set(node, {
      "aria-pressed": String(position.unit === name),
      "data-target": isTarget,
      "aria-label": [
        `${say(arm)}, ${name}`,
        ...(isLogit ? [] : [say(`cause_${look}`)]),
        ...(dies ? [say("state_dead")] : []),
        `${say(`units_${quantity}`)} ${amount}`,
      ].join(", "),
    });
  };
  return { node, draw };
}
