"""Start the tablet's application: ``python -m tablet_client --server HOST:PORT``.

Kivy reads its settings when it is first imported, so nothing of it is imported before they are made.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from tablet_client import android
from tablet_client.android.bridge import language
from tablet_client.link.port import Link
from tablet_client.state.address import EXAMPLE, is_loopback, parse_address
from tablet_client.state.picker import Picker
from tablet_client.state.places import data_folder, passing_folder, settings_folder
from tablet_client.state.preferences import Preferences

DEFAULT_SIZE = "1280x800"


def main(argv: Sequence[str] | None = None, link: Callable[[], Link] | None = None) -> int:
    """Run the application until its window is closed.

    Args:
        argv: options (``--help`` lists them); None: those of the process.
        link: makes the link, on the loop that it will run on; None: gRPC to the server of the options, else to the one that
            the user chose in the settings.

    Returns:
        0, or 1 after a failure that was printed.
    """
    options = _parser().parse_args(argv)
    if options.server and parse_address(options.server) is None:
        raise SystemExit(f"{options.server!r} is not an address such as {EXAMPLE}")
    if options.plain and (options.certificate or not is_loopback(options.server)):
        raise SystemExit("Without encryption goes only to a server of this machine, named with --server.")
    if options.certificate and not options.server:
        raise SystemExit("A certificate vouches for one server: name it with --server.")
    if options.certificate or options.identity:
        from tablet_client.link.connect import CertificateError, trusting

        try:
            trusting(options.certificate, options.identity)
        except CertificateError as error:
            raise SystemExit(str(error)) from None
    answers = _own_stdout() if options.hand else None
    if options.hand:
        os.environ["LANGUAGE"] = "en"  # what the hand reads on the screen is compared with English words
    if android.here():
        os.environ.setdefault("LANGUAGE", language())
    settle_kivy(options.size)
    try:
        asyncio.run(_run(link, options, answers))
    except KeyboardInterrupt:
        return 0
    return 0


async def _run(link: Callable[[], Link] | None, options: argparse.Namespace, answers: TextIO | None) -> None:
    from tablet_client.link.connect import connect
    from tablet_client.view.app import CalqueApp
    from tablet_client.view.tasks import Tasks

    def make_link(preferences: Preferences) -> Link:
        if link is not None:
            return link()
        given = Preferences(options.server, options.certificate) if options.server else preferences
        return connect(given, plain=options.plain, identity=options.identity)

    app = CalqueApp(make_link, Path(options.journal), options.server, _picker())
    with suppress(NotImplementedError, RuntimeError, ValueError):  # not every system's loop takes signals
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, app.stop)
    hands = Tasks(lambda fault: app.stop())  # apart from the application's, which end when it begins anew
    if answers is not None:
        from tablet_client.hand.conductor import Conductor

        def begin(_: CalqueApp) -> None:
            hands.start(Conductor(app, sys.stdin, answers).run())

        app.bind(on_start=begin)
    await app.run_on_loop()
    await hands.end()


def _picker() -> Picker | None:
    """The system's picker, where it is the only way to the user's files."""
    if not android.here():
        return None
    from tablet_client.android.picker import SystemPicker

    return SystemPicker(passing_folder())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="calque tablet", description="Draw strokes on MRI, and see the segmentation come."
    )
    parser.add_argument(
        "--server", default="", metavar="HOST:PORT", help="the services, for this run (default: as in the settings)"
    )
    parser.add_argument(
        "--certificate", default="", metavar="PEM", help="who vouches for this server (default: as it is on this machine)"
    )
    parser.add_argument(
        "--identity",
        default="",
        metavar="PEM",
        help="the tablet's own certificate with its key, where one is asked for",
    )
    parser.add_argument("--plain", action="store_true", help="without encryption, to a server of this machine")
    parser.add_argument(
        "--journal",
        default=str(data_folder() / "journal"),
        metavar="FOLDER",
        help="where strokes are kept until the server has them (default %(default)s)",
    )
    parser.add_argument(
        "--size",
        default=window_size(DEFAULT_SIZE),
        metavar="WxH",
        type=window_size,
        help=f"of the window (default {DEFAULT_SIZE})",
    )
    parser.add_argument(
        "--hand", action="store_true", help="take gestures as JSON lines on stdin, answer with JSON lines on stdout"
    )
    return parser


def window_size(text: str) -> tuple[int, int]:
    """``"1280x800"`` → pixels. Raises: argparse.ArgumentTypeError."""
    wide, _, tall = text.partition("x")
    if not (wide.isdigit() and tall.isdigit() and int(wide) >= 640 and int(tall) >= 480):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size of at least 640x480")
    return int(wide), int(tall)


def _own_stdout() -> TextIO:
    """Keep stdout for answers alone: whatever else is printed goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def settle_kivy(size: tuple[int, int]) -> None:
    """Settings of Kivy, which must be made before it is imported for the first time; ``size`` of the window in pixels."""
    os.environ.setdefault("KIVY_HOME", str(settings_folder() / "kivy"))
    Path(os.environ["KIVY_HOME"]).mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("KIVY_NO_ARGS", "1")
    # Kivy would take stderr for its own log, and faults would vanish in it.
    os.environ.setdefault("KIVY_LOG_MODE", "PYTHON")
    os.environ.setdefault("KIVY_NO_FILELOG", "1")
    # Kivy sets its own level while it starts; what it reports of its settings helps nobody here.
    logging.getLogger("kivy").addFilter(lambda record: record.levelno >= logging.ERROR)
    from kivy.config import Config

    Config.set("graphics", "width", str(size[0]))
    Config.set("graphics", "height", str(size[1]))
    Config.set("graphics", "multisamples", "0")
    # A mouse is a mouse: no red dots for imagined second fingers.
    Config.set("input", "mouse", "mouse,disable_multitouch")
    Config.set("kivy", "exit_on_escape", "0")
