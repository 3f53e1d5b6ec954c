/*
 * A linear framebuffer: cells of text as pixels of 15 to 32 bits. Written to only, never read.
 *
 * One screen; set up by boot/screen.c on the boot CPU, drawn on by one CPU at a time.
 */
#pragma once

#include "hv/console/screen.h"

struct framebuffer_mode {
	uint32_t pitch, width, height; /* bytes, pixels, pixels */
	uint8_t bytes;		       /* of a pixel: 2, 3 or 4 */
	uint8_t red_pos, red_size, green_pos, green_size, blue_pos, blue_size;
};

/* `at`: where the first line is mapped. All of the mode is checked already. */
void framebuffer_init(const struct framebuffer_mode *m, void *at);
/* How many cells there are; large screens get large ones. */
void framebuffer_size(unsigned *cols, unsigned *rows);
void framebuffer_draw(unsigned col, unsigned row, const struct screen_cell *cells, unsigned n);
