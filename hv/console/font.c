/*
 * The screen's font, made of font.txt by scripts/mkfont. Used by drivers/framebuffer.c.
 */
#include "hv/console/font.h"

const uint8_t font[FONT_GLYPHS][FONT_HEIGHT] = {
#include "font.inc"
};
