"""The screen: what stands on QEMU's display."""

import screen
from vehicle import elf, guest, make_image

# Nothing is said about the console: the machine's first serial port and its screen.
SYSTEM = "[system]\ndebug-exit = 0xf4\n"
CONFIG = SYSTEM + guest("spin", "spin.elf")


def test_boot_log_in_text_mode(tmp_path):
    """A machine without any serial port, on a BIOS."""
    image = make_image(tmp_path, CONFIG, [elf("spin")])
    with screen.Machine(image) as machine:
        machine.screen.wait(r"^mullion: 1 guest on SVM, console on CPU 0$")
