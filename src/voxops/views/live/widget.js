// The live widget of voxops: draws the model that the kernel holds, and sends back what a person does. One module, no build step,
// no dependency, nothing fetched. Text is set as text only: there is no innerHTML here, and a test keeps it so.

const PAGE = 10, ROW = 28, OVERSCAN = 6, PATIENCE = 5000;

const FOCUSED = new Set(["a", "button", "input", "select", "summary"]);

/** Make an element; strings become text, functions listeners. */
function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  // JupyterLab would take a key pressed here for one of its own, such as the one that deletes the cell.
  if (FOCUSED.has(tag) || "tabindex" in attributes) node.setAttribute("data-lm-suppress-shortcuts", "true");
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

const number = (value) => Number(value).toLocaleString("en-US");
const many = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;

function swatch(colour) {
  const node = h("span", { class: "vx-swatch", "aria-hidden": "true" });
  node.style.backgroundColor = colour;
  return node;
}

// -- blocks: what the kernel says, drawn as the static copy draws it ---------------------------------------------------------

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
  const text = h("span", { title: content.full || null, class: content.full && content.text.length <= 16 ? "vx-short" : null }, content.text);
  const shown = [content.colour ? swatch(content.colour) : null, content.glyph ? `${content.glyph} ` : null, text];
  return [
    content.strong ? h("b", {}, shown) : h("span", {}, shown),
    content.bar.length ? stacked(content.bar, content.width) : null,
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
      h("tbody", {}, block.rows.map((row) => h("tr", {}, row.map((content, at) => h("td", { class: kind(at, content) }, cell(content))))))));
  },
  list: (block) => h("div", { class: "vx-list" }, h("b", {}, block.title),
    block.lines.map((line) => h("div", { title: line.full, class: "vx-cut" }, line.text))),
  pairs: (block) => h("dl", {}, block.rows.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value || "–")])),
  text: (block) => h("div", {}, h("b", {}, block.title), h("pre", { tabindex: "0", role: "region", "aria-label": block.title }, block.text)),
  code: (block) => h("pre", { tabindex: "0", role: "region", "aria-label": "code" }, block.text),
  link: (block) => h("p", {}, h("a", { href: web(block.address), target: "_blank", rel: "noopener noreferrer" }, block.text)),
  picture: (block) => {
    const place = h("p", {}, h("button", { type: "button", click: () => place.replaceChildren(
      h("img", { src: web(block.address), alt: "The post's picture", referrerpolicy: "no-referrer", class: "vx-picture" })) },
    `${block.text} (from ${new URL(block.address).host})`));
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

/** An address of the web, or nothing. */
function web(address) {
  try {
    const url = new URL(address);
    return url.protocol === "https:" || url.protocol === "http:" ? url.href : null;
  } catch {
    return null;
  }
}

/** Draw blocks into a place, unless they are there already: what did not change keeps its focus and its scroll position. */
function draw(place, blocks) {
  const key = JSON.stringify(blocks);
  if (place.drawn === key) return;
  place.drawn = key;
  place.replaceChildren(...blocks.map((block) => DRAW[block.kind]?.(block)).filter(Boolean));
}

// -- bits: which rows, as base64 ---------------------------------------------------------------------------------------------

function pack(flags) {
  const bytes = new Uint8Array(Math.ceil(flags.length / 8));
  flags.forEach((flag, at) => { if (flag) bytes[at >> 3] |= 128 >> (at & 7); });
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text);
}

function unpack(text, length) {
  const flags = new Uint8Array(length), bytes = atob(text || "");
  for (let at = 0; at < length && at >> 3 < bytes.length; at += 1) flags[at] = bytes.charCodeAt(at >> 3) & (128 >> (at & 7)) ? 1 : 0;
  return flags;
}

// -- the table: compact columns, filtered, counted and sorted here, so that it answers while the kernel computes -------------

function bytes(view) {
  return view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
}

const MISSING = 0xffffffff;
const TYPES = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array };

function column(spec) {
  const made = { ...spec };
  if (spec.kind === "code") made.codes = new TYPES[spec.width](bytes(spec.codes));
  if (spec.kind === "time") made.seconds = new Uint32Array(bytes(spec.seconds));
  if (spec.kind === "number") made.numbers = new Float64Array(bytes(spec.numbers));
  if (spec.kind === "id") made.ids = new TextDecoder().decode(bytes(spec.ids)).split("\n");
  return made;
}

const TWO = (value) => String(value).padStart(2, "0");
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

function shown(one, row, texts) {
  if (one.kind === "code") return one.values[one.codes[row]];
  if (one.kind === "id") return one.ids[row];
  if (one.kind === "number") return Number.isNaN(one.numbers[row]) ? "–" : number(one.numbers[row]);
  if (one.kind === "time") {
    if (one.seconds[row] === MISSING) return "–";
    const at = new Date(one.seconds[row] * 1000);
    return `${TWO(at.getUTCDate())} ${MONTHS[at.getUTCMonth()]} ${TWO(at.getUTCHours())}:${TWO(at.getUTCMinutes())}`;
  }
  return texts.get(row)?.[one.name] ?? "…";
}

