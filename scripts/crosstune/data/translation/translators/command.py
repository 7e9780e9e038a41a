"""Translation by a program, such as Apertium, that reads lines and writes one line for each.

Every line is followed by an empty one, which ends the sentence for a program that looks across lines, as Apertium's
reordering rules do. The output must have the empty lines too. Text is UTF-8 in any locale. No shell is involved.
"""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from crosstune.core.errors import UserError
from crosstune.data.translation.translators import Translator

PAIR = "{pair}"

# Variables that a program gets: those that programs need to start and to find their data. Any other may hold a secret.
PASSED = re.compile(
    "PATH|HOME|USER|LOGNAME|SHELL|TERM|TZ|LANG|LANGUAGE|LC_[A-Z]+|TMPDIR|XDG_[A-Z]+_(HOME|DIRS)|LD_LIBRARY_PATH"
    "|DYLD_LIBRARY_PATH|PYTHONPATH|PERL5LIB|JAVA_HOME|VIRTUAL_ENV|CONDA_PREFIX|CUDA_VISIBLE_DEVICES|[A-Z]+_NUM_THREADS"
)


class CommandTranslator(Translator):
    """`command` contains {pair}, the program's name of a language pair; `pairs` maps `source-target` to these."""

    def __init__(self, command: str, pairs: Mapping[str, str]):
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise UserError(f"not a command line ({error}): {command}", "translator.command") from None
        if not self._words:
            raise UserError("the command is empty", "translator.command", 'Such as "apertium -u -f txt {pair}"')
        self._pairs = dict(pairs)

    def check(self, source: str, target: str) -> None:
        pair = f"{source}-{target}"
        if pair not in self._pairs:
            known = ", ".join(self._pairs) or "none"
            fix = f"Add the command's own name of the pair: pairs: {{{pair}: NAME}}"
            raise UserError(
                f"the command {self._words[0]} has no pair {pair} (known: {known})", "translator.pairs", fix
            )

    def translate(self, lines: Sequence[str], source: str, target: str) -> list[str]:
        self.check(source, target)
        if not lines:
            return []
        pair = f"{source}-{target}"
        # Not in `check`, because a study can be planned without the program.
        if shutil.which(self._words[0]) is None:
            raise UserError(f"the command {self._words[0]} is not installed", "translator.command", self._install(pair))
        words = [word.replace(PAIR, self._pairs[pair]) for word in self._words]
        text = "".join(f"{line.translate(LINE_ENDS_TO_SPACES)}\n\n" for line in lines)
        environment = {name: value for name, value in os.environ.items() if PASSED.fullmatch(name)}
        environment["LC_ALL"] = "C.UTF-8"
        done = subprocess.run(words, input=text.encode(), capture_output=True, env=environment)
        if done.returncode:
            message = f"{shlex.join(words)} ended with {done.returncode}: {_error_summary(done.stderr)}"
            raise UserError(message, "translator.command", self._install(pair))
        try:
            found = done.stdout.decode().removesuffix("\n").split("\n")
        except UnicodeDecodeError as error:
            raise UserError(f"{shlex.join(words)} wrote no UTF-8 ({error})", "translator.command") from None
        # Programs may omit the last empty line.
        translated, between = found[::2], found[1::2]
        if len(translated) != len(lines) or any(line.strip() for line in between):
            message = (
                f"{shlex.join(words)} was given {2 * len(lines)} lines, every other one empty, and wrote "
                f"{len(found)}, or text where an empty line belongs: {_error_summary(done.stderr)}"
            )
            raise UserError(message, "translator.command", "It has to write one line for each that it reads.")
        return [line.strip() for line in translated]

    def _install(self, pair: str) -> str:
        """A fix to paste if the program is missing or fails."""
        if self._words[0] != "apertium":
            return "Install it, or correct the key `command`."
        name = self._pairs[pair]
        turned = "-".join(reversed(name.split("-")))
        return f"apt install apertium apertium-{name}    # or apertium-{turned}: a package serves both directions"


# Characters that programs may read as the end of a line or of the text.
LINE_ENDS_TO_SPACES = dict.fromkeys(map(ord, "\0\n\r"), " ")


def _error_summary(stderr: bytes) -> str:
    """The first and the last line of a program's error output."""
    lines = [line.strip() for line in stderr.decode(errors="replace").splitlines() if line.strip()]
    return " ... ".join(dict.fromkeys([lines[0], lines[-1]])) if lines else "no message"
