// The whole widget: the model's state, tabs, the plan that was seen, and Run.

class Live {
  constructor(model, el) {
    this.model = model;
    this.id = `vx-${model.get("state").id}-${Math.random().toString(36).slice(2, 8)}`;
    this.seen = null; // fingerprint of the plan that this page has shown to a person
    this.awaits = false; // whether a plan that this page requested is pending
    this.pressed = null; // number of the plan that this page requested to run, until the kernel answers
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
    this.hello();
  }

  get state() { return this.model.get("state") ?? {}; }

  /** The element with the focus, also within a shadow root. */
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
    this.planning = [this.plan, h("label", {}, "Canary ", this.canary), this.options];
    this.bar.append(...this.planning, h("label", { class: "vx-grow" }, "Reason ", this.reason), this.run, this.hint);
    const { form } = this.view;
    this.canary.value = form?.canary ?? 0;
    this.reason.value = form?.reason ?? "";
    this.root.append(h("div", { class: "vx-top" }, this.title, this.facts, this.top), this.busy, this.problem, this.tabs, this.panes, this.bar);
  }

  listen() {
    // A number or a cause was clicked to see its rows; a form in the details was filled in.
    this.root.addEventListener("vx-pick", ({ detail }) => this.narrow(detail));
    this.root.addEventListener("vx-form", ({ detail }) => this.doForm(detail));
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

  /** Write a change into the model, and remember that this page made it. */
  save(change) {
    if (change.view) this.view = change.view;
    const next = { view: this.model.get("view"), ticks: this.model.get("ticks"), ...change };
    this.mine = JSON.stringify([next.view, next.ticks]); // set before the model reports the change
    for (const [name, value] of Object.entries(change)) this.model.set(name, value);
    this.model.save_changes();
  }

  send(message) {
    this.model.send({ ...message, page: this.id });
    clearTimeout(this.doubt);
    const before = this.answers;
    this.doubt = setTimeout(() => {
      if (this.answers === before) this.doubtful(true);
    }, PATIENCE);
  }

  /** Ask for the present state: this page missed what was sent while it loaded. */
  hello() { this.send({ do: "hello", version: this.model.get("table")?.version }); }

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
    this.hello(); // a live kernel answers
  }

  dead(yes) {
    if (Boolean(this.gone) === yes) return;
    this.gone = yes;
    this.root.classList.toggle("vx-gone", yes);
    this.update(); // and all buttons, which would reach no kernel
  }

  complain() {
    const { state } = this, said = [], of = state.at || "an earlier moment";
    if (this.gone) said.push(`The kernel that ran this is gone: what you see is of ${of}, and nothing here can be pressed. ${state.attach ? `In the new kernel, ${state.attach} shows its run again.` : state.present}`);
    else if (this.silent) said.push(`The kernel has not answered for ${PATIENCE / 1000} s: it computes, or it is gone. What you see is of ${of}.`);
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
    if (before.search !== this.view.search) this.grid.ask(this.view.search ?? "");
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

  /** Discard the plan that was seen, since the choice has changed. */
  unseen() {
    this.seen = null;
    this.awaits = false;
    this.allow();
  }

  chosen(count, ticked, plans) {
    this.count = count;
    this.plans = plans;
    this.ticking = ticked;
    this.allow();
  }

  /** The choice of rows, sent with each request for a plan: changes of the model may be delayed, messages are not. */
  choice() { return { view: this.view, ticks: this.model.get("ticks") }; }

  doPlan() {
    this.awaits = true;
    this.before = this.state.plan?.number;
    this.run.disabled = true;
    this.form();
    this.send({ do: "plan", rows: pack(this.grid.chosen().chosen), version: this.grid.version, ...this.choice() });
  }

  /** Show only the rows with one value of a facet. */
  narrow({ facet, value }) {
    const known = this.grid?.selection.facets.find((one) => one.name === facet);
    if (!known?.values.includes(value)) return;
    this.grid.look({ facets: { ...this.view.facets, [facet]: [value] } });
    this.grid.mark(known);
    this.pick("rows", true);
  }

  doForm({ do: what, values }) {
    if (!this.grid || this.gone) return;
    this.awaits = true;
    this.before = this.state.plan?.number;
    this.send({ do: what, row: this.grid.opened, version: this.grid.version, values, ...this.choice() });
  }

  doRun() {
    const { plan } = this.state;
    if (!plan) return;
    if (this.seen !== plan.fingerprint) { // this page has not shown it yet
      this.seen = plan.fingerprint;
      this.pick("plan");
      this.allow();
      return;
    }
    if (this.active() === this.run) this.made[this.current].tab.focus({ preventScroll: true }); // else the keyboard loses its place
    this.pressed = plan.number;
    this.form();
    this.send({ do: "run", plan: this.seen, reason: this.reason.value });
  }

  update() {
    const { state } = this;
    this.title.textContent = state.title ?? "";
    this.title.hidden = !state.title;
    draw(this.facts, state.facts ?? []);
    if (this.busy.textContent !== (state.busy ?? "")) this.busy.textContent = state.busy ?? "";
    this.root.classList.toggle("vx-reading", Boolean(state.busy)); // the rows shown are not the requested ones
    this.complain();
    if (state.problem) this.pressed = null; // it may be tried again
    if (this.awaits && state.plan && state.plan.page === this.id && state.plan.number !== this.before) {
      this.awaits = false;
      this.seen = state.plan.fingerprint;
      this.stage = "another"; // also if one plan follows another: a plan counts as seen when its tab is opened
    }
    this.selects(state.selects ?? [], state.buttons ?? []);
    this.optional(state.options ?? []);
    this.tabbed(state.tabs ?? []);
    if (state.stage !== this.stage) {
      const first = this.stage === undefined;
      this.stage = state.stage;
      this.pick(state.stage, !first);
    }
    // A panel that plans no rows may still plan the failed rows of a run.
    this.bar.hidden = !state.acts && !state.plan;
    this.planning.forEach((each) => { each.hidden = !state.acts; });
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
    selects.forEach((each) => Object.assign(this.chosenIn[each.name], { value: each.value, disabled: Boolean(this.gone) }));
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
    this.before = this.state.plan?.number;
    this.send({ do: button.do, about: button.about, ...(button.plans ? this.choice() : {}) });
  }

  /** Enable the buttons that make sense; move a focus that would be lost to the next enabled button, or to the tab. */
  enable(buttons, where) {
    const nodes = buttons.map((each) => this.made[`${where}-${each.do}`]);
    const focused = nodes.find((node) => node === this.active());
    buttons.forEach((each, at) => { nodes[at].disabled = !each.enabled || this.gone; });
    if (focused?.disabled) (nodes.find((node) => !node.disabled) ?? this.made[this.current]?.tab)?.focus({ preventScroll: true });
  }

  /** Redraw buttons that have changed; the focus stays on the button that does the same. */
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

  /** Enable what makes sense now; the kernel checks every message again. */
  allow() {
    if (this.bar.hidden) return;
    const { plan, acting } = this.state, reason = this.reason.value.trim();
    const open = !this.gone && !acting && !this.state.busy;
    this.plan.textContent = this.count === undefined ? "Plan" : this.ticking ? `Plan the ${many(this.count, "row")} ticked` : `Plan all ${many(this.count, "row")} that match`;
    // Where an option is ticked, the kernel may plan what it would not plan otherwise.
    const forced = Object.keys(this.view.form ?? {}).some((name) => !["canary", "reason"].includes(name) && this.view.form[name]);
    this.plan.disabled = !open || !this.grid || !this.count || !(this.plans || forced);
    this.reason.classList.toggle("vx-needed", Boolean(plan?.eligible) && !reason && open);
    this.reason.placeholder = plan?.eligible ? "needed to run: why, for the audit trail" : "why, for the audit trail";
    const looked = plan && this.seen === plan.fingerprint;
    this.run.textContent = plan && !looked ? "Look at the plan" : plan?.eligible ? `Run the plan: send ${number(plan.eligible)}` : "Run the plan";
    this.run.disabled = !open || this.awaits || !plan?.eligible || this.pressed === plan.number || (looked && !reason);
    let hint = "";
    if (open && plan?.eligible) hint = !looked ? "this page has not shown the plan yet" : reason ? "" : "a reason is needed to run it";
    else if (open && plan) hint = "nothing in it can be sent";
    else if (acting) hint = "a run is in progress";
    else if (open && this.count && this.plan.disabled) hint = "none of these rows can be planned: each needs a person first";
    if (this.hint.textContent !== hint) this.hint.textContent = hint;
  }

  /** Hide the static copies, present and future, by a style rule while this widget lives: they are for pages without a kernel. */
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
