/*
 * A screen of character cells: what it should show, and what it does show. Pure.
 *
 * Everybody changes the first and screen_draw brings the second after it, so that video memory is
 * never read, a cell is drawn only when it has changed, and drawing can go on later. One CPU at a
 * time; two by accident (last words) make a wrong picture and nothing worse.
 */
#pragma once

#include "hv/types.h"

enum { SCREEN_COLS = 256, SCREEN_ROWS = 96 };

/* A cell as VGA text mode has it: background in attr 6:4, foreground in 3:0. */
struct screen_cell {
	uint8_t ch, attr;
};
_Static_assert(sizeof(struct screen_cell) == 2, "hardware layout");

/* In the order of the VGA's palette. */
enum screen_colour {
	SCREEN_BLACK,
	SCREEN_BLUE,
	SCREEN_GREEN,
	SCREEN_CYAN,
	SCREEN_RED,
	SCREEN_MAGENTA,
	SCREEN_BROWN,
	SCREEN_GREY,
	SCREEN_BRIGHT = 8,
	SCREEN_WHITE = SCREEN_BRIGHT | SCREEN_GREY
};

#define SCREEN_ATTR(foreground, background) ((uint8_t)((background) << 4 | (foreground)))

struct screen {
	unsigned cols, rows; /* at most SCREEN_COLS, SCREEN_ROWS */
	unsigned next;	     /* the row that screen_draw goes on with */
	bool changed[SCREEN_ROWS];
	struct screen_cell wanted[SCREEN_ROWS][SCREEN_COLS], shown[SCREEN_ROWS][SCREEN_COLS];
};

struct screen_area {
	unsigned col, row, cols, rows;
};

/* All blank, and nothing known of what the screen shows. Larger sizes are cut. */
void screen_init(struct screen *s, unsigned cols, unsigned rows);
/* Forgets what the screen shows: all of it is drawn again. */
void screen_forget(struct screen *s);
/* Cells outside the screen are ignored, here and below. */
void screen_put(struct screen *s, unsigned col, unsigned row, struct screen_cell c);
void screen_fill(struct screen *s, const struct screen_area *a, struct screen_cell c);
/* Moves an area's content up by `lines`, fewer than it has rows; blanks come in below. */
void screen_scroll(struct screen *s, const struct screen_area *a, unsigned lines,
		   struct screen_cell blank);
/* The screen shows what it should. */
bool screen_settled(const struct screen *s);
/* Draws at most `budget` cells. True: the screen has settled. */
bool screen_draw(struct screen *s, unsigned budget);
