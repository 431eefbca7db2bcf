// What there is to say about one unit at one moment, in whole sentences.

/** The sentences for a unit, the most telling first. */
function sentences(arm, layer, unit) {
  if (layer === "logits") return logitSentences(arm, unit);
  const said = isTraining()
    ? passSentences(arm, layer, unit)
    : [evaluationSentence(arm, layer, unit)];
  const dead = isDead(arm, layer, unit, stand()) ? deadSentences(arm, layer, unit) : [];
  // Where the unit is closed anyway, its death is the news.
  const isClosed = causeNow(arm, layer, unit) === "inactive";
  const both = dead.length && isClosed ? dead : [...said, ...dead];
  if (!isTraining() || position.phase !== "update") return both;
  const way = moved(arm, layer, unit, step());
  return [...both, way ? say("moved", { way: written(way) }) : say("unmoved")];
}

function passSentences(arm, layer, unit) {
  const scale = brief(scaleOf(arm, layer));
  const z = passed(arm, layer, unit, step(), "z");
  const opens = fired(arm, layer, unit, stand());
  switch (cause(arm, layer, unit, step())) {
    case "dropped": {
      const back = returnOf(arm, layer, unit, step());
      const said = [back ? say("dropped_until", { back }) : say("dropped")];
      return z < 0 ? [...said, say("negative_zero")] : said;
    }
    case "both":
      return [say("both")];
    case "inactive":
      return [say("inactive", { opens })];
    default: {
      const kind = !drops(arm, layer) ? "free" : hasRelu(arm, layer) ? "scaled" : "linear";
      const said = [say(`active_${kind}`, { scale })];
      const isStopped = passed(arm, layer, unit, step(), "gradient_y") === 0;
      return isStopped ? [...said, say("no_gradient")] : said;
    }
  }
}

/** The update at which a unit that is dropped now is kept again; 0 where the run ends before. */
function returnOf(arm, layer, unit, from) {
  const steps = upTo(UPDATES).slice(from + 1);
  return 1 + (steps.find((step) => passed(arm, layer, unit, step, "mask") === 1) ?? -1);
}

function evaluationSentence(arm, layer, unit) {
  const opens = fired(arm, layer, unit, stand());
  if (!hasRelu(arm, layer)) return say("evaluation_linear");
  const isOpen = valueAt(arm, layer, unit, "z") > 0;
  return isOpen ? say("evaluation_open") : say("evaluation_closed", { opens });
}

function deadSentences(arm, layer, unit) {
  const since = lastMove(arm, layer, unit, stand());
  const pairs = wakes(arm, layer, unit, stand());
  if (!pairs) return [say("dead", { since })];
  const isAwake = isTraining() && passed(arm, layer, unit, step(), "z") > 0;
  return [say(isAwake ? "dead_awake" : "dead_wakes", { pairs, all: PAIRS })];
}

function logitSentences(arm, unit) {
  const share = softmax(arm)[unit].toFixed(4);
  const said = [say("logit", { share })];
  if (!isTraining()) return said;
  const gradient = written(passed(arm, "logits", unit, step(), "gradient_z"));
  return [...said, say("logit_gradient", { gradient })];
}
