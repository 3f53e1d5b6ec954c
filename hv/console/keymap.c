/*
 * Keys to bytes: see keymap.h. Called by boot/keyboard.c.
 */
#include "hv/console/keymap.h"

enum scan_code {
	CODE_CTRL = 0x1d,
	CODE_SHIFT_LEFT = 0x2a,
	CODE_SHIFT_RIGHT = 0x36,
	CODE_CAPS = 0x3a,
	CODE_SLASH = 0x35,
	CODE_ENTER = 0x1c,
	CODE_EXTENDED = 0xe0,
	CODE_PAUSE = 0xe1,
	CODE_RELEASED = 0x80,
};

/* From code 0 on; NUL: no character. */
static const char plain[] =
	"\0\0331234567890-=\177\tqwertyuiop[]\r\0asdfghjkl;'`\0\\zxcvbnm,./\0*\0 "
	"\0\0\0\0\0\0\0\0\0\0\0\0\000789-456+1230.";
static const char shifted[] =
	"\0\033!@#$%^&*()_+\177\tQWERTYUIOP{}\r\0ASDFGHJKL:\"~\0|ZXCVBNM<>?\0*\0 "
	"\0\0\0\0\0\0\0\0\0\0\0\0\000789-456+1230.";

/* Keys behind 0xe0 and what follows on ESC [. */
static const struct {
	uint8_t code;
	char end[3];
} cursor[] = {{0x48, "A"}, {0x50, "B"},	 {0x4d, "C"},  {0x4b, "D"},  {0x47, "H"},
	      {0x4f, "F"}, {0x52, "2~"}, {0x53, "3~"}, {0x49, "5~"}, {0x51, "6~"}};

static unsigned extended_key(uint8_t code, uint8_t bytes[KEYMAP_MOST])
{
	for (unsigned i = 0; i < ARRAY_SIZE(cursor); i++) {
		if (cursor[i].code == code) {
			bytes[0] = '\033';
			bytes[1] = '[';
			bytes[2] = (uint8_t)cursor[i].end[0];
			bytes[3] = (uint8_t)cursor[i].end[1];
			return cursor[i].end[1] ? 4 : 3;
		}
	}
	bytes[0] = code == CODE_ENTER ? '\r' : '/';
	return code == CODE_ENTER || code == CODE_SLASH;
}

static unsigned key(const struct keymap *k, uint8_t code, uint8_t bytes[KEYMAP_MOST])
{
	bool shift = k->shift_left || k->shift_right;
	char c;

	if (code >= sizeof(plain) - 1) {
		return 0;
	}
	c = shift ? shifted[code] : plain[code];
	if (k->caps && (c | 0x20) >= 'a' && (c | 0x20) <= 'z') {
		c ^= 0x20;
	}
	if ((k->ctrl_left || k->ctrl_right) && c) {
		/* Ctrl takes 0x40-0x7f to 0x00-0x1f; Ctrl-space is NUL. */
		c = c == ' ' ? 0 : (c & 0x40) && c != 0x7f ? (char)(c & 0x1f) : c;
		bytes[0] = (uint8_t)c;
		return 1;
	}
	bytes[0] = (uint8_t)c;
	return c != 0;
}

/* Shift and its like. True: the code was one. */
static bool modifier(struct keymap *k, uint8_t code, bool extended, bool pressed)
{
	switch (code) {
	case CODE_CTRL: *(extended ? &k->ctrl_right : &k->ctrl_left) = pressed; return true;
	case CODE_SHIFT_LEFT:
		/* Behind 0xe0 it is no key: it comes with those that have a double on the number
		 * block. */
		k->shift_left = extended ? k->shift_left : pressed;
		return true;
	case CODE_SHIFT_RIGHT: k->shift_right = extended ? k->shift_right : pressed; return true;
	case CODE_CAPS: k->caps ^= pressed; return true;
	default: return false;
	}
}

unsigned keymap_scan(struct keymap *k, uint8_t code, uint8_t bytes[KEYMAP_MOST])
{
	bool extended = k->extended;

	if (k->skip) {
		k->skip--;
		return 0;
	}
	if (code == CODE_PAUSE) {
		k->skip = 2;
		return 0;
	}
	k->extended = code == CODE_EXTENDED;
	if (k->extended || modifier(k, code & 0x7f, extended, !(code & CODE_RELEASED)) ||
	    (code & CODE_RELEASED)) {
		return 0;
	}
	return extended ? extended_key(code, bytes) : key(k, code, bytes);
}
