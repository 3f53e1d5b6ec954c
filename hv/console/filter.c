/*
 * Output on a shared terminal: see filter.h. Called by terminal.c; no state of its own.
 */
#include "hv/console/filter.h"
#include "hv/lib/string.h"

enum { BELL = 0x07, CANCEL = 0x18, SUBSTITUTE = 0x1a, ESCAPE = 0x1b, DELETE = 0x7f };
enum { C1_FIRST = 0x80, C1_LAST = 0x9f, C1_LEAD = 0xc2 /* U+0080 to U+009F begin so in UTF-8 */ };

enum state {
	TEXT,
	CHARACTER, /* after C1_LEAD, which is held */
	AFTER_ESCAPE,
	CONTROL,      /* after ESC [ */
	INTERMEDIATE, /* after ESC and one of 0x20 to 0x2f */
	STRING,	      /* until BEL or ESC \ */
	STRING_ESCAPE,
};

static unsigned one(uint8_t byte, uint8_t *out)
{
	out[0] = byte;
	return 1;
}

/* Bytes that follow the first one of a UTF-8 character. */
static uint8_t followers(uint8_t byte)
{
	if (byte < 0xc2 || byte > 0xf4) {
		return 0;
	}
	return byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
}

static unsigned text(struct filter *f, uint8_t byte, uint8_t *out)
{
	bool follows = f->more && byte >= 0x80 && byte < 0xc0;

	f->more = follows ? f->more - 1 : followers(byte);
	if (byte == ESCAPE) {
		f->state = AFTER_ESCAPE;
		return 0;
	}
	if (byte == C1_LEAD) {
		f->state = CHARACTER;
		return 0;
	}
	if (byte < ' ') {
		return (byte >= BELL && byte <= '\n') || byte == '\r' ? one(byte, out) : 0;
	}
	if (byte == DELETE || (byte >= C1_FIRST && byte <= C1_LAST && !follows)) {
		return 0;
	}
	return one(byte, out);
}

/* U+0080 to U+009F are controls, too; another character goes on whole. */
static unsigned character(struct filter *f, uint8_t byte, uint8_t *out)
{
	f->state = TEXT;
	f->more = 0;
	if (byte >= 0xa0 && byte < 0xc0) {
		out[0] = C1_LEAD;
		out[1] = byte;
		return 2;
	}
	return byte >= C1_FIRST && byte < 0xc0 ? 0 : text(f, byte, out);
}

/*
 * Colours; erasing behind the cursor; and what a shell moves the rest of a line by. Not by what is
 * private ("?25l") or has other bytes than numbers in it.
 */
static bool stays_in_line(const struct filter *f, uint8_t final)
{
	bool zero = f->len == 2 || (f->len == 3 && f->held[2] == '0');

	for (unsigned i = 2; i < f->len; i++) {
		if (f->held[i] < '0' || f->held[i] > ';') {
			return false;
		}
	}
	switch (final) {
	case 'm':
	case 'C':
	case 'P':
	case '@': return true;
	case 'J':
	case 'K': return zero;
	default: return false;
	}
}

static unsigned control(struct filter *f, uint8_t byte, uint8_t *out)
{
	unsigned n = f->len;

	if (byte < 0x40 || byte > 0x7e) {
		/* Too long is remembered as a length that nothing has that goes through. */
		if (n < FILTER_MOST - 1) {
			f->held[n] = byte;
		}
		f->len = (uint8_t)(n < FILTER_MOST ? n + 1 : n);
		return 0;
	}
	f->state = TEXT;
	if (n >= FILTER_MOST || !stays_in_line(f, byte)) {
		return 0;
	}
	memcpy(out, f->held, n);
	out[n] = byte;
	return n + 1;
}

static void after_escape(struct filter *f, uint8_t byte)
{
	switch (byte) {
	case '[':
		f->state = CONTROL;
		f->held[0] = ESCAPE;
		f->held[1] = '[';
		f->len = 2;
		return;
	case ']':
	case 'P':
	case 'X':
	case '^':
	case '_':
	case 'k': f->state = STRING; return; /* k: a title, for some terminals */
	default: f->state = byte >= ' ' && byte < '0' ? INTERMEDIATE : TEXT; return;
	}
}

/* What ends a sequence wherever it is: a new one, a cancel, and lines, in which none goes on. */
static bool cuts(const struct filter *f, uint8_t byte)
{
	return byte == CANCEL || byte == SUBSTITUTE || byte == '\n' ||
	       (byte == ESCAPE && f->state != STRING);
}

unsigned filter_byte(struct filter *f, uint8_t byte, uint8_t out[FILTER_MOST])
{
	if (f->state > CHARACTER && cuts(f, byte)) {
		f->state = TEXT;
		return text(f, byte, out);
	}
	switch (f->state) {
	case TEXT: return text(f, byte, out);
	case CHARACTER: return character(f, byte, out);
	case CONTROL: return control(f, byte, out);
	case AFTER_ESCAPE: after_escape(f, byte); return 0;
	case INTERMEDIATE: f->state = byte >= ' ' && byte < '0' ? INTERMEDIATE : TEXT; return 0;
	case STRING:
		f->state = byte == BELL ? TEXT : byte == ESCAPE ? STRING_ESCAPE : STRING;
		return 0;
	default: f->state = byte == '\\' ? TEXT : STRING; return 0;
	}
}

bool filter_is_colour(const uint8_t *sequence, unsigned n)
{
	return n > 2 && sequence[n - 1] == 'm';
}

bool filter_is_plain(const uint8_t *sequence, unsigned n)
{
	return n == 3 || (n == 4 && sequence[2] == '0');
}

unsigned filter_number(const uint8_t *sequence, unsigned n)
{
	unsigned v = 0;

	for (unsigned i = 2; i < n && sequence[i] >= '0' && sequence[i] <= '9'; i++) {
		v = v < 10000 ? v * 10 + (sequence[i] - '0') : v;
	}
	return v;
}
