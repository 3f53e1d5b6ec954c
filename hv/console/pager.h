/*
 * The log on the screen, to be scrolled through: the 64 KiB that its ring keeps. Of the console
 * CPU.
 *
 * At its end it follows what is added. It reads the ring without the log's lock: a line that is
 * being overwritten meanwhile, the oldest, may show torn.
 */
#pragma once

#include "hv/console/pane.h"

struct pager {
	struct pane pane;
	uint64_t top, bottom; /* bytes of the log: the first that is shown, the first below */
	bool follows;
	uint32_t keys; /* the last bytes of keys */
};

/* Shows the end of the log in an area. */
void pager_open(struct pager *p, struct screen *s, const struct screen_area *area);
/* The log may have grown. */
void pager_grow(struct pager *p);
/* A byte of a key: cursor up and down, PageUp, PageDown, Home and End do what they say. */
void pager_key(struct pager *p, uint8_t byte);
