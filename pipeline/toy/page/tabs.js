// On a narrow screen one section and one network at a time, chosen by tabs; else all are there.

const narrow = matchMedia("(max-width: 640px)");

/** Tabs for a choice: `panelOf` gives what a value shows, `fill` what stands on its tab. */
function makeTabs(name, panelOf, fill) {
  const tabs = CHOICES[name].map((value) =>
    html("button", { type: "button", role: "tab", id: `tab-${value}`, "data-tab": value }),
  );
  const list = byId(`${name}-tabs`);
  list.append(...tabs);
  for (const tab of tabs) tab.addEventListener("click", () => go({ [name]: tab.dataset.tab }));
  list.addEventListener("keydown", (event) => {
    const here = tabs.findIndex((tab) => tab.dataset.tab === position[name]);
    const last = tabs.length - 1;
    const moves = { ArrowLeft: here - 1, ArrowRight: here + 1, Home: 0, End: last };
    if (!(event.key in moves)) return;
    // Elsewhere these keys step through the updates.
    event.stopPropagation();
    event.preventDefault();
    const next = tabs.at(moves[event.key] % tabs.length);
    go({ [name]: next.dataset.tab });
    next.focus();
  });
  const draw = () => {
    for (const tab of tabs) {
      const value = tab.dataset.tab;
      const isChosen = value === position[name];
      const panel = panelOf(value);
      set(tab, { "aria-selected": String(isChosen), tabindex: isChosen ? 0 : -1 });
      set(tab, { "aria-controls": panel.id });
      fill(tab, value);
      set(panel, {
        role: narrow.matches ? "tabpanel" : null,
        hidden: narrow.matches && !isChosen,
      });
    }
  };
  return { draw };
}

/** An arm's name above the marks of its hidden units, so that all three compare at a glance. */
function fillArm(tab, arm) {
  const rows = HIDDEN.map((layer) =>
    html(
      "span",
      { class: "units" },
      ...upTo(WIDTH[layer]).map((unit) =>
        glyph(causeNow(arm, layer, unit), { dies: isDead(arm, layer, unit, stand()) }),
      ),
    ),
  );
  set(tab, { "aria-label": `${say(arm)}: ${countsOf(arm).map(({ text }) => text).join(", ")}` });
  tab.replaceChildren(html("span", {}, say(arm)), html("span", { class: "mini" }, ...rows));
}

const tabs = [
  makeTabs(
    "section",
    (section) => byId(`panel-${section}`),
    (tab, section) => set(tab, { text: say(`section_${section}`) }),
  ),
  makeTabs("arm", (arm) => byId(`panel-${arm}`), fillArm),
];
/** What shows how, folded away where it would push the network off the screen. */
const foldView = () => set(byId("view"), { open: !narrow.matches });

narrow.addEventListener("change", () => {
  foldView();
  draw();
});
foldView();
