"use strict";
// What the reader has chosen stands in the address, so that a view can be sent.
let state;
const MAX_BARS = 40, MAX_CURVES = 6, MAX_LABELS = 8;
const COLORS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
const VERDICTS = { best: "#0072b2", "no clear difference": "#56b4e9", worse: "#d55e00", "too few seeds": "#999999", "cannot be told": "#999999" };
const natural = new Intl.Collator(undefined, { numeric: true });
const tables = JSON.parse(document.getElementById("tables").text);
const sections = [...document.querySelectorAll("section")].map((element, index) => {
  const bodies = [...element.querySelectorAll("tbody[id]")];
  const texts = new Map(bodies.map((body) => [body, body.textContent.toLowerCase()]));
  const rows = Object.fromEntries(tables[index].rows.map((row) => [row.id, row]));
  return { element, bodies, texts, rows, keys: tables[index].parameters, order: bodies, views: [], drawn: "" };
});

const chosen = (key) => (state.get(key) || "").split(" ").filter(Boolean);
function choose(key, value) {
  if (value) state.set(key, value); else state.delete(key);
  history.replaceState(null, "", `#${state}`);
  sections.forEach(show);
}
function toggle(key, id) {
  const others = chosen(key).filter((other) => other !== id);
  choose(key, (others.length < chosen(key).length ? others : [...others, id]).join(" "));
}
// Numbers by size, other texts by name.
function compare(a, b) {
  const [x, y] = [Number(a), Number(b)];
  return Number.isNaN(x) || Number.isNaN(y) ? natural.compare(a, b) : x - y;
}

document.addEventListener("click", ({ target }) => {
  const name = target.textContent, sort = state.get("sort"), id = target.closest("tbody[id]")?.id;
  if (target.matches("thead button")) choose("sort", sort === name ? `-${name}` : sort === `-${name}` ? "" : name);
  if (target.matches("td button")) toggle("open", id);
  if (target.matches("[type=checkbox]")) toggle("select", id);
});
document.addEventListener("input", ({ target }) => {
  if (target.matches("[type=search]")) choose("filter", target.value);
  if (target.matches("select")) choose("by", target.value);
});
document.addEventListener("mouseover", ({ target }) => { if (target.closest(".runs")) highlight(target.closest("tbody[id]")?.id); });
let hot = "";
function highlight(id = "") {
  if (id === hot) return;
  for (const [row, on] of [[hot, false], [id, true]]) document.getElementById(row)?.classList.toggle("hot", on);
  hot = id;
  for (const view of sections.flatMap((section) => section.views)) view.signal("hot", id).runAsync();
}

function show(section) {
  const { element, bodies, rows, texts, keys } = section;
  const headers = [...element.querySelectorAll("thead button")];
  const names = headers.map((button) => button.textContent), sort = state.get("sort") || "";
  const at = Math.max(names.indexOf(sort), names.indexOf(sort.slice(1)));
  const descending = at >= 0 && sort !== names[at];
  headers.forEach((button, column) => button.parentElement.setAttribute("aria-sort", column !== at ? "none" : descending ? "descending" : "ascending"));
  const cell = (body) => body.rows[0].cells[at + 1].textContent;
  const order = at < 0 ? bodies : [...bodies].sort((a, b) => (descending ? -1 : 1) * compare(cell(a), cell(b)));
  // A row that is moved would lose the focus.
  if (order.some((body, place) => body !== section.order[place])) bodies[0].parentElement.append(...order);
  section.order = order;

  const wanted = (state.get("filter") || "").toLowerCase(), open = chosen("open"), selected = chosen("select");
  for (const body of bodies) {
    body.hidden = !texts.get(body).includes(wanted);
    body.rows[1].hidden = !open.includes(body.id);
    body.querySelector("td button").setAttribute("aria-expanded", open.includes(body.id));
    body.querySelector("input").checked = selected.includes(body.id);
  }
  const picked = selected.filter((id) => Object.hasOwn(rows, id)).map((id) => rows[id]), [first, second] = picked;
  const code = Object.assign(document.createElement("code"), { textContent: `make compare REV=${first?.rev} REV2=${second?.rev}` });
  element.querySelector(".command").replaceChildren(picked.length !== 2 ? "Select two rows for the command that compares them."
    : first.model !== second.model ? "Two different models: make result compares those of one run." : code);

  const by = keys.includes(state.get("by")) ? state.get("by") : keys[0];
  const shown = order.filter((body) => !body.hidden).map((body) => rows[body.id]);
  const asked = JSON.stringify([shown.map((row) => row.id), selected, by]);
  if (asked === section.drawn) return;
  section.drawn = asked;
  clearTimeout(section.timer);
  section.timer = setTimeout(() => drawAll(section, shown, picked, by), 150);
}

async function drawAll(section, shown, picked, by) {
  const [bars, curves, scatter, lines] = section.element.querySelectorAll(".chart");
  const first = shown.slice(0, MAX_BARS), specs = new Map();
  if (bars) {
    section.element.querySelector(".charts span").textContent = first.length < shown.length ? `; the first ${MAX_BARS} of ${shown.length} rows` : "";
    specs.set(bars, accuracies(first, bars.clientWidth));
    specs.set(curves, learning(picked.length ? picked.slice(0, MAX_CURVES) : first.slice(0, 4)));
  }
  if (scatter) {
    section.element.querySelector("select").value = by;
    specs.set(scatter, parameter(shown, by));
  }
  if (lines) specs.set(lines, parallel(shown, section.keys, lines.clientWidth));
  section.views = [];
  for (const [element, spec] of specs) {
    // A filter may leave nothing to draw.
    if (!spec.data.values.length) { element.replaceChildren(); continue; }
    const view = await draw(element, { width: "container", autosize: { type: "fit-x" }, params: [{ name: "hot", value: "" }], ...spec });
    view.addEventListener("mouseover", (event, item) => highlight(item?.datum?.id));
    view.addEventListener("mouseout", () => highlight());
    section.views.push(view);
  }
}

