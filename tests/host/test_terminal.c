/*
 * What a person sees on the one terminal: prefixes, prompts, the switch keys.
 */
#include "hv/console/terminal.h"
#include "test.h"
#include "tests/fake/rng.h"

/* A guest that had the terminal leaves it to others. */
#define OWN_AGAIN                                                                                  \
	"\030\033[?47l\033[!p\0337\033[r\0338\033[?1l\033>\033[?7h\033[?25h\033[4l\033[m\033("     \
	"B\017"                                                                                    \
	"\033[?9l\033[?1000l\033[?1002l\033[?1003l\033[?1004l\033[?2004l"

static struct terminal t;

static void setup(void)
{
	terminal_init(&t);
	terminal_name(&t, 0, "linux");
	terminal_name(&t, 1, "ticker");
}

static void feed(unsigned source, const char *text)
{
	for (; *text; text++) {
		CHECK(terminal_room(&t) >= 1);
		terminal_feed(&t, source, (const uint8_t *)text, 1);
	}
}

static const char *seen(void)
{
	static char text[TERMINAL_OUT + 1];
	unsigned n = 0;

	while (t.tail != t.head) {
		text[n++] = (char)t.out[t.tail++ % TERMINAL_OUT];
	}
	text[n] = 0;
	return text;
}

TEST(lines_are_prefixed)
{
	setup();
	feed(0, "hello\r\n");
	feed(1, "tick\n");
	feed(TERMINAL_LOG, "mullion: text\n");
	CHECK_STR(seen(), "linux| hello\r\nticker| tick\r\nmullion: text\r\n");
}

TEST(a_prompt_is_shown_after_a_pause_and_again_after_a_line_broke_in)
{
	setup();
	feed(0, "~ # ");
	CHECK_STR(seen(), "");
	CHECK(terminal_hides(&t));
	terminal_reveal(&t);
	CHECK(!terminal_hides(&t));
	CHECK_STR(seen(), "linux| ~ # ");
	feed(1, "tick\n");
	CHECK_STR(seen(), "\r\nticker| tick\r\nlinux| ~ # ");
	feed(0, "ls\n");
	CHECK_STR(seen(), "ls\r\n");
}

TEST(an_unfinished_line_waits_while_another_is_open)
{
	setup();
	feed(0, "~ # ");
	terminal_reveal(&t);
	seen();
	feed(1, "ti");
	CHECK(!terminal_hides(&t));
	terminal_reveal(&t);
	CHECK_STR(seen(), "");
	feed(1, "ck\n");
	CHECK_STR(seen(), "\r\nticker| tick\r\nlinux| ~ # ");
}

TEST(a_line_without_end_is_cut)
{
	setup();
	for (int i = 0; i < 3 * TERMINAL_LINE; i++) {
		terminal_feed(&t, 0, (const uint8_t *)"x", 1);
	}
	CHECK(strstr(seen(), "\r\nlinux| xxx") != NULL);
}

TEST(keys_give_a_guest_the_terminal)
{
	setup();
	CHECK_EQ(t.input, 0);
	CHECK_EQ(terminal_type(&t, 'a'), KEY_INPUT);
	feed(1, "old tick\r\n");
	seen();
	CHECK_EQ(terminal_type(&t, 1), KEY_NONE);
	CHECK_EQ(terminal_type(&t, '2'), KEY_NONE);
	CHECK_EQ(t.input, 1);
	CHECK_STR(seen(), "\r\n--- ticker (Ctrl-a l: all) ---\r\nold tick\r\n");
	feed(0, "hidden\n");
	feed(1, "raw\r\n");
	CHECK_STR(seen(), "raw\r\n");
	terminal_type(&t, 1);
	CHECK_EQ(terminal_type(&t, 'a'), KEY_INPUT);
	terminal_type(&t, 1);
	CHECK_EQ(terminal_type(&t, 'x'), KEY_END);
}

TEST(the_log_view_shows_all_again)
{
	setup();
	feed(TERMINAL_LOG, "mullion: started\n");
	terminal_type(&t, 1);
	terminal_type(&t, '1');
	seen();
	terminal_type(&t, 1);
	terminal_type(&t, 'l');
	CHECK_STR(seen(), OWN_AGAIN "\r\n--- log and all guests ---\r\nmullion: started\r\n");
	feed(1, "tick\n");
	CHECK_STR(seen(), "ticker| tick\r\n");
	CHECK_EQ(t.input, 0);
}

