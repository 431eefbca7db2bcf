// What a network answers: a bar for every class, and a sentence.

function makeOutcome(index) {
  const verdict = html("p", { class: "verdict" });
  const rows = CLASSES.map((name, label) => makeBar(index, name, label));
  const bars = html("div", { class: "bars", role: "group" }, ...rows.map((row) => row.node));
  // All bars begin at one place, whatever their names.
  const longest = Math.max(...CLASSES.map((name) => name.length));
  bars.style.setProperty("--names", `${within(longest, 2, 12)}ch`);
  const key = html("p", { class: "bar-key footnote" });
  const node = html(
    "div",
    { class: "outcome" },
    verdict,
    bars,
    key,
  );
  const draw = () => {
    set(verdict, { text: verdictOf(index) });
    set(bars, { "aria-label": say("bars") });
    set(key, { text: keyOf(index) });
    const evaluation = softmax(now[index].evaluation.at(-1).y);
    for (const [label, row] of rows.entries()) row.draw(evaluation[label]);
  };
  return { node, draw };
}

/** What the marks in the bars mean now, and whether the logits are dropped as well. */
function keyOf(index) {
  if (!isMasked(index)) return say("bars_evaluation");
  const words = say(now[index].tally.passes > 1 ? "bars_masks" : "bars_pass");
  const { drops } = networks[index].layers[DEEPEST_OF[index]];
  return drops ? `${words} ${say("bars_logits")}` : words;
}

/** A probability to a tenth of a percent; never none or all, which a softmax never gives. */
function chance(share) {
  if (share < 0.001) return "< 0.1\u00a0%";
  if (share > 0.999) return "> 99.9\u00a0%";
  return `${(100 * share).toFixed(1)}\u00a0%`;
}

/** A class's probability: by this pass or in evaluation mode, and the spread over the masks. */
function makeBar(index, name, label) {
  const fill = html("span", { class: "bar-fill" });
  const outline = html("span", { class: "bar-outline" });
  const whisker = html("span", { class: "bar-whisker" });
  const value = html("span", { class: "bar-value" });
  const node = html(
    "button",
    { type: "button", class: "bar", onclick: () => pick(DEEPEST_OF[index], label, index) },
    html("span", { class: "bar-name" }, name),
    html("span", { class: "bar-room" }, fill, outline, whisker),
    value,
  );
  const draw = (evaluation) => {
    const found = spread(index, label);
    const share = isMasked(index) ? found.mean : evaluation;
    fill.style.width = `${100 * share}%`;
    set(outline, { hidden: !isMasked(index) });
    outline.style.width = `${100 * evaluation}%`;
    const isSpread = isMasked(index) && now[index].tally.passes > 1;
    whisker.style.left = `${100 * found.low}%`;
    whisker.style.width = `${100 * (found.high - found.low)}%`;
    set(whisker, { hidden: !isSpread });
    set(value, { text: chance(share) });
    const { low, high } = found;
    const words = say(isSpread ? "bar_spread" : "bar", {
      name,
      share: chance(share),
      low: chance(low ?? 0),
      high: chance(high ?? 0),
    });
    set(node, { "aria-label": words, title: words, "aria-pressed": String(isRead(index, label)) });
  };
  return { node, draw };
}

// The index of each network's last layer, the logits.
const DEEPEST_OF = networks.map(({ layers }) => layers.length - 1);
const isRead = (index, label) =>
  position.layer === DEEPEST_OF[index] && position.unit === label;

function verdictOf(index) {
  if (isBlank()) return say("verdict_blank");
  const evaluation = softmax(now[index].evaluation.at(-1).y);
  const best = largest(evaluation);
  const values = { name: CLASSES[best], share: chance(evaluation[best]) };
  const { tally } = now[index];
  const said = [say("verdict_evaluation", values)];
  if (isMasked(index)) {
    const masked = softmax(now[index].training.at(-1).y);
    const label = largest(masked);
    const agreeing = tally.votes[best] / tally.passes;
    if (tally.passes === 1) {
      // Logits that are dropped are all 0.
      const tied = CLASSES.filter((_, other) => masked[other] === masked[label]);
      const key = tied.length > 1 ? "verdict_tied" : label === best ? "verdict_same" : "verdict_other";
      said.push(say(key, { name: listed(tied), share: chance(masked[label]) }));
    } else {
      const passes = grouped(tally.passes);
      const values = { passes, share: percent(agreeing), name: CLASSES[best] };
      const tied = tally.tied / tally.passes;
      said.push(say(tied ? "verdict_masks_tied" : "verdict_masks", { ...values, tied: percent(tied) }));
    }
  }
  if (position.sample !== DRAWN) {
    const truth = samples[position.sample].label;
    if (truth !== best) said.push(say("verdict_truth", { name: CLASSES[truth] }));
  }
  return said.join(" ");
}
