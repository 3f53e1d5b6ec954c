/*
 * The screen's views: see view.h. The state belongs to this file.
 */
#include "hv/console/view.h"
#include "hv/console/bar.h"
#include "hv/console/log_ring.h"
#include "hv/console/pager.h"
#include "hv/console/tiles.h"
#include "hv/host.h"
#include "hv/lib/string.h"

enum {
	BUDGET = 256,		 /* cells drawn in one turn */
	SHARED_BUDGET = 64,	 /* of a CPU that has a guest */
	TURNS_PER_SECOND = 1000, /* while there is more to draw */
	PICTURES_PER_SECOND = 50,
	LOOKS_PER_SECOND = 1, /* at the guests' counters */
};

enum stage { NO_SCREEN, LOG, TILES };

/* enum stage; LOG after TILES takes the screen from the console CPU. */
static _Atomic uint32_t stage;
static struct screen screen;
static struct pane log_only; /* the pane of LOG */
static uint64_t log_shown;   /* bytes of the log's ring that log_only has */

static const struct terminal *terminal;
static struct pane pane[TERMINAL_SOURCES]; /* of TILES; area.rows 0: not shown */
static struct screen_area bar_area[TERMINAL_SOURCES];
static struct bar bar[MAX_GUESTS];
static struct pager pager;	  /* while the log has the terminal */
static int focus, input;	  /* of the terminal, as shown */
static uint64_t look_at, draw_at; /* host TSC, not before */

static bool is_stage(enum stage s)
{
	return atomic_load_explicit(&stage, memory_order_relaxed) == (uint32_t)s;
}

/* --- the log alone --- */

static void begin_log(void)
{
	const struct log_ring *ring = log_ring();
	uint64_t room;

	pane_init(&log_only, &screen, &(struct screen_area){0, 0, screen.cols, screen.rows});
	room = (uint64_t)screen.cols * screen.rows;
	log_shown = ring->end > room ? ring->end - room : 0;
}

void view_log(void)
{
	const struct log_ring *ring = log_ring();

	if (is_stage(NO_SCREEN)) {
		return;
	}
	if (is_stage(TILES)) {
		atomic_store(&stage, LOG);
		screen_forget(&screen);
		begin_log();
	}
	while (log_shown < ring->end) {
		uint64_t from = log_shown % LOG_RING, n = ring->end - log_shown;

		n = n < LOG_RING - from ? n : LOG_RING - from;
		log_shown += n;
		pane_write(&log_only, &ring->text[from], n);
	}
	screen_draw(&screen, UINT32_MAX);
}

void view_begin(void)
{
	unsigned cols, rows;

	if (host_screen_size(&cols, &rows)) {
		screen_init(&screen, cols, rows);
		begin_log();
		atomic_store(&stage, LOG);
		view_log();
	}
}

void view_end(const char *words)
{
	pane_write(&log_only, words, strlen(words));
	screen_draw(&screen, UINT32_MAX);
	atomic_store(&stage, NO_SCREEN);
}

/* --- tiles --- */

/* What a source has sent of late, from the start of a line where there is one. */
static void replay(unsigned source)
{
	const struct terminal_source *s = &terminal->source[source];
	uint64_t at = 0;

	if (s->history_end > TERMINAL_HISTORY) {
		at = s->history_end - TERMINAL_HISTORY;
		while (at < s->history_end && s->history[at % TERMINAL_HISTORY] != '\n') {
			at++;
		}
		at++;
	}
	for (; at < s->history_end; at++) {
		pane_write(&pane[source], (const char *)&s->history[at % TERMINAL_HISTORY], 1);
	}
}

static void place(unsigned source, const struct screen_area *a)
{
	struct screen_area text = {a->col, a->row + 1, a->cols, a->rows ? a->rows - 1 : 0};

	bar_area[source] = (struct screen_area){a->col, a->row, a->cols, a->rows ? 1 : 0};
	pane_init(&pane[source], &screen, &text);
	replay(source);
}

