// Blocks: the content from the kernel, drawn like the static copy.

function stacked(parts, width = 100) {
  const node = h("div", { class: "vx-bar", "aria-hidden": "true" });
  node.style.width = `${width}%`;
  for (const part of parts) {
    const piece = h("div", { title: `${part.name}: ${number(part.count)}` });
    piece.style.flexGrow = part.count;
    piece.style.backgroundColor = part.colour;
    node.append(piece);
  }
  return node;
}

function cell(content) {
  const whole = (content.full || content.bar.length) && content.text.length <= 16;  // an id, the name of a platform
  const text = h("span", { title: content.full || null, class: whole ? "vx-short" : null }, content.text);
  const shown = [content.colour ? swatch(content.colour) : null, content.glyph ? `${content.glyph} ` : null, text];
  return [
    content.strong ? h("b", {}, shown) : h("span", {}, shown),
    content.bar.length ? h("div", { class: "vx-track" }, stacked(content.bar, content.width)) : null,
    content.below ? h("div", { class: "vx-quiet" }, content.below) : null,
  ];
}

const DRAW = {
  heading: (block) => h("h4", {}, block.text, block.aside ? h("span", { class: "vx-quiet" }, block.aside) : null),
  note: (block) => {
    const node = h("p", { class: block.bad ? "vx-note vx-bad" : "vx-note" }, block.bad ? "✗ " : "", block.text);
    if (block.colour) node.style.borderColor = block.colour;
    return node;
  },
  line: (block) => h("p", { class: "vx-quiet" }, block.text),
  facts: (block) => h("div", { class: "vx-facts" }, block.facts.map((fact) => {
    const node = h("div", { class: "vx-fact" }, h("b", {}, fact.value), h("span", { class: "vx-quiet" }, `${fact.glyph} ${fact.label}`));
    node.style.borderLeftColor = fact.colour;
    return node;
  })),
  bar: (block) => h("div", {}, stacked(block.parts), h("div", { class: "vx-legend" },
    block.parts.length ? block.parts.map((part) => h("span", {}, swatch(part.colour), `${part.glyph} ${number(part.count)} ${part.name}`)) : "no rows",
    h("span", { class: "vx-end" }, block.aside))),
  table: (block) => {
    const kind = (at, content) => [block.numeric.includes(at) ? "vx-right" : block.spare?.includes(at) ? "vx-spare" : "",
      content?.text.length > 24 ? "vx-long" : ""].join(" ").trim() || null;
    return h("div", { class: "vx-wide", tabindex: "0", role: "region", "aria-label": block.heads.join(", ") }, h("table", {},
      h("thead", {}, h("tr", {}, block.heads.map((head, at) => h("th", { scope: "col", class: kind(at) }, head)))),
      h("tbody", {}, block.rows.map((row) => h("tr", {}, row.map((content, at) => h("td", { class: kind(at, content), dir: block.numeric.includes(at) ? null : "auto" }, cell(content))))))));
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
