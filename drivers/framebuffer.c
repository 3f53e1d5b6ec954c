/*
 * Text on a linear framebuffer: see framebuffer.h. Called by boot/screen.c; the mode belongs to
 * this file.
 */
#include "drivers/framebuffer.h"
#include "arch/x86_64/asm.h"
#include "hv/console/font.h"
#include "hv/lib/string.h"

enum { SCALE_MAX = 8 };

static struct framebuffer_mode mode;
static uint8_t *first;
static unsigned scale; /* pixels of a glyph's pixel, both ways */
static uint32_t palette[16];

/*
 * Half a line of a glyph, four pixels of `scale` each, for every pattern of ink in the colours that
 * were used last: most cells have those of their neighbour.
 */
enum { HALF = FONT_WIDTH / 2, HALF_MAX = HALF * SCALE_MAX * 4 };
static struct {
	uint8_t attr;
	bool valid;
	unsigned size; /* bytes of a half: a multiple of four */
	uint8_t bytes[1 << HALF][HALF_MAX];
} halves;

/* Red, green and blue of 8 bits, as the VGA's text colours look, a little softer. */
static const uint8_t colour[16][3] = {
	{0, 0, 0},	 {40, 80, 180},	  {40, 150, 70},   {30, 150, 160},
	{185, 50, 50},	 {150, 70, 160},  {170, 120, 40},  {190, 190, 190},
	{110, 110, 110}, {110, 150, 255}, {110, 220, 130}, {100, 225, 230},
	{255, 110, 110}, {230, 130, 235}, {250, 220, 100}, {255, 255, 255},
};

static uint32_t part(uint8_t value, unsigned pos, unsigned size)
{
	uint32_t v = size < 8 ? (uint32_t)value >> (8 - size) : (uint32_t)value << (size - 8);

	return v << pos;
}

void framebuffer_init(const struct framebuffer_mode *m, void *at)
{
	mode = *m;
	first = at;
	halves.valid = false;
	for (scale = 1; scale < SCALE_MAX && (m->width / scale / FONT_WIDTH > SCREEN_COLS ||
					      m->height / scale / FONT_HEIGHT > SCREEN_ROWS);
	     scale++) {
	}
	for (unsigned i = 0; i < ARRAY_SIZE(palette); i++) {
		palette[i] = part(colour[i][0], m->red_pos, m->red_size) |
			     part(colour[i][1], m->green_pos, m->green_size) |
			     part(colour[i][2], m->blue_pos, m->blue_size);
	}
}

void framebuffer_size(unsigned *cols, unsigned *rows)
{
	*cols = mode.width / scale / FONT_WIDTH;
	*rows = mode.height / scale / FONT_HEIGHT;
}

static void make_halves(uint8_t attr)
{
	halves.size = HALF * scale * mode.bytes;
	for (unsigned ink = 0; ink < 1 << HALF; ink++) {
		for (unsigned i = 0; i < halves.size; i++) {
			unsigned pixel = i / (scale * mode.bytes);
			unsigned which = ink & 1u << (HALF - 1 - pixel) ? attr & 15 : attr >> 4 & 7;

			halves.bytes[ink][i] = (uint8_t)(palette[which] >> i % mode.bytes * 8);
		}
	}
	halves.attr = attr;
	halves.valid = true;
}

/* In words as large as there are: write-combining memory likes them. */
static uint8_t *put_half(uint8_t *to, unsigned ink)
{
	const uint8_t *from = halves.bytes[ink];
	unsigned at = 0;

	for (; at + 8 <= halves.size; at += 8) {
		memcpy(to + at, from + at, 8);
	}
	if (at < halves.size) {
		memcpy(to + at, from + at, 4);
	}
	return to + halves.size;
}

static uint8_t ink_of(struct screen_cell c, unsigned y)
{
	unsigned ch = c.ch >= FONT_FIRST && c.ch <= FONT_OTHER ? c.ch : (unsigned)FONT_OTHER;

	return font[ch - FONT_FIRST][y];
}

void framebuffer_draw(unsigned col, unsigned row, const struct screen_cell *cells, unsigned n)
{
	size_t x = (size_t)col * FONT_WIDTH * scale * mode.bytes;

	for (unsigned y = 0; y < FONT_HEIGHT * scale; y++) {
		uint8_t *to = first + (row * FONT_HEIGHT * scale + y) * (size_t)mode.pitch + x;

		for (unsigned i = 0; i < n; i++) {
			uint8_t ink = ink_of(cells[i], y / scale);

			if (!halves.valid || halves.attr != cells[i].attr) {
				make_halves(cells[i].attr);
			}
			to = put_half(to, ink >> HALF);
			to = put_half(to, ink & ((1 << HALF) - 1));
		}
	}
	sfence();
}
