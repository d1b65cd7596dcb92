"use strict";
// What the reader has chosen stands in the address, so that a view can be sent.
let state = new URLSearchParams(location.hash.slice(1));
const MAX_BARS = 40, MAX_CURVES = 6, MAX_LABELS = 8;
const COLORS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
const VERDICTS = { best: "#0072b2", "no clear difference": "#56b4e9", worse: "#d55e00", "too few seeds": "#999999", "cannot be told": "#999999" };
const natural = new Intl.Collator(undefined, { numeric: true });

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

let hot = "";
function highlight(id = "") {
  if (id === hot) return;
  for (const [row, on] of [[hot, false], [id, true]]) document.getElementById(row)?.classList.toggle("hot", on);
  hot = id;
  for (const { views } of sections) for (const view of views) view?.signal("hot", id).runAsync();
}

const tables = JSON.parse(document.getElementById("tables").text);
const sections = [...document.querySelectorAll("section")].map((element, index) => {
  const table = tables[index];
  const bodies = [...element.querySelectorAll("tbody[id]")];
  const rows = Object.fromEntries(table.rows.map((row) => [row.id, row]));
  const texts = new Map(bodies.map((body) => [body, body.textContent.toLowerCase()]));
  const section = { element, table, bodies, rows, texts, order: bodies, views: [], drawn: "" };
  for (const button of element.querySelectorAll("thead button")) {
    button.onclick = () => {
      const name = button.textContent, now = state.get("sort");
      choose("sort", now === name ? `-${name}` : now === `-${name}` ? "" : name);
    };
  }
  for (const body of bodies) {
    body.querySelector("td button").onclick = () => toggle("open", body.id);
    body.querySelector("input").onchange = () => toggle("select", body.id);
  }
  element.addEventListener("mouseover", (event) => {
    if (event.target.closest("table")) highlight(event.target.closest("tbody[id]")?.id);
  });
  const select = element.querySelector("select");
  if (select) select.onchange = () => choose("by", select.value);
  return section;
});

function show(section) {
  const { element, bodies, rows, texts } = section;
  const headers = [...element.querySelectorAll("thead button")];
  const names = headers.map((button) => button.textContent), sort = state.get("sort") || "";
  const at = Math.max(names.indexOf(sort), names.indexOf(sort.slice(1)));
  const descending = at >= 0 && sort !== names[at];
  headers.forEach((button, column) => {
    button.parentElement.setAttribute("aria-sort", column !== at ? "none" : descending ? "descending" : "ascending");
  });
  const key = (body) => body.rows[0].cells[at + 1].textContent;
  const order = at < 0 ? bodies : [...bodies].sort((a, b) => (descending ? -1 : 1) * compare(key(a), key(b)));
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
  const pair = selected.filter((id) => id in rows).map((id) => rows[id]);
  const command = element.querySelector(".command");
  command.textContent = pair.length !== 2 ? "Select two rows for the command that compares them."
    : pair[0].model !== pair[1].model ? "Two different models: make result compares those of one run." : "";
  if (!command.textContent) command.append(Object.assign(document.createElement("code"), { textContent: `make compare REV=${pair[0].rev} REV2=${pair[1].rev}` }));

  const { keys } = section.table, by = keys.includes(state.get("by")) ? state.get("by") : keys[0];
  if (by) element.querySelector("select").value = by;
  const shown = order.filter((body) => !body.hidden).map((body) => rows[body.id]);
  const asked = JSON.stringify([shown.map((row) => row.id), selected, by]);
  if (asked !== section.drawn) {
    section.drawn = asked;
    clearTimeout(section.timer);
    section.timer = setTimeout(() => drawAll(section, shown, pair, by), 150);
  }
}

async function drawAll(section, shown, selected, by) {
  const elements = [...section.element.querySelectorAll(".chart")];
  if (!elements.length) return;
  const bars = shown.slice(0, MAX_BARS);
  section.element.querySelector(".charts span").textContent = bars.length < shown.length ? `; the first ${MAX_BARS} of ${shown.length} rows` : "";
  const curves = (selected.length ? selected : shown).filter((row) => row.curve.length).slice(0, selected.length ? MAX_CURVES : 4);
  const specs = [accuracies(bars, elements[0].clientWidth), learning(curves), by && parameter(shown, by), parallel(shown, section.table.keys, elements.at(-1).clientWidth)];
  // A filter may leave nothing to draw.
  const drawn = elements.filter((element, chart) => specs[chart]?.data.values.length || element.replaceChildren());
  section.views = await Promise.all(drawn.map((element) => draw(element, { width: "container", autosize: { type: "fit-x" }, params: [{ name: "hot", value: "" }], ...specs[elements.indexOf(element)] })));
  for (const view of section.views) {
    view.addEventListener("mouseover", (event, item) => highlight(item?.datum?.id));
    view.addEventListener("mouseout", () => highlight());
  }
}

const opacity = { condition: { test: "!hot || hot === datum.id", value: 1 }, value: .15 };
const accuracy = { type: "quantitative", title: "validation accuracy", scale: { zero: false }, axis: { format: ".4~f" } };
const tooltip = ["row", "accuracy", "std", "seeds", "verdict", "run"].map((field) => ({ field, type: "nominal", title: field === "verdict" ? "vs. best" : field }));
function verdicts(rows) {
  const domain = Object.keys(VERDICTS).filter((name) => rows.some((row) => row.verdict === name));
  return { field: "verdict", type: "nominal", title: null, scale: { domain, range: domain.map((name) => VERDICTS[name]) } };
}

