/*
 * The terminal: see terminal.h. Pure; owned by the console CPU.
 *
 * Mixed view: a finished line always comes out at once. An unfinished one (a prompt) is revealed
 * when its source pauses and no other is shown; what follows on it then comes at once. When
 * somebody's finished line breaks in, the unfinished one is written again below.
 */
#include "hv/console/terminal.h"
#include "hv/lib/printf.h"
#include "hv/lib/string.h"

enum { CTRL_A = 0x01 };

/*
 * Ends whatever a sequence is in; plain characters; and of what a guest can do to a terminal that
 * is its own: main screen, soft reset and, as not all know it, one by one: margins (where the
 * cursor stays), cursor keys, keypad, wrapping, cursor, insertion; ASCII; no reports of mouse,
 * focus and pasting.
 */
#define CANCEL	  "\030"
#define NO_COLOUR "\033[m"
#define OWN_AGAIN                                                                                  \
	CANCEL "\033[?47l\033[!p\0337\033[r\0338\033[?1l\033>\033[?7h\033[?25h\033[4l\033[m\033("  \
	       "B\017"                                                                             \
	       "\033[?9l\033[?1000l\033[?1002l\033[?1003l\033[?1004l\033[?2004l"

static void put(struct terminal *t, char c)
{
	t->out[t->head++ % TERMINAL_OUT] = (uint8_t)c;
}

static void put_text(struct terminal *t, const char *text, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		put(t, text[i]);
	}
}

static void put_string(struct terminal *t, const char *text)
{
	put_text(t, text, (unsigned)strlen(text));
}

void terminal_init(struct terminal *t)
{
	memset(t, 0, sizeof(*t));
	t->focus = TERMINAL_MIXED;
	t->open = -1;
	t->input = -1;
}

void terminal_name(struct terminal *t, unsigned source, const char *name)
{
	fmt_print(t->source[source].prefix, sizeof(t->source[source].prefix), "%s| ", name);
	if (t->input < 0) {
		t->input = (int)source;
	}
}

void terminal_remember(struct terminal *t, unsigned source, const uint8_t *bytes, unsigned n)
{
	struct terminal_source *s = &t->source[source];

	for (unsigned i = 0; i < n; i++) {
		s->history[s->history_end++ % TERMINAL_HISTORY] = bytes[i];
	}
}

unsigned terminal_room(const struct terminal *t)
{
	uint32_t room = TERMINAL_OUT - (t->head - t->tail);

	/* One byte may bring out whole lines; every other costs three bytes at most. */
	return room <= TERMINAL_WORST ? 0 : (room - TERMINAL_WORST) / TERMINAL_WORST + 1;
}

static void show_line(struct terminal *t, int source)
{
	struct terminal_source *s = &t->source[source];

	if (s->shown == 0) {
		put_string(t, s->prefix);
	}
	put_text(t, s->line + s->shown, s->len - s->shown);
	s->shown = s->len;
}

/* The log has line feeds only. */
static void put_raw(struct terminal *t, int source, char c)
{
	if (c == '\n' && source == TERMINAL_LOG) {
		put(t, '\r');
	}
	put(t, c);
}

/* No colour goes on beyond the source's line. */
static void end_colour(struct terminal *t, int source)
{
	if (t->source[source].coloured && t->source[source].shown) {
		put_string(t, NO_COLOUR);
	}
}

/* Takes the unfinished line of somebody else off the terminal, and later writes it again. */
static int break_in(struct terminal *t, int source)
{
	int other = t->open;

	if (other < 0 || other == source) {
		return -1;
	}
	end_colour(t, other);
	put_string(t, "\r\n");
	t->source[other].shown = 0;
	return other;
}

static void finish_line(struct terminal *t, int source)
{
	struct terminal_source *s = &t->source[source];
	int other = break_in(t, source);

	show_line(t, source);
	end_colour(t, source);
	put_string(t, "\r\n");
	s->len = s->shown = s->column = s->width = 0;
	s->coloured = false;
	t->open = -1;
	if (other >= 0) {
		show_line(t, other);
		t->open = other;
	}
}

