/*
 * Text in an area of the screen: see pane.h. The state belongs to the caller.
 */
#include "hv/console/pane.h"
#include "hv/console/font.h"
#include "hv/lib/string.h"

enum { ESCAPE = 0x1b, BELL = 0x07, CANCEL = 0x18, SUBSTITUTE = 0x1a, TAB_STOPS = 8 };

enum state {
	TEXT,
	AFTER_ESCAPE,
	CONTROL,       /* after ESC [ */
	STRING,	       /* after ESC ] P X ^ _, until ESC \ or BEL */
	STRING_ESCAPE, /* ESC in a string */
	ONE_MORE,      /* ESC ( and the like take one more byte */
};

/*
 * What of a pane_write's text is still to come. It is no part of the pane: when a CPU stops, its
 * last words may meet another's on the same pane, and neither may run past its text.
 */
struct rest {
	const char *next;
	size_t left;
};

static struct screen_cell cell(const struct pane *p, uint8_t ch)
{
	uint8_t fore = (uint8_t)(p->foreground | (p->bright ? SCREEN_BRIGHT : 0));

	if (p->reverse) {
		return (struct screen_cell){ch, SCREEN_ATTR(p->background, fore & SCREEN_GREY)};
	}
	return (struct screen_cell){ch, SCREEN_ATTR(fore, p->background)};
}

static const struct screen_cell blank = {' ', SCREEN_GREY};

static void plain(struct pane *p)
{
	p->foreground = SCREEN_GREY;
	p->background = SCREEN_BLACK;
	p->bright = p->reverse = false;
}

void pane_init(struct pane *p, struct screen *s, const struct screen_area *area)
{
	*p = (struct pane){.screen = s, .area = *area};
	plain(p);
	screen_fill(s, area, blank);
}

/* --- characters --- */

static unsigned less(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Lines that will surely begin, so that they need not be scrolled in one by one. */
static unsigned lines_ahead(const struct pane *p, const struct rest *r)
{
	unsigned lines = 0;

	for (size_t i = 0; i < r->left && r->next[i] != ESCAPE && p->state == TEXT; i++) {
		lines += r->next[i] == '\n';
	}
	return lines;
}

static void new_line(struct pane *p, const struct rest *r)
{
	unsigned lines;

	p->x = 0;
	p->y++;
	if (p->y >= p->area.rows) {
		lines = less(1 + lines_ahead(p, r), p->area.rows);
		screen_scroll(p->screen, &p->area, lines, blank);
		p->y = p->area.rows - lines;
	}
}

static void put(struct pane *p, uint8_t ch, const struct rest *r)
{
	if (p->x >= p->area.cols) {
		new_line(p, r);
	}
	screen_put(p->screen, p->area.col + p->x, p->area.row + p->y, cell(p, ch));
	p->x++;
}

static void put_tab(struct pane *p)
{
	unsigned stop = (p->x / TAB_STOPS + 1) * TAB_STOPS;

	p->x = stop < p->area.cols ? stop : p->area.cols - 1;
}

static void text(struct pane *p, uint8_t byte, const struct rest *r)
{
	switch (byte) {
	case '\r': p->x = 0; return;
	case '\n': new_line(p, r); return;
	case '\b': p->x -= p->x > 0; return;
	case '\t': put_tab(p); return;
	case ESCAPE: p->state = AFTER_ESCAPE; return;
	default: break;
	}
	if (byte < ' ' || byte == 0x7f || (byte >= 0x80 && byte < 0xc0)) {
		return; /* the rest of a UTF-8 character is shown by its first byte */
	}
	put(p, byte < 0x80 ? byte : (uint8_t)FONT_OTHER, r);
}

/* --- control sequences --- */

static unsigned parameter(const struct pane *p, unsigned i, unsigned fallback)
{
	return i < p->parameters && p->parameter[i] ? p->parameter[i] : fallback;
}

static void move_to(struct pane *p, unsigned x, unsigned y)
{
	p->x = less(x, p->area.cols - 1);
	p->y = less(y, p->area.rows - 1);
}

/* Blanks the cells [from, to) of the pane, counted line by line. */
static void erase(struct pane *p, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++) {
		screen_put(p->screen, p->area.col + i % p->area.cols,
			   p->area.row + i / p->area.cols, blank);
	}
}

static void erase_part(struct pane *p, unsigned start, unsigned end)
{
	unsigned at = p->y * p->area.cols + less(p->x, p->area.cols - 1);

	switch (parameter(p, 0, 0)) {
	case 0: erase(p, at, end); break;
	case 1: erase(p, start, at + 1); break;
	default: erase(p, start, end); break;
	}
}

