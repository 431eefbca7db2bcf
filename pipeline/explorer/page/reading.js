// The unit that is read: why it is zero now, where its z comes from, its life, what it fires for.

const STRONGEST = 6;
// Names longer than a letter are told by the words beside, and by pointing.
const INITIALS = CLASSES.map((name) => (name.length === 1 ? name : ""));

function makeReading(index) {
  const node = html("div", { class: "reading", role: "region" });
  const lasting = html("div");
  let lastingOf = "";
  const draw = () => {
    const { layer, unit } = position;
    const network = networks[index];
    const known = network.layers[layer];
    const exists = known && unit < known.units && (layer === DEEPEST_OF[index]) === isLogits();
    if (!exists) {
      const name = unitName();
      node.replaceChildren(html("p", { class: "sentence" }, say("no_such_unit", { name })));
      return;
    }
    set(node, { "aria-label": `${network.name}, ${nameOf(known, unit)}` });
    node.replaceChildren(
      headline(index, layer, unit),
      html("p", { class: "sentence" }, sentencesOf(index, layer, unit).join(" ")),
      layer === 0 ? weightImages(index, unit) : strongest(index, layer, unit),
      lasting,
    );
    // What does not depend on the image is made once.
    const which = `${layer} ${unit} ${position.language}`;
    if (which === lastingOf) return;
    lastingOf = which;
    lasting.replaceChildren(
      ...(known.fired ? [firing(network, layer, unit), lived(network, layer, unit)] : []),
    );
  };
  return { node, draw };
}

/** The unit is named by the network that is in front. */
const unitName = () => nameOf(networks[position.network].layers[position.layer], position.unit);
const isLogits = () => position.layer === DEEPEST_OF[position.network];

function headline(index, layer, unit) {
  const network = networks[index];
  const look = causeIn(network, shown(index), layer, unit);
  const dies = isDead(network, layer, unit);
  const state = say(`cause_${look}`);
  return html(
    "h4",
    {},
    glyph(look, { dies }),
    html("span", { class: "which" }, nameOf(network.layers[layer], unit)),
    html("span", { class: "state" }, dies ? `${state} · ${say("state_dead")}` : state),
  );
}

/** A unit of the first layer: its weights as an image, and times what the pass leaves of the image. */
function weightImages(index, unit) {
  const { weight, inputs, bias } = networks[index].layers[0];
  const row = weight.subarray(unit * inputs, (unit + 1) * inputs);
  const { x } = shown(index)[0];
  const products = row.map((value, pixel) => value * x[pixel]);
  const plus = total(products.filter((value) => value > 0));
  const minus = total(products.filter((value) => value < 0));
  const values = { plus: written(plus), minus: added(minus), bias: added(bias[unit]) };
  return html(
    "div",
    { class: "weights" },
    signed(row, "weights"),
    signed(products, "products"),
    html("p", { class: "sum" }, say("sum_image", { ...values, z: written(plus + minus + bias[unit]) })),
  );
}

/** A number as a further term of a sum. */
const added = (value) => `${value < 0 ? MINUS : "+"} ${written(Math.abs(value))}`;

/** Numbers of the size of an image: positive and negative in two colours, the strongest full. */
function signed(values, word) {
  const canvas = html("canvas", { width: run.width, height: run.height, "aria-hidden": "true" });
  const colours = ["positive", "negative", "card"].map((name) =>
    colourOf(name)
      .match(/\w\w/g)
      .map((pair) => Number.parseInt(pair, 16)),
  );
  const context = canvas.getContext("2d");
  const image = context.createImageData(run.width, run.height);
  const most = values.reduce((high, value) => Math.max(high, Math.abs(value)), 0) || 1;
  for (const [pixel, value] of values.entries()) {
    const share = Math.abs(value) / most;
    const colour = colours[value > 0 ? 0 : 1];
    for (const channel of [0, 1, 2]) {
      image.data[4 * pixel + channel] = colours[2][channel] * (1 - share) + colour[channel] * share;
    }
    image.data[4 * pixel + 3] = 255;
  }
  context.putImageData(image, 0, 0);
  return html("figure", {}, canvas, html("figcaption", {}, say(word)));
}

