// The table on screen: facets with counts, rows to tick, details beside them; only visible rows are drawn.

const TICK = 28, GAP = 10, EDGE = 6; // pixels of the ticks, between columns, and at both ends, as in widget.css
const LETTER = 8, LONGEST = 16, YEAR = 5, SIDEWAYS = 120;
const LETTERS = { time: 16, number: 5, id: 14, text: 19 };
const DIRECTED = new Set(["code", "text"]); // kinds of columns whose text may run from right to left
const TAIL = 12; // characters at the end of an address that are always visible
const BARE = "●"; // the glyph of words without one

/** Minimum pixels of a readable column: whole short words, the beginning of long ones. */
function readable(one, looks) {
  const longest = one.kind === "code" ? one.values.reduce((most, value) => Math.max(most, value.length), 0) : LETTERS[one.kind] + (one.years ? YEAR : 0);
  const letters = Math.max(one.title.length + 3, one.kind === "code" ? Math.min(longest, LONGEST) : longest); // three more for the sort sign and bold letters
  return Math.ceil(letters * LETTER) + (looks ? 30 : 0);
}

/** A text that is cut if there is no room: at its end, or for an address in its middle, since its end identifies it. */
function parted(text) {
  if (text.length <= TAIL + 8 || /\s/.test(text) || !text.includes("/")) return text;
  return h("span", { class: "vx-parted" }, h("span", {}, text.slice(0, -TAIL)), h("span", {}, text.slice(-TAIL)));
}

class Grid {
  constructor(live, table, looks) {
    this.live = live;
    this.looks = looks ?? {};
    this.selection = new Selection(table, live.view.facets);
    this.version = table.version ?? 0;
    this.plannable = table.plans ? unpack(table.plans, this.selection.length) : null;
    this.texts = new Map();
    this.asked = new Set();
    this.picks = Boolean(live.state.acts); // no ticks where nothing can be planned
    this.ticks = unpack(live.model.get("ticks"), this.selection.length);
    this.at = 0;
    this.anchor = null; // the row of the last tick, also after sorting
    this.opened = null;
    this.build();
    this.ask(this.view.search ?? ""); // the view keeps the search text, not the rows found
    this.refresh();
  }

  get view() { return this.live.view; }

  columns() {
    const hidden = this.view.hidden ?? this.selection.columns.filter((one) => one.hidden).map((one) => one.name);
    return this.selection.columns.filter((one) => !hidden.includes(one.name));
  }

  build() {
    const { selection } = this;
    this.search = h("input", { type: "search", placeholder: "Search ids, names, errors and texts", "aria-label": "Search",
      title: "Arrow down or Enter goes to the rows", input: () => this.look({ search: this.search.value }), keydown: (event) => this.enter(event) });
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
    // Heads and rows scroll sideways together, and the heads stay where the rows scroll beneath them.
    this.body = h("div", { class: "vx-body", role: "presentation", scroll: () => this.later() }, h("div", { role: "rowgroup", class: "vx-headgroup" }, this.head), this.space);
    this.grid = h("div", { class: "vx-grid", tabindex: "0", role: "grid", "aria-label": this.live.state.title || "Rows", "aria-multiselectable": String(this.picks),
      keydown: (event) => { if (event.target === this.grid) this.key(event); } }, this.body);
    this.middle = h("div", { class: "vx-middle" }, this.grid, this.empty);
    this.details = h("aside", { class: "vx-details", "aria-label": "Details", hidden: true });
    this.root = h("div", { class: "vx-rows" },
      h("div", { class: "vx-tools" }, this.search, this.days.length ? h("span", { class: "vx-days" }, "from ", this.days[0], " to ", this.days[1]) : null,
        this.picks ? [this.all, this.none] : null, this.clear, this.choose, tools((what, give) => this.take(what, give)), this.said),
      h("div", { class: "vx-split" }, h("details", { class: "vx-side", open: this.live.wide() }, h("summary", {}, "Filters"), this.facets), this.middle, this.details));
    this.watch = new ResizeObserver(() => this.later());
    this.watch.observe(this.body);
  }

  facet(facet, at) {
    const total = new Uint32Array(facet.values.length);
    facet.codes.forEach((code) => { total[code] += 1; });
    const wanted = own(this.view.facets, facet.name) ?? []; // list chosen values even if rare or gone since a run: else nobody could untick them
    const ranked = [...total.keys()].sort((a, b) => total[b] - total[a] || (facet.values[a] < facet.values[b] ? -1 : 1));
    const order = ranked.filter((code, place) => place < 60 || wanted.includes(facet.values[code]));
    const rest = facet.values.length - order.length;
    facet.boxes = order.map((code) => {
      const box = h("input", { type: "checkbox", change: () => this.toggle(facet) });
      const count = h("span", { class: "vx-count" });
      const colour = own(own(this.looks, facet.name), facet.values[code]);
      return { code, box, count, label: h("label", { title: facet.values[code] }, box, colour ? swatch(colour[0]) : null, h("span", { class: "vx-facet" }, facet.values[code]), count) };
    });
    this.mark(facet);
    return h("fieldset", {}, h("legend", {}, facet.title), facet.boxes.map((each) => each.label), rest > 0 ? h("div", { class: "vx-quiet" }, `and ${number(rest)} rarer: search`) : null);
  }

