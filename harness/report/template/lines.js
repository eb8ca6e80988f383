// The lines of a figure as buttons, instead of the drawing's legend, which no keyboard reaches.
const SVG = "http://www.w3.org/2000/svg";

const swatch = ({ colour, dash }) => {
  const svg = document.createElementNS(SVG, "svg");
  const line = svg.appendChild(document.createElementNS(SVG, "path"));
  svg.setAttribute("viewBox", "0 0 26 8");
  svg.setAttribute("aria-hidden", "true");
  line.setAttribute("d", "M0,4H26");
  line.setAttribute("stroke", colour);
  line.setAttribute("stroke-dasharray", dash);
  return svg;
};

const buttonOf = (text, pressed) => {
  const button = document.createElement("button");
  button.type = "button";
  button.setAttribute("aria-pressed", String(pressed));
  button.append(text);
  return button;
};

// Creates a button for each line; `shown` is the set of emphasised ones, and `change` applies it.
const addLines = (place, lines, shown, change) => {
  const group = document.createElement("div");
  group.className = "lines";
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", "Lines to emphasise");
  const every = buttonOf("all", shown.size === lines.length);
  const buttons = lines.map((line) => {
    const button = buttonOf(line.line, shown.has(line.line));
    button.prepend(swatch(line));
    return button;
  });
  const update = () => {
    buttons.forEach((button, at) => button.setAttribute("aria-pressed", String(shown.has(lines[at].line))));
    every.setAttribute("aria-pressed", String(shown.size === lines.length));
    change();
  };
  buttons.forEach((button, at) => button.addEventListener("click", () => {
    if (!shown.delete(lines[at].line)) shown.add(lines[at].line);
    update();
  }));
  every.addEventListener("click", () => {
    const none = shown.size === lines.length;
    shown.clear();
    if (!none) lines.forEach((line) => shown.add(line.line));
    update();
  });
  group.append(...buttons, every);
  place.querySelector(".chart").after(group);
};
