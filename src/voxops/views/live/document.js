// A document: the content from the kernel, drawn like the static copy.

function stacked(parts, width = 100) {
  const node = h("div", { class: "vx-bar", "aria-hidden": "true" });
  node.style.width = `${width}%`;
  for (const part of parts.filter((each) => each.count > 0)) {
    const piece = h("div", { title: `${part.name}: ${number(part.count)}` });
    piece.style.flexGrow = part.count;
    piece.style.backgroundColor = part.colour;
    node.append(piece);
  }
  return node;
}

function linked(content, text) {
  const address = content.address ? web(content.address) : null;
  return address ? h("a", { href: address, target: "_blank", rel: "noopener noreferrer nofollow" }, text) : text;
}

/** A text that shows its rows when it is clicked. */
function picked(facet, value, ...text) {
  if (!facet) return text;
  return h("button", { type: "button", class: "vx-pick", title: "Show these rows", click: (event) => event.target.dispatchEvent(new CustomEvent("vx-pick", { bubbles: true, detail: { facet, value } })) }, text);
}

function cell(content) {
  const whole = (content.full || content.bar) && content.text.length <= 16;  // an id, the name of a platform
  const text = h("span", { title: content.full || null, class: whole ? "vx-short" : null }, picked(content.picks, content.text, linked(content, content.text)));
  const shown = [content.colour ? swatch(content.colour) : null, content.glyph ? `${content.glyph} ` : null, text];
  return [
    content.strong ? h("b", {}, shown) : h("span", {}, shown),
    content.bar ? h("div", { class: "vx-track" }, stacked(content.bar, content.width)) : null,
    content.below ? h("div", { class: "vx-quiet" }, content.below) : null,
  ];
}

/** A cell of a row that is one line high: what has no room is cut, and opens. */
function lineCell(content, room) {
  const text = [content.colour ? swatch(content.colour) : null, linked(content, content.text)];
  const full = content.full || content.text;
  if (content.text.length * 7.5 <= room && (full === content.text || content.text.length <= 16)) return text;
  return h("details", {}, h("summary", { class: "vx-cut" }, text), h("div", { class: "vx-open" }, full));
}

/** The texts of a table in full, safe to open in a spreadsheet. */
function plainRows(block) {
  const rows = block.rows.map((row) => row.map((content) => content.full || content.text));
  return [block.columns.map((column) => column.title), ...rows].map((row) => row.map((text) => text.replace(/[\t\r\n]+/g, " ").replace(OPEN, "'")));
}

const csv = (rows) => `${rows.map((row) => row.map((text) => `"${text.replaceAll('"', '""')}"`).join(",")).join("\r\n")}\r\n`;

