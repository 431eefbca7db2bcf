// The position's way into the address and back, and keys: `position` and `accept` are the page's own.

function readFragment() {
  accept(Object.fromEntries(new URLSearchParams(location.hash.slice(1))));
}

function writeFragment() {
  // A frame's address is its host's affair: inside MLflow's it cannot be changed.
  if (window.parent !== window) return;
  try {
    history.replaceState(null, "", `#${new URLSearchParams(position)}`);
  } catch (error) {
    // Some browsers allow only so many changes in a while; the page works without.
    if (!(error instanceof DOMException)) throw error;
  }
}

// A letter counts as it is printed on the key; under another script, such as Hangul, by its place.
const codeOf = ({ key, code }) => (/^[a-z]$/i.test(key) ? `Key${key.toUpperCase()}` : code);