/* ECMA-48 counts red, green, blue; the VGA blue, green, red. */
static uint8_t vga_colour(unsigned ansi)
{
	return (uint8_t)((ansi & 1) << 2 | (ansi & 2) | (ansi & 4) >> 2);
}

static void colour(struct pane *p)
{
	for (unsigned i = 0; i < p->parameters; i++) {
		unsigned v = p->parameter[i];

		if (v == 0) {
			plain(p);
		} else if (v == 1 || v == 22) {
			p->bright = v == 1;
		} else if (v == 7 || v == 27) {
			p->reverse = v == 7;
		} else if ((v >= 30 && v <= 37) || (v >= 90 && v <= 97)) {
			p->foreground = vga_colour(v % 10);
			p->bright |= v >= 90;
		} else if ((v >= 40 && v <= 47) || (v >= 100 && v <= 107)) {
			p->background = vga_colour(v % 10);
		} else if (v == 39) {
			p->foreground = SCREEN_GREY;
		} else if (v == 49) {
			p->background = SCREEN_BLACK;
		} else if (v == 38 || v == 48) {
			return; /* a palette that is not here; what follows belongs to it */
		}
	}
}

static void control(struct pane *p, uint8_t final)
{
	unsigned n = parameter(p, 0, 1);
	unsigned cells = p->area.cols * p->area.rows, line = p->y * p->area.cols;

	if (p->private_sequence) {
		return;
	}
	switch (final) {
	case 'A': move_to(p, p->x, p->y > n ? p->y - n : 0); break;
	case 'B': move_to(p, p->x, p->y + n); break;
	case 'C': move_to(p, p->x + n, p->y); break;
	case 'D': move_to(p, p->x > n ? p->x - n : 0, p->y); break;
	case 'G': move_to(p, n - 1, p->y); break;
	case 'd': move_to(p, p->x, n - 1); break;
	case 'H':
	case 'f': move_to(p, parameter(p, 1, 1) - 1, n - 1); break;
	case 'J': erase_part(p, 0, cells); break;
	case 'K': erase_part(p, line, line + p->area.cols); break;
	case 'm': colour(p); break;
	default: break;
	}
}

static void control_byte(struct pane *p, uint8_t byte, const struct rest *r)
{
	if (byte >= '0' && byte <= '9') {
		uint16_t *v = &p->parameter[p->parameters - 1];

		*v = (uint16_t)less(*v * 10u + (byte - '0'), 9999);
	} else if (byte == ';' || byte == ':') {
		if (p->parameters < PANE_PARAMETERS) {
			p->parameters++;
		}
		p->parameter[p->parameters - 1] = 0;
	} else if (byte >= '<' && byte <= '?') {
		p->private_sequence = true;
	} else if (byte >= 0x40 && byte <= 0x7e) {
		p->state = TEXT;
		control(p, byte);
	} else if (byte < ' ') {
		p->state = TEXT; /* cut short */
		text(p, byte, r);
	}
}

static void begin_sequence(struct pane *p, uint8_t byte, const struct rest *r)
{
	p->state = TEXT;
	switch (byte) {
	case '[':
		p->state = CONTROL;
		p->parameter[0] = 0;
		p->parameters = 1;
		p->private_sequence = false;
		break;
	case ']':
	case 'P':
	case 'X':
	case '^':
	case '_': p->state = STRING; break;
	case 'c':
		plain(p);
		screen_fill(p->screen, &p->area, blank);
		move_to(p, 0, 0);
		break;
	default:
		if (byte >= ' ' && byte < '0') {
			p->state = ONE_MORE;
		} else if (byte < ' ') {
			text(p, byte, r);
		}
	}
}

static void feed(struct pane *p, uint8_t byte, const struct rest *r)
{
	if (byte == CANCEL || byte == SUBSTITUTE) {
		p->state = TEXT;
		return;
	}
	switch (p->state) {
	case TEXT: text(p, byte, r); break;
	case AFTER_ESCAPE: begin_sequence(p, byte, r); break;
	case CONTROL: control_byte(p, byte, r); break;
	case STRING:
		if (byte == BELL || byte == ESCAPE) {
			p->state = byte == BELL ? TEXT : STRING_ESCAPE;
		} else if (byte == '\n') {
			p->state = TEXT; /* no string holds one: its end was lost */
			text(p, byte, r);
		}
		break;
	default: p->state = TEXT; break; /* the byte that ends ONE_MORE or STRING_ESCAPE */
	}
}

void pane_write(struct pane *p, const char *s, size_t n)
{
	struct rest r = {s, n};

	if (!p->area.rows) {
		return;
	}
	while (r.left) {
		uint8_t byte = (uint8_t)*r.next++;

		r.left--;
		feed(p, byte, &r);
	}
}
