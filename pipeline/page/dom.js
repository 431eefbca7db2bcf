// Elements, made and changed in one line.

const SVG = "http://www.w3.org/2000/svg";

const byId = (id) => document.getElementById(id);

/** Sets attributes; null takes one away, `text` and the `on…` handlers are what they say. */
function set(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") {
      if (node.textContent !== String(value)) node.textContent = value;
    } else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === null || value === false) node.removeAttribute(name);
    else node.setAttribute(name, value === true ? "" : value);
  }
  return node;
}

/** An HTML element with its attributes and what stands in it. */
function html(tag, attributes = {}, ...children) {
  const node = set(document.createElement(tag), attributes);
  node.append(...children);
  return node;
}

/** The same for SVG. */
function svg(tag, attributes = {}, ...children) {
  const node = set(document.createElementNS(SVG, tag), attributes);
  node.append(...children);
  return node;
}

/** A cell of a table; what is one already stays as it is. */
const cell = (content) =>
  content instanceof HTMLTableCellElement ? content : html("td", {}, content);

const head = (content, scope) => html("th", { scope }, ...[content].flat());

/** A table of rows, each with its head, under heads of columns; an empty corner above the rows'. */
function table(name, columns, rows) {
  const top = html("tr", {}, html("td"), ...columns.map((content) => head(content, "col")));
  const body = rows.map(([title, cells, attributes = {}]) =>
    html("tr", attributes, head(title, "row"), ...cells.map(cell)),
  );
  return html("table", { class: name }, html("thead", {}, top), html("tbody", {}, ...body));
}
