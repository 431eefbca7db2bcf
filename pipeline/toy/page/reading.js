// The chosen unit, read out: from z to y and back, and what that means.

function makeReading(arm) {
  const node = html("div", { class: "reading", role: "region", "data-arm": arm });
  const draw = () => {
    const { layer, unit } = chosen();
    set(node, { "aria-label": `${say(arm)}, ${position.unit}` });
    node.replaceChildren(
      headline(arm, layer, unit),
      html("p", { class: "sentence" }, sentences(arm, layer, unit).join(" ")),
      chain(arm, layer, unit),
      html("p", { class: "sum" }, ...sum(arm, layer, unit)),
      ...(layer === "logits" ? [] : [firing(arm, layer, unit)]),
    );
  };
  return { node, draw };
}

function headline(arm, layer, unit) {
  const isLogit = layer === "logits";
  const dies = isDead(arm, layer, unit, stand());
  const look = isLogit ? "logit" : causeNow(arm, layer, unit);
  const state = isLogit ? "" : say(`cause_${look}`);
  return html(
    "h4",
    {},
    glyph(look, { dies }),
    html("span", { class: "which" }, position.unit),
    html("span", { class: "state" }, dies ? `${state} · ${say("state_dead")}` : state),
  );
}

/** z, h, m, 1/(1 − p) and y in a row, and the gradients on their way back below. */
function chain(arm, layer, unit) {
  const values = ["z", "h", "m", "y"].map((quantity) => valueAt(arm, layer, unit, quantity));
  const [z, h, m, y] = values.map((value, index) => (index === 2 ? whole(value) : written(value)));
  const scale = isTraining() && drops(arm, layer) ? brief(scaleOf(arm, layer)) : "–";
  const [gz, gh, gy] = ["gradient_z", "gradient_h", "gradient_y"].map((quantity) =>
    written(isTraining() ? passed(arm, layer, unit, step(), quantity) : null),
  );
  const rows = [
    [say("value"), [z, h, m, scale, y]],
    ["∂L/∂", [gz, gh, "", "", gy]],
  ];
  return table("chain", ["z", "h", "m", "1/(1−p)", "y"], rows);
}

/** Where z comes from, term by term; or the gradients or changes of the same weights. */
function sum(arm, layer, unit) {
  const quantity = shown().lines;
  const values = valuesInto(arm, layer, unit, quantity);
  if (values === null) return [say("no_gradients_now")];
  const bias = values.at(-1);
  const row = values.slice(0, -1);
  if (quantity !== "weights") {
    const name = quantity === "gradients" ? "∂L/∂w" : "Δw";
    const biasName = quantity === "gradients" ? "∂L/∂b" : "Δb";
    return [`${name} = (${row.map(written).join(", ")}), ${biasName} = ${written(bias)}`];
  }
  if (isTraining() && position.phase === "update") {
    return [`w = (${row.map(written).join(", ")}), b = ${written(bias)}`];
  }
  const seen = outputsOf(arm, source(layer));
  const terms = row.map((weight, index) => `${written(weight)}·${short(seen[index])}`);
  return [`z = ${terms.join(" + ")} + ${written(bias)}`.replaceAll(`+ ${MINUS}`, `${MINUS} `)];
}

function short(value) {
  const text = Number.isInteger(value) && value !== 0 ? brief(value) : written(value);
  return text.startsWith(MINUS) ? `(${text})` : text;
}

/** One square a sample: for which of the ten the unit opens, in evaluation mode. */
function firing(arm, layer, unit) {
  const opens = trace["samples/x"].map(
    (_, index) => evaluated(arm, layer, unit, stand(), index) > 0,
  );
  const count = opens.filter(Boolean).length;
  const squares = opens.map((isOpen, index) =>
    svg("rect", {
      x: 12 * index + 1,
      y: 1,
      width: 9,
      height: 9,
      "data-open": isOpen,
      "data-now": index === sample(),
    }),
  );
  const picture = svg(
    "svg",
    { class: "firing", viewBox: "0 0 122 11", "aria-hidden": "true" },
    ...squares,
  );
  const when = position.phase === "update" && UPDATES ? "_after" : "";
  const words = hasRelu(arm, layer) ? `fires${when}` : "positive";
  return html("p", { class: "fires" }, picture, html("span", {}, say(words, { count })));
}
