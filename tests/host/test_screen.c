/*
 * A screen of cells and what is drawn of it; text and control sequences in an area.
 */
#include "hv/console/pane.h"
#include "test.h"
#include "tests/fake/fake_host.h"

static struct screen s;
static struct pane p;

static void setup(unsigned cols, unsigned rows)
{
	fake_host_reset();
	fake_host.screen_cols = cols;
	fake_host.screen_rows = rows;
	screen_init(&s, cols, rows);
	pane_init(&p, &s, &(struct screen_area){0, 0, cols, rows});
}

static void say(const char *text)
{
	pane_write(&p, text, strlen(text));
}

/* A line of what is on the fake screen, without blanks at its end. */
static const char *line(unsigned row)
{
	screen_draw(&s, UINT32_MAX);
	return fake_host_screen_line(row);
}

static uint8_t attr(unsigned col, unsigned row)
{
	screen_draw(&s, UINT32_MAX);
	return fake_host.screen[row][col].attr;
}

/* --- cells --- */

TEST(all_is_drawn_at_first_and_then_what_changes)
{
	setup(40, 10);
	CHECK(!screen_settled(&s));
	CHECK(screen_draw(&s, UINT32_MAX));
	CHECK(screen_settled(&s));
	CHECK_EQ(fake_host.screen_drawn, 400);
	say("abc");
	CHECK(!screen_settled(&s));
	screen_draw(&s, UINT32_MAX);
	CHECK_EQ(fake_host.screen_drawn, 403);
	say("\rabd");
	screen_draw(&s, UINT32_MAX);
	CHECK_EQ(fake_host.screen_drawn, 404);
	screen_forget(&s);
	screen_draw(&s, UINT32_MAX);
	CHECK_EQ(fake_host.screen_drawn, 804);
}

TEST(a_turn_draws_no_more_than_its_budget)
{
	unsigned turns = 1;

	setup(100, 50);
	while (!screen_draw(&s, 250)) {
		CHECK(fake_host.screen_drawn <= turns * 250);
		turns++;
	}
	CHECK_EQ(fake_host.screen_drawn, 5000);
	CHECK_EQ(turns, 20);
}

TEST(a_row_that_keeps_changing_does_not_starve_the_others)
{
	setup(40, 10);
	screen_draw(&s, UINT32_MAX);
	say("\033[9;1Hbelow");
	for (int i = 0; i < 10; i++) {
		say(i & 1 ? "\033[1;1Haaaa" : "\033[1;1Hbbbb");
		screen_draw(&s, 2);
	}
	CHECK_EQ(fake_host.screen[8][0].ch, 'b');
	CHECK_EQ(fake_host.screen[8][4].ch, 'w');
}

TEST(cells_outside_are_ignored)
{
	setup(40, 10);
	screen_put(&s, 40, 0, (struct screen_cell){'x', 7});
	screen_put(&s, 0, 10, (struct screen_cell){'x', 7});
	screen_fill(&s, &(struct screen_area){30, 8, 100, 100}, (struct screen_cell){'x', 7});
	screen_scroll(&s, &(struct screen_area){30, 5, 100, 100}, 3, (struct screen_cell){'y', 7});
	screen_scroll(&s, &(struct screen_area){300, 5, 10, 3}, 1, (struct screen_cell){'y', 7});
	CHECK_STR(line(5), "                              xxxxxxxxxx");
	screen_init(&s, 100000, 100000);
	CHECK_EQ(s.cols, SCREEN_COLS);
	CHECK_EQ(s.rows, SCREEN_ROWS);
}

/* --- text --- */

TEST(lines_wrap_and_scroll)
{
	setup(10, 4);
	say("one\r\ntwo\n0123456789");
	CHECK_STR(line(1), "two");
	CHECK_STR(line(2), "0123456789");
	CHECK_STR(line(3), "");
	say("ab\n");
	CHECK_STR(line(0), "two");
	CHECK_STR(line(2), "ab");
	say("1\n2\n3");
	CHECK_STR(line(0), "ab");
	CHECK_STR(line(3), "3");
}

TEST(many_lines_at_once_look_like_one_by_one)
{
	static const char *const text[] = {
		"one\ntwo two two two\n\nthree\n\n\nfour\nfive five five\nsix\n\nnine\n\n",
		"1\n2\n3\n4\n5\033[A\nx",
		"1\n2\n3\n4\n5\n6\033[1;1H7\n8\n9\n",
		"1\n2\n3\n4\n5\n6\033[2J\n\n\n7",
	};
	char expected[4][32];

	for (unsigned i = 0; i < ARRAY_SIZE(text); i++) {
		setup(10, 4);
		for (const char *c = text[i]; *c; c++) {
			pane_write(&p, c, 1);
		}
		for (unsigned row = 0; row < 4; row++) {
			strcpy(expected[row], line(row));
		}
		setup(10, 4);
		say(text[i]);
		for (unsigned row = 0; row < 4; row++) {
			CHECK_STR(line(row), expected[row]);
		}
	}
	say("\n\n\n\n\n\n\n\n\n\nlast");
	CHECK_STR(line(3), "last");
	CHECK_STR(line(2), "");
}