TEST(the_end_is_shown_to_everybody)
{
	setup();
	feed(TERMINAL_LOG, "mullion: linux: powered off\n");
	terminal_type(&t, 1);
	terminal_type(&t, '1');
	seen();
	feed(0, "Power down");
	terminal_show_all(&t);
	feed(TERMINAL_LOG, "mullion: all guests ended\n");
	CHECK_STR(seen(), "Power down" OWN_AGAIN "\r\n--- log and all guests ---\r\n"
			  "mullion: linux: powered off\r\nmullion: all guests ended\r\n");
	terminal_show_all(&t);
	CHECK_STR(seen(), "");
}

TEST(the_log_alone)
{
	setup();
	feed(TERMINAL_LOG, "mullion: started\n");
	terminal_type(&t, 1);
	terminal_type(&t, '2');
	seen();
	terminal_type(&t, 1);
	CHECK_EQ(terminal_type(&t, '0'), KEY_NONE);
	CHECK_STR(seen(), OWN_AGAIN "\r\n--- log (Ctrl-a l: all) ---\r\nmullion: started\r\n");
	feed(1, "hidden\n");
	feed(TERMINAL_LOG, "mullion: ended\n");
	CHECK_STR(seen(), "mullion: ended\r\n");
	CHECK_EQ(terminal_type(&t, 'x'), KEY_LOG);
	terminal_type(&t, 1);
	CHECK_EQ(terminal_type(&t, 'a'), KEY_NONE);
	terminal_type(&t, 1);
	terminal_type(&t, 'l');
	CHECK_EQ(terminal_type(&t, 'x'), KEY_INPUT);
	CHECK_EQ(t.input, 1);
}

/* Guests from the tenth on have no digit. */
TEST(the_next_guest)
{
	setup();
	terminal_name(&t, MAX_GUESTS - 1, "last");
	terminal_type(&t, 1);
	CHECK_EQ(terminal_type(&t, 'n'), KEY_NONE);
	CHECK_EQ(t.focus, 1);
	terminal_type(&t, 1);
	terminal_type(&t, 'n');
	CHECK_EQ(t.focus, MAX_GUESTS - 1);
	CHECK_EQ(t.input, MAX_GUESTS - 1);
	terminal_type(&t, 1);
	terminal_type(&t, 'l');
	terminal_type(&t, 1);
	terminal_type(&t, 'n');
	CHECK_EQ(t.focus, 0);
	terminal_init(&t); /* nobody to type to */
	terminal_type(&t, 1);
	terminal_type(&t, 'n');
	CHECK_EQ(t.focus, TERMINAL_MIXED);
}

TEST(a_guest_that_does_not_exist_is_not_switched_to)
{
	setup();
	terminal_type(&t, 1);
	terminal_type(&t, '7');
	CHECK_EQ(t.input, 0);
	CHECK_EQ(t.focus, TERMINAL_MIXED);
}

TEST(help_is_not_written_over_what_waits)
{
	setup();
	for (unsigned i = 0; i < 1000; i++) {
		terminal_type(&t, 1);
		CHECK_EQ(terminal_type(&t, '?'), KEY_NONE);
		CHECK(t.head - t.tail <= TERMINAL_OUT);
	}
}

TEST(no_byte_is_written_over_when_nobody_empties_the_ring)
{
	static const uint8_t newline = '\n';

	setup();
	feed(0, "a prompt that is open # ");
	terminal_reveal(&t);
	while (terminal_room(&t)) {
		terminal_feed(&t, 1, &newline, 1);
		CHECK(t.head - t.tail <= TERMINAL_OUT);
	}
}

TEST(questions_to_the_terminal_are_not_asked_in_the_shared_view)
{
	setup();
	feed(0, "~ # \033[6n\033[1mbold\033[0m\033[c\n");
	CHECK_STR(seen(), "linux| ~ # \033[1mbold\033[0m\r\n");
	feed(0,
	     "\033Zup \033[00000000000000000000n\033[21t\005\n"); /* who are you, in other ways */
	CHECK_STR(seen(), "linux| up \r\n");
	feed(0, "\033[1\nrest\n");
	CHECK_STR(seen(), "linux| \r\nlinux| rest\r\n");
	terminal_type(&t, 1);
	terminal_type(&t, '1');
	seen();
	feed(0, "\033[6n");
	CHECK_STR(seen(), "\033[6n");
}