/* The first byte of Latin, Greek or Cyrillic letters: among those behind others some have no width.
 */
static bool begins_letter(uint8_t byte)
{
	return (byte >= 0xc3 && byte <= 0xcb) || (byte >= 0xce && byte <= 0xd1);
}

static bool move_column(struct terminal_source *s, uint8_t byte)
{
	if (byte == '\b') {
		if (!s->column) {
			return false;
		}
		s->column--;
	}
	s->column += byte == '\t' || (byte >= ' ' && byte < 0x7f) || begins_letter(byte);
	s->width = s->column > s->width ? s->column : s->width;
	return true;
}

/* To the right, as far as the line has characters: beyond, the terminal's edge may have stopped it.
 */
static void move_right(struct terminal_source *s, unsigned columns)
{
	unsigned most = s->width - s->column;

	columns = columns ? columns : 1;
	s->column += columns < most ? columns : most;
}

static void feed_plain(struct terminal *t, int source, uint8_t byte)
{
	struct terminal_source *s = &t->source[source];

	if (byte == '\r') {
		return;
	}
	if (byte == '\n') {
		finish_line(t, source);
		return;
	}
	if (s->len == TERMINAL_LINE) {
		finish_line(t, source);
	}
	if (move_column(s, byte)) {
		s->line[s->len++] = (char)byte;
	}
}

/* A sequence stands in one line, whole. */
static void feed_sequence(struct terminal *t, int source, const uint8_t *bytes, unsigned n)
{
	struct terminal_source *s = &t->source[source];

	if (s->len + n > TERMINAL_LINE) {
		finish_line(t, source);
	}
	memcpy(s->line + s->len, bytes, n);
	s->len += n;
	if (bytes[n - 1] == 'C') {
		move_right(s, filter_number(bytes, n));
	}
	if (filter_is_colour(bytes, n)) {
		s->coloured = !filter_is_plain(bytes, n);
	}
}

static void feed_mixed(struct terminal *t, int source, uint8_t byte)
{
	uint8_t out[FILTER_MOST];
	unsigned n = filter_byte(&t->source[source].filter, byte, out);

	if (n == 1) {
		feed_plain(t, source, out[0]);
	} else if (n) {
		feed_sequence(t, source, out, n);
	}
}

static int hidden(const struct terminal *t)
{
	for (int i = 0; i < TERMINAL_SOURCES && t->open < 0; i++) {
		if (t->source[i].len > t->source[i].shown) {
			return i;
		}
	}
	return -1;
}

bool terminal_hides(const struct terminal *t)
{
	return hidden(t) >= 0;
}

void terminal_reveal(struct terminal *t)
{
	int source = hidden(t);

	if (source >= 0) {
		show_line(t, source);
		t->open = source;
	}
}

void terminal_feed(struct terminal *t, unsigned source, const uint8_t *bytes, unsigned n)
{
	terminal_remember(t, source, bytes, n);
	for (unsigned i = 0; i < n; i++) {
		if (t->focus == TERMINAL_MIXED) {
			feed_mixed(t, (int)source, bytes[i]);
		} else if (t->focus == (int)source) {
			put_raw(t, (int)source, (char)bytes[i]);
		}
	}
	if (t->open == (int)source) {
		show_line(t, (int)source);
	}
}

/*
 * The last `max` bytes that a source sent, from the start of a line where there is one. Of what it
 * did to the terminal, and asked of it, nothing is done again: that was then.
 */
static void show_history(struct terminal *t, int source, unsigned max)
{
	struct terminal_source *s = &t->source[source];
	uint64_t kept = s->history_end < max ? s->history_end : max, at = s->history_end - kept;
	uint8_t out[FILTER_MOST];
	struct filter filter = {0};

	if (at) {
		uint64_t line = at + 1;

		while (line < s->history_end && s->history[(line - 1) % TERMINAL_HISTORY] != '\n') {
			line++;
		}
		at = line < s->history_end ? line : at;
	}
	for (; at < s->history_end; at++) {
		unsigned n = filter_byte(&filter, s->history[at % TERMINAL_HISTORY], out);

		for (unsigned i = 0; i < n; i++) {
			put_raw(t, source, (char)out[i]);
		}
	}
}

