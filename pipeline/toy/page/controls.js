// Buttons, keys and the drawing of it all.

const KEYS = {
  ArrowLeft: () => go({ update: position.update - 1 }),
  ArrowRight: () => go({ update: position.update + 1 }),
  ArrowUp: () => go(phaseFrom(-1)),
  ArrowDown: () => go(phaseFrom(1)),
  KeyM: () => turn("mode"),
  KeyQ: () => turn("units"),
  KeyE: () => turn("lines"),
  KeyS: () => turn("speed"),
  KeyL: () => turn("language"),
};
for (const [index, unit] of NAMES.entries()) {
  KEYS[`Digit${index + 1}`] = () => go({ unit });
  KEYS[`Numpad${index + 1}`] = () => go({ unit });
}

const arms = ARMS.map((arm) => {
  const title = html("h3", { id: `title-${arm}` });
  const formula = html("p", { class: "formula" });
  const score = html("p", { class: "score" });
  const parts = [makeNetwork(arm), makeReading(arm), makeHistory(arm)];
  const node = html("article", {
    class: "card arm",
    id: `panel-${arm}`,
    "data-arm": arm,
    "aria-labelledby": title.id,
  });
  const heading = html("div", { class: "heading" }, title, formula);
  node.append(heading, parts[0].node, score, parts[1].node, parts[2].node);
  const draw = () => {
    set(title, { text: say(arm) });
    set(formula, { text: formulaOf(arm) });
    score.replaceChildren(...scoreOf(arm));
    for (const part of parts) part.draw();
  };
  return { node, draw };
});

byId("networks").append(...arms.map((arm) => arm.node));

function formulaOf(arm) {
  const h = hasRelu(arm, "h1") ? "h = relu(z)" : "h = z";
  return `${h}, ${drops(arm, "h1") ? "y = m·h/(1−p)" : "y = h"}`;
}

/** How many of the hidden units have each cause now, and how many are dead, in words. */
function countsOf(arm) {
  const causes = UNITS.map(({ layer, unit }) => causeNow(arm, layer, unit));
  const dead = UNITS.filter(({ layer, unit }) => isDead(arm, layer, unit, stand())).length;
  const counted = CAUSES.map((look) => [look, causes.filter((cause) => cause === look).length]);
  return [...counted, ["dead", dead]]
    .filter(([, count]) => count)
    .map(([look, count]) => ({ look, text: say(`count_${look}`, { count }) }));
}

/** The same with a mark each. */
const scoreOf = (arm) =>
  countsOf(arm).map(({ look, text }) => {
    const mark = look === "dead" ? glyph("inactive", { dies: true }) : glyph(look);
    return html("span", { class: "count" }, mark, text);
  });

/** The colours, hatches and shapes, each with what it means. */
function drawLegend() {
  const entry = (key, look, options) =>
    html(
      "li",
      {},
      glyph(look, options),
      ribbonGlyph(look, options),
      html("div", {}, html("strong", {}, say(key)), html("span", {}, say(`${key}_means`))),
    );
  byId("legend").replaceChildren(
    ...CAUSES.map((cause) => entry(`cause_${cause}`, cause)),
    entry("state_dead", "inactive", { dies: true }),
  );
}

function drawCaption() {
  const values = {
    update: position.update,
    last: UPDATES,
    x: inputs().map(brief).join(", "),
    target: target(),
    p: brief(run.drop_rate),
    scale: brief(1 / (1 - run.drop_rate)),
    rate: run.learning_rate,
    shares: ARMS.map((arm) => softmax(arm)[target()].toFixed(4)).join(", "),
  };
  const { phase } = position;
  const keys = [UPDATES ? "caption_where" : "caption_born"];
  keys.push(isTraining() ? `caption_${phase}` : `caption_evaluation_${phase}`);
  if (isTraining() && phase === "forward" && run.drop_rate > 0) keys.push("caption_mask");
  const isTold = phase === "backward" || phase === "update";
  if (isTraining() && isTold && position.units === "auto") keys.push(`caption_numbers_${phase}`);
  set(byId("caption"), { text: keys.map((key) => say(key, values)).join(" ") });
}

function drawControls() {
  for (const button of document.querySelectorAll("[data-set]")) {
    const { set: name, value } = button.dataset;
    const isChosen = position[name] === value;
    set(button, { "aria-pressed": String(isChosen), disabled: !isOffered(name, value) });
    if (name !== "language") set(button, { text: say(`${name}_${value}`) });
  }
  const slider = byId("update");
  slider.value = position.update;
  const counter = say("counter", { update: position.update, last: UPDATES });
  set(slider, { "aria-valuetext": counter, disabled: UPDATES === 0 });
  set(byId("counter"), { text: `${position.update} / ${UPDATES}` });
  byId("before").disabled = position.update <= 1;
  byId("after").disabled = position.update >= UPDATES;
}

function drawFrame() {
  const { init, drop_rate: p, learning_rate: rate, seed, updates } = run;
  set(byId("kicker"), { text: say("kicker", { init, p, rate, seed, updates }) });
  const notice = updates > UPDATES ? "notice_long" : UPDATES ? "" : "notice_born";
  set(byId("notice"), {
    hidden: !notice,
    text: notice && say(notice, { updates, shown: UPDATES }),
  });
  byId("keys").replaceChildren(
    ...["play", "update", "phase", "speed", "mode", "units", "lines", "unit", "language"].map((name) =>
      html("li", {}, html("kbd", {}, say(`key_${name}`)), ` ${say(`key_${name}_does`)}`),
    ),
  );
}

let spoken = "";

function draw() {
  if (spoken !== position.language) {
    spoken = position.language;
    speak();
    drawLegend();
    drawFrame();
    drawAnswer();
  }
  drawControls();
  drawPlayer();
  drawCaption();
  drawArithmetic();
  for (const part of [...arms, ...tabs]) part.draw();
}

for (const name of ["phase", "mode", "units", "lines", "speed"]) {
  byId(name).append(
    ...CHOICES[name].map((value) =>
      html("button", { type: "button", "data-set": name, "data-value": value }),
    ),
  );
}
for (const button of document.querySelectorAll("[data-set]")) {
  button.addEventListener("click", () => go({ [button.dataset.set]: button.dataset.value }));
}
byId("before").addEventListener("click", () => go({ update: position.update - 1 }));
byId("after").addEventListener("click", () => go({ update: position.update + 1 }));
set(byId("update"), { min: Math.min(1, UPDATES), max: UPDATES });
byId("update").addEventListener("input", (event) => go({ update: Number(event.target.value) }));
document.addEventListener("keydown", (event) => {
  const act = KEYS[codeOf(event)] ?? (event.code === "Space" && isSpaceFree(event) && toggle);
  if (!act || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  event.preventDefault();
  act();
});
window.addEventListener("hashchange", () => {
  readFragment();
  draw();
});
readFragment();
draw();
