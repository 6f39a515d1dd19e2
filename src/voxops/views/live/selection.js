// Bits: which rows, as base64.

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

// The table: compact columns, filtered, counted and sorted in the page, so that it responds while the kernel computes.

function bytes(view) {
  return view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
}

const MISSING = 0xffffffff, NOTHING = "–"; // for a missing time or value, and the word shown for it
const TYPES = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array };

function lines(view) {
  return new TextDecoder().decode(bytes(view)).split("\n");
}

function column(spec) {
  const made = { ...spec };
  if (spec.kind === "code") made.codes = new TYPES[spec.width](bytes(spec.codes));
  if (spec.kind === "time") made.seconds = new Uint32Array(bytes(spec.seconds));
  if (spec.kind === "number") made.numbers = new Float64Array(bytes(spec.numbers));
  if (spec.kind === "id") made.ids = lines(spec.ids);
  if (spec.words) made.words = lines(spec.words);
  return made;
}

const TWO = (value) => String(value).padStart(2, "0");
const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

function shown(one, row, texts) {
  if (one.kind === "code") return one.values[one.codes[row]];
  if (one.kind === "id") return one.ids[row];
  if (one.words) return one.words[row]; // times and numbers that are sorted by value but shown as other text
  if (one.kind === "number") return Number.isNaN(one.numbers[row]) ? NOTHING : number(one.numbers[row]);
  if (one.kind === "time") {
    if (one.seconds[row] === MISSING) return NOTHING;
    const at = new Date(one.seconds[row] * 1000);
    const year = one.years ? `${at.getUTCFullYear()} ` : "";
    return `${DAYS[at.getUTCDay()]} ${TWO(at.getUTCDate())} ${MONTHS[at.getUTCMonth()]} ${year}${TWO(at.getUTCHours())}:${TWO(at.getUTCMinutes())}`;
  }
  return own(texts.get(row), one.name) ?? "…";
}

/** The rows that match filters and search, in order, and how many each value of a facet would match. */
class Selection {
  constructor(table, wanted) {
    this.length = table.length ?? 0;
    this.columns = (table.columns ?? []).map(column);
    this.facets = this.columns.filter((one) => one.facet);
    this.facets.forEach((facet) => { facet.values = [...facet.values, ...(own(wanted, facet.name) ?? []).filter((value) => !facet.values.includes(value))]; });
    this.times = this.columns.find((one) => one.kind === "time");
    this.found = null; // rows whose texts match the search, as found by the kernel
  }

  apply(view) {
    const { length, facets } = this;
    const fail = new Uint16Array(length), last = new Uint16Array(length); // how many filters a row fails, and the facet of the last
    const miss = (row, at) => { fail[row] += 1; last[row] = at; };
    facets.forEach((facet, at) => {
      const wanted = own(view.facets, facet.name) ?? [];
      if (!wanted.length) return;
      const keep = Uint8Array.from(facet.values, (value) => (wanted.includes(value) ? 1 : 0));
      for (let row = 0; row < length; row += 1) if (!keep[facet.codes[row]]) miss(row, at);
    });
    if (view.days && this.times) {
      const from = view.days[0] ? Date.parse(`${view.days[0]}T00:00Z`) / 1000 : 0;
      const until = view.days[1] ? Date.parse(`${view.days[1]}T00:00Z`) / 1000 + 86400 : MISSING;
      const { seconds } = this.times;
      for (let row = 0; row < length; row += 1) if (seconds[row] === MISSING || seconds[row] < from || seconds[row] >= until) miss(row, facets.length);
    }
    const words = (view.search ?? "").toLowerCase().split(/\s+/).filter(Boolean);
    if (words.length) this.search(words, (row) => miss(row, facets.length));
    this.counts = facets.map((facet, at) => {
      const counts = new Uint32Array(facet.values.length);
      for (let row = 0; row < length; row += 1) if (!fail[row] || (fail[row] === 1 && last[row] === at)) counts[facet.codes[row]] += 1;
      return counts;
    });
    const order = this.order(view.sort);
    const rows = new Uint32Array(length);
    let count = 0;
    for (let at = 0; at < length; at += 1) if (!fail[order[at]]) rows[count++] = order[at];
    this.fail = fail;
    this.rows = rows.subarray(0, count);
  }

  search(words, miss) {
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
        if (!hit) { miss(row); break; }
      }
    }
  }

  /** The rank of each row's word among all words; MISSING for missing ones. */
  ranks(one) {
    const values = one.kind === "code" ? one.values : one.ids;
    const ranked = Uint32Array.from(values, (_, at) => at).sort((a, b) => (values[a] < values[b] ? -1 : values[a] > values[b] ? 1 : 0));
    const place = new Uint32Array(values.length);
    ranked.forEach((at, position) => { place[at] = values[at] === NOTHING ? MISSING : position; });
    return one.kind === "code" ? Uint32Array.from(one.codes, (code) => place[code]) : place;
  }

  /** All rows in order; missing values come last in either direction, as in pandas. */
  order(sort) {
    const key = JSON.stringify(sort ?? null);
    if (this.sorted === key) return this.cached;
    const { length } = this, one = this.columns.find((each) => each.name === sort?.column);
    let order = Uint32Array.from({ length }, (_, row) => row);
    if (one?.kind === "number") {
      const turn = sort.down ? -1 : 1, { numbers } = one;
      order.sort((a, b) => Number.isNaN(numbers[a]) - Number.isNaN(numbers[b]) || turn * (numbers[a] - numbers[b]) || a - b);
    } else if (one && one.kind !== "text") {
      const ranks = one.kind === "time" ? one.seconds : this.ranks(one);
      // rank and row in one number, so that the built-in sort of numbers works without a comparison function
      const keys = Float64Array.from(ranks, (rank, row) => (sort.down && rank !== MISSING ? MISSING - 1 - rank : rank) * length + row).sort();
      order = Uint32Array.from(keys, (each) => each % length);
    }
    this.sorted = key;
    this.cached = order;
    return order;
  }
}