/* Titles, the clipboard, modes, the cursor anywhere: for all of the terminal, not for a guest. */
TEST(a_guest_does_not_change_the_terminal_that_it_shares)
{
	static const char *const bad[] = {
		"\033[2J",
		"\033[H",
		"\033[1;1Hmullion: ",
		"\033[?1049h",
		"\033[?25l",
		"\033[3;5r",
		"\033[5A",
		"\033[1K",
		"\033[1J",
		"\033c",
		"\033M",
		"\033(0",
		"\033]0;it\007",
		"\033]52;c;eA==\033\\",
		"\033P$qm\033\\",
		"\033_it\033\\",
		"\033kit\033\\",
		"\016",
		"\x9b"
		"2J",
		"\xc2\x9b"
		"2J",
		"\033[1\x80m",
		"\033[;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;m",
		"\033[>1m",
		"\033[!p",
		"\177",
		"\033\033[2J",
		"\033]0;a\033]0;b\007",
	};
	static const char *const rest[] = {
		"", "", "mullion: ", "", "",   "",   "", "", "", "", "", "", "", "",
		"", "", "",	     "", "2J", "2J", "", "", "", "", "", "", "",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		char wanted[64];

		setup();
		feed(0, "a");
		feed(0, bad[i]);
		feed(0, "b\n");
		snprintf(wanted, sizeof(wanted), "linux| a%sb\r\n", rest[i]);
		CHECK_STR(seen(), wanted);
	}
}

/* What shells edit lines with, and text of any language. */
TEST(what_stays_in_a_line_goes_through)
{
	static const char line[] =
		"caf\xc3\xa9 \xe2\x94\x80\xe2\x82\xac \xc2\xa9 \xf0\x9f\x98\x80 ls\b \b"
		"\033[K\033[J\033[2C\033[3P\033[@\t\007";
	char wanted[96];

	setup();
	feed(0, line);
	feed(0, "\n");
	snprintf(wanted, sizeof(wanted), "linux| %s\r\n", line);
	CHECK_STR(seen(), wanted);
}

TEST(a_guest_does_not_write_over_its_name)
{
	setup();
	feed(0, "\b\bab\b\b\b\b\b\bmullion: forged\n");
	CHECK_STR(seen(), "linux| ab\b\bmullion: forged\r\n");
	feed(0, "abcd\b\b\033[C\033[2C\b\b\b\b\b\n"); /* to the left, the right, the left */
	CHECK_STR(seen(), "linux| abcd\b\b\033[C\033[2C\b\b\b\b\r\n");
	feed(0, "ab\033[9999999999C\b\b\b\b\n"); /* to the terminal's edge */
	CHECK_STR(seen(), "linux| ab\033[9999999999C\b\b\r\n");
	feed(0, "e\xcc\x81\b\b\b\n"); /* two characters, one of no width */
	CHECK_STR(seen(), "linux| e\xcc\x81\b\r\n");
	feed(0, "\xd1\x84\xc3\xa4\b \b\b \b\b\n"); /* a shell takes two letters back */
	CHECK_STR(seen(), "linux| \xd1\x84\xc3\xa4\b \b\b \b\r\n");
	feed(0, "\033[0;38;2;255;255;255;48;5;231mwhite\033[m\n");
	CHECK_STR(seen(), "linux| \033[0;38;2;255;255;255;48;5;231mwhite\033[m\r\n");
	for (int i = 0; i < TERMINAL_LINE; i++) {
		feed(0, "x");
	}
	feed(0, "y\b\b\n");
	CHECK(strstr(seen(), "\r\nlinux| y\b\r\n") != NULL);
}

TEST(a_colour_ends_with_its_line)
{
	setup();
	feed(0, "\033[8;41mhidden\n");
	feed(1, "tick\n");
	CHECK_STR(seen(), "linux| \033[8;41mhidden\033[m\r\nticker| tick\r\n");
	feed(0, "\033[31m# ");
	terminal_reveal(&t);
	seen();
	feed(TERMINAL_LOG, "mullion: text\n");
	CHECK_STR(seen(), "\033[m\r\nmullion: text\r\nlinux| \033[31m# ");
	for (int i = 0; i < TERMINAL_LINE - 10; i++) {
		feed(0, "x");
	}
	seen();
	feed(0, "\033[1m!\n"); /* no sequence is broken at a line's end */
	CHECK_STR(seen(), "\033[m\r\nlinux| \033[1m!\033[m\r\n");
}

