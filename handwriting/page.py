"""The page of `make try`: draw or load a digit, see what the models say, keep it under its label.

It is served to this machine only, and needs no other.
"""

import base64
import os
import sys
from collections.abc import Mapping
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from digits.errors import UserError
from digits.run import run_main
from digits.splits import CLASSES
from handwriting import collection, preprocess, recognize
from handwriting.recognize import Recognizer

# Read when Gradio is imported.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
try:
    import gradio as gr
except ModuleNotFoundError as missing:
    sys.exit(f"error: {missing.name} is not installed: make setup EXTRAS=handwriting")

HERE = Path(__file__).parent
OWN = Path("data/own")
HOST = "127.0.0.1"
INTRO = "<h1>Draw a digit</h1><p>The models read it after each stroke.</p>"
PAD = (
    '<canvas width="280" height="280" aria-label="Draw a digit here"></canvas>'
    '<button type="button">Clear</button>'
)
HINT = '<p class="message">Draw one digit, about as large as the paper.</p>'
# What an event shows: the answer, the image that can be kept, and what was kept.
Shown = tuple[str, np.ndarray | None, str]


def main() -> None:
    recognizer = start(os.environ.get("REV", ""))
    # Gradio asks its own server whether it runs, which no proxy can answer.
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = HOST
    blocks = page(recognizer)
    blocks.launch(
        server_name=HOST,
        quiet=True,
        prevent_thread_lock=True,
        share=False,
        ssr_mode=False,
        footer_links=[],
        max_file_size=preprocess.LARGEST_BYTES,
        theme=gr.themes.Default(font="system-ui", font_mono="monospace"),
        css_paths=HERE / "page.css",
    )
    print(f"Open {blocks.local_url} in a browser. Ctrl-C ends it.", flush=True)
    blocks.block_thread()


def start(rev: str) -> Recognizer:
    """The models of the workspace and, unless `rev` is empty, those of that revision."""
    layers = recognize.read()
    if rev:
        layers |= {f"{name}, {rev}": of for name, of in recognize.read(rev).items()}
    recognizer = recognize.start(layers, batch=1)
    # Compiles the models.
    recognizer(np.zeros((1, preprocess.SIDE, preprocess.SIDE), np.uint8))
    return recognizer


def page(recognizer: Recognizer) -> gr.Blocks:
    """What is where, and which function follows which event."""
    show = partial(_show, recognizer)

    def drawn(event: gr.EventData) -> Shown:
        # A data URL: what it holds starts after the comma.
        return show(base64.b64decode(event.picture.partition(",")[2]))

    def loaded(path: str | None) -> Shown:
        return show(Path(path).read_bytes()) if path else (HINT, None, "")

    with gr.Blocks(title="Digits", analytics_enabled=False, delete_cache=(3600, 3600)) as whole:
        image = gr.State()
        gr.HTML(INTRO, elem_classes="intro")
        with gr.Row():
            with gr.Column(scale=4, min_width=320), gr.Tabs():
                with gr.Tab("Draw"):
                    pad = gr.HTML(
                        html_template=PAD,
                        js_on_load=(HERE / "pad.js").read_text(encoding="utf-8"),
                        elem_classes="pad",
                    )
                with gr.Tab("Load or photograph"):
                    picture = gr.Image(
                        sources=["upload", "webcam", "clipboard"],
                        webcam_options=gr.WebcamOptions(mirror=False),
                        show_label=False,
                        buttons=[],
                        height=400,
                    )
                    # Gradio would decode the file, and fail where `digit` says what is wrong.
                    picture.preprocess = _path  # type: ignore[method-assign]
            with gr.Column(scale=5, min_width=320):
                answer = gr.HTML(HINT, elem_classes="answer")
                gr.HTML("Wrong or hard to read? Keep it as", elem_classes="keep-label")
                with gr.Row(elem_classes="keep"):
                    buttons = [gr.Button(str(digit), size="sm") for digit in range(CLASSES)]
                kept = gr.HTML(elem_classes="kept")

        # Without the queue, an answer takes a single request.
        direct: dict[str, Any] = {
            "outputs": [answer, image, kept],
            "show_progress": "hidden",
            "queue": False,
            "api_visibility": "private",
        }
        pad.input(drawn, trigger_mode="always_last", **direct)
        pad.clear(lambda: (HINT, None, ""), **direct)
        picture.change(loaded, picture, **direct)
        for digit, button in enumerate(buttons):
            # In the queue, one at a time: two people may keep the same image at the same moment.
            button.click(
                partial(_keep, digit),
                image,
                kept,
                show_progress="hidden",
                concurrency_id="keep",
                api_visibility="private",
            )
    blocks: gr.Blocks = whole
    return blocks


def _path(payload: Any) -> str | None:
    return payload.path if payload else None


def _show(recognizer: Recognizer, content: bytes) -> Shown:
    try:
        image = preprocess.digit(content, "picture")
    except UserError as error:
        return f'<p class="message">{escape(_sentence(error))}</p>', None, ""
    probabilities = {name: of[0] for name, of in recognizer(image[np.newaxis]).items()}
    return _answer(image, probabilities), image, ""


def _keep(digit: int, image: np.ndarray | None) -> str:
    if image is None:
        return "There is no digit to keep yet."
    try:
        return f"Kept: {escape(str(collection.keep(image, digit, OWN)))}"
    except OSError as error:
        return escape(f"Not kept: {error.filename}: {error.strerror}")


def _sentence(error: UserError) -> str:
    text = str(error).removeprefix("picture: ")
    return f"{text[0].upper()}{text[1:]}."


def _answer(image: np.ndarray, probabilities: Mapping[str, np.ndarray]) -> str:
    """What the models see, each one's digit, and its probabilities (10,) as bars."""
    png = base64.b64encode(collection.png_bytes(image)).decode()
    heads = "".join(
        f'<th scope="col"><div class="digit">{of.argmax()}</div>'
        f"{escape(name)}<br>{100 * of.max():.1f} %</th>"
        for name, of in probabilities.items()
    )
    rows = "".join(
        f'<tr><th scope="row">{digit}</th>'
        + "".join(_bar(float(of[digit]), digit == of.argmax()) for of in probabilities.values())
        + "</tr>"
        for digit in range(CLASSES)
    )
    return (
        f'<figure><img alt="" src="data:image/png;base64,{png}">'
        "<figcaption>What the models see,<br>28x28 pixels</figcaption></figure>"
        f"<table><thead><tr><th></th>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    )


def _bar(probability: float, best: bool) -> str:
    return (
        f'<td{" class=best" if best else ""}><div class="bar">'
        f'<div><div style="width: {probability:.1%}"></div></div>'
        f"<span>{100 * probability:.1f} %</span></div></td>"
    )


if __name__ == "__main__":
    run_main(main)