static void place_all(void)
{
	static const struct screen_area none;
	const struct screen_area all = {0, 0, screen.cols, screen.rows};
	struct tiles t;

	tiles_place(&t, partition_count, screen.cols, screen.rows);
	screen_fill(&screen, &all,
		    (struct screen_cell){'|', SCREEN_ATTR(SCREEN_BRIGHT, SCREEN_BLACK)});
	for (unsigned i = 0; focus >= 0 && i < ARRAY_SIZE(t.guest); i++) {
		t.guest[i] = i == (unsigned)focus ? all : none;
	}
	t.log = focus == TERMINAL_LOG ? all : focus >= 0 ? none : t.log;
	for (unsigned i = 0; i < partition_count; i++) {
		place(i, &t.guest[i]);
	}
	place(TERMINAL_LOG, &t.log);
	if (focus == TERMINAL_LOG) {
		pager_open(&pager, &screen, &pane[TERMINAL_LOG].area);
	}
}

/* --- bars --- */

static void draw_bar(const struct screen_area *a, const char *text, const char *end, uint8_t attr)
{
	size_t len = strlen(text), end_len = strlen(end);

	for (unsigned i = 0; a->rows && i < a->cols; i++) {
		char c = i < len ? text[i] : ' ';

		if (i + end_len >= a->cols && len + end_len < a->cols) {
			c = end[i + end_len - a->cols];
		}
		screen_put(&screen, a->col + i, a->row,
			   (struct screen_cell){c < ' ' ? '?' : (uint8_t)c, attr});
	}
}

static void draw_bars(void)
{
	char text[BAR_TEXT];

	for (unsigned i = 0; i < partition_count; i++) {
		bool typed = input == (int)i;

		bar_text(text, &bar[i], partitions[i], typed);
		draw_bar(&bar_area[i], text, focus >= 0 ? "Ctrl-a l: all" : "",
			 bar_attr(partitions[i], typed));
	}
	draw_bar(&bar_area[TERMINAL_LOG], focus >= 0 ? "log  PageUp PageDown Home End" : "log",
		 focus >= 0 ? "Ctrl-a l: all"
			    : "Ctrl-a then: 1-9 guest, n next, 0 log, l all, a Ctrl-a, x end",
		 SCREEN_ATTR(SCREEN_BLACK, SCREEN_GREY));
}

static void look(uint64_t now)
{
	for (unsigned i = 0; i < partition_count; i++) {
		bar_look(&bar[i], partitions[i], now);
	}
	look_at = now + host_tsc_hz / LOOKS_PER_SECOND;
}

/* --- the console CPU's calls --- */

void view_start(const struct terminal *t)
{
	if (is_stage(LOG)) {
		terminal = t;
		focus = t->focus;
		input = t->input;
		draw_at = 0;
		place_all();
		look(host_tsc());
		draw_bars();
		atomic_store(&stage, TILES);
	}
}

void view_feed(unsigned source, const uint8_t *bytes, unsigned n)
{
	if (!is_stage(TILES)) {
		return;
	}
	if (focus == TERMINAL_LOG && source == TERMINAL_LOG) {
		pager_grow(&pager);
	} else {
		pane_write(&pane[source], (const char *)bytes, n);
	}
}

void view_page(uint8_t byte)
{
	if (is_stage(TILES) && focus == TERMINAL_LOG) {
		pager_key(&pager, byte);
	}
}

void view_switch(void)
{
	if (!is_stage(TILES)) {
		return;
	}
	if (terminal->focus != focus) {
		focus = terminal->focus;
		place_all();
	}
	input = terminal->input;
	draw_bars();
}

uint64_t view_turn(bool shared)
{
	uint64_t now = host_tsc();

	if (!is_stage(TILES)) {
		return UINT64_MAX;
	}
	if (now >= look_at) {
		look(now);
		draw_bars();
	}
	if (screen_settled(&screen)) {
		return look_at;
	}
	if (now >= draw_at) {
		bool complete = screen_draw(&screen, shared ? SHARED_BUDGET : BUDGET);

		draw_at = now + host_tsc_hz / (complete ? PICTURES_PER_SECOND : TURNS_PER_SECOND);
		if (complete) {
			return look_at;
		}
	}
	return draw_at < look_at ? draw_at : look_at;
}
