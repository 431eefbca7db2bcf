// The pad: what is drawn on it, and the image that the networks see of it.

// Dots of the pad a pixel: whole, so that a test image comes back from the pad exactly.
const DOTS = Math.max(4, Math.round(280 / Math.max(run.height, run.width)));
const SIDE = { width: run.width * DOTS, height: run.height * DOTS };
const PEN = Math.max(SIDE.width, SIDE.height) / 13;

const pad = set(byId("pad"), SIDE);
const paper = pad.getContext("2d", { willReadFrequently: true });
const preview = set(byId("preview"), { width: run.width, height: run.height });

let isErasing = false;
/** Whether there is a test image below the strokes: it stays where it is. */
let isOnImage = false;

/** The levels of the pad, 0 … 255, a byte a dot. */
function levels() {
  const { data } = paper.getImageData(0, 0, SIDE.width, SIDE.height);
  const found = new Uint8Array(data.length / 4);
  for (let dot = 0; dot < found.length; dot += 1) found[dot] = data[4 * dot];
  return found;
}

/** What the networks see: laid out as the images of the data set were, or as it is. */
function seen() {
  const image = { ...SIDE, values: levels() };
  const layout = isOnImage ? null : run.layout;
  return layout ? laidOut(image, layout) : shrunk(image);
}

/** Each pixel is the mean of its dots. */
function shrunk({ width, values }) {
  const pixels = new Uint8Array(PIXELS);
  for (const row of upTo(run.height)) {
    for (const column of upTo(run.width)) {
      let sum = 0;
      for (let y = row * DOTS; y < (row + 1) * DOTS; y += 1) {
        for (let x = column * DOTS; x < (column + 1) * DOTS; x += 1) sum += values[y * width + x];
      }
      pixels[row * run.width + column] = Math.round(sum / DOTS ** 2);
    }
  }
  return pixels;
}

/**
 * The drawing as the data set's makers laid theirs out: cropped, fitted with its proportions kept,
 * and centred by its mass or by its box. As `pipeline/predict/layouts.py` does it for files.
 */
function laidOut(image, layout) {
  const drawn = cropped(image, layout.is_writing);
  if (!drawn) return new Uint8Array(PIXELS);
  const [height, width] = [run.height, run.width].map(
    (side) => side - 2 * even(side * (layout.margin / 28)),
  );
  const scale = Math.min(height / drawn.height, width / drawn.width);
  const fitted = resized(
    drawn,
    Math.max(1, even(drawn.width * scale)),
    Math.max(1, even(drawn.height * scale)),
  );
  return placed(fitted, layout.is_by_mass);
}

/** The box around the drawing; strokes become white, and what is pale beside them the ground. */
function cropped({ width, height, values }, isWriting) {
  let most = 0;
  for (const value of values) if (value > most) most = value;
  if (most < 26) return null;
  const least = most * (isWriting ? 0.25 : 0.05);
  let [left, right, top, bottom] = [width, -1, height, -1];
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      if (values[y * width + x] < least) continue;
      [left, right] = [Math.min(left, x), Math.max(right, x)];
      [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
    }
  }
  const box = { width: right - left + 1, height: bottom - top + 1 };
  box.values = new Float32Array(box.width * box.height);
  for (let y = 0; y < box.height; y += 1) {
    for (let x = 0; x < box.width; x += 1) {
      box.values[y * box.width + x] = values[(y + top) * width + x + left];
    }
  }
  if (isWriting) {
    const strokes = box.values.filter((value) => value >= most / 2).sort();
    const middle = strokes.length / 2;
    const white = (strokes[Math.floor(middle)] + strokes[Math.ceil(middle) - 1]) / 2;
    box.values = box.values.map((value) =>
      value >= least ? even(255 * Math.min(value / white, 1)) : 0,
    );
  }
  return box;
}

