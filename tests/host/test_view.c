/*
 * What stands on the screen while guests run: tiles, bars, the switch keys, last words; and how
 * much of it is drawn in one turn.
 */
#include "hv/console/bar.h"
#include "hv/console/console.h"
#include "hv/console/view.h"
#include "test.h"
#include "tests/fake/fake_guest.h"

static const uint8_t code[] = {0xf4};
static struct partition other;
static struct config_guest other_config;

/* A guest "test" on CPUs 0-1 and a second one, "other", with nothing but a UART; console on CPU 3.
 */
static struct partition *begin(unsigned cols, unsigned rows)
{
	struct partition *p = fake_guest(2, "", code, sizeof(code));

	fake_host.screen_cols = cols;
	fake_host.screen_rows = rows;
	other_config = (struct config_guest){.name = "other", .cpu = {2}, .cpus = 1};
	other = (struct partition){.config = &other_config, .index = 1, .vcpu = {p->vcpu[1]}};
	other.pc.has_uart = true;
	vuart_init(&other.pc.uart, 4, p->pc.uart.sink, p->pc.uart.notify, NULL);
	partitions[1] = &other;
	partition_count = 2;
	fake_log_keep("mullion: one line\nmullion: another line\n");
	view_begin();
	return p;
}

static void run(unsigned cpu)
{
	static struct config_system system;

	console_init(&system, cpu);
	console_run();
}

static void send(struct partition *p, const char *text)
{
	for (; *text; text++) {
		struct bus_access thr = {.size = 1, .write = true, .value = (uint8_t)*text};

		vuart_ops.access(&p->pc.uart, &thr);
	}
}

/* Turns of the console, a millisecond each. */
static void turns(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		fake_host.tsc += host_tsc_hz / 1000;
		console_run();
	}
}

TEST(the_log_before_guests_run)
{
	begin(80, 25);
	CHECK_STR(fake_host_screen_line(0), "mullion: one line");
	CHECK_STR(fake_host_screen_line(1), "mullion: another line");
	fake_log_keep("mullion: a third\n");
	view_log();
	CHECK_STR(fake_host_screen_line(2), "mullion: a third");
	view_end("the end\n");
	CHECK_STR(fake_host_screen_line(3), "the end");
	fake_log_keep("mullion: a fourth\n");
	view_log();
	CHECK_STR(fake_host_screen_line(4), "");
}

TEST(without_a_screen_nothing_happens)
{
	begin(0, 0);
	run(3);
	turns(100);
	view_log();
	CHECK_EQ(fake_host.screen_drawn, 0);
	CHECK_EQ(view_turn(false), UINT64_MAX);
}

TEST(a_tile_for_each_guest_and_the_log)
{
	struct partition *p = begin(80, 25);

	run(3);
	send(p, "\033[1mfirst\033[0m\r\n");
	send(&other, "second\n");
	fake_log_offer("mullion: third\n");
	turns(40);
	CHECK_STR(fake_host_screen_line(0), "1>test  running  CPUs 0-1  0 exits/s");
	CHECK_STR(fake_host_screen_line(1), "first");
	CHECK_STR(fake_host_screen_line(9), "2 other  starting  CPU 2  0 exits/s");
	CHECK_STR(fake_host_screen_line(10), "second");
	CHECK_STR(fake_host_screen_line(19),
		  "log                Ctrl-a then: 1-9 guest, n next, 0 log, l all, a "
		  "Ctrl-a, x end");
	CHECK_STR(fake_host_screen_line(20), "mullion: one line");
	CHECK_STR(fake_host_screen_line(22), "mullion: third");
	CHECK(strstr(fake_host.console, "other| second\r\n") != NULL); /* and on serial ports */
}