// The mean of each row with its interval, down the page.
function accuracies(rows, width) {
  return {
    data: { values: rows }, height: 18 * rows.length,
    encoding: { y: { field: "row", type: "nominal", sort: null, title: null, axis: { labelLimit: width * .45, grid: true } }, color: verdicts(rows), opacity },
    layer: [
      { mark: { type: "rule", strokeWidth: 2 }, encoding: { x: { ...accuracy, field: "low" }, x2: { field: "high" } } },
      { mark: { type: "point", filled: true, size: 70 }, encoding: { x: { ...accuracy, field: "accuracy" }, shape: { ...verdicts(rows), scale: { domain: verdicts(rows).scale.domain } }, tooltip } },
    ],
  };
}

// The mean of each row at its value of a parameter.
function parameter(rows, key) {
  const values = rows.filter((row) => row.values[key] !== undefined).map((row) => ({ ...row, value: row.values[key] }));
  const numbers = values.map((row) => Number(row.value)), low = Math.min(...numbers), high = Math.max(...numbers);
  const several = values.some((row) => row.model !== values[0].model);
  const type = numbers.some(Number.isNaN) ? "nominal" : "quantitative";
  const x = { field: "value", type, title: key, sort: null, axis: type === "nominal" ? { labelAngle: 0 } : { format: ".6~g" }, scale: type === "nominal" ? {} : low > 0 && high / low > 30 ? { type: "log" } : { zero: false } };
  if (type !== "nominal") for (const row of values) row.value = Number(row.value);
  return {
    data: { values }, height: 300, encoding: { x, color: verdicts(values), opacity },
    layer: [
      { mark: { type: "rule", strokeWidth: 2 }, encoding: { y: { ...accuracy, field: "low" }, y2: { field: "high" } } },
      { mark: { type: "point", filled: true, size: 70 }, encoding: { y: { ...accuracy, field: "accuracy" }, shape: several && { field: "model", type: "nominal", title: null }, tooltip } },
    ],
  };
}

// The mean of the chosen rows after each epoch, and a standard deviation on both sides of it.
function learning(rows) {
  const values = rows.flatMap(({ id, row, curve }) => curve.map(([mean, std], epoch) => ({ id, row, epoch: epoch + 1, mean, std, low: mean - std, high: mean + std })));
  const color = { field: "row", type: "nominal", sort: null, title: null, scale: { range: COLORS }, legend: { columns: 1, symbolOpacity: 1 } };
  return {
    data: { values }, height: 300,
    encoding: { x: { field: "epoch", type: "quantitative", scale: { zero: false, nice: false }, axis: { tickMinStep: 1, format: "d" } }, color },
    layer: [
      { mark: { type: "area", opacity: .15 }, encoding: { y: { ...accuracy, field: "low" }, y2: { field: "high" } } },
      { mark: { type: "line", point: { filled: true, size: 40 } }, encoding: { y: { ...accuracy, field: "mean" }, opacity, tooltip: ["row", "epoch", "mean", "std"].map((field) => ({ field, type: "nominal" })) } },
    ],
  };
}

// A line for each row, from axis to axis.
function parallel(rows, keys, room) {
  const axes = [...keys, "accuracy"], values = [], labels = [];
  for (const key of axes) {
    const value = (row) => (key === "accuracy" ? row.accuracy : row.values[key] ?? "-");
    const distinct = [...new Set(rows.map(value))].sort(compare), last = distinct.length - 1;
    const [low, high] = [distinct[0], distinct[last]];
    const place = (item) => (last < 1 ? .5 : key === "accuracy" ? (item - low) / (high - low) : distinct.indexOf(item) / last);
    for (const row of rows) values.push({ ...row, axis: key, place: place(value(row)) });
    const text = (item) => (key === "accuracy" ? item.toFixed(4) : item);
    const every = key === "accuracy" ? last || 1 : Math.ceil(distinct.length / MAX_LABELS);
    distinct.forEach((item, rank) => { if (rank % every === 0) labels.push({ axis: key, place: place(item), text: text(item) }); });
  }
  const x = { field: "axis", type: "nominal", sort: null, title: null, scale: { padding: .3 }, axis: { orient: "top", labelAngle: 0, labelPadding: 12, grid: true, gridOpacity: .5, domain: false, ticks: false } };
  const y = { field: "place", type: "quantitative", axis: null };
  return {
    width: Math.max(room, 120 * axes.length), height: 320, data: { values },
    layer: [
      { mark: { type: "line", strokeWidth: 2 }, encoding: { x, y, detail: { field: "id" }, color: verdicts(rows), opacity, tooltip } },
      { data: { values: labels }, mark: { type: "text", align: "left", dx: 8, fontSize: 12, fill: "currentColor" }, encoding: { x, y, text: { field: "text" } } },
    ],
  };
}

const search = document.querySelector("input[type=search]");
search.oninput = () => choose("filter", search.value);
addEventListener("hashchange", start);
function start() {
  state = new URLSearchParams(location.hash.slice(1));
  search.value = state.get("filter") || "";
  sections.forEach(show);
}
start();
