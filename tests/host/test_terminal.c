/*
 * What a person sees on the one terminal: prefixes, prompts, the switch keys.
 */
#include "hv/console/terminal.h"
#include "test.h"

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
	CHECK_STR(seen(), "\r\n--- log and all guests ---\r\nmullion: started\r\n");
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
	CHECK_STR(seen(), "Power down\r\n--- log and all guests ---\r\n"
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
	CHECK_STR(seen(), "\r\n--- log (Ctrl-a l: all) ---\r\nmullion: started\r\n");
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
	feed(0, "\033Mup \033[00000000000000000000n\n");
	CHECK_STR(seen(), "linux| \033Mup \033[00000000000000000000n\r\n");
	feed(0, "\033[1\nrest\n");
	CHECK_STR(seen(), "linux| \033[1\r\nlinux| rest\r\n");
	terminal_type(&t, 1);
	terminal_type(&t, '1');
	seen();
	feed(0, "\033[6n");
	CHECK_STR(seen(), "\033[6n");
}
