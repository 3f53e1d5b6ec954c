/*
 * The screen's font: what font.txt pictures, as bytes. Bit 7 of a row is its leftmost pixel.
 */
#pragma once

#include "hv/types.h"

enum {
	FONT_WIDTH = 8,
	FONT_HEIGHT = 16,
	FONT_FIRST = 0x20,
	FONT_OTHER = 0x7f, /* what has no glyph of its own */
	FONT_GLYPHS = FONT_OTHER - FONT_FIRST + 1,
};

extern const uint8_t font[FONT_GLYPHS][FONT_HEIGHT];
