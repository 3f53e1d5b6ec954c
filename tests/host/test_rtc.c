/*
 * Reading the RTC: one that updates meanwhile, one whose update flag hangs, and none.
 */
#include "arch/x86_64/asm.h"
#include "tests/host/test.h"

static uint8_t registers[128];
static unsigned selected, accesses;
static bool nmi_off;
static unsigned updates_at; /* accesses until a second passes; 0: never */

static void own_out8(uint16_t port, uint8_t v)
{
	CHECK_EQ(port, 0x70);
	accesses++;
	selected = v & 0x7f;
	nmi_off = v & 0x80;
}

static uint8_t own_in8(uint16_t port)
{
	CHECK_EQ(port, 0x71);
	if (++accesses == updates_at) {
		registers[0] = 0;
		registers[2] = 0x35;
	}
	return registers[selected];
}

#define in8  own_in8
#define out8 own_out8
#include "drivers/rtc.c"

/* 2024-02-29 12:34:59 */
static void machine(void)
{
	static const uint8_t now[] = {0x59, 0, 0x34, 0, 0x12, 0, 0, 0x29, 0x02, 0x24, 0x26, 0x02};

	memset(registers, 0, sizeof(registers));
	memcpy(registers, now, sizeof(now));
	accesses = updates_at = 0;
}

TEST(reads)
{
	machine();
	CHECK_EQ(rtc_read_epoch(), 1709210099);
	CHECK(!nmi_off);
}

TEST(updates_meanwhile)
{
	for (unsigned at = 1; at < 40; at++) {
		int64_t epoch;

		machine();
		updates_at = at;
		epoch = rtc_read_epoch();
		CHECK(epoch == 1709210099 || epoch == 1709210100);
	}
}

/* Neither holds up the start by seconds: an access takes about a microsecond. */
TEST(no_rtc)
{
	machine();
	memset(registers, 0xff, sizeof(registers));
	CHECK_EQ(rtc_read_epoch(), -1);
	CHECK(accesses < 100);
	CHECK(!nmi_off);
}

TEST(always_updating)
{
	machine();
	registers[0xa] = 0xa6;
	CHECK_EQ(rtc_read_epoch(), 1709210099);
	CHECK(accesses < 200000);
}