/** The rows that filters and search leave, in order, and how many each value of a facet would leave. */
class Selection {
  constructor(table, wanted) {
    this.length = table.length ?? 0;
    this.columns = (table.columns ?? []).map(column);
    this.facets = this.columns.filter((one) => one.facet);
    this.facets.forEach((facet) => { facet.values = [...facet.values, ...(wanted?.[facet.name] ?? []).filter((value) => !facet.values.includes(value))]; });
    this.times = this.columns.find((one) => one.kind === "time");
    this.found = null; // rows whose texts hold what is searched for, as the kernel found them
  }

  apply(view) {
    const { length, facets } = this, fail = new Uint16Array(length);
    facets.forEach((facet, bit) => {
      const wanted = view.facets?.[facet.name] ?? [];
      if (!wanted.length) return;
      const keep = Uint8Array.from(facet.values, (value) => (wanted.includes(value) ? 1 : 0));
      for (let row = 0; row < length; row += 1) if (!keep[facet.codes[row]]) fail[row] |= 1 << bit;
    });
    if (view.days && this.times) {
      const from = view.days[0] ? Date.parse(`${view.days[0]}T00:00Z`) / 1000 : 0;
      const until = view.days[1] ? Date.parse(`${view.days[1]}T00:00Z`) / 1000 + 86400 : MISSING;
      const { seconds } = this.times;
      for (let row = 0; row < length; row += 1) if (seconds[row] === MISSING || seconds[row] < from || seconds[row] >= until) fail[row] |= 1 << 14;
    }
    const words = (view.search ?? "").toLowerCase().split(/\s+/).filter(Boolean);
    if (words.length) this.search(words, fail);
    this.counts = facets.map((facet, bit) => {
      const counts = new Uint32Array(facet.values.length), mask = 0xffff ^ (1 << bit);
      for (let row = 0; row < length; row += 1) if (!(fail[row] & mask)) counts[facet.codes[row]] += 1;
      return counts;
    });
    const order = this.order(view.sort);
    const rows = new Uint32Array(length);
    let count = 0;
    for (let at = 0; at < length; at += 1) if (!fail[order[at]]) rows[count++] = order[at];
    this.fail = fail;
    this.rows = rows.subarray(0, count);
  }

  search(words, fail) {
    const searched = this.columns.filter((one) => one.kind === "code" || one.kind === "id");
    const hits = searched.map((one) => (one.kind === "code"
      ? one.values.map((value) => words.map((word) => value.toLowerCase().includes(word))) : null));
    for (let row = 0; row < this.length; row += 1) {
      if (this.found?.[row]) continue;
      for (let word = 0; word < words.length; word += 1) {
        let hit = false;
        for (let at = 0; at < searched.length && !hit; at += 1) {
          const one = searched[at];
          hit = hits[at] ? hits[at][one.codes[row]][word] : one.ids[row].toLowerCase().includes(words[word]);
        }
        if (!hit) { fail[row] |= 1 << 15; break; }
      }
    }
  }

  /** The place of each row's word among all words. */
  ranks(one) {
    const values = one.kind === "code" ? one.values : one.ids;
    const ranked = Uint32Array.from(values, (_, at) => at).sort((a, b) => (values[a] < values[b] ? -1 : values[a] > values[b] ? 1 : 0));
    const place = new Uint32Array(values.length);
    ranked.forEach((at, position) => { place[at] = position; });
    return one.kind === "code" ? Uint32Array.from(one.codes, (code) => place[code]) : place;
  }

  order(sort) {
    const key = JSON.stringify(sort ?? null);
    if (this.sorted === key) return this.cached;
    const { length } = this, one = this.columns.find((each) => each.name === sort?.column);
    let order = Uint32Array.from({ length }, (_, row) => row);
    if (one?.kind === "number") {
      const turn = sort.down ? -1 : 1, value = (row) => (Number.isNaN(one.numbers[row]) ? -1 : one.numbers[row]);
      order.sort((a, b) => turn * (value(a) - value(b)) || a - b);
    } else if (one && one.kind !== "text") {
      const ranks = one.kind === "time" ? one.seconds : this.ranks(one);
      // rank and row as one number each, so that the platform's own sort of numbers does it, without a function a comparison
      const keys = Float64Array.from(ranks, (rank, row) => (sort.down ? MISSING - rank : rank) * length + row).sort();
      order = Uint32Array.from(keys, (each) => each % length);
    }
    this.sorted = key;
    this.cached = order;
    return order;
  }
}

class Grid {
  constructor(live, table, looks) {
    this.live = live;
    this.looks = looks ?? {};
    this.selection = new Selection(table, live.view.facets);
    this.version = table.version ?? 0;
    this.texts = new Map();
    this.asked = new Set();
    this.ticks = unpack(live.model.get("ticks"), this.selection.length);
    this.at = 0;
    this.anchor = 0;
    this.opened = null;
    this.build();
    this.refresh();
  }

  get view() { return this.live.view; }

