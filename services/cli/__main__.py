"""``python -m services.cli`` is ``calque``."""

from services.cli.main import main

main()
