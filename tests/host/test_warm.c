/*
 * hv/console/warm.c: what is written is read, and nothing else is ever believed.
 */
#include "hv/console/warm.h"
#include "tests/fake/rng.h"
#include "tests/host/test.h"

static struct warm_area area;
static uint32_t number;

static void begin(void)
{
	warm_begin(&area, 7);
	number = 0;
}

static void put(const char *text)
{
	number += warm_put(&area, number, text, strlen(text));
}

/* All lines, each with a newline. */
static const char *all(void)
{
	static char text[WARM_BYTES * 2];
	char line[WARM_LINE];
	struct warm_reader r;
	size_t len = 0;

	warm_open(&r, &area);
	while (warm_next(&r, line)) {
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s\n", line);
	}
	text[len] = 0;
	return text;
}

static unsigned lines(void)
{
	unsigned n = 0;

	for (const char *s = all(); *s; s++) {
		n += *s == '\n';
	}
	return n;
}

TEST(lines_come_back_in_order)
{
	begin();
	put("one");
	put("");
	put("three");
	CHECK(warm_sound(&area));
	CHECK_EQ(area.header.boot, 7);
	CHECK_STR(all(), "one\n\nthree\n");
}

TEST(nothing_was_written)
{
	struct warm_reader r;
	char line[WARM_LINE];

	begin();
	CHECK(warm_sound(&area));
	CHECK_EQ(warm_open(&r, &area), 0);
	CHECK(!warm_next(&r, line));
}

TEST(the_stage_is_kept)
{
	begin();
	warm_set_stage(&area, WARM_RUNS, 0xb0);
	CHECK(warm_sound(&area));
	CHECK_EQ(area.header.stage, 0xb0);
	CHECK_EQ(area.header.state, WARM_RUNS);
}

TEST(a_long_line_takes_several_records)
{
	char text[WARM_LINE * 2];

	begin();
	memset(text, 'x', sizeof(text));
	text[300] = 0;
	put("before");
	put(text);
	put("after");
	CHECK(number > 4);
	CHECK_EQ(strlen(all()), 7 + 301 + 6);
	CHECK_EQ(lines(), 3);
	begin();
	text[300] = 'x';
	number += warm_put(&area, number, text, sizeof(text)); /* longer than any line may be */
	CHECK_EQ(strlen(all()), WARM_LINE - 1 + 1);
}

TEST(the_oldest_lines_go_first)
{
	char line[32];
	const char *text;

	begin();
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(line, sizeof(line), "line %u", i);
		put(line);
	}
	text = all();
	CHECK_EQ(lines(), WARM_RECORDS - 1); /* the first could be the rest of a line */
	CHECK(!strncmp(text, "line 746\n", 9));
	CHECK(strstr(text, "line 999\n") != NULL);
}

/* Whatever stands first after a turn of the ring: never the tail of a line alone. */
TEST(a_line_that_is_half_overwritten_is_left_out)
{
	char text[301];

	memset(text, 'y', 300);
	text[0] = 'x';
	text[300] = 0;
	begin();
	for (unsigned i = 0; i < 300; i++) {
		put(text);
		put("short");
		for (const char *s = all(); *s; s = strchr(s, '\n') + 1) {
			CHECK(*s == 'x' || *s == 's');
		}
	}
}

TEST(the_last_lines_alone)
{
	struct warm_reader r;
	char line[WARM_LINE];

	begin();
	for (unsigned i = 0; i < 50; i++) {
		snprintf(line, sizeof(line), "line %u", i);
		put(line);
	}
	warm_open(&r, &area);
	warm_keep_last(&r, 20);
	CHECK(warm_next(&r, line));
	CHECK_STR(line, "line 30");
	warm_open(&r, &area);
	warm_keep_last(&r, 60);
	CHECK(warm_next(&r, line));
	CHECK_STR(line, "line 0");
}

TEST(what_does_not_print_is_replaced)
{
	static const char text[] = "a\x1b[2Jb\r\n\x80\xff\tc";

	begin();
	number += warm_put(&area, number, text, sizeof(text) - 1);
	CHECK_STR(all(), "a?[2Jb?????c\n");
}

TEST(a_flipped_bit_loses_one_line)
{
	begin();
	put("one");
	put("two");
	put("three");
	area.record[1].text[2] ^= 1;
	CHECK_STR(all(), "one\nthree\n");
}

TEST(a_line_of_another_boot_is_not_believed)
{
	begin();
	put("old");
	area.header.boot = 8;
	CHECK(!warm_sound(&area));
	warm_set_stage(&area, WARM_BOOTS, 0); /* the header is sound again */
	CHECK(warm_sound(&area));
	CHECK_STR(all(), "");
}

TEST(each_byte_of_the_header_counts)
{
	for (unsigned i = 0; i < 32; i++) {
		begin();
		((uint8_t *)&area)[i] ^= 0x10;
		CHECK(!warm_sound(&area));
	}
}

TEST(an_unknown_state_is_not_believed)
{
	begin();
	warm_set_stage(&area, (enum warm_state)(WARM_ENDED + 1), 0);
	CHECK(!warm_sound(&area));
}

/* Rubble, and sound logs with rubble in them: no crash, no unprintable byte, no endless loop. */
TEST(rubble_is_never_a_log)
{
	for (unsigned round = 0; round < 2000; round++) {
		for (size_t i = 0; i < sizeof(area); i += 8) {
			uint64_t v = rng_next();

			memcpy((uint8_t *)&area + i, &v, 8);
		}
		CHECK(!warm_sound(&area));
		CHECK_STR(all(), "");
	}
	for (unsigned round = 0; round < 2000; round++) {
		begin();
		for (unsigned i = 0; i < 40; i++) {
			put("a line of the last boot");
		}
		for (unsigned i = 0; i < 30; i++) {
			uint64_t v = rng_next();

			((uint8_t *)&area)[128 + v % (50 * 128)] = (uint8_t)(v >> 32);
		}
		for (const char *s = all(); *s; s++) {
			CHECK(*s == '\n' || (*s >= ' ' && *s <= '~'));
		}
		CHECK(lines() <= 40);
	}
}

/* Records with lengths, numbers and flags that never were written, but with sound checks. */
TEST(numbers_at_the_end_of_their_range)
{
	begin();
	number = UINT32_MAX - 1;
	put("one");
	put("two");
	put("three");
	CHECK(lines() <= 3);
}
