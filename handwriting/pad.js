// Draws on the canvas, and sends it to the server after each stroke. Gradio runs this when the page
// has loaded, and provides `element` and `trigger`.
const canvas = element.querySelector("canvas");
const pen = canvas.getContext("2d");

function clear() {
  pen.fillStyle = "white";
  pen.fillRect(0, 0, canvas.width, canvas.height);
}

function send() {
  trigger("input", { picture: canvas.toDataURL("image/png") });
}

function line(event) {
  const shown = canvas.getBoundingClientRect();
  const scale = canvas.width / shown.width;
  pen.lineTo((event.clientX - shown.left) * scale, (event.clientY - shown.top) * scale);
  pen.stroke();
}

canvas.addEventListener("pointerdown", (event) => {
  if (!event.isPrimary || event.button !== 0) return;
  canvas.setPointerCapture(event.pointerId);
  pen.lineWidth = 22;
  pen.lineCap = pen.lineJoin = "round";
  pen.beginPath();
  line(event);
});
canvas.addEventListener("pointermove", (event) => {
  if (canvas.hasPointerCapture(event.pointerId)) line(event);
});
canvas.addEventListener("lostpointercapture", send);
element.querySelector("button").addEventListener("click", () => {
  clear();
  trigger("clear");
});
clear();