  columns() {
    const hidden = this.view.hidden ?? this.selection.columns.filter((one) => one.hidden).map((one) => one.name);
    const wanted = this.selection.columns.filter((one) => !hidden.includes(one.name));
    const width = this.grid?.clientWidth; // where there is no room for all, the first stay readable
    const shares = wanted.reduce((sum, one) => sum + (one.share ?? 1), 0) / (wanted.length || 1);
    return width ? wanted.slice(0, Math.max(2, Math.floor(width / (124 * shares)))) : wanted;
  }

  build() {
    const { selection } = this;
    this.search = h("input", { type: "search", placeholder: "Search ids, names, errors and texts", "aria-label": "Search",
      input: () => this.look({ search: this.search.value }) });
    this.search.value = this.view.search ?? "";
    this.said = h("span", { class: "vx-said", role: "status", "aria-live": "polite" });
    this.choose = h("details", { class: "vx-columns" }, h("summary", {}, "Columns"), h("div", { class: "vx-menu" }, selection.columns.map((one) => {
      const box = h("input", { type: "checkbox", change: () => this.show(one.name, box.checked) });
      box.checked = this.columns().includes(one);
      return h("label", {}, box, one.title);
    })));
    this.clear = h("button", { type: "button", click: () => this.reset() }, "Clear filters");
    this.all = h("button", { type: "button", click: () => this.tickAll(true) }, "Tick all that match");
    this.none = h("button", { type: "button", click: () => this.tickAll(false) }, "Tick none");
    this.days = selection.times ? [0, 1].map((end) => {
      const input = h("input", { type: "date", "aria-label": `${selection.times.title} ${end ? "to" : "from"}`, change: () => {
        const days = this.days.map((each) => each.value || null);
        this.look({ days: days.some(Boolean) ? days : null });
      } });
      input.value = this.view.days?.[end] ?? "";
      return input;
    }) : [];
    this.facets = h("div", { class: "vx-facets" }, selection.facets.map((facet, at) => this.facet(facet, at)));
    this.head = h("div", { class: "vx-head", role: "row" });
    this.space = h("div", { class: "vx-space", role: "rowgroup" });
    this.empty = h("p", { class: "vx-empty vx-quiet", hidden: true });
    this.body = h("div", { class: "vx-body", role: "presentation", scroll: () => this.later() }, this.space);
    this.grid = h("div", { class: "vx-grid", tabindex: "0", role: "grid", "aria-label": this.live.state.title || "Rows", "aria-multiselectable": "true",
      keydown: (event) => { if (event.target === this.grid) this.key(event); } }, h("div", { role: "rowgroup", class: "vx-headgroup" }, this.head), this.body);
    this.middle = h("div", { class: "vx-middle" }, this.grid, this.empty);
    this.details = h("aside", { class: "vx-details", "aria-label": "Details", hidden: true });
    this.root = h("div", { class: "vx-rows" },
      h("div", { class: "vx-tools" }, this.search, this.days.length ? h("span", { class: "vx-days" }, "from ", this.days[0], " to ", this.days[1]) : null,
        this.all, this.none, this.clear, this.choose, this.said),
      h("div", { class: "vx-split" }, h("details", { class: "vx-side", open: this.live.wide() }, h("summary", {}, "Filters"), this.facets), this.middle, this.details));
    this.watch = new ResizeObserver(() => this.later());
    this.watch.observe(this.body);
  }

  facet(facet, at) {
    const total = new Uint32Array(facet.values.length);
    facet.codes.forEach((code) => { total[code] += 1; });
    const wanted = this.view.facets?.[facet.name] ?? []; // may be rarer, or gone since a run: nobody could untick what is not here
    const ranked = [...total.keys()].sort((a, b) => total[b] - total[a] || (facet.values[a] < facet.values[b] ? -1 : 1));
    const order = ranked.filter((code, place) => place < 60 || wanted.includes(facet.values[code]));
    const rest = facet.values.length - order.length;
    facet.boxes = order.map((code) => {
      const box = h("input", { type: "checkbox", change: () => this.toggle(facet) });
      const count = h("span", { class: "vx-count" });
      const colour = this.looks[facet.name]?.[facet.values[code]];
      return { code, box, count, label: h("label", { title: facet.values[code] }, box, colour ? swatch(colour[0]) : null, h("span", { class: "vx-cut" }, facet.values[code]), count) };
    });
    this.mark(facet);
    return h("fieldset", {}, h("legend", {}, facet.title), facet.boxes.map((each) => each.label), rest > 0 ? h("div", { class: "vx-quiet" }, `and ${number(rest)} rarer: search`) : null);
  }

  mark(facet) {
    const wanted = this.view.facets?.[facet.name] ?? [];
    facet.boxes.forEach(({ code, box }) => { box.checked = wanted.includes(facet.values[code]); });
  }

  toggle(facet) {
    const wanted = facet.boxes.filter(({ box }) => box.checked).map(({ code }) => facet.values[code]);
    this.look({ facets: { ...this.view.facets, [facet.name]: wanted } });
  }

  reset() {
    this.search.value = "";
    this.days.forEach((each) => { each.value = ""; });
    this.selection.found = null;
    this.look({ facets: {}, search: "", days: null });
    this.selection.facets.forEach((facet) => this.mark(facet));
  }

