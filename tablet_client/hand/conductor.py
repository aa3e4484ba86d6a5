"""Takes gestures as JSON lines, lets the hand do them one after the other, and answers each with a JSON line.

A line is an object with ``do`` and the gesture's own fields; ``id``, if given, is repeated in the answer::

    {"do": "open", "volume": NAME-OR-ID}                    press its card in the library
    {"do": "import", "path": PATH}                          import a file or folder
    {"do": "back"}                                          to the library
    {"do": "new_annotation", "name": NAME}                  by the menu
    {"do": "plane", "plane": "axial|coronal|sagittal"}
    {"do": "three", "on": true}                             the other two planes beside the image
    {"do": "aim", "plane": PLANE, "column": X, "row": Y}    press a place of a plane beside the image
    {"do": "slice", "slice": N}                             from 0
    {"do": "tool", "tool": "object|background|eraser|lasso|contrast"}
    {"do": "brush", "mm": MM}                               the nearest size; the answer has "mm"
    {"do": "stroke", "x": [...], "y": [...]}                pixels of the slice's image; "with" may be given, and
                                                            "plane" for an image beside it, "pressure": [...]
    {"do": "drag", "right": PART, "up": PART}               across the image, parts of its size; "with" may be given
    {"do": "hold", "x": X, "y": Y, "file": PATH}            the pen, still; a picture of what is seen meanwhile
    {"do": "pinch", "factor": F}
    {"do": "threshold", "value": 1-255}
    {"do": "key", "key": "ctrl+z"}                          a letter or sign, with ctrl or shift
    {"do": "undo"}, {"do": "redo"}, {"do": "segment"}
    {"do": "live", "on": true}, {"do": "shape", "on": true}
    {"do": "wait_mask"}, {"do": "wait_volume"}              "timeout_s" may be given with any gesture
    {"do": "save"}                                          the answer has "mask", "object_ml", "threshold"
    {"do": "export", "kind": KIND, "format": FORMAT}        "folder" and "name" may be given; the answer has "path".
                                                            KIND: mask, mask-N, annotation, probability;
                                                            FORMAT: nifti, tiff, dicom_seg, zip
    {"do": "tap", "name": NAME}, {"do": "type", "name": NAME, "text": TEXT}, {"do": "names"}
    {"do": "screenshot", "file": PATH}, {"do": "state"}, {"do": "quit"}

``with`` is what touches: "pen" (if not given), "eraser end", "finger", "palm", or the "left", "middle", "right" button.
An answer is ``{"ok": true, "ms": elapsed, …}`` or ``{"ok": false, "error": sentence, "ms": elapsed}``.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
import traceback
from collections.abc import Sequence
from typing import Any, TextIO

from tablet_client.hand import eyes
from tablet_client.hand.eyes import NotThere
from tablet_client.hand.hand import Hand
from tablet_client.state.gestures import Touch

Answer = dict[str, Any]
_PATIENCE_S = 120.0


class Conductor:
    """Directs the hand from a stream of lines.

    Args:
        app: the running `CalqueApp`.
        lines: where gestures come from; its end quits the application.
        answers: takes the answers.
    """

    def __init__(self, app: Any, lines: TextIO, answers: TextIO) -> None:
        self._app, self._lines, self._answers = app, lines, answers
        self._hand = Hand(app)

    async def run(self) -> None:
        """Until the lines end or say "quit"."""
        queue: asyncio.Queue[str | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        threading.Thread(target=_read, args=(self._lines, queue, loop), daemon=True).start()
        while (line := await queue.get()) is not None:
            if line.strip() and not await self._answer(line):
                break
        self._app.stop()

    async def _answer(self, line: str) -> bool:
        """Do one line. Returns: go on."""
        start = time.perf_counter()
        answer: Answer = {}
        what = ""
        try:
            asked = json.loads(line)
            if not isinstance(asked, dict) or not isinstance(asked.get("do"), str):
                raise NotThere('A line is an object with "do".')
            what = asked.pop("do")
            answer = {"id": asked.pop("id")} if "id" in asked else {}
            self._hand.patience_s = float(asked.pop("timeout_s", _PATIENCE_S))
            answer = {**answer, "ok": True, **await self._do(what, asked)}
        except NotThere as error:
            answer = {**answer, "ok": False, "error": str(error)}
        except (ValueError, TypeError, KeyError) as error:
            answer = {**answer, "ok": False, "error": f"{what or 'The line'}: {error!r}"}
        except Exception as error:
            traceback.print_exc()
            answer = {**answer, "ok": False, "error": f"{what} failed in the application: {error!r}"}
        answer["ms"] = round((time.perf_counter() - start) * 1000, 1)
        self._answers.write(json.dumps(answer) + "\n")
        self._answers.flush()
        return what != "quit"

    async def _do(self, what: str, asked: Answer) -> Answer:
        gesture = getattr(self, f"_do_{what}", None)
        if gesture is None:
            raise NotThere(f"The hand does not know how to {what!r}.")
        done: Answer | None = await gesture(**asked)
        return done or {}

    async def _do_open(self, volume: str) -> Answer:
        await self._hand.open(volume)
        return self._opened()

    async def _do_new_annotation(self, name: str = "") -> Answer:
        await self._hand.new_annotation(name)
        return self._opened()

    def _opened(self) -> Answer:
        work = self._app.viewer_control.work
        planes = {
            plane.name.lower(): {"columns": info.columns, "rows": info.rows, "slices": info.slices}
            for plane, info in work.volume.planes.items()
        }
        ids = {"volume_id": work.volume.volume_id, "annotation_id": work.annotation.annotation_id}
        return {**ids, "annotation": work.annotation.name, "planes": planes}

    async def _do_import(self, path: str) -> None:
        await self._hand.import_path(path)

    async def _do_back(self) -> None:
        await self._hand.back()

    async def _do_plane(self, plane: str) -> None:
        await self._hand.plane(plane)

    async def _do_three(self, on: bool) -> None:
        await self._hand.three(on)

    async def _do_aim(self, plane: str, column: float, row: float) -> None:
        await self._hand.aim(plane, column, row)

    async def _do_slice(self, slice: int) -> None:
        await self._hand.slice(slice)

    async def _do_tool(self, tool: str) -> None:
        await self._hand.tap(f"tool_{tool}")

    async def _do_brush(self, mm: float) -> Answer:
        return {"mm": await self._hand.brush(mm)}

    async def _do_stroke(
        self, x: list[float], y: list[float], plane: str = "", pressure: Sequence[float] = (), **how: str
    ) -> None:
        await self._hand.stroke(x, y, _touch(**how), plane, pressure)

    async def _do_drag(self, right: float = 0.0, up: float = 0.0, **how: str) -> None:
        await self._hand.drag_image(right, up, _touch(**how))

    async def _do_hold(self, x: float, y: float, file: str) -> None:
        await self._hand.hold(x, y, file)

    async def _do_pinch(self, factor: float) -> None:
        await self._hand.pinch(factor)

    async def _do_threshold(self, value: int) -> None:
        await self._hand.threshold(value)

    async def _do_key(self, key: str) -> None:
        await self._hand.key(key)

    async def _do_undo(self) -> None:
        await self._hand.tap("undo")

    async def _do_redo(self) -> None:
        await self._hand.tap("redo")

    async def _do_segment(self) -> None:
        await self._hand.tap("segment")

    async def _do_live(self, on: bool) -> None:
        await self._hand.live(on)

    async def _do_shape(self, on: bool) -> None:
        await self._hand.shape(on)

    async def _do_wait_mask(self) -> None:
        await self._hand.see_mask()

    async def _do_wait_volume(self) -> None:
        await self._hand.see_volume()

    async def _do_save(self) -> Answer:
        mask = await self._hand.save()
        return {"mask": mask.number, "object_ml": mask.object_ml, "threshold": mask.threshold}

    async def _do_export(self, kind: str, format: str, folder: str = "", name: str = "") -> Answer:
        return {"path": await self._hand.export(kind, format, folder, name)}

    async def _do_tap(self, name: str) -> None:
        await self._hand.tap(name)

    async def _do_type(self, name: str, text: str) -> None:
        await self._hand.type_into(name, text)

    async def _do_names(self) -> Answer:
        return {"names": eyes.names()}

    async def _do_screenshot(self, file: str) -> Answer:
        return {"size": await self._hand.picture(file)}

    async def _do_state(self) -> Answer:
        return eyes.read(self._app)

    async def _do_quit(self) -> None:
        return None


def _touch(**how: str) -> Touch:
    """What touches: "with" is a word of Python's own, so it cannot name a parameter."""
    kind = Touch(how.pop("with", Touch.PEN.value))
    if how:
        raise TypeError(f"unknown: {', '.join(how)}")
    return kind


def _read(lines: TextIO, queue: asyncio.Queue[str | None], loop: asyncio.AbstractEventLoop) -> None:
    """Feed lines to the loop from a thread of their own: a file on stdin cannot be awaited."""
    try:
        for line in lines:
            loop.call_soon_threadsafe(queue.put_nowait, line)
        loop.call_soon_threadsafe(queue.put_nowait, None)
    except RuntimeError:
        return  # the loop has ended