const opacity = { condition: { test: "!hot || hot === datum.id", value: 1 }, value: .15 };
const accuracy = { type: "quantitative", title: "validation accuracy", scale: { zero: false }, axis: { format: ".4~f" } };
const nominal = (field, options) => ({ field, type: "nominal", title: null, sort: null, ...options });
const tooltip = (...fields) => fields.map((field) => nominal(field, { title: field === "verdict" ? "vs. best" : field }));
const ofRow = tooltip("row", "accuracy", "std", "seeds", "verdict", "run");
function verdicts(rows) {
  const domain = Object.keys(VERDICTS).filter((name) => rows.some((row) => row.verdict === name));
  return nominal("verdict", { scale: { domain, range: domain.map((name) => VERDICTS[name]) } });
}
// Values along an axis, "x" or "y": from low to high, and their accuracy.
const between = (axis, mark) => ({ mark, encoding: { [axis]: { ...accuracy, field: "low" }, [`${axis}2`]: { field: "high" } } });
const mean = (axis, mark, encoding) => ({ mark, encoding: { [axis]: { ...accuracy, field: "accuracy" }, ...encoding } });
const RULE = { type: "rule", strokeWidth: 2 }, POINT = { type: "point", filled: true, size: 70 };

// Each row's mean and interval, one below the other.
function accuracies(rows, width) {
  const color = verdicts(rows), shape = { ...color, scale: { domain: color.scale.domain } };
  const y = nominal("row", { axis: { labelLimit: width * .45, grid: true } });
  return { data: { values: rows }, height: 18 * rows.length, encoding: { y, color, opacity }, layer: [between("x", RULE), mean("x", POINT, { shape, tooltip: ofRow })] };
}

// Each row's mean and interval at its value of a parameter.
function parameter(rows, key) {
  const values = rows.filter((row) => Object.hasOwn(row.values, key)).map((row) => ({ ...row, value: row.values[key] }));
  const sizes = values.map((row) => Number(row.value)), low = Math.min(...sizes), high = Math.max(...sizes);
  const x = sizes.some(Number.isNaN) ? nominal("value", { title: key, axis: { labelAngle: 0 } })
    : { field: "value", type: "quantitative", title: key, axis: { format: ".6~g" }, scale: low > 0 && high / low > 30 ? { type: "log" } : { zero: false } };
  const shape = new Set(rows.map((row) => row.model)).size > 1 ? nominal("model") : undefined;
  return { data: { values }, height: 300, encoding: { x, color: verdicts(values), opacity }, layer: [between("y", RULE), mean("y", POINT, { shape, tooltip: ofRow })] };
}

// The mean of some rows after each epoch, and a standard deviation on both sides of it.
function learning(rows) {
  const values = rows.flatMap(({ id, row, curve }) => curve.map((after, epoch) => (
    { id, row, ...after, epoch: epoch + 1, low: after.accuracy - after.std, high: after.accuracy + after.std })));
  const x = { field: "epoch", type: "quantitative", scale: { zero: false, nice: false }, axis: { tickMinStep: 1, format: "d" } };
  const color = nominal("row", { scale: { range: COLORS }, legend: { columns: 1, symbolOpacity: 1 } });
  const line = { type: "line", point: { filled: true, size: 40 } };
  return { data: { values }, height: 300, encoding: { x, color }, layer: [between("y", { type: "area", opacity: .15 }), mean("y", line, { opacity, tooltip: tooltip("row", "epoch", "accuracy", "std", "seeds") })] };
}

// A line for each row, from axis to axis.
function parallel(rows, keys, room) {
  const values = [], labels = [], axes = [...keys, "accuracy"];
  for (const [at, axis] of axes.entries()) {
    const last = at === keys.length, value = (row) => (last ? row.accuracy : Object.hasOwn(row.values, axis) ? row.values[axis] : "-");
    const distinct = [...new Set(rows.map(value))].sort(compare), top = distinct.at(-1), steps = distinct.length - 1;
    const place = (item) => (!steps ? .5 : last ? (item - distinct[0]) / (top - distinct[0]) : distinct.indexOf(item) / steps);
    values.push(...rows.map((row) => ({ ...row, at, place: place(value(row)) })));
    const shown = distinct.filter((item, rank) => rank % (last ? steps || 1 : Math.ceil(distinct.length / MAX_LABELS)) === 0);
    labels.push({ at, place: 1.1, text: axis }, ...shown.map((item) => ({ at, place: place(item), text: last ? item.toFixed(4) : item })));
  }
  const x = nominal("at", { scale: { padding: .3 }, axis: { grid: true, gridOpacity: .5, labels: false, domain: false, ticks: false } });
  const y = { field: "place", type: "quantitative", axis: null, scale: { domain: [0, 1.1] } };
  return {
    width: Math.max(room, 120 * axes.length), height: 320, data: { values },
    layer: [
      { mark: { type: "line", strokeWidth: 2 }, encoding: { x, y, detail: { field: "id" }, color: verdicts(rows), opacity, tooltip: ofRow } },
      { data: { values: labels }, mark: { type: "text", align: "left", dx: 8, fontSize: 12, fill: "currentColor" }, encoding: { x, y, text: { field: "text" } } },
    ],
  };
}

addEventListener("hashchange", start);
function start() {
  state = new URLSearchParams(location.hash.slice(1));
  document.querySelector("[type=search]").value = state.get("filter") || "";
  sections.forEach(show);
}
start();
