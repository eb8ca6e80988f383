// The data under each figure: the drawing and the data as files, and as a table.
const MOST_ROWS = 200;

// Returns the fields and the rows of all of the figure's data sets.
const tableOf = async (name) => {
  const { figures, data } = await loadFigures();
  const sets = figures[name].data;
  const rows = sets.flatMap((set) => data[set].map((row) => (sets.length > 1 ? { ...row, data: set } : row)));
  const fields = [...new Set(rows.flatMap(Object.keys))].sort((a, b) => (a === "data") - (b === "data"));
  return { fields, rows };
};

const quoted = (value) => {
  const text = String(value ?? "");
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

const csvOf = async (name) => {
  const { fields, rows } = await tableOf(name);
  const lines = [fields, ...rows.map((row) => fields.map((field) => row[field]))];
  return `${lines.map((line) => line.map(quoted).join(",")).join("\r\n")}\r\n`;
};

const svgOf = (place) => {
  const svg = place.querySelector(".chart svg").cloneNode(true);
  svg.setAttribute("xmlns", SVG);
  svg.setAttribute("style", "background: white");
  return new XMLSerializer().serializeToString(svg);
};

const save = (name, text, type) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
};

const addRow = (part, tag, values) => {
  const row = part.insertRow();
  for (const value of values) {
    const cell = row.appendChild(document.createElement(tag));
    if (tag === "th") cell.scope = "col";
    if (typeof value === "number") cell.className = "n";
    cell.textContent = value ?? "";
  }
};

const showTable = async (place) => {
  const { fields, rows } = await tableOf(place.dataset.figure);
  const table = document.createElement("table");
  table.createCaption().textContent = `Data of “${place.querySelector("h3").textContent}”`;
  addRow(table.createTHead(), "th", fields);
  const body = table.createTBody();
  rows.slice(0, MOST_ROWS).forEach((row) => addRow(body, "td", fields.map((field) => row[field])));
  const scroll = place.querySelector(".data .scroll");
  scroll.replaceChildren(table);
  if (rows.length > MOST_ROWS) {
    scroll.append(`… ${(rows.length - MOST_ROWS).toLocaleString("en")} more in the CSV file.`);
  }
};

for (const place of document.querySelectorAll("figure[data-figure]")) {
  const { figure } = place.dataset;
  place.querySelector(".data").addEventListener("toggle", () => showTable(place), { once: true });
  place.querySelector("[data-save=svg]").addEventListener("click", () => save(`${figure}.svg`, svgOf(place), "image/svg+xml"));
  place.querySelector("[data-save=csv]").addEventListener("click", async () => save(`${figure}.csv`, await csvOf(figure), "text/csv"));
}
