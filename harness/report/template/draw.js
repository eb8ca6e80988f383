// Replaces the drawings by interactive ones as they come into view.
const PANEL = 330; // the least width of a panel in pixels, with its axis
const MARGIN = 70; // of a panel, until one with its axis and labels is drawn
const SPARE = 24; // pixels at the right of a figure that may stay empty
const ERRORS = 1; // Vega's level of messages
const places = [...document.querySelectorAll("[data-figure]")];
const drawn = new Map();
const margins = new Map();

// Calls `visit` with every object in a spec.
const walk = (part, visit) => {
  if (part === null || typeof part !== "object") return;
  visit(part);
  Object.values(part).forEach((each) => walk(each, visit));
};

// Gives every legend as many columns as fit, by the length of its longest name.
const setColumns = (spec, room) => walk(spec, (part) => {
  if (!part.legend?.columns) return;
  const longest = Math.max(0, ...(part.scale?.domain ?? []).map((name) => String(name).length));
  const width = Math.min(320, Math.max(210, 50 + 6 * longest));
  part.legend.columns = Math.max(1, Math.min(4, Math.floor(room / width)));
});

// Buttons choose the lines: the spec needs neither a legend of them nor its clicks.
const setShown = (spec, shown) => walk(spec, (part) => {
  if (part.field === "line" && part.legend) part.legend = null;
  if (part.name === "shown" && part.select) {
    part.value = [...shown].map((line) => ({ line }));
    delete part.bind;
    part.select = { type: "point", fields: ["line"], on: "shown" };
  }
});

const specOf = (figure, variant, columns, width, room, shown) => {
  const spec = structuredClone(figure.variants[variant]);
  spec.background = null;
  // The page names the figure and has its data as a table; its marks have nothing to add.
  walk(spec, (part) => {
    if (part.mark) part.mark = { ...(part.mark.type ? part.mark : { type: part.mark }), aria: false };
  });
  spec.columns = columns;
  spec.concat.forEach((panel) => { panel.width = width; });
  if (shown) setShown(spec, shown);
  setColumns(spec, room);
  return spec;
};

const dataOf = (spec) => {
  const names = new Set();
  walk(spec, (part) => { if (part.data?.name) names.add(part.data.name); });
  return [...names];
};

// Returns the width that a panel's axis and labels take in the drawing that the page came with.
const marginIn = (chart, figure) => {
  const svg = chart.querySelector(":scope > svg");
  const [{ concat, columns }] = Object.values(figure.variants);
  return svg ? Number(svg.getAttribute("width")) / columns - concat[0].width : MARGIN;
};

// Emphasises the chosen lines in a drawing.
const emphasise = (view, shown) => view
  .data("shown_store", [...shown].map((line) => ({ fields: [{ type: "E", field: "line" }], values: [line] })))
  .runAsync();

const draw = async (place, variant) => {
  const { figures, data } = await loadFigures();
  await loadVega();
  const figure = figures[place.dataset.figure];
  const chart = place.querySelector(".chart");
  const room = chart.clientWidth;
  if (!room) return;
  const before = drawn.get(place);
  const now = variant ?? before?.variant ?? Object.keys(figure.variants)[0];
  const chosen = JSON.parse(place.dataset.lines ?? "[]");
  const shown = before ? before.shown
    : figure.lines.length ? new Set(chosen.length ? chosen : figure.lines.map((each) => each.line)) : null;
  const columns = Math.max(1, Math.min(figure.variants[now].columns, Math.floor(room / PANEL)));
  const margin = margins.get(figure) ?? marginIn(chart, figure);
  let width = Math.max(120, Math.floor(room / columns - margin) - 1);
  const spec = specOf(figure, now, columns, width, room, shown);
  const names = dataOf(spec);
  spec.datasets = Object.fromEntries(names.map((name) => [name, []]));
  // With `ast`, expressions are interpreted: the page's policy forbids evaluating them.
  const box = document.createElement("div");
  const { view, finalize } = await window.vegaEmbed(box, spec, {
    renderer: "svg", actions: false, ast: true, logLevel: ERRORS,
  });
  await pause(); // the data come in a task of their own, as few tasks may be long
  for (const name of names) view.data(name, data[name]);
  await view.resize().runAsync();
  // The room that axes and labels need is known only now; if panels are too wide or narrow, they get the rest.
  const spare = room - Number(box.querySelector("svg").getAttribute("width"));
  margins.set(figure, (room - spare) / columns - width);
  if (spare < 0 || spare > SPARE) {
    await pause();
    width = Math.max(120, width + Math.floor(spare / columns) - 1);
    const named = (name) => /^(concat_\d+_width|childWidth)$/.test(name);
    const panels = Object.keys(view.getState({ data: () => false, signals: named }).signals);
    for (const name of panels.length ? panels : ["width"]) view.signal(name, width);
    await view.resize().runAsync(); // the drawing must grow with them, or its edge is cut off
  }
  chart.replaceChildren(box);
  chart.removeAttribute("tabindex"); // it fits, so nothing needs to scroll it
  if (chart.dataset.label) {
    chart.role = "img"; // and no longer a link to a file
    chart.ariaLabel = chart.dataset.label;
  }
  before?.finalize();
  drawn.set(place, { variant: now, view, finalize, room, shown });
  place.dataset.drawn = now;
  if (shown && !before) addLines(place, figure.lines, shown, () => emphasise(drawn.get(place).view, shown));
  for (const button of place.querySelectorAll("[data-variant]")) {
    button.setAttribute("aria-pressed", String(button.dataset.variant === now));
  }
};

// Draws one figure after the other; a figure that fails keeps what it shows.
let queue = Promise.resolve();
const enqueue = (place, variant) => {
  queue = queue
    .then(() => (variant || outdated(place) ? draw(place, variant) : null))
    .catch((error) => console.error(place.dataset.figure, error))
    .then(pause);
  return queue;
};
const outdated = (place) => drawn.get(place)?.room !== place.querySelector(".chart").clientWidth;

const inView = new IntersectionObserver(
  (entries) => entries.filter((each) => each.isIntersecting).forEach((each) => enqueue(each.target)),
  { rootMargin: "300px 0px" },
);

for (const place of places) {
  inView.observe(place);
  place.addEventListener("click", (event) => {
    const button = event.target.closest("[data-variant]");
    if (button) enqueue(place, button.dataset.variant);
  });
}

let waiting;
window.addEventListener("resize", () => {
  clearTimeout(waiting);
  waiting = setTimeout(() => places.forEach((place) => {
    inView.unobserve(place);
    inView.observe(place); // reports again which figures are in view
  }), 200);
});
