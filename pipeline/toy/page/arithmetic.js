// Two small computations, worked out on the run's own numbers.

/** The logits of an arm as they are shown. */
const logitsOf = (arm) => upTo(WIDTH.logits).map((unit) => valueAt(arm, "logits", unit, "y"));

/** e to each logit over the sum of all; the largest is taken off first, so that none overflows. */
function softmax(arm) {
  const logits = logitsOf(arm);
  const powers = logits.map((logit) => Math.exp(logit - Math.max(...logits)));
  return powers.map((power) => power / total(powers));
}

/** Softmax, logarithm and target of one arm, step by step. */
function lossByHand(arm) {
  const logits = logitsOf(arm);
  const powers = logits.map(Math.exp);
  const shares = softmax(arm);
  const rows = logits.map((logit, unit) => [
    say(unit === target() ? "class_target" : "class", { unit }),
    [logit, powers[unit], shares[unit]].map(written),
    { "data-target": unit === target() },
  ]);
  const loss = -Math.log(shares[target()]);
  const terms = powers.map(written);
  return html(
    "div",
    { class: "card by-hand", "data-arm": arm },
    html("h3", {}, say(arm)),
    table("", ["a", "eᵃ", say("softmax")], rows),
    html(
      "p",
      { class: "sum" },
      `${terms[target()]} / (${terms.join(" + ")}) = ${written(shares[target()])}`,
    ),
    html(
      "p",
      { class: "result" },
      `L = ${MINUS}ln ${written(shares[target()])} = `,
      html("strong", {}, written(loss)),
    ),
  );
}

/** h, times m / (1 − p), gives y: a layer's vector, value by value. */
function vectorByHand(arm, layer) {
  const units = upTo(WIDTH[layer]);
  const factor = (unit) => {
    if (!isTraining() || !drops(arm, layer)) return "1";
    return passed(arm, layer, unit, step(), "mask") ? brief(scaleOf(arm, layer)) : "0";
  };
  const marked = units.map((unit) => {
    const look = causeNow(arm, layer, unit);
    const value = valueAt(arm, layer, unit, "y");
    return html("td", {}, glyph(look), html("span", {}, written(value)));
  });
  const rows = [
    ["h", units.map((unit) => written(valueAt(arm, layer, unit, "h"))), { class: "before" }],
    ["× m/(1−p)", units.map((unit) => `× ${factor(unit)}`), { class: "factor" }],
    ["y", marked, { class: "after" }],
  ];
  const columns = units.map((unit) => nameOf(layer, unit));
  return html("div", { class: "card vector", "data-layer": layer }, table("", columns, rows));
}

/** The next update from here, around the end, in which a negative was dropped. */
function nextNegativeZero(arm) {
  const around = upTo(UPDATES).map((offset) => (step() + offset) % UPDATES);
  const found = around.find((at) =>
    UNITS.some(({ layer, unit }) => Object.is(passed(arm, layer, unit, at, "y"), -0)),
  );
  return found === undefined ? 0 : found + 1;
}

function drawArithmetic() {
  set(byId("loss-text"), {
    text: say("loss_text", { x: inputs().map(brief).join(", "), target: target() }),
  });
  byId("loss").replaceChildren(...ARMS.map(lossByHand));
  const arm = "dropout";
  const scale = brief(scaleOf(arm, "h1"));
  const words = drops(arm, "h1") ? "vector_text" : "vector_text_without";
  set(byId("vector-text"), { text: say(words, { p: brief(run.drop_rate), scale }) });
  byId("vector").replaceChildren(...HIDDEN.map((layer) => vectorByHand(arm, layer)));
  byId("vector-note").replaceChildren(...vectorNote(arm));
}

function vectorNote(arm) {
  if (!isTraining()) return [say("vector_evaluation")];
  const update = nextNegativeZero(arm);
  if (!update) return [say("vector_none")];
  if (update === position.update) return [say("vector_here")];
  const jump = { type: "button", class: "jump", id: "jump", onclick: () => go({ update }) };
  return [`${say("vector_elsewhere")} `, html("button", jump, say("vector_jump", { update }))];
}
