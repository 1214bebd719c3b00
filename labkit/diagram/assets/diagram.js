// The page of the living diagram: it draws what Python sends, and asks Python for the rest.
// A plain module for anywidget (https://anywidget.dev): no build step, and nothing is fetched.
// Every text of a model goes into the page as text, never as HTML.

const SVG = "http://www.w3.org/2000/svg";
const NO_ANSWER_MS = 30000;
const SIGNS = {
  good: "✓", bad: "✗", plain: "–", unknown: "?",
  open: "●", accepted: "☑", residual: "◐", mitigated: "✓", absent: "–",
};
const CHANGES = {
  changed: "changed by the chosen controls",
  new: "new with the chosen controls",
  gone: "gone with the chosen controls",
};
let pages = 0;

function put(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? "" : value);
    }
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
  return element;
}
const h = (tag, attributes, ...children) =>
  put(document.createElement(tag), attributes, children);
const s = (tag, attributes, ...children) =>
  put(document.createElementNS(SVG, tag), attributes, children);

function count(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

// A word with a sign and a border: "unknown" has a dashed border, also without colours.
function chip(kind, word) {
  return h("span", { class: `lkd-chip lkd-${kind}` },
    h("span", { "aria-hidden": "true" }, `${SIGNS[kind] || "–"} `), word);
}

class Page {
  constructor(model, el) {
    this.model = model;
    this.name = `lkd${(pages += 1)}`;
    this.number = 0;
    this.waiting = new Map();
    this.sent = null; // the flips that were asked for and are not shown yet
    this.chosen = null; // what the details show: {kind, id}
    this.found = null; // the attack paths that were asked for
    this.path = 0;
    this.step = 0;
    this.scene = model.get("scene");
    this.build(el);
    this.onMessage = (message) => this.receive(message);
    this.onScene = () => {
      // the steps of an earlier answer may not exist any more
      this.found = null;
      this.steps.replaceChildren();
      this.show(model.get("scene"));
    };
    model.on("msg:custom", this.onMessage);
    model.on("change:scene", this.onScene);
    this.show(this.scene);
    this.details("", h("p", {}, "Choose a channel, a component or a control."));
  }

  close() {
    this.model.off("msg:custom", this.onMessage);
    this.model.off("change:scene", this.onScene);
    for (const entry of this.waiting.values()) clearInterval(entry.timer);
  }

  build(el) {
    // JupyterLab would take the arrows, Enter and letters as its own shortcuts
    el.addEventListener("keydown", (event) => {
      const forNotebook = event.ctrlKey || event.metaKey || event.altKey
        || (event.shiftKey && event.key === "Enter");
      if (!forNotebook) event.stopPropagation();
    });
    this.title = h("strong", { class: "lkd-title" });
    this.legend = h("ul", { class: "lkd-legend", "aria-label": "Lines" });
    this.picture = h("div", { class: "lkd-picture" });
    this.pane = h("section", {
      class: "lkd-details", "aria-label": "Details", "aria-live": "polite",
    });
    this.status = h("p", { class: "lkd-status", role: "status" });
    this.controls = h("ul", { class: "lkd-controls", "aria-label": "Controls" });
    this.effect = h("div", { class: "lkd-effect", "aria-live": "polite" });
    this.start = h("select", { id: `${this.name}-start` });
    this.goal = h("select", { id: `${this.name}-goal` });
    this.steps = h("div", { class: "lkd-paths", "aria-live": "polite" });
    const reset = h("button", {
      type: "button", class: "lkd-reset", onclick: () => this.flip({}),
    }, "Back to the start");
    const find = h("button", {
      type: "button", class: "lkd-find", onclick: () => this.findPaths(),
    }, "Find paths");
    el.append(h("div", { class: "lkd" },
      h("div", { class: "lkd-head" }, this.title, this.legend),
      this.status,
      h("div", { class: "lkd-main" },
        this.picture,
        h("div", { class: "lkd-side" },
          this.pane,
          h("details", { class: "lkd-part", open: true },
            h("summary", {}, "Controls"),
            h("div", { class: "lkd-buttons" }, reset), this.effect, this.controls),
          h("details", { class: "lkd-part", open: true },
            h("summary", {}, "Attack paths"),
            h("div", { class: "lkd-buttons" },
              h("label", { for: this.start.id }, "from "), this.start,
              h("label", { for: this.goal.id }, " to "), this.goal, find),
            this.steps)))));
  }

  // -- messages ---------------------------------------------------------------------------

  ask(question, answered) {
    const number = (this.number += 1);
    const began = Date.now();
    const entry = { answered, progress: "", long: question.ask === "flip in lab" };
    const seconds = () => Math.round((Date.now() - began) / 1000);
    entry.timer = setInterval(() => {
      if (entry.long) this.say(`${entry.progress || "the lab is asked"} … ${seconds()} s`, "busy");
      else if (Date.now() - began > NO_ANSWER_MS) {
        this.finish(number);
        this.say("There is no answer. Is the kernel running? Run the cell again.", "error");
      }
    }, 1000);
    this.waiting.set(number, entry);
    this.say(entry.long ? "The lab is asked …" : "The model is asked …", "busy");
    this.model.send({ ...question, number });
  }

  finish(number) {
    this.sent = null;
    const entry = this.waiting.get(number);
    if (entry) clearInterval(entry.timer);
    this.waiting.delete(number);
    return entry;
  }

  receive(message) {
    const entry = this.waiting.get(message.number);
    if (!entry) return; // another view of the same widget asked
    if (message.progress !== undefined) {
      entry.progress = message.progress;
      return;
    }
    this.finish(message.number);
    if (message.error !== undefined) this.say(message.error, "error");
    else {
      this.say("", "");
      entry.answered(message.answer);
    }
  }

  say(text, kind) {
    this.status.textContent = text;
    this.status.className = `lkd-status ${kind ? `lkd-is-${kind}` : ""}`;
  }

  // -- the picture ------------------------------------------------------------------------

  show(scene) {
    const focused = this.picture.contains(document.activeElement)
      ? document.activeElement.getAttribute("data-key") : null;
    this.scene = scene;
    this.title.textContent = `${scene.name}: ${scene.findings}`;
    this.draw();
    this.showLegend();
    this.redraw(this.controls, () => this.showControls());
    this.fill(this.start, scene.starts);
    this.fill(this.goal, scene.goals);
    if (this.chosen) {
      this.redraw(this.pane, () => this.choose(this.chosen.kind, this.chosen.id));
    }
    if (focused) {
      const again = [...this.picture.querySelectorAll("[data-key]")]
        .find((it) => it.getAttribute("data-key") === focused);
      if (again) this.focus(again);
    }
  }

  showLegend() {
    const used = new Set(this.scene.lines.map((line) => line.protection));
    const looks = Object.entries(this.scene.protections).filter(([name]) => used.has(name));
    this.legend.replaceChildren(...looks.map(([name, look]) => h("li", {},
      s("svg", { width: 46, height: 10, "aria-hidden": "true" },
        s("path", { d: "M1 5H45", stroke: look.colour, "stroke-width": look.width,
          "stroke-dasharray": look.dashes || "none" })),
      name === "unknown" ? `? ${look.legend}` : look.legend)));
  }

  draw() {
    const { size, frames, boxes, lines, protections } = this.scene;
    const markers = Object.entries(protections).map(([name, look]) =>
      s("marker", { id: `${this.name}-${name}`, viewBox: "0 0 10 10", refX: 9, refY: 5,
        markerWidth: 11, markerHeight: 11, markerUnits: "userSpaceOnUse", orient: "auto" },
      s("path", { d: "M0 0L10 5L0 10z", fill: look.colour })));
    const drawn = lines.map((line) => this.drawLine(line));
    const items = s("g", { role: "group", "aria-label": `Channels of ${this.scene.name}` },
      drawn.map((it) => it.line));
    const parts = s("g", { role: "group", "aria-label": `Components of ${this.scene.name}` },
      boxes.map((box) => this.drawBox(box)));
    this.badges = s("g", { class: "lkd-badges", "aria-hidden": "true" });
    this.picture.replaceChildren(s("svg", {
      viewBox: `0 0 ${size[0]} ${size[1]}`, role: "group",
      "aria-label": `Diagram of ${this.scene.name}. Arrow keys move to the next channel or `
        + "component, Enter shows its details.",
    },
    s("defs", {}, markers),
    frames.map((frame) => [
      s("rect", { class: "lkd-frame", x: frame.x, y: frame.y, width: frame.width,
        height: frame.height, rx: 10 }),
      s("text", { class: "lkd-machine", x: frame.x + frame.width - 10, y: frame.y + 20 },
        frame.name),
    ]), items, parts, drawn.map((it) => it.label), this.badges));
    for (const group of [items, parts]) this.rove(group);
    this.mark();
  }

  drawLine(line) {
    const look = this.scene.protections[line.protection];
    const told = line.channels.map((id) => this.told(id)).join("; ");
    const change = line.channels.map((id) => this.scene.channels[id].change).find((it) => it) || "";
    const element = s("g", { class: `lkd-line ${change ? "lkd-changed" : ""}`, role: "button",
      tabindex: -1, "aria-label": told, "data-key": line.channels.join(" ") },
    s("title", {}, told),
    s("path", { class: "lkd-halo", d: line.path }),
    s("path", { class: "lkd-stroke", d: line.path, stroke: look.colour,
      "stroke-width": look.width, "stroke-dasharray": look.dashes || "none",
      "marker-end": `url(#${this.name}-${line.protection})` }),
    s("path", { class: "lkd-reach", d: line.path }));
    element.lkd = { kind: "line", id: line.channels };
    this.listen(element);
    const at = line.label;
    if (!at) return { line: element, label: null };
    const text = change ? `${at.text} ≠` : at.text;
    const width = at.width + (change ? 16 : 0);
    return {
      line: element,
      label: s("g", { class: "lkd-label", "aria-hidden": "true",
        onclick: () => this.choose("line", line.channels) },
      s("rect", { x: at.x - width / 2, y: at.y - at.height / 2, width,
        height: at.height, rx: 4, stroke: look.colour,
        "stroke-dasharray": line.protection === "unknown" ? "3 2" : "none" }),
      s("text", { x: at.x, y: at.y + 4 }, text)),
    };
  }

  drawBox(box) {
    const name = box.components.join(", ") || box.text.join("");
    const element = s("g", { class: "lkd-box", role: "button", tabindex: -1,
      "aria-label": `component ${name}`, "data-key": name },
    s("title", {}, name),
    s("rect", { x: box.x, y: box.y, width: box.width, height: box.height, rx: 7 }),
    box.text.map((line, number) => s("text", { x: box.x + box.width / 2,
      y: box.y + box.height / 2 + 4 + (number - (box.text.length - 1) / 2) * 15 }, line)));
    element.lkd = { kind: "box", id: box.components };
    this.listen(element);
    return element;
  }

  // What a screen reader says of a channel.
  told(id) {
    const it = this.scene.channels[id];
    const claims = it.claims.map((claim) => `${claim.property} ${claim.value}`).join(", ");
    const legend = this.scene.protections[it.protection].legend;
    const change = it.change ? `; ${CHANGES[it.change]}` : "";
    return `channel ${id}: ${it.change === "gone" ? "" : `${legend}; `}${claims}${change}`;
  }

  listen(element) {
    element.addEventListener("click", () => this.activate(element));
    element.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        event.stopPropagation();
        this.activate(element);
      }
    });
  }

  activate(element) {
    this.focus(element);
    this.choose(element.lkd.kind, element.lkd.id);
  }

  // One element of a group is in the order of Tab; the arrows move to the others.
  rove(group) {
    if (group.firstElementChild) group.firstElementChild.setAttribute("tabindex", "0");
    group.addEventListener("keydown", (event) => {
      const items = [...group.children];
      const at = items.indexOf(document.activeElement);
      const to = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1,
        Home: 0, End: items.length - 1 }[event.key];
      if (to === undefined || at < 0) return;
      event.preventDefault();
      event.stopPropagation();
      this.focus(items[(to + items.length) % items.length]);
    });
  }

  focus(element) {
    for (const it of element.parentNode.children) it.setAttribute("tabindex", "-1");
    element.setAttribute("tabindex", "0");
    element.focus();
  }

  // Marks what is chosen, and the present step of an attack path.
  mark() {
    const path = this.found && this.found.paths[this.path];
    const step = path ? path.steps[this.step] : null;
    const uses = (ids, names) => ids.some((id) => names.includes(id));
    this.badges.replaceChildren();
    for (const element of this.picture.querySelectorAll(".lkd-line, .lkd-box")) {
      const { kind, id } = element.lkd;
      const list = this.chosen && this.chosen.kind === kind ? this.chosen.id : [];
      const is = id.length > 0 && JSON.stringify(list) === JSON.stringify(id);
      element.classList.toggle("lkd-chosen", is);
      element.setAttribute("aria-pressed", String(is));
      const hit = Boolean(step) && uses(id, kind === "line" ? step.channels : step.components);
      element.classList.toggle("lkd-hit", hit);
      element.classList.toggle("lkd-possible", hit && Boolean(step.unknown));
      if (hit) this.badge(element, step);
    }
  }

  badge(element, step) {
    let at;
    if (element.lkd.kind === "line") {
      const path = element.querySelector(".lkd-stroke");
      at = path.getPointAtLength(path.getTotalLength() * 0.2);
    } else {
      const rect = element.querySelector("rect");
      at = { x: Number(rect.getAttribute("x")), y: Number(rect.getAttribute("y")) };
    }
    this.badges.append(s("circle", { cx: at.x, cy: at.y, r: 12,
      class: step.unknown ? "lkd-possible" : "" }),
    s("text", { x: at.x, y: at.y + 5 }, `${this.step + 1}${step.unknown ? "?" : ""}`));
  }

  // -- the details ------------------------------------------------------------------------

  // Draws a part again; the button of the control that had the focus has it again.
  redraw(part, draw) {
    const active = part.contains(document.activeElement) ? document.activeElement : null;
    draw();
    const name = active && (active.dataset.control || active.dataset.lab);
    const again = name && [...part.querySelectorAll("[data-control]")]
      .find((it) => it.dataset.control === name);
    if (again) again.focus();
  }

  details(title, ...children) {
    this.pane.replaceChildren(
      ...(title ? [h("h4", { class: "lkd-h" }, title)] : []), ...children.flat(Infinity));
  }

  choose(kind, id) {
    this.chosen = { kind, id };
    if (kind === "line" && id.some((it) => !(it in this.scene.channels))) {
      this.chosen = null;
      this.details("", h("p", {}, "This channel does not exist with the chosen controls."));
    } else if (kind === "line") this.showLine(id);
    else if (kind === "box") this.showBox(id);
    this.mark();
  }

  showLine(ids) {
    if (ids.length === 1) {
      this.details(ids[0], this.channel(ids[0]));
      return;
    }
    this.details(count(ids.length, "channel"), h("ul", {}, ids.map((id) => h("li", {},
      h("button", { type: "button", onclick: () => this.details(id, this.channel(id)) }, id)))));
  }

  channel(id) {
    const it = this.scene.channels[id];
    const facts = [it.open ? "open" : it.change === "gone" ? "gone" : "closed",
      it.data.length ? `carries ${it.data.join(", ")}` : "",
      it.credential ? `credential: ${it.credential}` : "", CHANGES[it.change] || ""];
    return [
      h("p", {}, facts.filter((fact) => fact).join("; ")),
      h("ul", { class: "lkd-claims", "aria-label": "Claims" },
        it.claims.map((claim) => this.claim(claim))),
      this.findings(it.findings),
      it.controls.length
        ? h("p", {}, "Controls that help: ", it.controls.map((name) => this.toggle(name))) : null,
    ];
  }

  claim(claim) {
    const seen = claim.evidence;
    return h("li", {},
      h("span", { class: "lkd-property" }, claim.property), " ",
      chip(claim.kind, claim.value),
      claim.before ? ` (before: ${claim.before})` : "",
      claim.detail ? ` ${claim.detail}` : "",
      h("code", { class: "lkd-source" }, claim.source),
      seen ? h("div", { class: "lkd-evidence" },
        `probe: ${seen.verdict}; observed ${seen.observed || "nothing"}: ${seen.reason}`,
        seen.control ? `; the legitimate client: ${seen.control}` : "") : null);
  }

  findings(list) {
    const grave = list.filter((it) => it.state !== "mitigated");
    const rest = list.length - grave.length;
    return [
      h("p", {}, `${count(grave.length, "finding")}${rest ? `, and ${rest} mitigated` : ""}`),
      h("ul", { class: "lkd-findings", "aria-label": "Findings" }, grave.map((it) => h("li", {},
        chip(it.state, it.state), ` ${it.severity}: ${it.title}. ${it.explanation}`,
        it.technique ? h("span", { class: "lkd-soft" }, ` technique: ${it.technique}`) : null))),
    ];
  }

  showBox(names) {
    this.details(names.join(", "), names.map((name) => {
      const it = this.scene.components[name];
      const ids = Object.keys(this.scene.channels).filter((id) =>
        [this.scene.channels[id].client, this.scene.channels[id].server].includes(name));
      return [
        names.length > 1 ? h("h5", { class: "lkd-h" }, name) : null,
        it && it.claims.length ? h("ul", { class: "lkd-claims", "aria-label": "Claims" },
          it.claims.map((claim) => this.claim(claim))) : null,
        it ? this.findings(it.findings) : null,
        h("p", {}, count(ids.length, "channel")),
        h("ul", {}, ids.map((id) => h("li", {}, h("button", {
          type: "button", onclick: () => this.choose("line", [id]) }, id)))),
      ];
    }));
  }

  // -- the controls -----------------------------------------------------------------------

  control(name) {
    return this.scene.controls.find((it) => it.name === name);
  }

  wanted() {
    if (this.sent) return this.sent;
    const flipped = this.scene.controls.filter((it) => it.in_model !== it.from_start);
    return Object.fromEntries(flipped.map((it) => [it.name, it.in_model]));
  }

  toggle(name) {
    const it = this.control(name);
    if (!it) return name;
    const word = it.in_model ? "in place" : "missing";
    return h("button", { type: "button", class: "lkd-toggle", title: `${it.title}. ${it.why}`,
      "aria-pressed": String(it.in_model), "data-control": name,
      onclick: () => this.flip({ ...this.wanted(), [name]: !it.in_model }, name) },
    h("span", { "aria-hidden": "true" }, it.in_model ? "☑ " : "☐ "), name,
    h("span", { class: "lkd-soft" },
      ` ${word}${it.in_model !== it.from_start ? ", changed" : ""}`));
  }

  showControls() {
    this.controls.replaceChildren(...this.scene.controls.map((it) =>
      h("li", {}, this.toggle(it.name), this.inLab(it))));
    this.showEffect();
  }

  inLab(it) {
    if (it.in_lab === null || it.in_lab === it.in_model) return null;
    const word = it.in_model ? "put it in place" : "take it out";
    return h("button", { type: "button", class: "lkd-in-lab", "data-lab": it.name,
      onclick: () => this.flipInLab(it) }, `${word} in lab ${this.scene.lab}`);
  }

  flip(wanted, name) {
    this.sent = wanted;
    this.ask({ ask: "flip", wanted }, () => {
      const it = name && this.control(name);
      if (it) this.say(`${name} is ${it.in_model ? "in place" : "missing"} in the model.`, "");
    });
  }

  flipInLab(it) {
    const question = { ask: "flip in lab", control: it.name, on: it.in_model };
    this.ask(question, () => {
      this.say(`Lab ${this.scene.lab}: ${it.name} is ${it.in_model ? "in place" : "taken out"}. `
        + `Probes: ${this.scene.verified}.`, "");
    });
  }

  showEffect() {
    const { finding_changes: findings, path_changes: paths, channels } = this.scene;
    const flipped = Object.keys(this.wanted());
    if (!flipped.length) {
      this.effect.replaceChildren(h("p", {}, "Choose a control to see what it changes."));
      return;
    }
    const changed = Object.values(channels).filter((it) => it.change).length;
    const change = (it, text) => h("li", {}, text, ": ", chip(it.before, it.before), " → ",
      chip(it.after, it.after));
    this.effect.replaceChildren(
      h("p", {}, `Against the start, with ${flipped.join(", ")} changed: `
        + `${count(changed, "channel")}, ${count(findings.length, "finding")} and `
        + `${count(paths.length, "path")} differ.`),
      h("ul", { class: "lkd-changes", "aria-label": "Findings that changed" },
        findings.map((it) => change(it, `${it.severity}: ${it.title} at ${it.where}`))),
      h("ul", { class: "lkd-changes", "aria-label": "Paths that changed" },
        paths.map((it) => change(it, `path from ${it.start} to ${it.goal}`))));
  }

  // -- the attack paths -------------------------------------------------------------------

  fill(select, options) {
    const before = select.value;
    select.replaceChildren(...options.map((it) => h("option", { value: it.word }, it.text)));
    if (options.some((it) => it.word === before)) select.value = before;
  }

  findPaths() {
    const question = { ask: "paths", start: this.start.value, goal: this.goal.value };
    this.ask(question, (found) => {
      this.found = found;
      this.path = 0;
      this.step = 0;
      this.showPath(true);
    });
  }

  showPath(toFirst) {
    const { answer, paths, start, goal } = this.found;
    const title = `${start} → ${goal}: `;
    const path = paths[this.path];
    if (!path) {
      this.steps.replaceChildren(h("p", {}, title, chip("mitigated", answer)));
      this.mark();
      return;
    }
    const kind = answer === "possible" ? "unknown" : "open";
    const list = h("ol", { class: "lkd-steps", "aria-label": "Steps" },
      path.steps.map((step, number) => this.drawStep(step, number, path.steps.length)));
    list.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (by === undefined) return;
      event.preventDefault();
      event.stopPropagation();
      this.goTo(Math.min(path.steps.length - 1, Math.max(0, this.step + by)));
    });
    this.steps.replaceChildren(
      h("p", {}, title, chip(kind, answer),
        path.steps.length ? ` ${count(path.steps.length, "step")}, cost ${path.cost}`
          : " It is held from the start: no step is needed."),
      paths.length > 1 ? h("div", { class: "lkd-buttons", role: "group", "aria-label": "Paths" },
        paths.map((it, number) => h("button", { type: "button",
          "aria-pressed": String(number === this.path),
          onclick: () => { this.path = number; this.step = 0; this.showPath(true); } },
        `path ${number + 1}, cost ${it.cost}`))) : null,
      list);
    this.mark();
    if (toFirst) this.goTo(0);
  }

  drawStep(step, number, all) {
    const possible = Boolean(step.unknown);
    return h("li", { class: possible ? "lkd-step lkd-possible" : "lkd-step" },
      h("button", { type: "button", tabindex: number === this.step ? 0 : -1,
        "aria-current": number === this.step ? "step" : false,
        onclick: () => this.goTo(number) },
      h("span", { class: "lkd-soft" }, `step ${number + 1} of ${all} `),
      possible ? chip("unknown", "possible") : chip("open", "known"),
      ` ${step.name}: ${step.foothold} → ${step.grants.join(", ") || "nothing more"}`),
      number === this.step ? h("div", { class: "lkd-because" },
        possible ? h("p", {}, `To find out: ${step.unknown}`) : null,
        step.technique ? h("p", {}, `Technique: ${step.technique}`) : null,
        step.because.map((reason) => h("code", { class: "lkd-source" }, reason))) : null);
  }

  goTo(number) {
    this.step = number;
    this.showPath(false);
    const current = this.steps.querySelector('[aria-current="step"]');
    if (current) current.focus();
  }
}

export default {
  render({ model, el }) {
    const page = new Page(model, el);
    return () => page.close();
  },
};
