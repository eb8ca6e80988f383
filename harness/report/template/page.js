"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const data = read("data");
  const specs = read("specs");
  const PANEL = 330; // the least width of a panel in pixels, with its axis
  const drawn = new Map();

  // Gives every legend as many columns as fit, by the length of its longest name.
  const setColumns = (part, room) => {
    if (part === null || typeof part !== "object") return;
    if (part.legend?.columns) {
      const longest = Math.max(0, ...(part.scale?.domain ?? []).map((name) => String(name).length));
      const width = Math.min(320, Math.max(210, 50 + 6 * longest));
      part.legend.columns = Math.max(1, Math.min(4, Math.floor(room / width)));
    }
    Object.values(part).forEach((each) => setColumns(each, room));
  };

  const specOf = (figure, variant, columns, width, room) => {
    const spec = structuredClone(figure.variants[variant]);
    spec.datasets = Object.fromEntries(figure.data.map((name) => [name, data[name]]));
    spec.description = figure.title;
    spec.background = null;
    spec.columns = columns;
    spec.concat.forEach((panel) => { panel.width = width; });
    setColumns(spec, room);
    return spec;
  };

  const draw = async (place, variant) => {
    const figure = specs[place.dataset.figure];
    const chart = place.querySelector(".chart");
    const room = chart.clientWidth;
    if (!room) return;
    const before = drawn.get(place);
    const now = variant ?? before?.variant ?? Object.keys(figure.variants)[0];
    // Lines that were hidden stay hidden.
    const state = before?.view.getState({ data: (name) => name === "shown_store", signals: () => false });
    const columns = Math.max(1, Math.min(figure.variants[now].columns, Math.floor(room / PANEL)));
    let width = Math.max(120, Math.floor(room / columns) - 70);
    const spec = specOf(figure, now, columns, width, room);
    // With `ast`, expressions are interpreted: the page's policy forbids evaluating them.
    const { view, finalize } = await vegaEmbed(chart, spec, { renderer: "svg", actions: false, ast: true });
    // The room that axes and labels need is known only now; the panels get the rest.
    const spare = room - Number(chart.querySelector("svg").getAttribute("width"));
    width = Math.max(120, width + Math.floor(spare / columns) - 1);
    const named = (name) => /^(concat_\d+_width|childWidth)$/.test(name);
    const panels = Object.keys(view.getState({ data: () => false, signals: named }).signals);
    for (const name of panels.length ? panels : ["width"]) view.signal(name, width);
    await view.resize().runAsync(); // the drawing must grow with them, or its edge is cut off
    before?.finalize();
    if (state?.data?.shown_store) await view.setState(state).runAsync();
    drawn.set(place, { variant: now, view, finalize, room });
    place.dataset.drawn = now;
    for (const button of place.querySelectorAll("[data-variant]")) {
      button.setAttribute("aria-pressed", String(button.dataset.variant === now));
    }
  };

  // The content of a closed <details> has a width, too, but is not visible.
  const folded = (place) => place.closest("details:not([open])") !== null;
  const outdated = (place) => drawn.get(place)?.room !== place.querySelector(".chart").clientWidth;

  const places = [...document.querySelectorAll("[data-figure]")];
  for (const place of places) {
    place.addEventListener("click", (event) => {
      const button = event.target.closest("[data-variant]");
      if (button) draw(place, button.dataset.variant);
    });
    place.closest("details")?.addEventListener("toggle", () => {
      if (!folded(place) && outdated(place)) draw(place);
    });
  }

  const drawAll = async () => {
    for (const place of places) {
      if (!folded(place) && outdated(place)) {
        await draw(place).catch((error) => console.error(place.dataset.figure, error));
        await new Promise((resume) => { setTimeout(resume); }); // the page responds in between
      }
    }
    document.body.dataset.ready = "yes";
  };
  let waiting;
  window.addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(drawAll, 200); });

  // When printed, every verdict shows its evidence.
  let closed = [];
  window.addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    closed.forEach((each) => { each.open = true; });
  });
  window.addEventListener("afterprint", () => closed.forEach((each) => { each.open = false; }));

  window.addEventListener("load", drawAll);
})();
