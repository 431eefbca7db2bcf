// How each cause looks: a colour, a hatch and a shape, so that any one of them is enough.

const RADIUS = 18;
const CIRCLE = `M${-RADIUS} 0a${RADIUS} ${RADIUS} 0 1 0 ${2 * RADIUS} 0a${RADIUS} ${RADIUS} 0 1 0 ${-2 * RADIUS} 0z`;

// `both` is the square of `inactive` and the diamond of `dropped` at once.
const SHAPES = {
  active: CIRCLE,
  dropped: "M0-22L22 0 0 22-22 0z",
  inactive: "M-16-16h32v32h-32z",
  both: "M0-22L6-16H16V-6L22 0 16 6V16H6L0 22-6 16H-16V6L-22 0-16-6V-16H-6z",
  logit: CIRCLE,
};

/** A unit's mark: the shape of its cause, and a red ring with a cross where it is dead. */
function makeMark() {
  const fill = svg("path", { class: "fill" });
  const hatch = svg("path", { class: "hatch" });
  const dead = svg(
    "g",
    { class: "dead" },
    svg("circle", { r: 25 }),
    svg("circle", { class: "badge", cx: 18, cy: -18, r: 8 }),
    svg("path", { d: "M14.5-21.5l7 7m0-7l-7 7" }),
  );
  const node = svg("g", { class: "mark" }, fill, hatch, dead);
  const draw = (look, { dies = false } = {}) => {
    for (const path of [fill, hatch]) set(path, { d: SHAPES[look] });
    set(node, { "data-cause": look });
    set(dead, { visibility: dies ? "visible" : "hidden" });
  };
  return { node, draw };
}

/** The mark alone, small, for keys and lines of text. */
function glyph(look, { dies = false } = {}) {
  const mark = makeMark();
  mark.draw(look, { dies });
  const box = { class: "glyph", viewBox: "-28 -28 56 56", "aria-hidden": true };
  return svg("svg", { ...box, "aria-hidden": "true" }, mark.node);
}
