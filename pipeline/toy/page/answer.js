// The difference between dropout and a dead ReLU, in numbers from this run.

/** How often dropout struck and for how long; null where nothing was ever dropped. */
function dropoutFacts() {
  if (!UPDATES || !run.drop_rate) return null;
  const masks = UNITS.map(({ layer, unit }) =>
    upTo(UPDATES).map((step) => passed("dropout", layer, unit, step, "mask")),
  );
  const counts = masks.map((mask) => mask.filter((kept) => !kept).length);
  const absences = masks.flatMap(stretches).filter(([kept]) => !kept);
  const returns = masks.flatMap((mask) =>
    mask.slice(1).filter((kept, step) => kept && !mask[step]),
  );
  const chances = masks.flatMap((mask) => mask.slice(0, -1).filter((kept) => !kept));
  const gradients = UNITS.flatMap(({ layer, unit }, index) =>
    upTo(UPDATES)
      .filter((step) => !masks[index][step])
      .flatMap((step) =>
        ["relu+dropout", "dropout"].map((arm) => passed(arm, layer, unit, step, "gradient_z")),
      ),
  );
  const living = upTo(UNITS.length).filter(
    (index) => !isDead("relu+dropout", UNITS[index].layer, UNITS[index].unit, UPDATES),
  );
  const [most] = living.sort((one, other) => counts[other] - counts[one]);
  return {
    dropped: total(counts),
    pairs: UNITS.length * UPDATES,
    share: percent(total(counts) / (UNITS.length * UPDATES)),
    p: brief(run.drop_rate),
    scale: brief(1 / (1 - run.drop_rate)),
    least: Math.min(...counts),
    most: Math.max(...counts),
    back: returns.length,
    chances: chances.length,
    longest: Math.max(0, ...absences.map(([, , passes]) => passes)),
    zeros: gradients.filter((gradient) => gradient === 0).length,
    gradients: gradients.length,
    example: most === undefined ? null : exampleOf(UNITS[most], counts[most]),
  };
}

const wayOf = (arm, layer, unit, since) =>
  total(
    upTo(UPDATES)
      .slice(since)
      .map((step) => moved(arm, layer, unit, step)),
  );

function exampleOf({ layer, unit }, times) {
  const way = written(wayOf("relu+dropout", layer, unit, 0));
  return { name: `${say("relu+dropout")} ${nameOf(layer, unit)}`, times, updates: UPDATES, way };
}

/** Every unit that is dead in the end: since when, how far it moved since, what could wake it. */
const deathFacts = () =>
  ARMS.flatMap((arm) =>
    UNITS.filter(({ layer, unit }) => isDead(arm, layer, unit, UPDATES)).map(({ layer, unit }) => {
      let since = UPDATES;
      while (since > 0 && isDead(arm, layer, unit, since - 1)) since -= 1;
      const way = wayOf(arm, layer, unit, since);
      const name = `${say(arm)} ${nameOf(layer, unit)}`;
      return {
        name,
        since,
        way,
        updates: UPDATES - since,
        pairs: wakes(arm, layer, unit, UPDATES),
        all: PAIRS,
      };
    }),
  );

/** Units that died together and moved as far as each other, as one. */
function together(units) {
  const groups = new Map();
  for (const unit of units) {
    const way = unit.way === 0 ? say("exactly_zero") : written(unit.way);
    const alike = `${unit.since} ${way}`;
    const names = [...(groups.get(alike)?.names ?? []), unit.name];
    groups.set(alike, { ...unit, way, names, name: listed(names) });
  }
  return [...groups.values()];
}

function drawAnswer() {
  const drop = dropoutFacts();
  const deaths = deathFacts();
  const dead = deaths.filter(({ pairs }) => pairs === 0);
  const asleep = deaths.filter(({ pairs }) => pairs > 0);
  const units = listed(dead.map(({ name }) => name));
  const lead = [
    drop ? say("answer_dropout", drop) : say("answer_no_dropout"),
    dead.length ? say("answer_dead", { units, count: dead.length }) : say("answer_no_dead"),
  ];
  byId("answer").replaceChildren(
    html("p", { class: "verdict" }, say("answer_rule")),
    html("p", { class: "prose" }, lead.join(" ")),
    answerTable(drop, dead),
    ...asleep.map((unit) =>
      html(
        "p",
        { class: "footnote" },
        say(unit.updates ? "answer_asleep" : "answer_asleep_now", {
          ...unit,
          way: written(unit.way),
        }),
      ),
    ),
  );
}

function answerTable(drop, dead) {
  const titles = [say("answer_of_dropout"), say("answer_of_dead")];
  const marks = [glyph("dropped"), glyph("inactive", { dies: true })];
  const columns = titles.map((title, index) => [marks[index], html("span", {}, title)]);
  const ofDropout = (key) => (drop ? [say(key, drop)] : []);
  const example = drop?.example ? [say("drop_example", drop.example)] : [];
  const groups = together(dead);
  const ofDead = (key) => groups.map((units) => say(key, { ...units, until: UPDATES }));
  const span = ({ updates }) => (updates ? "dead_long" : "dead_long_now");
  const anyDead = (key) => (dead.length ? [say(key)] : []);
  const rows = [
    ["often", ofDropout("drop_often"), ofDead("dead_often")],
    [
      "long",
      ofDropout("drop_long"),
      groups.map((units) => say(span(units), { ...units, until: UPDATES })),
    ],
    ["others", ofDropout("drop_others"), anyDead("dead_nothing")],
    [
      "gradient",
      [...ofDropout("drop_gradient"), ...example],
      groups.filter(({ updates }) => updates).map((units) => say("dead_gradient", units)),
    ],
    ["evaluation", [say("drop_evaluation")], anyDead("dead_evaluation")],
  ];
  const side = (lines, index) => {
    const said = lines.length ? lines : ["–"];
    return html("td", { "data-head": titles[index] }, ...said.map((line) => html("p", {}, line)));
  };
  return table(
    "answer-table",
    columns,
    rows.map(([key, ...sides]) => [say(`ask_${key}`), sides.map(side)]),
  );
}
