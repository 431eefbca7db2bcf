// The whole run at a glance: a ribbon for every unit, and the loss.

/** The cell of a ribbon alone: dropout blackens the upper half, ReLU the lower. */
function ribbonGlyph(look, { dies = false } = {}) {
  const [y, height] = HALVES[look];
  return svg(
    "svg",
    { class: "ribbon-glyph", viewBox: "0 0 8 14", "aria-hidden": "true" },
    svg("rect", { class: "ground", width: 8, height: 10 }),
    svg("rect", { "data-cause": look, y, width: 8, height }),
    ...(dies ? [svg("rect", { class: "line-of-death", y: 11, width: 8, height: 3 })] : []),
  );
}

const HALVES = { active: [0, 10], dropped: [0, 5], inactive: [5, 5], both: [0, 10] };

/** A strip as wide as there is room, one unit of length an update, with the update on it marked. */
function makeStrip(height, parts, { label, onpick }) {
  const now = svg("rect", { class: "now", width: 1, height });
  const node = svg(
    "svg",
    {
      class: "strip",
      viewBox: `0 0 ${Math.max(UPDATES, 1)} ${height}`,
      preserveAspectRatio: "none",
      role: "img",
      onclick: (event) => {
        const { left, width } = node.getBoundingClientRect();
        const share = (event.clientX - left) / width;
        if (UPDATES) onpick(1 + Math.min(Math.floor(share * UPDATES), UPDATES - 1));
      },
    },
    ...parts,
    now,
  );
  const draw = () => {
    set(now, { x: Math.max(step(), 0), visibility: UPDATES ? "visible" : "hidden" });
    set(node, { "aria-label": label() });
  };
  return { node, draw };
}

/** The runs of equal values: [value, first index, how many]. */
function stretches(values) {
  const found = [];
  for (const [index, value] of values.entries()) {
    const last = found.at(-1);
    if (last && last[0] === value) last[2] += 1;
    else found.push([value, index, 1]);
  }
  return found;
}

function makeRibbon(arm, layer, unit) {
  const name = nameOf(layer, unit);
  const causes = upTo(UPDATES).map((step) => cause(arm, layer, unit, step));
  const deaths = upTo(UPDATES).map((step) => isDead(arm, layer, unit, step));
  const cells = stretches(causes).map(([value, x, width]) => {
    const [y, height] = HALVES[value];
    return svg("rect", { "data-cause": value, x, y, width, height });
  });
  const dead = stretches(deaths)
    .filter(([isDead]) => isDead)
    .map(([, x, width]) => svg("rect", { class: "line-of-death", x, y: 11, width, height: 3 }));
  const count = (value) => causes.filter((cause) => cause === value).length;
  const label = () =>
    say("ribbon", {
      name,
      ...Object.fromEntries(CAUSES.map((value) => [value, count(value)])),
      dead: deaths.filter(Boolean).length,
    });
  const ground = svg("rect", { class: "ground", width: Math.max(UPDATES, 1), height: 10 });
  const onpick = (update) => go({ update, unit: name });
  const strip = makeStrip(14, [ground, ...cells, ...dead], { label, onpick });
  const row = html(
    "div",
    { class: "ribbon", "data-unit": name },
    html("span", {}, name),
    strip.node,
  );
  const draw = () => {
    strip.draw();
    set(row, { "data-chosen": position.unit === name });
  };
  return { node: row, draw };
}

// All arms' losses on one scale. A few passes are far above the rest: they only point upwards.
const GUESSING = Math.log(2);
const finite = (name) =>
  ARMS.flatMap((arm) => trace[`${arm}/${name}`] ?? []).filter(Number.isFinite);
const passLosses = finite("loss").sort((a, b) => a - b);
const HIGHEST = Math.max(
  2 * GUESSING,
  ...finite("evaluation_loss"),
  passLosses[Math.floor(0.9 * passLosses.length)] ?? 0,
);
const CHART = 100;
const heightOf = (loss) =>
  CHART - Math.min(Number.isFinite(loss) ? loss / HIGHEST : 1, 1) * (CHART - 8);
const dashOf = (loss, step) =>
  loss <= HIGHEST
    ? `M${step + 0.1} ${heightOf(loss)}h0.8`
    : `M${step + 0.1} 7L${step + 0.5} 1L${step + 0.9} 7`;

function makeLossCurve(arm) {
  const losses = trace[`${arm}/loss`] ?? [];
  const means = trace[`${arm}/evaluation_loss`].slice(0, UPDATES + 1);
  const dashes = losses.map(dashOf).join("");
  const curve = means
    .map((loss, stand) => `${stand ? "L" : "M"}${stand} ${heightOf(loss)}`)
    .join("");
  const parts = [
    svg("path", { class: "guessing", d: `M0 ${heightOf(GUESSING)}H${Math.max(UPDATES, 1)}` }),
    svg("path", { class: "mean-loss", d: UPDATES ? curve : `${curve}h1` }),
    svg("path", { class: "pass-loss", d: dashes }),
  ];
  const label = () =>
    say("loss_chart", { arm: say(arm), first: written(means[0]), last: written(means.at(-1)) });
  const strip = makeStrip(CHART, parts, { label, onpick: (update) => go({ update }) });
  const axis = html(
    "div",
    { class: "axis", "aria-hidden": "true" },
    html("span", {}, brief(Number(HIGHEST.toPrecision(2)))),
    html("span", {}, "0"),
  );
  const ends = html("div", { class: "ends", "aria-hidden": "true" });
  ends.append(html("span", {}, UPDATES ? "1" : "0"), html("span", {}, String(UPDATES)));
  const node = html("div", { class: "loss-curve" }, axis, strip.node, ends);
  return { node, draw: strip.draw };
}

function makeHistory(arm) {
  const ribbonTitle = html("h4");
  const lossTitle = html("h4");
  const note = html("p", { class: "note" });
  const ribbons = UPDATES ? UNITS.map(({ layer, unit }) => makeRibbon(arm, layer, unit)) : [];
  const curve = makeLossCurve(arm);
  const node = html("div", { class: "history" });
  if (ribbons.length) node.append(ribbonTitle, ...ribbons.map((ribbon) => ribbon.node));
  node.append(lossTitle, curve.node, note);
  const draw = () => {
    set(ribbonTitle, { text: say("ribbon_title") });
    set(lossTitle, { text: say("loss_curve_title") });
    const isTrained = isTraining() && UPDATES > 0;
    const loss = isTrained ? trace[`${arm}/loss`][step()] : null;
    const mean = written(trace[`${arm}/evaluation_loss`][stand()]);
    set(note, { text: say(isTrained ? "losses_now" : "loss_now", { loss: written(loss), mean }) });
    for (const part of [...ribbons, curve]) part.draw();
  };
  return { node, draw };
}