  show(name, wanted) {
    const hidden = this.selection.columns.map((one) => one.name).filter((each) => (each === name ? !wanted : !this.columns().some((one) => one.name === each)));
    this.look({ hidden }, false);
  }

  /** Look at other rows, or at the same otherwise; what is chosen by it has to be planned anew. */
  look(change, chooses = true) {
    if (chooses) this.live.unseen();
    this.live.save({ view: { ...this.view, ...change } });
    if ("search" in change) this.ask(change.search);
    this.refresh();
  }

  /** Ask the kernel which rows have texts that hold the words; it may answer later. */
  ask(text) {
    clearTimeout(this.asking);
    this.selection.found = null;
    if (text.trim().length < 2) return;
    this.asking = setTimeout(() => this.live.send({ do: "search", text }), 250);
  }

  hear(message) {
    if (message.texts && message.version === this.version) {
      for (const [row, texts] of Object.entries(message.texts)) this.texts.set(Number(row), texts);
      while (this.texts.size > 4000) this.texts.delete(this.texts.keys().next().value);
      this.window();
    }
    if (message.found !== undefined && message.text === (this.view.search ?? "") && message.version === this.version) {
      this.selection.found = unpack(message.found, this.selection.length);
      this.refresh();
    }
    if (message.details && message.row === this.opened) {
      draw(this.inside, message.details);
      if (!this.live.wide()) this.details.scrollIntoView({ block: "nearest" }); // there they stand beneath the list
    }
  }

  refresh() {
    const begun = performance.now();
    this.selection.apply(this.view);
    const { rows, facets, counts } = this.selection;
    facets.forEach((facet, at) => facet.boxes.forEach(({ code, count, label }) => {
      count.textContent = number(counts[at][code]);
      label.classList.toggle("vx-zero", !counts[at][code]);
    }));
    this.at = Math.min(this.at, Math.max(0, rows.length - 1));
    this.headings();
    this.space.style.height = `${rows.length * ROW}px`;
    this.grid.setAttribute("aria-rowcount", rows.length + 1);
    this.tell();
    this.window();
    this.root.dataset.milliseconds = (performance.now() - begun).toFixed(1);
  }

  /** The rows that would be planned: those ticked among those that match, or all that match where none is ticked. */
  chosen() {
    const { fail, length } = this.selection, chosen = new Uint8Array(length);
    let ticked = 0, count = 0;
    for (let row = 0; row < length; row += 1) ticked += this.ticks[row];
    for (let row = 0; row < length; row += 1) if (!fail[row] && (!ticked || this.ticks[row])) { chosen[row] = 1; count += 1; }
    return { chosen, count, ticked, hidden: ticked ? ticked - count : 0 };
  }

  tell() {
    const { count, ticked, hidden } = this.chosen();
    const { length, rows } = this.selection;
    this.said.textContent = `${number(rows.length)} of ${many(length, "row")}, ${number(ticked)} ticked${hidden ? `, ${number(hidden)} of them hidden by the filters` : ""}`;
    this.empty.hidden = rows.length > 0;
    this.empty.textContent = length ? "No row matches: clear the filters, or search for something else." : "Nothing here yet.";
    this.live.chosen(count, ticked > 0);
  }

  headings() {
    const { sort } = this.view, columns = this.columns();
    const key = JSON.stringify([sort, columns.map((one) => one.name)]);
    this.track = `28px ${columns.map((one) => `minmax(0,${one.share ?? 1}fr)`).join(" ")}`;
    if (this.headed === key) return;
    this.headed = key;
    this.head.style.gridTemplateColumns = this.track;
    this.head.replaceChildren(h("span", { role: "columnheader" }, h("span", { class: "vx-hidden" }, "ticked")), ...columns.map((one) => {
      const mine = sort?.column === one.name;
      const sorted = mine ? (sort.down ? "descending" : "ascending") : "none";
      const title = one.kind === "text" ? one.title
        : h("button", { type: "button", class: "vx-sort", click: () => this.look({ sort: mine && sort.down ? null : { column: one.name, down: mine } }, false) },
          one.title, mine ? h("span", { "aria-hidden": "true" }, sort.down ? " ▾" : " ▴") : null);
      return h("span", { role: "columnheader", "aria-sort": one.kind === "text" ? null : sorted }, title);
    }));
  }

  later() {
    this.waiting ??= requestAnimationFrame(() => { this.waiting = null; this.headings(); this.window(); });
  }

  /** Draw the rows that can be seen, and a few more. */
  window() {
    const { rows } = this.selection;
    const first = Math.max(0, Math.floor(this.body.scrollTop / ROW) - OVERSCAN);
    const last = Math.min(rows.length, first + Math.ceil((this.body.clientHeight || 280) / ROW) + 2 * OVERSCAN);
    const columns = this.columns(), missing = [];
    const drawn = [];
    for (let at = first; at < last; at += 1) {
      const row = rows[at];
      drawn.push(this.row(row, at, columns));
      if (!this.texts.has(row) && !this.asked.has(row)) missing.push(row);
    }
    this.space.replaceChildren(...drawn);
    if (rows.length) this.grid.setAttribute("aria-activedescendant", `${this.live.id}-${this.at}`);
    else this.grid.removeAttribute("aria-activedescendant");
    if (missing.length && columns.some((one) => one.kind === "text")) this.fetch(missing);
  }