/* The last line that is printed at once does not take the screen from the tiles. */
TEST(a_line_while_the_tiles_begin)
{
	begin(80, 25);
	fake_log_at_defer = "mullion: of another CPU\n";
	run(3);
	turns(40);
	CHECK_STR(fake_host_screen_line(0), "1>test  running  CPUs 0-1  0 exits/s");
	CHECK_STR(fake_host_screen_line(20), "mullion: one line");
	CHECK_STR(fake_host_screen_line(22), "mullion: of another CPU");
	CHECK_STR(fake_host_screen_line(23), "");
	fake_log_at_defer = NULL;
}

TEST(the_switch_keys)
{
	struct partition *p = begin(80, 25);

	run(3);
	send(p, "first\n");
	send(&other, "second\n");
	turns(40);
	fake_host.typed = "\0012";
	turns(40);
	CHECK_STR(fake_host_screen_line(0),
		  "2>other  starting  CPU 2  0 exits/s                                Ctrl-a "
		  "l: all");
	CHECK_STR(fake_host_screen_line(1), "second");
	CHECK_STR(fake_host_screen_line(24), "");
	send(p, "hidden\n");
	send(&other, "shown\n");
	turns(40);
	CHECK_STR(fake_host_screen_line(2), "shown");
	CHECK_STR(fake_host_screen_line(3), "");
	fake_host.typed = "\001l";
	turns(40);
	CHECK_STR(fake_host_screen_line(0), "1 test  running  CPUs 0-1  0 exits/s");
	CHECK_STR(fake_host_screen_line(2), "hidden");
	CHECK_STR(fake_host_screen_line(11), "shown");
	CHECK_STR(fake_host_screen_line(20), "mullion: one line");
}

TEST(a_long_history_begins_with_a_whole_line)
{
	struct partition *p = begin(80, 25);
	char text[32];

	run(3);
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "line %u of many\n", i);
		send(p, text);
		turns(1);
	}
	fake_host.typed = "\0011";
	turns(40);
	CHECK_STR(fake_host_screen_line(24), "");
	CHECK_STR(fake_host_screen_line(23), "line 999 of many");
	CHECK_STR(fake_host_screen_line(1), "line 977 of many");
}

static void type(const char *keys)
{
	fake_host.typed = keys;
	turns(40);
}

TEST(the_log_can_be_scrolled)
{
	char text[512];

	begin(80, 25);
	for (unsigned i = 0; i < 3000; i++) { /* more than the ring keeps */
		snprintf(text, sizeof(text), "mullion: line %u of the log\n", i);
		fake_log_keep(text);
	}
	run(3);
	turns(40);
	type("\0010");
	CHECK_STR(fake_host_screen_line(0),
		  "log  PageUp PageDown Home End                                     "
		  " Ctrl-a l: all");
	CHECK_STR(fake_host_screen_line(1), "mullion: line 2976 of the log");
	CHECK_STR(fake_host_screen_line(24), "mullion: line 2999 of the log");
	type("\033[5~");
	CHECK_STR(fake_host_screen_line(1), "mullion: line 2952 of the log");
	CHECK_STR(fake_host_screen_line(24), "mullion: line 2975 of the log");
	type("\033[A\033[A\033[B");
	CHECK_STR(fake_host_screen_line(1), "mullion: line 2951 of the log");
	fake_log_keep("mullion: more\n"); /* it stays where it is */
	fake_log_offer("mullion: more\n");
	turns(40);
	CHECK_STR(fake_host_screen_line(1), "mullion: line 2951 of the log");
	type("\033[6~");
	CHECK_STR(fake_host_screen_line(1), "mullion: line 2975 of the log");
	type("\033[6~");
	CHECK_STR(fake_host_screen_line(23), "mullion: line 2999 of the log");
	CHECK_STR(fake_host_screen_line(24), "mullion: more");
	fake_log_keep("mullion: still more\n"); /* at the end it follows */
	fake_log_offer("mullion: still more\n");
	turns(40);
	CHECK_STR(fake_host_screen_line(24), "mullion: still more");
	type("\033[H\033[5~\033[A");
	CHECK(!strncmp(fake_host_screen_line(1), "mullion: line ", 14));
	CHECK(atoi(fake_host_screen_line(1) + 14) > 600 &&
	      atoi(fake_host_screen_line(1) + 14) < 900);
	CHECK(fake_host_screen_line(24)[0] == 'm');
	type("\033[F");
	CHECK_STR(fake_host_screen_line(24), "mullion: still more");
	type("\001l");
	CHECK_STR(fake_host_screen_line(23), "mullion: still more");
	CHECK_STR(fake_host_screen_line(0), "1>test  running  CPUs 0-1  0 exits/s");
}

