/*
 * The cells of a screen: see screen.h. The state belongs to the caller.
 */
#include "hv/console/screen.h"
#include "hv/host.h"
#include "hv/lib/string.h"

static bool same(struct screen_cell a, struct screen_cell b)
{
	return a.ch == b.ch && a.attr == b.attr;
}

void screen_init(struct screen *s, unsigned cols, unsigned rows)
{
	s->cols = cols < SCREEN_COLS ? cols : SCREEN_COLS;
	s->rows = rows < SCREEN_ROWS ? rows : SCREEN_ROWS;
	s->next = 0;
	screen_fill(s, &(struct screen_area){0, 0, s->cols, s->rows},
		    (struct screen_cell){' ', SCREEN_GREY});
	screen_forget(s);
}

void screen_forget(struct screen *s)
{
	memset(s->shown, 0, sizeof(s->shown)); /* no cell that is wanted has the character 0 */
	memset(s->changed, true, sizeof(s->changed));
}

void screen_put(struct screen *s, unsigned col, unsigned row, struct screen_cell c)
{
	if (col < s->cols && row < s->rows && !same(s->wanted[row][col], c)) {
		s->wanted[row][col] = c;
		s->changed[row] = true;
	}
}

void screen_fill(struct screen *s, const struct screen_area *a, struct screen_cell c)
{
	for (unsigned row = a->row; row < a->row + a->rows; row++) {
		for (unsigned col = a->col; col < a->col + a->cols; col++) {
			screen_put(s, col, row, c);
		}
	}
}

void screen_scroll(struct screen *s, const struct screen_area *a, unsigned lines,
		   struct screen_cell blank)
{
	unsigned kept = a->rows - lines, cols;

	if (a->col >= s->cols) {
		return;
	}
	cols = a->cols < s->cols - a->col ? a->cols : s->cols - a->col;
	for (unsigned row = a->row; row < a->row + kept && row + lines < s->rows; row++) {
		memmove(&s->wanted[row][a->col], &s->wanted[row + lines][a->col],
			cols * sizeof(struct screen_cell));
		s->changed[row] = true;
	}
	screen_fill(s, &(struct screen_area){a->col, a->row + kept, a->cols, lines}, blank);
}

/* Draws changed cells of a row, run by run and at most `budget`; returns how many. */
static unsigned draw_row(struct screen *s, unsigned row, unsigned budget)
{
	unsigned drawn = 0;

	s->changed[row] = false;
	for (unsigned col = 0; col < s->cols;) {
		unsigned end = col;

		while (end < s->cols && drawn < budget &&
		       !same(s->wanted[row][end], s->shown[row][end])) {
			s->shown[row][end] = s->wanted[row][end];
			end++;
			drawn++;
		}
		if (end > col) {
			host_screen_draw(col, row, &s->shown[row][col], end - col);
		}
		if (drawn == budget) {
			s->changed[row] = end < s->cols; /* perhaps; the next turn sees */
			break;
		}
		col = end + 1;
	}
	return drawn;
}

bool screen_settled(const struct screen *s)
{
	for (unsigned row = 0; row < s->rows; row++) {
		if (s->changed[row]) {
			return false;
		}
	}
	return true;
}

bool screen_draw(struct screen *s, unsigned budget)
{
	for (unsigned i = 0; i < s->rows && budget; i++) {
		unsigned row = s->next < s->rows ? s->next : 0;

		/* Also after a part of a row: one that keeps changing must not hold up others. */
		s->next = row + 1;
		if (s->changed[row]) {
			budget -= draw_row(s, row, budget);
		}
	}
	return screen_settled(s);
}
