// Playing: on by itself at a pace that can be followed, to the end or until something is chosen.

// How long each step stays, in milliseconds, and whether it is a whole update or one phase.
const PACES = { slow: [2600, "phase"], medium: [1300, "phase"], fast: [700, "update"] };

let timer = 0;

const isPlaying = () => timer !== 0;

/** Where the next step leads; null at the end. */
function following() {
  const isByUpdate = PACES[position.speed][1] === "update";
  const there = isByUpdate ? { update: position.update + 1 } : phaseFrom(1);
  const { update = position.update, phase = position.phase } = there;
  const isSame = update === position.update && phase === position.phase;
  return isSame || update > UPDATES ? null : there;
}

function play() {
  if (!following()) accept({ update: 1, phase: "forward" });
  tell("playing");
  wait();
  draw();
}

/** Stops where it is. */
function rest() {
  clearTimeout(timer);
  timer = 0;
}

/** Stops, and says so. */
function pause() {
  rest();
  writeFragment();
  tell("paused");
  draw();
}

/** Draws the next step after a while. The address follows only once it rests: it may not run. */
function wait() {
  timer = setTimeout(() => {
    const there = following();
    if (!there) return pause();
    accept(there);
    wait();
    draw();
  }, PACES[position.speed][0]);
}

const toggle = () => (isPlaying() ? pause() : play());

/** A word to screen readers, which are not told of every step while it plays. */
function tell(key) {
  const { update, phase } = position;
  set(byId("status"), { text: say(key, { update, last: UPDATES, phase: say(`phase_${phase}`) }) });
}

function drawPlayer() {
  const button = byId("play");
  set(button, { disabled: UPDATES === 0, "data-playing": isPlaying() });
  set(button.querySelector("span"), { text: say(isPlaying() ? "pause" : "play") });
  set(byId("caption"), { "aria-live": isPlaying() ? "off" : "polite" });
}

// A click leaves the focus on its button, where the space bar would press it once more; whoever
// came by Tab means just that.
let isByPointer = true;
document.addEventListener("pointerdown", () => {
  isByPointer = true;
});
document.addEventListener("keydown", ({ key }) => {
  if (key === "Tab") isByPointer = false;
});

/** Whether the space bar plays, and does not press what has the focus. */
const isSpaceFree = ({ target }) => isByPointer || !target.closest("button, summary, [role]");

byId("play").addEventListener("click", toggle);
// A browser presses the focused button as the key comes up.
document.addEventListener("keyup", (event) => {
  if (event.code === "Space" && isSpaceFree(event)) event.preventDefault();
});