  fetch(rows) {
    rows.forEach((row) => this.asked.add(row));
    clearTimeout(this.fetching);
    this.fetching = setTimeout(() => {
      const wanted = [...this.asked].slice(-200);
      this.asked.clear();
      this.live.send({ do: "texts", rows: wanted, version: this.version });
    }, 40);
  }

  row(row, at, columns) {
    const ticked = Boolean(this.ticks[row]);
    const node = h("div", { class: at === this.at ? "vx-row vx-at" : "vx-row", role: "row", id: `${this.live.id}-${at}`, "aria-rowindex": at + 2,
      "aria-selected": String(ticked), click: (event) => this.click(event, at), dblclick: () => this.open(at) },
    h("span", { role: "gridcell", class: "vx-tick" }, ticked ? "☑" : "☐"),
    columns.map((one) => {
      const text = shown(one, row, this.texts), look = this.looks[one.name]?.[text];
      return h("span", { role: "gridcell", title: text, class: one.kind === "number" ? "vx-cut vx-right" : "vx-cut" }, look ? [swatch(look[0]), `${look[1]} `] : null, text);
    }));
    node.style.top = `${at * ROW}px`;
    node.style.gridTemplateColumns = this.track;
    return node;
  }

  click(event, at) {
    const on = event.target.closest(".vx-tick");
    if (event.shiftKey) this.range(at);
    else if (on) this.tick(at);
    else this.open(at);
    this.grid.focus({ preventScroll: true });
  }

  tick(at) {
    const row = this.selection.rows[at];
    this.ticks[row] = this.ticks[row] ? 0 : 1;
    this.at = this.anchor = at;
    this.ticked();
  }

  /** Tick from where the last tick was to here. */
  range(at) {
    const [from, to] = [Math.min(this.anchor, at), Math.max(this.anchor, at)];
    for (let each = from; each <= to; each += 1) this.ticks[this.selection.rows[each]] = 1;
    this.at = at;
    this.ticked();
  }

  tickAll(wanted) {
    if (wanted) this.selection.rows.forEach((row) => { this.ticks[row] = 1; });
    else this.ticks.fill(0);
    this.ticked();
  }

  ticked() {
    this.live.unseen();
    this.live.save({ ticks: this.ticks.some(Boolean) ? pack(this.ticks) : "" });
    this.tell();
    this.window();
  }

