// How a number is written: four digits, and 0 only where it is exactly zero.

const MINUS = "\u2212";

/** The value to four digits; 0 and −0.0 are exact, and a tiny value keeps its size: 1.2e−7. */
function written(value) {
  if (value === null) return "–";
  if (Number.isNaN(value)) return "NaN";
  if (value === 0) return Object.is(value, -0) ? `${MINUS}0.0` : "0";
  const sign = value < 0 ? MINUS : "";
  const size = Math.abs(value);
  if (size === Infinity) return `${sign}∞`;
  const isFar = size < 0.00005 || size >= 99999;
  const text = isFar ? size.toExponential(1).replace("e-", `e${MINUS}`) : size.toFixed(4);
  return sign + text.replace("e+", "e");
}

/** A factor, a rate or a whole number: as few digits as it needs, four at most. */
const brief = (value) => String(Number(value.toFixed(4))).replace("-", MINUS);

/** A whole number, or a dash for none. */
const whole = (value) => (value === null ? written(value) : brief(value));

/** A share in whole percent, but never none or all where it is not. */
function percent(share) {
  let digits = 0;
  let text = (100 * share).toFixed(digits);
  while (share > 0 && share < 1 && digits < 4 && (Number(text) === 0 || Number(text) === 100)) {
    digits += 1;
    text = (100 * share).toFixed(digits);
  }
  return `${text}\u00a0%`;
}

const total = (values) => values.reduce((sum, value) => sum + value, 0);
const length = (values) => Math.hypot(...values);
const upTo = (count) => Array.from({ length: count }, (_, index) => index);