function download(text) {
  const address = URL.createObjectURL(new Blob(["\ufeff", text], { type: "text/csv" }));
  h("a", { href: address, download: "rows.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

async function copyText(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "The browser does not allow it";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
}

function tools(take) {
  const copy = h("button", { type: "button", title: "Copy the rows, to be pasted into a sheet", click: () => take("copy", (text) => copyText(text, copy)) }, "Copy");
  return h("span", { class: "vx-copy" }, copy, h("button", { type: "button", title: "The rows as a CSV file", click: () => take("csv", download) }, "CSV"));
}

const DRAW = {
  fold: (block) => h("details", { class: "vx-fold" }, h("summary", {}, h("b", {}, block.title), block.aside ? h("span", { class: "vx-quiet" }, ` ${block.aside}`) : null),
    block.blocks.map((inner) => DRAW[inner.kind]?.(inner)).filter(Boolean)),
  heading: (block) => h("h4", { "aria-level": block.level }, block.text, block.aside ? h("span", { class: "vx-quiet" }, block.aside) : null),
  note: (block) => {
    const node = h("p", { class: block.bad ? "vx-note vx-bad" : "vx-note" }, block.bad ? "✗ " : "", block.text);
    if (block.colour) node.style.borderColor = block.colour;
    return node;
  },
  lead: (block) => h("p", { class: "vx-lead" }, block.text),
  paragraph: (block) => h("p", {}, block.text),
  line: (block) => h("p", { class: "vx-quiet" }, block.text),
  facts: (block) => h("div", { class: "vx-facts" }, block.facts.map((fact) => {
    const node = h("div", { class: "vx-fact" }, picked(block.picks, fact.label, h("b", {}, fact.value), h("span", { class: "vx-quiet" }, ` ${fact.glyph} ${fact.label}`)));
    node.style.borderLeftColor = fact.colour;
    return node;
  })),
  bar: (block) => h("div", {}, stacked(block.parts), h("div", { class: "vx-legend" },
    block.parts.map((part) => h("span", {}, swatch(part.colour), `${part.glyph} ${number(part.count)} ${part.name}`)),
    h("span", { class: "vx-end" }, block.aside))),
  table: (block) => {
    const { columns } = block, fixed = columns.some((column) => column.width);
    const kind = (column, content) => [column.right ? "vx-right" : "", fixed && !column.wraps ? "vx-cut" : content?.text.length > 24 ? "vx-long" : ""].join(" ").trim() || null;
    const head = (column) => h("th", { scope: "col", class: kind(column), title: column.hint || null }, column.title);
    const row = (cells) => h("tr", {}, cells.map((content, at) => h("td", { class: kind(columns[at], content), dir: columns[at].right ? null : "auto" },
      fixed && !columns[at].wraps ? lineCell(content, columns[at].width || 220) : cell(content))));
    const made = h("table", { class: fixed ? "vx-lines" : null }, fixed ? h("colgroup", {}, columns.map((column) => {
      const col = h("col");
      if (column.width) col.style.width = `${column.width}px`;
      return col;
    })) : null, h("thead", {}, h("tr", {}, columns.map(head))), h("tbody", {}, block.rows.map(row)));
    if (fixed) made.style.minWidth = `${columns.reduce((sum, column) => sum + (column.width || 110), 0)}px`;
    const take = (what, give) => give(what === "csv" ? csv(plainRows(block)) : plainRows(block).map((texts) => texts.join("\t")).join("\n"));
    return h("div", { class: "vx-table" }, tools(take),
      h("div", { class: "vx-wide", tabindex: "0", role: "region", "aria-label": columns.map((column) => column.title).join(", ") }, made));
  },
  list: (block) => h("div", { class: "vx-list" }, h("b", {}, block.title),
    block.lines.map((line) => h("div", { title: line.full, class: "vx-cut", dir: "auto" }, line.text))),
  pairs: (block) => h("dl", {}, block.rows.map(([name, value]) => [h("dt", {}, name), h("dd", { dir: "auto" }, value || "–")])),
  text: (block) => h("div", {}, h("b", {}, block.title), h("pre", { tabindex: "0", role: "region", "aria-label": block.title, dir: "auto" }, block.text)),
  code: (block) => h("pre", { tabindex: "0", role: "region", "aria-label": "code" }, block.text),
  link: (block) => h("p", {}, h("a", { href: web(block.address), target: "_blank", rel: "noopener noreferrer" }, block.text)),
  picture: (block) => {
    const address = web(block.address);
    if (!address) return h("p", {}, "a picture whose address can't be read");
    const place = h("p", {}, h("button", { type: "button", click: () => place.replaceChildren(
      h("img", { src: address, alt: "The post's picture", referrerpolicy: "no-referrer", class: "vx-picture" })) },
    `${block.text} (from ${new URL(address).host})`));
    return place;
  },
  form: (block) => {
    const fields = block.fields.map((field) => h("textarea", { rows: "4", "aria-label": field.label }));
    fields.forEach((field, at) => { field.value = block.fields[at].value; });
    const send = (event) => event.target.dispatchEvent(new CustomEvent("vx-form", { bubbles: true,
      detail: { do: block.do, values: Object.fromEntries(block.fields.map((field, at) => [field.name, fields[at].value])) } }));
    return h("div", { class: "vx-form" }, block.fields.map((field, at) => h("label", {}, field.label, fields[at])), h("button", { type: "button", class: "vx-primary", click: send }, block.label));
  },
  chart: (block) => {
    const highest = Math.max(1, ...block.counts.map((row) => row.reduce((sum, count) => sum + count, 0)));
    const columns = block.counts.map((row, at) => {
      const said = row.map((count, one) => `${number(count)} ${block.series[one].name}`).join(", ");
      return h("div", { title: `${block.labels[at]}: ${said}` }, row.map((count, one) => {
        const piece = h("div");
        piece.style.height = `${(100 * count) / highest}%`;
        piece.style.backgroundColor = block.series[one].colour;
        return piece;
      }).reverse());
    });
    const ends = block.labels.length > 2
      ? [block.labels[0], block.labels[Math.floor(block.labels.length / 2)], block.labels.at(-1)] : block.labels;
    return h("figure", {}, h("figcaption", {}, `${block.title}, at most ${number(highest)}`),
      h("div", { class: "vx-chart", role: "img", "aria-label": block.title }, columns),
      h("div", { class: "vx-ends vx-quiet" }, ends.map((label) => h("span", {}, label))),
      h("div", { class: "vx-legend vx-quiet" }, block.series.map((one) => h("span", {}, swatch(one.colour), `${one.glyph} ${one.name}`))));
  },
};

/** A web address, or null. */
function web(address) {
  try {
    const url = new URL(address);
    return url.protocol === "https:" || url.protocol === "http:" ? url.href : null;
  } catch {
    return null;
  }
}

/** Draw blocks into a place unless they are there already: unchanged ones keep focus and scroll position. */
function draw(place, blocks) {
  const key = JSON.stringify(blocks);
  if (place.drawn === key) return;
  place.drawn = key;
  place.replaceChildren(...blocks.map((block) => DRAW[block.kind]?.(block)).filter(Boolean));
}