  key(event) {
    const last = this.selection.rows.length - 1, page = Math.max(1, Math.floor(this.body.clientHeight / ROW) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (last < 0) return;
    if (event.key in steps) {
      const to = Math.min(last, Math.max(0, this.at + steps[event.key]));
      if (event.shiftKey) this.range(to);
      else this.at = to;
      this.reveal();
    } else if (event.key === " ") this.tick(this.at);
    else if (event.key === "Enter") this.open(this.at);
    else if (event.key === "Escape") this.close();
    else if (event.key.toLowerCase() === "a" && (event.ctrlKey || event.metaKey)) this.tickAll(true);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  reveal() {
    const top = this.at * ROW, { body } = this;
    if (top < body.scrollTop) body.scrollTop = top;
    else if (top + ROW > body.scrollTop + body.clientHeight) body.scrollTop = top + ROW - body.clientHeight;
    this.window();
  }

  open(at) {
    this.at = at;
    this.opened = this.selection.rows[at];
    this.inside = h("div", {}, h("p", { class: "vx-quiet" }, "reading …"));
    this.details.replaceChildren(h("button", { type: "button", class: "vx-close", "aria-label": "Close the details", click: () => this.close() }, "×"), this.inside);
    this.details.hidden = false;
    this.live.send({ do: "details", row: this.opened, version: this.version });
    this.window();
  }

  close() {
    this.opened = null;
    this.details.hidden = true;
    this.grid.focus({ preventScroll: true });
  }

  end() {
    this.watch.disconnect();
    clearTimeout(this.fetching);
    clearTimeout(this.asking);
  }
}

// -- the whole ---------------------------------------------------------------------------------------------------------------

class Live {
  constructor(model, el) {
    this.model = model;
    this.id = `vx-${model.get("state").id}-${Math.random().toString(36).slice(2, 8)}`;
    this.seen = null; // fingerprint of the plan that this page has shown to a person
    this.awaits = false; // whether a plan that was asked for here is on its way
    this.answers = 0;
    this.view = model.get("view") ?? {};
    this.el = el;
    el.classList.add("tex2jax_ignore", "mathjax_ignore");
    this.root = h("div", { class: "vx tex2jax_ignore mathjax_ignore" });
    el.append(this.root);
    this.build();
    this.listen();
    this.tabled();
    this.update();
    this.hideCopies();
    this.send({ do: "hello" });
  }

  get state() { return this.model.get("state") ?? {}; }

  /** What has the focus, also within a shadow root. */
  active() { return this.root.getRootNode().activeElement; }

  wide() { return (this.el.getBoundingClientRect().width || window.innerWidth) > 760; }

  build() {
    this.title = h("h3", {});
    this.top = h("div", { class: "vx-selects" });
    this.facts = h("div", { class: "vx-summary" });
    this.busy = h("p", { class: "vx-busy", role: "status" });
    this.problem = h("div", { class: "vx-problem", role: "alert" });
    this.tabs = h("div", { class: "vx-tabs", role: "tablist", "aria-label": "Parts", keydown: (event) => this.turn(event) });
    this.panes = h("div", { class: "vx-panes" });
    this.bar = h("div", { class: "vx-actions" });
    this.made = {}; // tabs and panes by name
    this.plan = h("button", { type: "button", class: "vx-primary", click: () => this.doPlan() });
    this.canary = h("input", { type: "number", min: "0", max: "50", "aria-label": "Canary: try so many of each cause first", change: () => { this.unseen(); this.form(); } });
    this.reason = h("input", { type: "text", class: "vx-reason", "aria-label": "Reason, for the audit trail", "aria-required": "true",
      input: () => this.allow(), change: () => this.form() });
    this.run = h("button", { type: "button", class: "vx-run", click: () => this.doRun() });
    this.hint = h("span", { class: "vx-quiet", role: "status" });
    this.options = h("span", {});
    this.bar.append(this.plan, h("label", {}, "Canary ", this.canary), this.options, h("label", { class: "vx-grow" }, "Reason ", this.reason), this.run, this.hint);
    const { form } = this.view;
    this.canary.value = form?.canary ?? 0;
    this.reason.value = form?.reason ?? "";
    this.root.append(h("div", { class: "vx-top" }, this.title, this.facts, this.top), this.busy, this.problem, this.tabs, this.panes, this.bar);
  }

  listen() {
    this.handlers = {
      "change:state": () => this.update(),
      "change:table": () => { this.tabled(); this.update(); },
      "change:view": () => this.viewed(),
      "change:ticks": () => this.tickedElsewhere(),
      "msg:custom": (message) => this.hear(message),
      comm_live_update: () => this.perhapsDead(),
    };
    for (const [name, handler] of Object.entries(this.handlers)) this.model.on(name, handler);
  }

  /** Put a change into the model, and remember that it came from here. */
  save(change) {
    if (change.view) this.view = change.view;
    const next = { view: this.model.get("view"), ticks: this.model.get("ticks"), ...change };
    this.mine = JSON.stringify([next.view, next.ticks]); // known before the model speaks of it
    for (const [name, value] of Object.entries(change)) this.model.set(name, value);
    this.model.save_changes();
  }

  send(message) {
    this.model.send({ ...message, page: this.id });
    clearTimeout(this.doubt);
    this.doubt ??= null;
    const before = this.answers;
    this.doubt = setTimeout(() => {
      if (this.answers === before) this.doubtful(true);
    }, PATIENCE);
  }

  hear(message) {
    this.answers += 1;
    this.doubtful(false);
    this.dead(false);
    if (message.page && message.page !== this.id) return;
    this.grid?.hear(message);
  }

  doubtful(yes) {
    this.silent = yes;
    this.complain();
  }

  perhapsDead() {
    this.dead(true);
    this.send({ do: "hello" }); // a kernel that is there answers
  }

  dead(yes) {
    this.gone = yes;
    this.root.classList.toggle("vx-gone", yes);
    this.complain();
    this.allow();
  }

  complain() {
    const { state } = this, said = [];
    if (this.gone) said.push(`The kernel that ran this is gone: what you see is of ${state.at}, and nothing here can be pressed. ${state.present}`);
    else if (this.silent) said.push(`The kernel has not answered for ${PATIENCE / 1000} s: it computes, or it is gone. What you see is of ${state.at}.`);
    if (state.problem) said.push(state.problem);
    const text = said.join(" ");
    if (this.problem.textContent !== text) this.problem.textContent = text;
    this.problem.hidden = !text;
  }

  tabled() {
    const table = this.model.get("table") ?? {};
    this.grid?.end();
    this.grid = table.columns ? new Grid(this, table, this.state.looks) : null;
    const pane = this.made.rows?.pane;
    if (pane) this.fill("rows", pane);
  }

  viewed() {
    if (this.mine === JSON.stringify([this.model.get("view"), this.model.get("ticks")])) return;
    const before = this.view;
    this.view = this.model.get("view") ?? {};
    if (!this.grid) return;
    this.grid.search.value = this.view.search ?? "";
    this.grid.days.forEach((each, end) => { each.value = this.view.days?.[end] ?? ""; });
    this.grid.selection.facets.forEach((facet) => this.grid.mark(facet));
    if (this.view.form && JSON.stringify(before.form) !== JSON.stringify(this.view.form)) {
      this.canary.value = this.view.form.canary ?? 0;
      if (this.active() !== this.reason) this.reason.value = this.view.form.reason ?? "";
    }
    this.seen = null;
    this.grid.refresh();
    this.allow();
  }

  tickedElsewhere() {
    if (!this.grid || this.mine === JSON.stringify([this.model.get("view"), this.model.get("ticks")])) return;
    this.grid.ticks = unpack(this.model.get("ticks"), this.grid.selection.length);
    this.seen = null;
    this.grid.tell();
    this.grid.window();
    this.allow();
  }

  form() {
    const options = Object.fromEntries((this.state.options ?? []).map((option) => [option.name, this.made[`option-${option.name}`].checked]));
    this.save({ view: { ...this.view, form: { canary: Number(this.canary.value) || 0, reason: this.reason.value, ...options } } });
    this.allow();
  }

  /** Something else is chosen here: the plan that was seen is not what would be planned now. */
  unseen() {
    this.seen = null;
    this.awaits = false;
    this.allow();
  }

  chosen(count, ticked) {
    this.count = count;
    this.ticking = ticked;
    this.allow();
  }

  doPlan() {
    this.awaits = true;
    this.run.disabled = true;
    this.form();
    this.send({ do: "plan", rows: pack(this.grid.chosen().chosen), version: this.grid.version, form: this.view.form });
  }

  doRun() {
    const { plan } = this.state;
    if (!plan) return;
    if (this.seen !== plan.fingerprint) { // this page has not shown it to anybody yet
      this.seen = plan.fingerprint;
      this.pick("plan");
      this.allow();
      return;
    }
    if (this.active() === this.run) this.made[this.current].tab.focus({ preventScroll: true }); // or the keyboard loses its place
    this.run.disabled = true;
    this.form();
    this.send({ do: "run", plan: this.seen, reason: this.reason.value });
  }

  update() {
    const { state } = this;
    this.title.textContent = state.title ?? "";
    this.title.hidden = !state.title;
    draw(this.facts, state.facts ?? []);
    if (this.busy.textContent !== (state.busy ?? "")) this.busy.textContent = state.busy ?? "";
    this.root.classList.toggle("vx-reading", Boolean(state.busy)); // what stands here is not what was asked for
    this.complain();
    if (this.awaits && state.plan && state.plan.page === this.id) {
      this.awaits = false;
      this.seen = state.plan.fingerprint;
      this.stage = "another"; // also where one plan follows another: what counts as seen is turned to
    }
    this.selects(state.selects ?? [], state.buttons ?? []);
    this.optional(state.options ?? []);
    this.tabbed(state.tabs ?? []);
    if (state.stage !== this.stage) {
      const first = this.stage === undefined;
      this.stage = state.stage;
      this.pick(state.stage, !first);
    }
    this.bar.hidden = !state.acts;
    this.allow();
  }

  selects(selects, buttons) {
    const key = JSON.stringify([selects.map((each) => [each.name, each.options]), buttons.map((each) => [each.do, each.label, each.about])]);
    this.rebuild(this.top, key, () => {
      this.chosenIn = {};
      return [...selects.map((each) => {
        const select = h("select", { "aria-label": each.label, change: () => this.send({ do: "select", name: each.name, value: select.value }) },
          each.options.map(([label, value]) => h("option", { value }, label)));
        this.chosenIn[each.name] = select;
        return h("label", {}, `${each.label} `, select);
      }), ...this.buttons(buttons, "top")];
    }, "top");
    selects.forEach((each) => { this.chosenIn[each.name].value = each.value; });
    this.enable(buttons, "top");
  }

  optional(options) {
    const key = JSON.stringify(options);
    if (this.options.drawn === key) return;
    this.options.drawn = key;
    this.options.replaceChildren(...options.map((option) => {
      const box = h("input", { type: "checkbox", change: () => { this.unseen(); this.form(); } });
      box.checked = Boolean(this.view.form?.[option.name]);
      this.made[`option-${option.name}`] = box;
      return h("label", {}, box, option.label);
    }));
  }

  buttons(buttons, where) {
    return buttons.map((each) => {
      const node = h("button", { type: "button", title: each.title, "data-do": each.do, click: () => this.press(each) }, each.label);
      this.made[`${where}-${each.do}`] = node;
      return node;
    });
  }

  press(button) {
    this.awaits = Boolean(button.plans);
    this.send({ do: button.do, about: button.about });
  }

  /** Enable what makes sense; a focus that would be lost with its button goes to the next one that can be pressed, or to the tab. */
  enable(buttons, where) {
    const nodes = buttons.map((each) => this.made[`${where}-${each.do}`]);
    const focused = nodes.find((node) => node === this.active());
    buttons.forEach((each, at) => { nodes[at].disabled = !each.enabled || this.gone; });
    if (focused?.disabled) (nodes.find((node) => !node.disabled) ?? this.made[this.current]?.tab)?.focus({ preventScroll: true });
  }

  /** Draw buttons anew where they are others; the focus stays with what does the same. */
  rebuild(place, key, nodes, where) {
    if (place.drawn === key) return;
    place.drawn = key;
    const focused = place.contains(this.active()) ? this.active().dataset.do : null;
    place.replaceChildren(...nodes());
    if (focused) this.made[`${where}-${focused}`]?.focus({ preventScroll: true });
  }

  tabbed(tabs) {
    const names = JSON.stringify(tabs.map((tab) => [tab.name, tab.label]));
    if (this.tabs.drawn !== names) {
      this.tabs.drawn = names;
      const focused = this.tabs.contains(this.active());
      const kept = Object.fromEntries(tabs.map((tab) => [tab.name, this.made[tab.name]]));
      tabs.forEach((tab) => {
        const pane = kept[tab.name]?.pane ?? h("div", { class: `vx-pane vx-pane-${tab.name}`, id: `${this.id}-pane-${tab.name}`, role: tabs.length > 1 ? "tabpanel" : null, tabindex: tab.name === "rows" ? null : "0" });
        const button = h("button", { type: "button", role: "tab", id: `${this.id}-tab-${tab.name}`, "aria-controls": pane.id, click: () => this.pick(tab.name) }, tab.label);
        pane.setAttribute("aria-label", tab.label);
        if (!kept[tab.name]) this.fill(tab.name, pane);
        this.made[tab.name] = { tab: button, pane };
      });
      this.names = tabs.map((tab) => tab.name);
      this.tabs.replaceChildren(...this.names.map((name) => this.made[name].tab));
      this.tabs.hidden = tabs.length < 2;
      this.panes.replaceChildren(...this.names.map((name) => this.made[name].pane));
      this.pick(this.names.includes(this.current) ? this.current : this.names[0], focused);
    }
    tabs.forEach((tab) => {
      const { pane } = this.made[tab.name];
      if (tab.name === "rows") return;
      draw(pane.firstChild, tab.blocks ?? []);
      const row = pane.lastChild, key = JSON.stringify((tab.buttons ?? []).map((each) => [each.do, each.label, each.about]));
      this.rebuild(row, key, () => this.buttons(tab.buttons ?? [], tab.name), tab.name);
      this.enable(tab.buttons ?? [], tab.name);
    });
  }

  fill(name, pane) {
    if (name === "rows") pane.replaceChildren(...(this.grid ? [this.grid.root] : [h("p", { class: "vx-quiet" }, "reading …")]));
    else pane.replaceChildren(h("div", {}), h("div", { class: "vx-buttons" }));
    if (name === "rows") this.grid?.later();
  }

  pick(name, focus = false) {
    if (!this.made[name]?.tab) return;
    this.current = name;
    this.names.forEach((each) => {
      const mine = each === name, { tab, pane } = this.made[each];
      tab.setAttribute("aria-selected", String(mine));
      tab.tabIndex = mine ? 0 : -1;
      pane.hidden = !mine;
    });
    if (focus && !this.tabs.hidden && this.root.contains(this.active())) this.made[name].tab.focus({ preventScroll: true });
    if (name === "rows") this.grid?.later();
  }

  turn(event) {
    const at = this.names.indexOf(this.current), last = this.names.length - 1;
    const to = { ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at === 0 ? last : at - 1, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.pick(this.names[to], true);
  }

  /** Enable what makes sense now; the kernel checks again whatever is sent. */
  allow() {
    if (this.bar.hidden || !this.state.acts) return;
    const { plan, acting } = this.state, reason = this.reason.value.trim();
    const open = !this.gone && !acting && !this.state.busy;
    this.plan.textContent = this.count === undefined ? "Plan" : this.ticking ? `Plan the ${many(this.count, "row")} ticked` : `Plan all ${many(this.count, "row")} that match`;
    this.plan.disabled = !open || !this.grid || !this.count;
    this.reason.classList.toggle("vx-needed", Boolean(plan?.eligible) && !reason && open);
    this.reason.placeholder = plan?.eligible ? "needed to run: why, for the audit trail" : "why, for the audit trail";
    const looked = plan && this.seen === plan.fingerprint;
    this.run.textContent = plan && !looked ? "Look at the plan" : plan?.eligible ? `Run the plan: send ${number(plan.eligible)}` : "Run the plan";
    this.run.disabled = !open || this.awaits || !plan?.eligible || (looked && !reason);
    let hint = "";
    if (open && plan?.eligible) hint = !looked ? "this page has not shown the plan yet" : reason ? "" : "a reason is needed to run it";
    else if (open && plan) hint = "nothing in it can be sent";
    else if (acting) hint = "a run is under way";
    if (this.hint.textContent !== hint) this.hint.textContent = hint;
  }

  /** The static copies beside this widget are for pages without a kernel: while it lives, a rule of its own hides them, also those to come. */
  hideCopies() {
    const copy = `.voxops-copy-${String(this.state.id).replace(/\W/g, "")}`;
    this.cover = h("style", {}, `${copy} { display: none; }`, ` .jp-OutputArea-child:has(> * ${copy}) { display: none; }`);
    document.head.append(this.cover);
  }

  end() {
    this.cover.remove();
    clearTimeout(this.doubt);
    for (const [name, handler] of Object.entries(this.handlers)) this.model.off(name, handler);
    this.grid?.end();
  }
}

export default {
  render({ model, el }) {
    const live = new Live(model, el);
    return () => live.end();
  },
};
