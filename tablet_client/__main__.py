"""``python -m tablet_client``."""

import sys

from tablet_client.main import main

sys.exit(main())