/** What reaches a unit of a later layer: the largest products, the rest, and the bias. */
function strongest(index, layer, unit) {
  const { weight, inputs, bias } = networks[index].layers[layer];
  const before = networks[index].layers[layer - 1];
  const { x, z } = shown(index)[layer];
  const row = weight.subarray(unit * inputs, (unit + 1) * inputs);
  const strength = (from) => Math.abs(row[from] * x[from]) || Math.abs(row[from]) * 1e-9;
  const order = upTo(inputs).sort((a, b) => strength(b) - strength(a));
  const first = order.slice(0, STRONGEST);
  const rest = order.slice(STRONGEST).filter((from) => x[from] !== 0);
  const sum = total(rest.map((from) => row[from] * x[from]));
  const rows = first.map((from) => [
    inputHead(index, layer - 1, from, nameOf(before, from)),
    [written(row[from]), written(x[from]), written(row[from] * x[from])],
  ]);
  if (rest.length) rows.push([say("rest", { count: rest.length }), ["", "", written(sum)]]);
  rows.push([say("bias"), ["", "", written(bias[unit])]], ["z", ["", "", written(z[unit])]]);
  return table("strongest", [say("weight"), "y", say("product")], rows);
}

/** The name of a unit that leads to another, as a way there. */
function inputHead(index, layer, unit, name) {
  const look = causeIn(networks[index], shown(index), layer, unit);
  const dies = isDead(networks[index], layer, unit);
  return html(
    "button",
    {
      type: "button",
      class: "jump",
      onclick: () => {
        pick(layer, unit, index);
        // The reading is about to be another: whoever goes by keys goes on from the unit.
        byId("networks").children[index].querySelectorAll(".field input")[layer].focus();
      },
    },
    glyph(look, { dies }),
    name,
  );
}

/** For which share of the training images a unit fires, over all and by class. */
function firing(network, layer, unit) {
  const each = shares(network, layer, unit);
  const most = upTo(CLASSES.length).sort((a, b) => each[b] - each[a]);
  const overall = life(network, layer, unit).at(-1) / network.images;
  const columns = each.map((share, label) =>
    svg(
      "g",
      {},
      svg("title", { text: `${CLASSES[label]}: ${percent(share)}` }),
      svg("rect", { class: "ground", x: 12 * label + 1, width: 10, height: 18 }),
      svg("rect", { class: "fires-bar", x: 12 * label + 1, y: 18 - 18 * share, width: 10, height: 18 * share }),
      svg("text", { x: 12 * label + 6, y: 24, text: INITIALS[label] }),
    ),
  );
  const picture = svg(
    "svg",
    { class: "by-class", viewBox: `0 0 ${12 * CLASSES.length} 25`, "aria-hidden": "true" },
    ...columns,
  );
  const favourites = most.slice(0, 3).filter((label) => each[label] > 0);
  const values = {
    share: percent(overall),
    images: network.images.toLocaleString(position.language),
    most: listed(favourites.map((label) => `${CLASSES[label]} (${percent(each[label])})`)),
  };
  const words = say(overall > 0 ? "fires" : "fires_never", values);
  return html("div", { class: "fires" }, html("p", {}, words), picture);
}

/** The firing rate at the end of every epoch, and where the unit was dead. */
function lived(network, layer, unit) {
  const fired = life(network, layer, unit);
  const { epochs } = network;
  const cells = fired.map((count, place) => {
    const share = count / network.images;
    const title = svg("title", {
      text: say("life_epoch", { epoch: epochs[place], share: percent(share) }),
    });
    const parts = count
      ? [svg("rect", { class: "fires-bar", x: place + 0.06, y: 30 - 30 * share, width: 0.88, height: 30 * share })]
      : [svg("rect", { class: "dead-band", x: place, y: 0, width: 1, height: 30 })];
    return svg("g", {}, title, svg("rect", { class: "ground", x: place, y: 0, width: 1, height: 30 }), ...parts);
  });
  const picture = svg(
    "svg",
    {
      class: "life",
      viewBox: `0 0 ${epochs.length} 30`,
      preserveAspectRatio: "none",
      "aria-hidden": "true",
    },
    ...cells,
  );
  const ends = html(
    "div",
    { class: "ends", "aria-hidden": "true" },
    html("span", {}, say("born")),
    html("span", {}, epochs.length > 1 ? say("epoch", { epoch: epochs.at(-1) }) : ""),
  );
  return html("div", { class: "lived" }, html("p", {}, lifeOf(network, layer, unit)), picture, ends);
}
