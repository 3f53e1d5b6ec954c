/*
 * Where the tiles stand: one for each guest, in rows and columns, and the log below. Pure.
 */
#pragma once

#include "hv/console/screen.h"
#include "hv/limits.h"

/* The first line of an area is its bar, the others are text. Areas with no rows are not shown. */
struct tiles {
	struct screen_area guest[MAX_GUESTS], log;
};

/* For a screen of at least 40 x 10 and at most MAX_GUESTS guests. */
void tiles_place(struct tiles *t, unsigned guests, unsigned cols, unsigned rows);
