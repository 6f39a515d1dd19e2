// A table whose rows are ticked by id. The kernel filters, sorts and keeps the ticks; the page sends "tick" and "sort", and draws.
// Every text is set with textContent, whoever wrote it.
const STEP = 150; // rows drawn together: a thousand would hold a frame for half a second

function render({ model, el }) {
  const make = (tag, parent, text, name) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (name) made.className = name;
    parent.append(made);
    return made;
  };
  const root = make("div", el, undefined, "vx-rows tex2jax_ignore mathjax_ignore");
  root.tabIndex = 0;
  root.setAttribute("role", "region");
  root.setAttribute("aria-label", "matching rows");
  const table = make("table", root);
  const head = make("tr", make("thead", table));
  let body = make("tbody", table);
  let shown = { ids: [], cells: [] };

  const drawHead = () => {
    const [sorted, up] = model.get("sort");
    const focused = [...head.children].findIndex(cell => cell.contains(document.activeElement));
    head.replaceChildren();
    make("td", head);
    model.get("heads").forEach((column, at) => {
      const cell = make("th", head, undefined, column.shape);
      const button = make("button", cell, column.title);
      button.title = column.meaning;
      if (column.name === sorted) {
        cell.setAttribute("aria-sort", up ? "ascending" : "descending");
        make("span", button, up ? " ▲" : " ▼");
      }
      button.addEventListener("click", () => model.send({ sort: column.name }));
      if (at === focused - 1) button.focus();
    });
  };

  const drawRow = (id, cells, ticked) => {
    const row = make("tr", body);
    const box = make("input", make("td", row));
    box.type = "checkbox";
    box.checked = ticked.has(id);
    box.dataset.id = id;
    box.setAttribute("aria-label", `tick ${cells.slice(0, 3).map(cell => cell[0]).join(", ")}`);
    box.addEventListener("change", () => model.send({ tick: id, on: box.checked }));
    model.get("heads").forEach((column, at) => {
      const [text, hint, colour] = cells[at], cell = make("td", row, undefined, column.shape);
      if (colour) make("i", cell, undefined, "dot").style.background = colour;
      make("span", cell, text).dir = "auto";
      cell.title = hint;
    });
  };

  const more = () => {
    const ticked = new Set(model.get("ticked"));
    const from = body.childElementCount;
    shown.ids.slice(from, from + STEP).forEach((id, at) => drawRow(id, shown.cells[from + at], ticked));
  };

  const drawRows = () => {
    const same = String(shown.ids) === String(model.get("table").ids), top = root.scrollTop, count = body.childElementCount;
    shown = model.get("table");
    const old = body;
    body = make("tbody", table);
    old.remove();
    do more(); while (same && body.childElementCount < Math.min(count, shown.ids.length));
    root.scrollTop = same ? top : 0;
  };

  const drawTicks = () => {
    const ticked = new Set(model.get("ticked"));
    for (const box of body.querySelectorAll("input")) box.checked = ticked.has(box.dataset.id);
  };

  root.addEventListener("scroll", () => root.scrollTop + root.clientHeight > root.scrollHeight - 400 && more());
  for (const [trait, draw] of [["heads", drawHead], ["sort", drawHead], ["table", drawRows], ["ticked", drawTicks]]) {
    model.on(`change:${trait}`, draw);
  }
  drawHead();
  drawRows();
}
export default { render };