TEST(a_view_begins_with_the_terminal_as_it_was)
{
	setup();
	feed(0, "old\n\033[6n\033[2J\033[1mbold\033]0;x\007\n");
	seen();
	terminal_type(&t, 1);
	terminal_type(&t, '1');
	CHECK_STR(seen(), "\r\n--- linux (Ctrl-a l: all) ---\r\nold\n\033[1mbold\n");
	feed(0, "\033[?1049h\033[?25l\033[31m\033(0");
	seen();
	terminal_type(&t, 1);
	terminal_type(&t, 'l');
	CHECK_STR(seen(), OWN_AGAIN "\r\n--- log and all guests ---\r\n");
	feed(1, "\033[1mtick");
	terminal_reveal(&t); /* and is not all out when the next view begins */
	terminal_type(&t, 1);
	terminal_type(&t, '0');
	CHECK_STR(seen(), "\030\033[m\r\n--- log (Ctrl-a l: all) ---\r\n");
}

TEST(a_history_begins_with_a_line)
{
	setup();
	for (int i = 0; i < TERMINAL_HISTORY; i++) {
		feed(TERMINAL_LOG, "mullion: 123\n");
		feed(0, "\033[31mabcd\n");
		seen();
	}
	terminal_type(&t, 1);
	terminal_type(&t, '0');
	CHECK(strstr(seen(), "---\r\nmullion: 123\r\n") != NULL);
	terminal_type(&t, 1);
	terminal_type(&t, '1');
	CHECK(strstr(seen(), "---\r\n\033[31mabcd\n") != NULL);
}

/* A byte of a hostile guest: much of what means something to terminals. */
static uint8_t hostile_byte(void)
{
	static const char much[] =
		"\033\033\033[[[]P_^k?;:0123459mKJHhltnc!$ \"\\\007\b\r\n\n\x18\x9b\xc2\x80x";

	return rng_below(4) ? (uint8_t)much[rng_below(sizeof(much) - 1)] : (uint8_t)rng_next();
}

/* Skips one sequence that a shared terminal may get; NULL: it is none. */
static const char *skip_harmless(const char *s)
{
	if (*s++ != '[') {
		return NULL;
	}
	while (*s >= '0' && *s <= ';') {
		s++;
	}
	return strchr("mKJCP@", *s) && *s ? s + 1 : NULL;
}

TEST(whatever_guests_send_the_shared_terminal_is_safe)
{
	for (unsigned round = 0; round < 2000; round++) {
		setup();
		for (unsigned i = 0; i < 600 && terminal_room(&t); i++) {
			uint8_t byte = hostile_byte();

			terminal_feed(&t, (unsigned)rng_below(2), &byte, 1);
			if (!rng_below(20)) {
				terminal_reveal(&t);
			}
			CHECK(t.head - t.tail <= TERMINAL_OUT);
		}
		for (const char *s = seen(); s && *s;) {
			if (*s == '\033') {
				s = skip_harmless(s + 1);
				CHECK(s);
				continue;
			}
			CHECK((uint8_t)*s >= ' ' ? *s != 0x7f : strchr("\a\b\t\n\r", *s) != NULL);
			CHECK(strncmp(s, "\xc2\x9b", 2) != 0);
			s++;
		}
	}
}

/* Also while the views change and the hardware is slow. */
TEST(no_byte_is_lost_by_a_change_of_views)
{
	static const char keys[] = "012ln?a";

	for (unsigned round = 0; round < 300; round++) {
		setup();
		for (unsigned i = 0; i < 3000; i++) {
			uint8_t byte = hostile_byte();

			if (terminal_room(&t)) {
				terminal_feed(&t, (unsigned)rng_below(3) % 2, &byte, 1);
			}
			if (!rng_below(100)) {
				terminal_type(&t, 1);
				terminal_type(&t, (uint8_t)keys[rng_below(sizeof(keys) - 1)]);
			}
			if (!rng_below(300) && terminal_room(&t)) {
				terminal_show_all(&t);
			}
			if (!rng_below(3)) {
				t.tail += t.head != t.tail;
			}
			CHECK(t.head - t.tail <= TERMINAL_OUT);
		}
	}
}
