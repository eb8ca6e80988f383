"""Progress while a session trains: bars in a terminal, lines in a log, nothing with -q.

Each training writes its progress to a separate file in the report folder (`writer`), in whichever
process it runs. The session's controlling process reads these files twice a second (`watch`) and
displays them as bars (`bars`) or as lines (`lines`), and with them what the session's processes have to
say meanwhile (`messages`). It does so from a thread, whose output is kept out of pytest's capture
(`uncaptured`).
"""

from __future__ import annotations

FOLDER = "progress"  # in the report folder, while a session runs