  mark(facet) {
    const wanted = own(this.view.facets, facet.name) ?? [];
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

  /** Change filters, search or sorting; another choice of rows must be planned again. */
  look(change, chooses = true) {
    if (chooses) this.live.unseen();
    this.live.save({ view: { ...this.view, ...change } });
    if ("search" in change) this.ask(change.search);
    this.refresh();
  }

  /** Ask the kernel which rows have texts with these words; the answer comes later. */
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
      this.fill(message.texts);
      this.lack();
    }
    if (message.found !== undefined && message.text === (this.view.search ?? "") && message.version === this.version) {
      this.selection.found = unpack(message.found, this.selection.length);
      this.refresh();
    }
    if (message.csv !== undefined) this.give?.(message.csv);
    if (message.details && message.row === this.opened) {
      draw(this.inside, message.details);
      if (this.details.offsetTop > this.middle.offsetTop) this.details.scrollIntoView({ block: "nearest" }); // it is below the list if there is no room beside it
    }
  }

  /** Fetch the matching rows from the kernel, which has their long texts, as a file or to be pasted. */
  take(what, give) {
    this.give = (text) => { this.give = null; give(text); };
    this.live.send({ do: "csv", tabs: what === "copy", rows: pack(this.chosen().chosen), version: this.version });
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

  /** The rows that would be planned: the matching rows that are ticked, or all matching rows if none is ticked. */
  chosen() {
    const { fail, length } = this.selection, chosen = new Uint8Array(length);
    let ticked = 0, count = 0, plans = 0;
    for (let row = 0; row < length; row += 1) ticked += this.ticks[row];
    for (let row = 0; row < length; row += 1) if (!fail[row] && (!ticked || this.ticks[row])) { chosen[row] = 1; count += 1; plans += this.plannable ? this.plannable[row] : 1; }
    return { chosen, count, plans, ticked, hidden: ticked ? ticked - count : 0 };
  }

  tell() {
    const { count, plans, ticked, hidden } = this.chosen();
    const { length, rows } = this.selection;
    this.said.textContent = `${number(rows.length)} of ${many(length, "row")}${this.picks ? `, ${number(ticked)} ticked` : ""}${hidden ? `, ${number(hidden)} of them hidden by the filters` : ""}`;
    this.empty.hidden = rows.length > 0;
    const where = this.live.gone && this.view.search ? "No id, name or error matches; texts can't be searched, since the kernel is gone." : "No row matches: clear the filters, or search for something else.";
    this.empty.textContent = length ? where : "Nothing here yet.";
    this.live.chosen(count, ticked > 0, plans);
  }

  headings() {
    const { sort } = this.view, columns = this.columns();
    const key = JSON.stringify([sort, columns.map((one) => one.name)]);
    if (this.headed === key) return;
    this.headed = key;
    const least = columns.map((one) => readable(one, own(this.looks, one.name)));
    this.track = `${this.picks ? `${TICK}px ` : ""}${columns.map((one, at) => `minmax(${least[at]}px,${one.share ?? 1}fr)`).join(" ")}`;
    this.head.style.gridTemplateColumns = this.track;
    const all = least.reduce((sum, width) => sum + GAP + width, (this.picks ? TICK : -GAP) + 2 * EDGE);
    this.body.style.setProperty("--vx-least", `${all}px`);
    const first = this.picks ? [h("span", { role: "columnheader" }, h("span", { class: "vx-hidden" }, "ticked"))] : [];
    const held = this.head.querySelector(":focus")?.dataset.column; // keeps the place of the keyboard
    this.head.replaceChildren(...first, ...columns.map((one) => {
      const mine = sort?.column === one.name;
      const sorted = mine ? (sort.down ? "descending" : "ascending") : "none";
      const title = one.kind === "text" ? one.title
        : h("button", { type: "button", class: "vx-sort", "data-column": one.name, click: () => this.look({ sort: mine && sort.down ? null : { column: one.name, down: mine } }, false) },
          h("span", { class: "vx-cut" }, one.title), mine ? h("span", { "aria-hidden": "true" }, sort.down ? " ▾" : " ▴") : null);
      return h("span", { role: "columnheader", class: one.kind === "number" ? "vx-right" : null, "aria-sort": one.kind === "text" ? null : sorted }, title);
    }));
    for (const each of held ? this.head.querySelectorAll("button") : []) if (each.dataset.column === held) each.focus({ preventScroll: true });
  }

  later() {
    this.waiting ??= requestAnimationFrame(() => { this.waiting = null; this.headings(); this.window(); });
  }

  /** Draw the visible rows, and a few more. */
  window() {
    const { rows } = this.selection;
    const first = Math.max(0, Math.floor(this.body.scrollTop / ROW) - OVERSCAN);
    const last = Math.min(rows.length, first + Math.ceil((this.body.clientHeight || 280) / ROW) + 2 * OVERSCAN);
    const columns = this.columns(), drawn = [];
    for (let at = first; at < last; at += 1) drawn.push(this.row(rows[at], at, columns));
    this.space.replaceChildren(...drawn);
    if (rows.length) this.grid.setAttribute("aria-activedescendant", `${this.live.id}-${this.at}`);
    else this.grid.removeAttribute("aria-activedescendant");
    this.lack();
  }

  /** Ask for the missing texts of drawn rows: those scrolled to, and those that a long request left out. */
  lack() {
    if (!this.columns().some((one) => one.kind === "text")) return;
    const missing = Array.from(this.space.children, (node) => node.row).filter((row) => !this.texts.has(row) && !this.asked.has(row));
    if (missing.length) this.request(missing);
  }

  /** Write received texts into the drawn rows, which are not redrawn: a redraw between press and release loses the click. */
  fill(texts) {
    const columns = this.columns();
    for (const node of this.space.children) {
      if (node.row in texts) columns.forEach((one, at) => { if (one.kind === "text") this.write(node.children[at + (this.picks ? 1 : 0)], one, node.row); });
    }
  }

  /** Ask for the texts of rows, with one request for those that come within a moment. */
  request(rows) {
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
      "aria-selected": this.picks ? String(ticked) : null, click: (event) => this.click(event, at), dblclick: () => this.open(at) },
    this.picks ? h("span", { role: "gridcell", class: "vx-tick" }, ticked ? "☑" : "☐") : null,
    columns.map((one) => this.write(h("span", { role: "gridcell", dir: DIRECTED.has(one.kind) ? "auto" : null, class: one.kind === "number" ? "vx-cut vx-right" : "vx-cut" }), one, row)));
    node.row = row;
    node.style.top = `${at * ROW}px`;
    node.style.gridTemplateColumns = this.track;
    return node;
  }

  /** Write the text of a cell. */
  write(cell, one, row) {
    const text = shown(one, row, this.texts), look = own(own(this.looks, one.name), text);
    cell.title = text;
    cell.replaceChildren(...(look ? [swatch(look[0]), look[1] === BARE ? "" : `${look[1]} `] : []), parted(text));
    return cell;
  }

  click(event, at) {
    const on = event.target.closest(".vx-tick");
    if (event.shiftKey && this.picks) this.range(at);
    else if (on) this.tick(at);
    else this.open(at);
    this.grid.focus({ preventScroll: true });
  }

  tick(at) {
    const row = this.selection.rows[at];
    this.ticks[row] = this.ticks[row] ? 0 : 1;
    this.at = at;
    this.anchor = row;
    this.ticked();
  }

  /** Tick from the row of the last tick to this row; if that one is not shown, from a row that is. */
  range(at, start = at) {
    const { rows } = this.selection;
    if (!rows.includes(this.anchor)) this.anchor = rows[start];
    const other = rows.indexOf(this.anchor);
    rows.subarray(Math.min(other, at), Math.max(other, at) + 1).forEach((row) => { this.ticks[row] = 1; });
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

  /** Move the focus from the search to the rows, past the filters. */
  enter(event) {
    if (!["ArrowDown", "Enter"].includes(event.key) || event.isComposing || !this.selection.rows.length) return;
    event.preventDefault();
    event.stopPropagation();
    this.grid.focus({ preventScroll: true });
  }

  key(event) {
    const last = this.selection.rows.length - 1, page = Math.max(1, Math.floor(this.body.clientHeight / ROW) - 2);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (last < 0) return;
    if (event.key in steps) {
      const to = Math.min(last, Math.max(0, this.at + steps[event.key]));
      if (event.shiftKey && this.picks) this.range(to, this.at);
      else this.at = to;
      this.reveal();
    } else if (event.key === "ArrowRight" || event.key === "ArrowLeft") this.body.scrollLeft += event.key === "ArrowRight" ? SIDEWAYS : -SIDEWAYS;
    else if (event.key === " " && this.picks) this.tick(this.at);
    else if (event.key === "Enter" || event.key === " ") this.open(this.at);
    else if (event.key === "Escape") this.close();
    else if (this.picks && event.key.toLowerCase() === "a" && (event.ctrlKey || event.metaKey)) this.tickAll(true);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  reveal() {
    const top = this.at * ROW, { body } = this, seen = body.clientHeight - ROW; // the heads cover the rest
    if (top < body.scrollTop) body.scrollTop = top;
    else if (top + ROW > body.scrollTop + seen) body.scrollTop = top + ROW - seen;
    this.window();
  }

  open(at) {
    this.at = at;
    this.opened = this.selection.rows[at];
    this.inside = h("div", {}, h("p", { class: "vx-quiet" }, this.live.gone ? "The details can't be read: the kernel is gone." : "reading …"));
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
