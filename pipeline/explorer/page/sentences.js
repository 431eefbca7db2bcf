// Why a unit is zero now, or not, in whole sentences.

/** What is said of an active unit, of one that the mask keeps, of a dropped one, by activation. */
const SAID = {
  relu: ["active", "active_scaled", "dropped"],
  none: ["linear", "linear_scaled", "dropped_linear"],
  sigmoid: ["smooth", "smooth_scaled", "dropped_smooth"],
  leaky_relu: ["smooth", "smooth_scaled", "dropped_smooth"],
};
const FUNCTIONS = { sigmoid: "function_sigmoid", leaky_relu: "function_leaky_relu" };

/** The sentences for a unit of a network. */
function sentencesOf(index, layer, unit) {
  const network = networks[index];
  const { z, y } = shown(index)[layer];
  const { activation, drops, share } = network.layers[layer];
  const rate = position.rates[index] * share;
  const values = {
    z: written(z[unit]),
    y: written(y[unit]),
    p: brief(rate),
    scale: brief(1 / (1 - rate)),
    images: network.images.toLocaleString(position.language),
  };
  const [active, scaled, dropped] = SAID[activation];
  if (activation in FUNCTIONS) values.function = say(FUNCTIONS[activation]);
  const cause = causeIn(network, shown(index), layer, unit);
  const isScaled = drops && isMasked(index);
  const said = [];
  if (cause === "active") {
    said.push(say(isScaled ? scaled : active, values));
  } else if (cause === "inactive") {
    // The first layer's z knows no masks where inputs are kept.
    const isSure = (layer === 0 && !network.input_share) || !isMasked(index);
    const dies = isDead(network, layer, unit);
    const masked = layer === 0 ? "inactive_masked_input" : "inactive_masked";
    said.push(say(dies ? "inactive_dead" : isSure ? "inactive" : masked, values));
  } else {
    said.push(say(cause === "dropped" ? dropped : "both", values));
  }
  if (isDead(network, layer, unit)) {
    said.push(say(z[unit] > 0 ? "dead_awake" : "dead", values));
  }
  return said;
}

/** What became of a unit from birth to the epoch whose weights are used. */
function lifeOf(network, layer, unit) {
  const fired = life(network, layer, unit);
  const { epochs } = network;
  const dead = fired.map((count) => count === 0);
  const changes = dead.filter((value, index) => index && value !== dead[index - 1]).length;
  const turn = epochs[dead.lastIndexOf(!dead.at(-1)) + 1];
  if (epochs.length === 1) return say(dead[0] ? "life_born_dead_only" : "life_born_alive_only");
  if (!changes) return say(dead[0] ? "life_dead" : "life_alive", { epochs: epochs.at(-1) });
  if (changes === 1) return say(dead[0] ? "life_revived" : "life_died", { epoch: turn });
  return say(dead.at(-1) ? "life_mixed_dead" : "life_mixed_alive", {
    born: say(dead[0] ? "life_born_dead" : "life_born_alive"),
    changes,
    epoch: turn,
  });
}
