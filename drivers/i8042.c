/*
 * The 8042: see i8042.h. Called by boot/keyboard.c; it has no state.
 */
#include "drivers/i8042.h"
#include "arch/x86_64/asm.h"

enum { DATA = 0x60, STATUS = 0x64, COMMAND = 0x64 };
enum { STATUS_OUT_FULL = BIT(0), STATUS_IN_FULL = BIT(1), STATUS_MOUSE = BIT(5), NOTHING = 0xff };
enum i8042_command {
	READ_CONFIG = 0x20,
	WRITE_CONFIG = 0x60,
	MOUSE_OFF = 0xa7,
	KEYBOARD_OFF = 0xad,
	KEYBOARD_ON = 0xae,
};
enum {
	CONFIG_IRQ = BIT(0),
	CONFIG_MOUSE_IRQ = BIT(1),
	CONFIG_KEYBOARD_OFF = BIT(4),
	CONFIG_MOUSE_OFF = BIT(5),
	CONFIG_TRANSLATE = BIT(6), /* set 2, which keyboards speak, to set 1 */
};
enum { KEYBOARD_SCAN = 0xf4, KEYBOARD_ACK = 0xfa };
enum {
	PATIENCE = 50000, /* reads of a port, of about a microsecond */
	LEFT_OVER = 64,	  /* bytes that may wait from before; more is no controller */
};

static bool wait_status(uint8_t bit, bool wanted)
{
	for (unsigned i = 0; i < PATIENCE; i++) {
		if (!!(in8(STATUS) & bit) == wanted) {
			return true;
		}
	}
	return false;
}

static bool put(uint16_t port, uint8_t v)
{
	if (!wait_status(STATUS_IN_FULL, false)) {
		return false;
	}
	out8(port, v);
	return true;
}

static bool empty(void)
{
	for (unsigned i = 0; i < LEFT_OVER; i++) {
		if (!(in8(STATUS) & STATUS_OUT_FULL)) {
			return true;
		}
		in8(DATA);
	}
	return false;
}

/* Keyboards answer; firmware that plays one may not, and scans anyhow. */
static void start_scanning(void)
{
	if (put(DATA, KEYBOARD_SCAN)) {
		for (unsigned i = 0; i < LEFT_OVER && wait_status(STATUS_OUT_FULL, true); i++) {
			if (in8(DATA) == KEYBOARD_ACK) {
				return;
			}
		}
	}
}

bool i8042_init(void)
{
	uint8_t config;

	if (in8(STATUS) == NOTHING || !put(COMMAND, KEYBOARD_OFF) || !put(COMMAND, MOUSE_OFF) ||
	    !empty() || !put(COMMAND, READ_CONFIG) || !wait_status(STATUS_OUT_FULL, true)) {
		return false;
	}
	config = in8(DATA);
	config |= CONFIG_IRQ | CONFIG_TRANSLATE | CONFIG_MOUSE_OFF;
	config &= (uint8_t) ~(CONFIG_MOUSE_IRQ | CONFIG_KEYBOARD_OFF);
	if (!put(COMMAND, WRITE_CONFIG) || !put(DATA, config) || !put(COMMAND, KEYBOARD_ON)) {
		return false;
	}
	start_scanning();
	return true;
}

int i8042_read(void)
{
	uint8_t status = in8(STATUS);
	uint8_t v;

	if (status == NOTHING || !(status & STATUS_OUT_FULL)) {
		return -1;
	}
	v = in8(DATA);
	return status & STATUS_MOUSE ? -1 : v;
}
