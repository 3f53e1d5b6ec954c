/*
 * Scrolling through the log: see pager.h. Called by view.c.
 */
#include "hv/console/pager.h"
#include "hv/console/log_ring.h"

enum { MARGIN = 1024 /* of the ring: may be overwritten before it is read */ };

static uint64_t log_end(void)
{
	return __atomic_load_n(&log_ring()->end, __ATOMIC_RELAXED);
}

static char log_byte(uint64_t at)
{
	return log_ring()->text[at % LOG_RING];
}

static uint64_t log_begin(void)
{
	uint64_t end = log_end();
	uint64_t at = end > LOG_RING - MARGIN ? end - (LOG_RING - MARGIN) : 0;

	while (at && at < end && log_byte(at - 1) != '\n') {
		at++;
	}
	return at;
}

static unsigned rows_of(const struct pager *p, uint64_t bytes)
{
	return bytes ? (unsigned)((bytes - 1) / p->pane.area.cols) + 1 : 1;
}

/* The first of the lines before `at`, which begins one, that fit into `rows`; one at least. */
static uint64_t up(const struct pager *p, uint64_t at, unsigned rows)
{
	uint64_t begin = log_begin();
	unsigned used = 0;

	while (at > begin) {
		uint64_t line = at - 1;

		while (line > begin && log_byte(line - 1) != '\n') {
			line--;
		}
		used += rows_of(p, at - 1 - line);
		if (used > rows && used > rows_of(p, at - 1 - line)) {
			break;
		}
		at = line;
	}
	return at;
}

/* Shows the log from p->top on, as much as there is room for. */
static void show(struct pager *p)
{
	struct pane *pane = &p->pane;
	uint64_t end = log_end(), at = p->top;

	pane_init(pane, pane->screen, &pane->area);
	for (; at < end; at++) {
		char c = log_byte(at);

		if (pane->y + 1 == pane->area.rows && (c == '\n' || pane->x == pane->area.cols)) {
			at += c == '\n';
			break;
		}
		pane_write(pane, &c, 1);
	}
	p->bottom = at;
	p->follows = at >= end;
}

static void show_end(struct pager *p)
{
	p->top = up(p, log_end(), p->pane.area.rows);
	show(p);
}

void pager_open(struct pager *p, struct screen *s, const struct screen_area *area)
{
	pane_init(&p->pane, s, area);
	p->keys = 0;
	show_end(p);
}

void pager_grow(struct pager *p)
{
	if (p->follows && p->bottom < log_end()) {
		show_end(p);
	}
}

static void move_down(struct pager *p, uint64_t top)
{
	uint64_t last = up(p, log_end(), p->pane.area.rows);

	p->top = top < last ? top : last;
	show(p);
}

static uint64_t next_line(uint64_t at)
{
	uint64_t end = log_end();

	while (at < end && log_byte(at) != '\n') {
		at++;
	}
	return at < end ? at + 1 : end;
}

void pager_key(struct pager *p, uint8_t byte)
{
	p->keys = p->keys << 8 | byte;
	switch (p->keys & 0xffffff) {
	case '\033' << 16 | '[' << 8 | 'A':
		p->top = up(p, p->top, 1);
		show(p);
		return;
	case '\033' << 16 | '[' << 8 | 'B': move_down(p, next_line(p->top)); return;
	case '\033' << 16 | '[' << 8 | 'H':
		p->top = log_begin();
		show(p);
		return;
	case '\033' << 16 | '[' << 8 | 'F': show_end(p); return;
	default: break;
	}
	switch (p->keys) {
	case '\033' << 24 | '[' << 16 | '5' << 8 | '~':
		p->top = up(p, p->top, p->pane.area.rows);
		show(p);
		return;
	case '\033' << 24 | '[' << 16 | '6' << 8 | '~': move_down(p, p->bottom); return;
	default: return;
	}
}
