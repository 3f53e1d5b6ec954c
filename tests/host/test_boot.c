/*
 * Small pure pieces of the machine rooms: console words, RTC dates, fix-ups.
 */
#include "arch/x86_64/fixup.h"
#include "boot/console.h"
#include "drivers/rtc.h"
#include "tests/host/test.h"

static struct console_list c;
static char bad[32];

TEST(console_defaults_to_com1)
{
	CHECK(console_parse(&c, "", bad));
	CHECK_EQ(c.ports, 1);
	CHECK_EQ(c.port[0], 0x3f8);
	CHECK(c.screen);
	CHECK(console_parse(&c, "quiet noconsole=com2", bad));
	CHECK_EQ(c.port[0], 0x3f8);
}

TEST(console_lists_ports)
{
	CHECK(console_parse(&c, "x console=com2,0x3E8,com4 y", bad));
	CHECK_EQ(c.ports, 3);
	CHECK_EQ(c.port[0], 0x2f8);
	CHECK_EQ(c.port[1], 0x3e8);
	CHECK_EQ(c.port[2], 0x2e8);
}

TEST(console_framebuffer)
{
	CHECK(console_parse(&c, "console=com2", bad));
	CHECK(!c.screen);
	CHECK(console_parse(&c, "console=framebuffer,com2", bad));
	CHECK(c.screen);
	CHECK_EQ(c.ports, 1);
	CHECK(console_parse(&c, "console=framebuffer", bad));
	CHECK(c.screen);
	CHECK_EQ(c.ports, 0);
}

TEST(console_none)
{
	CHECK(console_parse(&c, "console=none", bad));
	CHECK_EQ(c.ports, 0);
	CHECK(!c.screen);
}

TEST(console_lists_a_port_once)
{
	CHECK(console_parse(&c, "console=com1,0x3f8,com2,com1", bad));
	CHECK_EQ(c.ports, 2);
	CHECK_EQ(c.port[1], 0x2f8);
}

TEST(console_of_no_word_is_none_of_them)
{
	CHECK(!console_parse(&c, "console= safe", bad));
	CHECK_EQ(c.ports, 1);
	CHECK(c.screen);
}

TEST(console_tells_the_word_that_is_wrong)
{
	static const char *const wrong[] = {"com5", "0x", "0xg", "0xfffff", "0xfffc", "1016", ""};
	char line[64];

	for (unsigned i = 0; i + 1 < sizeof(wrong) / sizeof(wrong[0]); i++) {
		snprintf(line, sizeof(line), "console=com2,%s quiet", wrong[i]);
		CHECK(!console_parse(&c, line, bad));
		CHECK_STR(bad, wrong[i]);
		CHECK_EQ(c.ports, 1);
		CHECK_EQ(c.port[0], 0x3f8);
		CHECK(c.screen);
	}
	CHECK(!console_parse(&c, "console=com1,com2,com3,com4,0x300", bad));
	CHECK(!console_parse(&c, "console=a-word-that-is-longer-than-there-is-room-for-it", bad));
	CHECK_EQ(strlen(bad), 31);
}

TEST(rtc_dates)
{
	struct rtc_registers bcd = {0x20, 0x13, 0x22, 0x14, 0x11, 0x23, 0x02};
	struct rtc_registers binary = {20, 13, 22, 14, 11, 23, 0x06};
	struct rtc_registers pm = {0x20, 0x13, 0x90, 0x14, 0x11, 0x23, 0x00}; /* 10 pm */

	CHECK_EQ(rtc_epoch(&bcd), 1700000000);
	CHECK_EQ(rtc_epoch(&binary), 1700000000);
	CHECK_EQ(rtc_epoch(&pm), 1700000000);
	CHECK_EQ(rtc_epoch(&(struct rtc_registers){0, 0, 0, 1, 1, 70, 6}), 0);
	CHECK_EQ(rtc_epoch(&(struct rtc_registers){59, 59, 23, 29, 2, 24, 6}), 1709251199);
	CHECK_EQ(rtc_epoch(&(struct rtc_registers){0, 0, 0, 1, 3, 0, 6}), 951868800);
}

TEST(rtc_noon_and_midnight)
{
	struct rtc_registers r = {0, 0, 12, 1, 1, 70, 4};

	CHECK_EQ(rtc_epoch(&r), 0);
	r.hour = 0x80 | 12;
	CHECK_EQ(rtc_epoch(&r), 12 * 3600);
	r.hour = 0x80 | 1;
	CHECK_EQ(rtc_epoch(&r), 13 * 3600);
	r.hour = 0;
	CHECK(rtc_epoch(&r) < 0);
}

TEST(rtc_refuses_nonsense)
{
	struct rtc_registers good = {0x20, 0x13, 0x22, 0x14, 0x11, 0x23, 0x02};
	uint8_t *const byte = (uint8_t *)&good;
	static const uint8_t wrong[] = {0x60, 0x7a, 0x24, 0x32, 0x13, 0xa0};

	for (unsigned i = 0; i < sizeof(wrong); i++) {
		uint8_t old = byte[i];

		byte[i] = wrong[i];
		CHECK(rtc_epoch(&good) < 0);
		byte[i] = old;
	}
	good.month = 0;
	CHECK(rtc_epoch(&good) < 0);
	memset(&good, 0xff, sizeof(good)); /* no device */
	CHECK(rtc_epoch(&good) < 0);
}

TEST(fixup_finds_its_instruction_only)
{
	static const struct fixup table[] = {{0x1000, 0x1005}, {0x2000, 0x2002}};

	CHECK_EQ(fixup_find(table, 2, 0x1000), 0x1005);
	CHECK_EQ(fixup_find(table, 2, 0x2000), 0x2002);
	CHECK_EQ(fixup_find(table, 2, 0x1001), 0);
	CHECK_EQ(fixup_find(table, 0, 0x1000), 0);
}