/** The image in another size, by Keys's cubic kernel (1981, a = −1/2), widened where it shrinks. */
function resized({ width, height, values }, newWidth, newHeight) {
  const flat = stretched(values, { count: height, from: width, to: newWidth });
  const turned = transposed(flat, newWidth, height);
  const tall = stretched(turned, { count: newWidth, from: height, to: newHeight });
  return { width: newWidth, height: newHeight, values: transposed(tall, newHeight, newWidth) };
}

function cubic(x) {
  const size = Math.abs(x);
  if (size < 1) return (1.5 * size - 2.5) * size ** 2 + 1;
  return size < 2 ? ((-0.5 * size + 2.5) * size - 4) * size + 2 : 0;
}

/** Every row of `from` values as one of `to`. */
function stretched(values, { count, from, to }) {
  const scale = from / to;
  const reach = 2 * Math.max(scale, 1);
  const result = new Float32Array(count * to);
  for (let x = 0; x < to; x += 1) {
    const centre = (x + 0.5) * scale;
    const start = Math.max(Math.trunc(centre - reach + 0.5), 0);
    const end = Math.min(Math.trunc(centre + reach + 0.5), from);
    const weights = upTo(end - start).map((step) =>
      cubic((start + step - centre + 0.5) / Math.max(scale, 1)),
    );
    const sum = total(weights);
    for (let row = 0; row < count; row += 1) {
      let value = 0;
      for (const [step, weight] of weights.entries()) {
        value += weight * values[row * from + start + step];
      }
      result[row * to + x] = within(Math.round(value / sum), 0, 255);
    }
  }
  return result;
}

function transposed(values, width, height) {
  const result = new Float32Array(values.length);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) result[x * height + y] = values[y * width + x];
  }
  return result;
}

/** The image inside an empty one of the networks' size, moved by whole pixels. */
function placed({ width, height, values }, isByMass) {
  const mass = { x: 0, y: 0, all: 0 };
  for (const [index, value] of values.entries()) {
    mass.x += value * (index % width);
    mass.y += value * Math.floor(index / width);
    mass.all += value;
  }
  const start = (side, room, centre) =>
    isByMass ? within(Math.floor(side / 2 - centre + 0.5), 0, room) : Math.floor(room / 2);
  const left = start(run.width, run.width - width, mass.x / mass.all);
  const top = start(run.height, run.height - height, mass.y / mass.all);
  const pixels = new Uint8Array(PIXELS);
  for (const [index, value] of values.entries()) {
    const row = top + Math.floor(index / width);
    pixels[row * run.width + left + (index % width)] = value;
  }
  return pixels;
}

/** To the nearest whole number, and from the middle to the even one. */
function even(value) {
  const low = Math.floor(value);
  if (value - low !== 0.5) return Math.round(value);
  return low % 2 ? low + 1 : low;
}

/** Shows an image's pixels in a small canvas. */
function paint(canvas, pixels) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(run.width, run.height);
  for (let index = 0; index < PIXELS; index += 1) {
    image.data.fill(pixels[index], 4 * index, 4 * index + 3);
    image.data[4 * index + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

/** An empty pad. */
function wipe() {
  paper.fillStyle = "#000000";
  paper.fillRect(0, 0, SIDE.width, SIDE.height);
  isOnImage = false;
}

/** Puts a test image on the pad, to look at and to draw on. */
function putOnPad(pixels) {
  paint(preview, pixels);
  paper.imageSmoothingEnabled = false;
  paper.drawImage(preview, 0, 0, SIDE.width, SIDE.height);
  isOnImage = true;
}

/** A stroke between two places on the pad. */
function stroke(from, to) {
  paper.strokeStyle = isErasing ? "#000000" : "#ffffff";
  paper.lineWidth = PEN * (isErasing ? 1.6 : 1);
  paper.lineCap = "round";
  paper.lineJoin = "round";
  paper.beginPath();
  paper.moveTo(from.x, from.y);
  paper.lineTo(to.x, to.y);
  paper.stroke();
}
