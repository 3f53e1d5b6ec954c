/*
 * Tiles: see tiles.h. Called by view.c.
 */
#include "hv/console/tiles.h"

/* Lines longer than this are rare; narrower tiles than that tell nothing. */
enum { GOOD_COLS = 80, COLS_MIN = 18 };

static unsigned less(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* The number of columns that shows most text; one more must bring a quarter more. */
static unsigned choose_columns(unsigned guests, unsigned cols, unsigned rows)
{
	unsigned best = 1, best_cells = 0;

	for (unsigned columns = 1; columns <= guests; columns++) {
		unsigned lines = (guests + columns - 1) / columns;
		unsigned width = (cols + 1) / columns - 1, height = rows / lines;
		unsigned cells = less(width, GOOD_COLS) * (height - (height > 0));

		if (width >= COLS_MIN && (!best_cells || cells * 4 > best_cells * 5)) {
			best = columns;
			best_cells = cells;
		}
	}
	return best;
}

/* The i-th of n parts of [0, size), with a gap before the next. */
static unsigned part(unsigned i, unsigned n, unsigned size, unsigned gap)
{
	return i * (size + gap) / n;
}

void tiles_place(struct tiles *t, unsigned guests, unsigned cols, unsigned rows)
{
	/* A quarter is the log's; less where each guest would not get its bar and a line. */
	unsigned log = rows / 4 > 4 ? rows / 4 : 4;
	unsigned columns = choose_columns(guests, cols, rows - log);
	unsigned lines = (guests + columns - 1) / columns;

	if (rows - log < 2 * lines) {
		log = rows > 2 * lines + 2 ? rows - 2 * lines : 2;
	}
	for (unsigned i = 0; i < guests; i++) {
		unsigned line = i / columns, col = i % columns;
		unsigned in_line = less(columns, guests - line * columns);
		unsigned left = part(col, in_line, cols, 1), top = part(line, lines, rows - log, 0);

		t->guest[i] = (struct screen_area){left, top,
						   part(col + 1, in_line, cols, 1) - left - 1,
						   part(line + 1, lines, rows - log, 0) - top};
	}
	t->log = (struct screen_area){0, rows - log, cols, log};
}