static void forget_lines(struct terminal *t)
{
	for (unsigned i = 0; i < TERMINAL_SOURCES; i++) {
		struct terminal_source *s = &t->source[i];

		s->len = s->shown = s->column = s->width = 0;
		s->coloured = false;
		s->filter = (struct filter){0};
	}
	t->open = -1;
}

/* The terminal as before whoever has it wrote on it; cut: maybe in the middle of something. */
static void take_terminal(struct terminal *t, bool cut)
{
	if (t->focus >= 0 && t->focus != TERMINAL_LOG) {
		put_string(t, OWN_AGAIN);
	} else if (cut) {
		put_string(t, CANCEL NO_COLOUR);
	} else if (t->open >= 0) {
		end_colour(t, t->open);
	}
}

static void set_focus(struct terminal *t, int focus)
{
	bool cut = t->head != t->tail;

	t->tail = t->head; /* what is still on its way out gives room to the new view */
	take_terminal(t, cut);
	put_string(t, "\r\n--- ");
	forget_lines(t);
	t->focus = focus;
	if (focus == TERMINAL_MIXED) {
		put_string(t, "log and all guests ---\r\n");
		show_history(t, TERMINAL_LOG, TERMINAL_HISTORY / 2);
		return;
	}
	if (focus == TERMINAL_LOG) {
		put_string(t, "log (Ctrl-a l: all) ---\r\n");
		show_history(t, TERMINAL_LOG, TERMINAL_HISTORY);
		return;
	}
	t->input = focus;
	put_text(t, t->source[focus].prefix, (unsigned)strlen(t->source[focus].prefix) - 2);
	put_string(t, " (Ctrl-a l: all) ---\r\n");
	show_history(t, focus, TERMINAL_HISTORY / 2);
}

void terminal_show_all(struct terminal *t)
{
	if (t->focus != TERMINAL_MIXED) {
		take_terminal(t, false);
		put_string(t, "\r\n--- log and all guests ---\r\n");
		forget_lines(t);
		t->focus = TERMINAL_MIXED;
		show_history(t, TERMINAL_LOG, TERMINAL_TAIL);
	}
}

/* The one behind the one that is typed to, for those that have no digit; all when there is none. */
static int next_guest(const struct terminal *t)
{
	for (int i = 1; t->input >= 0 && i <= MAX_GUESTS; i++) {
		int guest = (t->input + i) % MAX_GUESTS;

		if (t->source[guest].prefix[0]) {
			return guest;
		}
	}
	return TERMINAL_MIXED;
}

static enum terminal_key type_escaped(struct terminal *t, uint8_t byte)
{
	if (byte >= '1' && byte <= '9') {
		int guest = byte - '1';

		if (t->source[guest].prefix[0]) {
			set_focus(t, guest);
		}
		return KEY_NONE;
	}
	switch (byte) {
	case 'n': set_focus(t, next_guest(t)); return KEY_NONE;
	case '0': set_focus(t, TERMINAL_LOG); return KEY_NONE;
	case 'l': set_focus(t, TERMINAL_MIXED); return KEY_NONE;
	case 'x': return KEY_END;
	case 'a':
	case CTRL_A: return t->input >= 0 && t->focus != TERMINAL_LOG ? KEY_INPUT : KEY_NONE;
	default:
		if (!terminal_room(t)) {
			return KEY_NONE; /* it would write over what is on its way out */
		}
		put_string(t, "\r\nCtrl-a then: 1-9 guest, n next guest, 0 log, l log and all "
			      "guests, a Ctrl-a, x end\r\n");
		return KEY_NONE;
	}
}

enum terminal_key terminal_type(struct terminal *t, uint8_t byte)
{
	if (t->escape) {
		t->escape = false;
		return type_escaped(t, byte);
	}
	if (byte == CTRL_A) {
		t->escape = true;
		return KEY_NONE;
	}
	if (t->focus == TERMINAL_LOG) {
		return KEY_LOG;
	}
	return t->input >= 0 ? KEY_INPUT : KEY_NONE;
}
