/*
 * A pane: lines of text in an area of the screen, as a simple terminal shows them. Pure.
 *
 * Understood: CR, LF (a new line, with or without CR), BS, TAB, and of ECMA-48's control sequences
 * cursor moves, erasing and colours. Everything else is swallowed whole, so that it leaves no
 * litter; nothing is ever answered.
 */
#pragma once

#include "hv/console/screen.h"

enum { PANE_PARAMETERS = 8 };

struct pane {
	struct screen *screen;
	struct screen_area area; /* no rows: nothing is shown */
	unsigned x, y;		 /* the cursor; x == area.cols: the next character begins a line */
	uint8_t foreground, background;
	bool bright, reverse;
	uint8_t state; /* enum in pane.c: inside an escape sequence */
	uint16_t parameter[PANE_PARAMETERS];
	unsigned parameters;
	bool private_sequence; /* begins with one of < = > ? */
};

/* Makes it empty, the cursor at its top left. */
void pane_init(struct pane *p, struct screen *s, const struct screen_area *area);
void pane_write(struct pane *p, const char *text, size_t n);
