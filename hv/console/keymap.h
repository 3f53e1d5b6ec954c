/*
 * Keys to bytes: scan codes of set 1 as a US keyboard has them, with Shift, Ctrl and Caps Lock.
 * Pure.
 *
 * Cursor keys become ECMA-48's sequences, as a terminal sends them. Alt, the function keys and the
 * number block without Num Lock send nothing.
 */
#pragma once

#include "hv/types.h"

enum { KEYMAP_MOST = 4 }; /* bytes of one key */

struct keymap {
	bool shift_left, shift_right, ctrl_left, ctrl_right, caps;
	bool extended; /* 0xe0 came */
	uint8_t skip;  /* scan codes of the Pause key that are still to come */
};

/* One scan code; returns how many bytes it makes. */
unsigned keymap_scan(struct keymap *k, uint8_t code, uint8_t bytes[KEYMAP_MOST]);
