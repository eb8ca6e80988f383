// Sorts an exercise's rows by how far they are from the published figures, or back into their order.
for (const section of document.querySelectorAll(".exercise")) {
  const bodies = [...section.querySelectorAll("table.results tbody")];
  const headers = [...section.querySelectorAll("th[data-sort]")];
  const rows = bodies.flatMap((body) => [...body.rows]);
  const sizes = bodies.map((body) => body.rows.length);
  const off = (row) => Math.abs(row.dataset.points ?? -1);
  for (const header of headers) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => {
      const sorted = header.ariaSort !== "descending";
      const order = sorted ? rows.toSorted((a, b) => off(b) - off(a)) : rows;
      let at = 0;
      bodies.forEach((body, index) => body.replaceChildren(...order.slice(at, at += sizes[index])));
      headers.forEach((each) => { each.ariaSort = sorted ? "descending" : "none"; });
    });
  }
}
