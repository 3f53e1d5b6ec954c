/*
 * The log: whole lines, the ring, deferral to the console CPU, and last words when the lock is
 * held.
 */
#include "hv/console/log.c"
#include "tests/host/test.h"
#include <setjmp.h>

static char screen[2 * LOG_RING];
static size_t shown;
static unsigned cpu, wakes;
static jmp_buf stopped;
static char kept[LINE];
static size_t kept_len;
static unsigned kept_lines;

unsigned host_cpu(void)
{
	return cpu;
}

void host_relax(void)
{
}

void host_console_write(const char *s, size_t n)
{
	memcpy(screen + shown, s, n);
	shown += n;
	screen[shown] = 0;
}

void host_log_keep(const char *line, size_t n)
{
	kept_lines++;
	kept_len = n < sizeof(kept) ? n : sizeof(kept);
	memcpy(kept, line, kept_len);
}

void host_stop(void)
{
	longjmp(stopped, 1);
}

void console_wake(void)
{
	wakes++;
}

static void reset(void)
{
	memset(&ring, 0, sizeof(ring));
	ring.printed = 0;
	shown = 0;
	screen[0] = 0;
	cpu = 0;
	wakes = 0;
	holder = NOBODY;
	deferred = false;
}

TEST(a_line_is_shown_at_once)
{
	reset();
	log_line("%u CPUs", 4u);
	CHECK_STR(screen, "mullion: 4 CPUs\n");
	CHECK_EQ(wakes, 0);
	CHECK_EQ(holder, NOBODY);
}

TEST(each_line_is_kept_for_the_next_boot)
{
	reset();
	kept_lines = 0;
	log_defer(true);
	log_line("%u CPUs", 4u);
	CHECK_EQ(kept_lines, 1);
	CHECK_EQ(kept_len, 6);
	CHECK(!memcmp(kept, "4 CPUs", 6));
	log_text("\n"); /* no line of the log's own */
	CHECK_EQ(kept_lines, 1);
	log_line("%s", "");
	CHECK_EQ(kept_lines, 2);
	CHECK_EQ(kept_len, 0);
}

TEST(a_long_line_is_cut_and_still_ends)
{
	reset();
	log_line("%0500d", 1);
	CHECK_EQ(shown, LINE - 1);
	CHECK_EQ(screen[shown - 1], '\n');
}

TEST(deferred_lines_wait_for_the_console_cpu)
{
	char buf[100];
	unsigned n;

	reset();
	log_line("one");
	log_defer(true);
	log_line("two");
	CHECK_STR(screen, "mullion: one\n");
	CHECK_EQ(wakes, 1);
	n = log_take(buf, 4);
	CHECK_EQ(n, 4);
	CHECK(!memcmp(buf, "mull", 4));
	n = log_take(buf, sizeof(buf));
	CHECK_EQ(n, 9);
	CHECK(!memcmp(buf, "ion: two\n", 9));
	CHECK_EQ(log_take(buf, sizeof(buf)), 0);
}

TEST(what_was_deferred_comes_out_before_last_words)
{
	reset();
	log_defer(true);
	log_line("two");
	if (!setjmp(stopped)) {
		bug("f.c", 7, "x < y");
	}
	CHECK_STR(screen, "mullion: two\nmullion: stopped: f.c:7: x < y (CPU 0); this is a defect "
			  "of Mullion\n");
}

TEST(the_ring_keeps_the_latest)
{
	char buf[16];
	uint64_t taken = 0;
	unsigned n;

	reset();
	log_defer(true);
	for (unsigned i = 0; i < 10000; i++) {
		log_line("line %u", i);
	}
	CHECK(ring.end > LOG_RING);
	while ((n = log_take(buf, sizeof(buf))) > 0) {
		taken += n;
	}
	CHECK_EQ(taken, LOG_RING);
	CHECK(!memcmp(&log_ring()->text[(ring.end - 5) % LOG_RING], "9999\n", 5));
}

TEST(a_holder_that_never_moves_does_not_silence_others)
{
	reset();
	holder = 1;
	log_line("late");
	CHECK_STR(screen, "mullion: late\n");
	CHECK_EQ(holder, 1);
}

TEST(a_line_inside_a_line_of_the_same_cpu)
{
	reset();
	holder = 0;
	log_line("nmi");
	CHECK_STR(screen, "mullion: nmi\n");
	CHECK_EQ(holder, 0);
}
