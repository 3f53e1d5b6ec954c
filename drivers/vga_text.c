/*
 * VGA text mode: see vga_text.h. Called by boot/screen.c; the mode belongs to this file.
 */
#include "drivers/vga_text.h"
#include "arch/x86_64/asm.h"
#include "hv/console/font.h"

enum { CRTC_INDEX = 0x3d4, CRTC_DATA = 0x3d5, CURSOR_START = 0x0a, CURSOR_OFF = 0x20 };
enum { VGA_OTHER = 0xfe /* a small square in code page 437 */ };

static uint8_t *first;
static unsigned columns, lines, stride;

void vga_text_init(void *at, unsigned cols, unsigned rows, unsigned pitch)
{
	first = at;
	columns = cols;
	lines = rows;
	stride = pitch;
	out8(CRTC_INDEX, CURSOR_START);
	out8(CRTC_DATA, CURSOR_OFF);
}

void vga_text_size(unsigned *cols, unsigned *rows)
{
	*cols = columns;
	*rows = lines;
}

void vga_text_draw(unsigned col, unsigned row, const struct screen_cell *cells, unsigned n)
{
	volatile uint16_t *to = (volatile uint16_t *)(first + row * stride) + col;

	for (unsigned i = 0; i < n; i++) {
		unsigned ch = cells[i].ch == FONT_OTHER ? (unsigned)VGA_OTHER : cells[i].ch;

		/* Bit 15 would blink. */
		to[i] = (uint16_t)(ch | (cells[i].attr & 0x7fu) << 8);
	}
	sfence();
}