TEST(an_area_keeps_to_itself)
{
	setup(20, 6);
	screen_fill(&s, &(struct screen_area){0, 0, 20, 6}, (struct screen_cell){'.', 7});
	pane_init(&p, &s, &(struct screen_area){5, 1, 8, 3});
	say("abcdefghij\n1\n2\n\033[99;99Hx\033[J\tq");
	CHECK_STR(line(0), "....................");
	CHECK_STR(line(1), ".....1       .......");
	CHECK_STR(line(3), ".....       q.......");
	CHECK_STR(line(4), "....................");
	pane_init(&p, &s, &(struct screen_area){0, 0, 0, 0});
	say("nothing\n\033[2J");
	CHECK_STR(line(0), "....................");
}

TEST(carriage_return_backspace_and_tab)
{
	setup(20, 4);
	say("hello\rJ\b\b\bY\tx\t\t\t\ty");
	CHECK_STR(line(0), "Yello   x          y");
}

TEST(cursor_moves)
{
	setup(20, 5);
	say("\033[2;3Hab\033[Ac\033[2Dd\033[Be\033[5Cf\033[Gg\033[4dh\033[Hi\033[99A\033[99Dj");
	CHECK_STR(line(0), "j  dc");
	CHECK_STR(line(1), "g abe     f");
	CHECK_STR(line(3), " h");
	say("\033[0;0Hz\033[3fy");
	CHECK_STR(line(0), "z  dc");
	CHECK_STR(line(2), "y");
}

TEST(erasing)
{
	setup(10, 3);
	say("aaaaaaaaa\nbbbbbbbbb\nccccccccc\033[2;5H\033[K");
	CHECK_STR(line(1), "bbbb");
	say("\033[1;5H\033[1K");
	CHECK_STR(line(0), "     aaaa");
	say("\033[2;2H\033[J");
	CHECK_STR(line(1), "b");
	CHECK_STR(line(2), "");
	say("\033[2J\033[H!");
	CHECK_STR(line(0), "!");
	say("\033cq");
	CHECK_STR(line(0), "q");
}

TEST(colours)
{
	setup(40, 3);
	say("a\033[1;31mb\033[44mc\033[0md\033[7me\033[27mf\033[92mg\033[39;49mh\033[38;5;3mi\033["
	    "mj");
	CHECK_EQ(attr(0, 0), 0x07);
	CHECK_EQ(attr(1, 0), 0x0c); /* the VGA's red is 4 */
	CHECK_EQ(attr(2, 0), 0x1c);
	CHECK_EQ(attr(3, 0), 0x07);
	CHECK_EQ(attr(4, 0), 0x70);
	CHECK_EQ(attr(5, 0), 0x07);
	CHECK_EQ(attr(6, 0), 0x0a);
	CHECK_EQ(attr(9, 0), 0x07);
}

TEST(what_is_not_understood_leaves_no_litter)
{
	static const char *const sequence[] = {
		"\033[?25l",
		"\033[?2004h",
		"\033[6n",
		"\033[c",
		"\033[>0;1;2c",
		"\033(B",
		"\033)0",
		"\033=",
		"\033>",
		"\0337",
		"\0338",
		"\033]0;title\007",
		"\033]8;;x\033\\",
		"\033Pq#1\033\\",
		"\033[1;2;3;4;5;6;7;8;9;10;11z",
		"\033[99999999999999999999z",
		"\033[\030",
		"\033\032",
		"\a",
		"\016",
		"\177",
		"\033[ q",
		"\033[!p",
		"\033_x\033\\",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(sequence); i++) {
		setup(20, 3);
		say("a");
		say(sequence[i]);
		say("b");
		CHECK_STR(line(0), "ab");
	}
	setup(20, 3);
	say("\033]no end of this\nx\033[12\ny");
	CHECK_STR(line(1), "x");
	CHECK_STR(line(2), "y");
}

TEST(a_character_of_utf8_is_one_cell)
{
	setup(20, 3);
	say("a\303\244b\342\202\254c\360\237\230\200d");
	CHECK_STR(line(0), "a\177b\177c\177d");
}

TEST(any_bytes_are_survived)
{
	uint32_t seed = 1;

	setup(17, 5);
	screen_fill(&s, &(struct screen_area){0, 0, 17, 5}, (struct screen_cell){'.', 7});
	pane_init(&p, &s, &(struct screen_area){2, 1, 13, 3});
	for (unsigned i = 0; i < 2000000; i++) {
		static const char often[] = "\033[;0123456789HJKmABCDGd\n\r\t\b";
		char c;

		seed = seed * 1664525 + 1013904223;
		c = seed >> 31 ? often[(seed >> 8) % (sizeof(often) - 1)] : (char)(seed >> 16);
		pane_write(&p, &c, 1);
	}
	CHECK_STR(line(0), ".................");
	CHECK_STR(line(4), ".................");
	for (unsigned row = 0; row < 5; row++) {
		CHECK_EQ(fake_host.screen[row][1].ch, '.');
		CHECK_EQ(fake_host.screen[row][15].ch, '.');
		for (unsigned col = 0; col < 17; col++) {
			CHECK(fake_host.screen[row][col].ch >= ' ');
		}
	}
}
