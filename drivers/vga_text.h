/*
 * The VGA's text mode, as firmware set it up: cells in memory, a cursor that is turned off.
 */
#pragma once

#include "hv/console/screen.h"

void vga_text_init(void *at, unsigned cols, unsigned rows, unsigned pitch /* bytes */);
void vga_text_size(unsigned *cols, unsigned *rows);
void vga_text_draw(unsigned col, unsigned row, const struct screen_cell *cells, unsigned n);