TEST(long_lines_of_the_log_are_counted_as_they_wrap)
{
	char text[512];

	begin(40, 10);
	for (unsigned i = 0; i < 20; i++) {
		memset(text, 'a' + i % 26, 100);
		text[i % 2 ? 100 : 80] = '\n';
		text[i % 2 ? 101 : 81] = 0;
		fake_log_keep(text);
	}
	run(3);
	turns(40);
	type("\0010");
	/* r, s and t take 3, 2 and 3 of 9 rows; the 2 of q do not fit. */
	CHECK_EQ(fake_host_screen_line(1)[0], 'r');
	CHECK_EQ(fake_host_screen_line(5)[0], 's');
	CHECK_EQ(fake_host_screen_line(8)[19], 't');
	CHECK_EQ(fake_host_screen_line(9)[0], 0);
	type("\033[5~");
	CHECK_EQ(fake_host_screen_line(1)[0], 'o');
	CHECK_EQ(fake_host_screen_line(7)[39], 'q');
	CHECK_EQ(fake_host_screen_line(9)[0], 'r');
	memset(text, 'X', 500);
	text[500] = '\n';
	text[501] = 0;
	fake_log_keep(text); /* longer than the screen */
	type("\033[F");
	CHECK_EQ(fake_host_screen_line(1)[0], 'X');
	CHECK_EQ(fake_host_screen_line(9)[39], 'X');
	type("\033[5~\033[5~\033[5~\033[5~\033[5~\033[5~\033[5~\033[5~");
	CHECK_STR(fake_host_screen_line(1), "mullion: one line");
}

TEST(a_turn_draws_little_and_a_flood_fifty_pictures_a_second)
{
	struct partition *p = begin(240, 67);
	unsigned before, all;
	char text[64] = "";

	run(3);
	turns(200);
	all = fake_host.screen_drawn;
	for (unsigned i = 0; i < 1000; i++) {
		memset(text, 'a' + i % 25, sizeof(text) - 1);
		text[sizeof(text) - 2] = '\n';
		send(p, text);
		before = fake_host.screen_drawn;
		turns(1);
		CHECK(fake_host.screen_drawn - before <= 256);
	}
	CHECK(fake_host.screen_drawn - all > 10 * 3000);
	CHECK(fake_host.screen_drawn - all < 51 * 7000);
	turns(100);
	before = fake_host.screen_drawn;
	fake_host.tsc -= 200 * (host_tsc_hz / 1000); /* not long enough for another look */
	turns(100);
	CHECK_EQ(fake_host.screen_drawn, before);
}

TEST(the_console_asks_for_its_next_turn)
{
	struct partition *p = begin(80, 25);
	struct vcpu *v = p->vcpu[0];
	uint64_t ms = host_tsc_hz / 1000;
	unsigned before;

	run(0); /* beside this guest */
	CHECK_EQ(v->console_deadline, fake_host.tsc + ms);
	before = fake_host.screen_drawn;
	turns(1);
	CHECK_EQ(fake_host.screen_drawn - before, 64); /* a small part */
	turns(40);
	CHECK(v->console_deadline > fake_host.tsc && v->console_deadline <= 1000 * ms);
	fake_host.tsc = 1000 * ms;
	console_run();
	CHECK_EQ(v->console_deadline, 2000 * ms);
	send(p, "x\n");
	console_run(); /* at once, as the last picture is old */
	CHECK_STR(fake_host_screen_line(1), "x");
	CHECK_EQ(v->console_deadline, 2000 * ms);
	send(p, "y\n");
	console_run();
	CHECK_STR(fake_host_screen_line(2), "");
	CHECK_EQ(v->console_deadline, 1020 * ms);
	fake_host.tsc = 1020 * ms;
	vcpu_turn(v); /* takes the timer's request below */
	atomic_fetch_or(&v->request, REQUEST_TIMER);
	vcpu_turn(v);
	CHECK_STR(fake_host_screen_line(2), "y");
}

