// Everything that is said, in the language that is chosen.

const vocabulary = JSON.parse(byId("words").textContent);

/** The words under a key; `{name}` is a value, `{name?one:many}` the form that goes with it. */
function say(key, values = {}) {
  const text = vocabulary[position.language][key];
  if (text === undefined) throw new Error(`no words for ${key}`);
  return text.replace(/\{(\w+)(?:\?([^:}]*):([^}]*))?\}/g, (_, name, one, many) => {
    if (one === undefined) return values[name];
    return Number(values[name]) === 1 ? one : many;
  });
}

/** Several things in a row, as people list them. */
const listed = (things) => things.join(", ");

/** Puts the words that never change their place where they stand. */
function speak() {
  document.documentElement.lang = position.language;
  document.title = say("title");
  for (const node of document.querySelectorAll("[data-word]")) {
    set(node, { text: say(node.dataset.word) });
  }
  for (const node of document.querySelectorAll("[data-label]")) {
    set(node, { "aria-label": say(`label_${node.dataset.label}`) });
  }
}
