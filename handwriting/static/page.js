// Sends the drawn or loaded picture to the server, and shows its answer.

const find = (selector) => document.querySelector(selector);
const canvas = find("canvas");
const pen = canvas.getContext("2d", { willReadFrequently: true });
const { models, labels } = await (await fetch("names")).json();

// The picture that the page shows an answer for, and that can be saved.
let picture = null;
// Stops waiting for an answer.
let waiting = new AbortController();
// Whether the paper shows a file.
let loaded = false;

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// ---- The table of answers, a column for each model, and the buttons that save.

const heads = models.map((name) => {
  const head = { label: element("strong"), note: element("small") };
  const cell = element("th", { scope: "col" }, head.label, element("span", {}, name), head.note);
  find("thead tr").append(cell);
  return head;
});

const rows = labels.map((label) => {
  const bars = models.map(() => ({ fill: element("i"), number: element("span") }));
  const cells = bars.map((bar) => element("td", {}, element("div", {}, bar.fill), bar.number));
  find("tbody").append(element("tr", {}, element("th", { scope: "row" }, label), ...cells));
  return bars;
});

const buttons = labels.map((label) => {
  const button = element("button", { type: "button", disabled: true }, label);
  button.addEventListener("click", () => save(label));
  find("#keep").append(button);
  return button;
});

function percent(probability) {
  return `${(100 * probability).toFixed(1)}%`;
}

function certainty({ probabilities, unsure }) {
  return percent(Math.max(...probabilities)) + (unsure ? ", unsure" : "");
}

function sentence(answer) {
  const parts = models.map((name) => {
    const prediction = answer.models[name];
    return `${name} ${prediction.label} (${certainty(prediction)})`;
  });
  return parts.join(", ");
}

// A message; or an answer about a picture, with the message for those who do not see it.
function show(message, answer = null, content = null) {
  picture = content;
  find("#message").textContent = message;
  find("#answer").classList.toggle("answered", Boolean(answer));
  find("#saved").replaceChildren();
  if (answer) find("#image").src = answer.image;
  else find("#image").removeAttribute("src");
  models.forEach((name, column) => {
    const prediction = answer?.models[name];
    const { label, note } = heads[column];
    label.textContent = prediction?.label ?? "";
    label.classList.toggle("long", label.textContent.length > 2);
    note.textContent = prediction ? certainty(prediction) : "";
    rows.forEach((bars, row) => {
      const { fill, number } = bars[column];
      const probability = prediction?.probabilities[row] ?? 0;
      fill.style.width = percent(probability);
      number.textContent = prediction ? percent(probability) : "";
      number.parentElement.classList.toggle("best", prediction?.label === labels[row]);
    });
  });
  buttons.forEach((button) => {
    button.disabled = !answer;
    button.removeAttribute("aria-pressed");
  });
}

// ---- Requests. The server remembers no picture, so saving sends it again.

// The answer, or an error whose message is meant for people.
async function send(method, path, body, signal) {
  const response = await fetch(path, { method, body, signal }).catch((error) => {
    if (error.name === "AbortError") throw error;
    throw new Error("No answer. Is make try still running in the terminal?");
  });
  if (response.status === 413) throw new Error("The picture file is too large.");
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

async function recognize(content) {
  waiting.abort();
  waiting = new AbortController();
  try {
    const answer = await send("POST", "recognize", content, waiting.signal);
    show(sentence(answer), answer, content);
  } catch (error) {
    if (error.name !== "AbortError") show(error.message);
  }
}

async function save(label, method = "POST") {
  const content = picture;
  const line = [];
  let pressed = null;
  try {
    const query = `label=${encodeURIComponent(label)}`;
    const { path, before } = await send(method, `keep?${query}`, content);
    line.push(path ? `Saved: ${path}` : "Removed.");
    if (path) {
      pressed = label;
      const undo = element("button", { type: "button" }, "Undo");
      undo.addEventListener("click", () => (before ? save(before) : save(label, "DELETE")));
      if (label !== before) line.push(undo);
    }
  } catch (error) {
    line.push(error.message);
  }
  if (picture !== content) return;
  buttons.forEach((button, row) => button.setAttribute("aria-pressed", labels[row] === pressed));
  find("#saved").replaceChildren(...line);
}

// ---- The paper: strokes, and pictures that are loaded, photographed, dropped or pasted.

function clear() {
  waiting.abort();
  loaded = false;
  pen.fillStyle = "white";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  find("#paper").classList.remove("used");
  show("");
}

function line(event) {
  const shown = canvas.getBoundingClientRect();
  const scale = canvas.width / shown.width;
  pen.lineTo((event.clientX - shown.left) * scale, (event.clientY - shown.top) * scale);
  pen.stroke();
}

// Chromium's toBlob may wait a second for an idle moment.
function drawing() {
  const base64 = canvas.toDataURL("image/png").split(",")[1];
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

canvas.addEventListener("pointerdown", (event) => {
  if (!event.isPrimary || event.button !== 0) return;
  // A stroke after a picture begins on new paper.
  if (loaded) clear();
  find("#paper").classList.add("used");
  canvas.setPointerCapture(event.pointerId);
  pen.lineWidth = canvas.width / 12;
  pen.lineCap = pen.lineJoin = "round";
  pen.beginPath();
  line(event);
});
canvas.addEventListener("pointermove", (event) => {
  if (canvas.hasPointerCapture(event.pointerId)) line(event);
});
canvas.addEventListener("lostpointercapture", () => recognize(drawing()));
find("#clear").addEventListener("click", clear);

async function load(file) {
  if (!file) return;
  clear();
  loaded = true;
  find("#paper").classList.add("used");
  recognize(file);
  const { signal } = waiting;
  // The server may read a picture that the browser cannot show.
  const bitmap = await createImageBitmap(file).catch(() => null);
  if (!bitmap || signal.aborted) return;
  const scale = Math.min(canvas.width / bitmap.width, canvas.height / bitmap.height);
  const [width, height] = [bitmap.width * scale, bitmap.height * scale];
  pen.drawImage(bitmap, (canvas.width - width) / 2, (canvas.height - height) / 2, width, height);
}

for (const input of document.querySelectorAll("input[type=file]")) {
  input.addEventListener("change", () => {
    load(input.files[0]);
    // The same file again is a change, too.
    input.value = "";
  });
}
for (const type of ["dragover", "drop"]) {
  document.addEventListener(type, (event) => event.preventDefault());
}
document.addEventListener("drop", (event) => load(event.dataTransfer.files[0]));
document.addEventListener("paste", (event) => load(event.clipboardData.files[0]));

clear();