TEST(a_guest_that_has_ended_leaves_the_console_running)
{
	struct partition *p = begin(80, 25);
	struct vcpu *v = p->vcpu[0];

	run(0);
	turns(40);
	partition_end(p, END_POWER_OFF, "powered off");
	atomic_store(&p->stopped, 1);
	v->state = VCPU_STOPPED;
	vcpu_turn(v);
	CHECK(atomic_load(&p->finished));
	vcpu_turn(v);
	CHECK_EQ(fake_host.timer, v->console_deadline);
	send(&other, "still here\n");
	fake_host.tsc = v->console_deadline;
	vcpu_turn(v);
	turns(40);
	CHECK_STR(fake_host_screen_line(10), "still here");
	CHECK_STR(fake_host_screen_line(0),
		  "1>test  ended  CPUs 0-1  0 exits/s  last stop: powered off");
	CHECK_EQ(fake_host.screen[0][0].attr, SCREEN_ATTR(SCREEN_BLACK, SCREEN_GREEN));
}

TEST(last_words_bring_the_log_back)
{
	struct partition *p = begin(80, 25);

	run(3);
	send(p, "first\n");
	turns(40);
	fake_log_keep("mullion: stopped: a defect\n");
	view_log();
	CHECK_STR(fake_host_screen_line(0), "mullion: one line");
	CHECK_STR(fake_host_screen_line(2), "mullion: stopped: a defect");
	CHECK_STR(fake_host_screen_line(19), "");
	send(p, "second\n");
	turns(40);
	CHECK_STR(fake_host_screen_line(3), "");
}

TEST(bars)
{
	struct partition *p = begin(80, 25);
	char text[BAR_TEXT];
	struct bar b = {0};

	bar_look(&b, p, 1000 * (host_tsc_hz / 1000));
	CHECK_EQ(b.rate, 0);
	p->vcpu[0]->exits[3] += 100;
	p->vcpu[1]->exits[31] += 50;
	bar_look(&b, p, 1500 * (host_tsc_hz / 1000));
	CHECK_EQ(b.rate, 300);
	p->vcpu[0]->state = VCPU_HALTED;
	p->vcpu[1]->state = VCPU_WAIT_SIPI;
	bar_text(text, &b, p, false);
	CHECK_STR(text, "1 test  halted  CPUs 0-1  300 exits/s");
	p->restarts = 2;
	snprintf(p->end_reason, sizeof(p->end_reason), "triple fault");
	bar_text(text, &b, p, true);
	CHECK_STR(text,
		  "1>test  halted  CPUs 0-1  300 exits/s  restarts: 2  last stop: triple fault");
	atomic_store(&p->end, END_ERROR);
	p->restarts = 0;
	bar_text(text, &b, p, true);
	CHECK_STR(text, "1>test  stopped  CPUs 0-1  300 exits/s  last stop: triple fault");
	atomic_store(&p->finished, true);
	p->failed = true;
	memset(p->end_reason, 'x', sizeof(p->end_reason)); /* half-written: its NUL is missing */
	bar_text(text, &b, p, true);
	CHECK(!strncmp(text, "1>test  failed  ", 16) && strlen(text) < BAR_TEXT);
	CHECK_EQ(bar_attr(p, true), SCREEN_ATTR(SCREEN_WHITE, SCREEN_RED));
	other_config.cpus = 6;
	memcpy(other_config.cpu, (uint16_t[]){7, 3, 4, 5, 0, 1}, 12);
	bar_text(text, &b, &other, false);
	CHECK_STR(text, "2 other  starting  CPUs 7,3-5,0-1  300 exits/s");
}
