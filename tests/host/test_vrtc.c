/*
 * hv/vdev/vrtc.c: what Linux's rtc-cmos and mc146818 library do, formats, interrupts, calendar, and
 * hostile accesses.
 */
#include "hv/vdev/vrtc.h"
#include "tests/host/vdev_test.h"
#include <time.h>

enum { IRQ = 8 };
#define HZ    2400000000ull
#define START (7 * HZ)
#define EPOCH 1700000000 /* 2023-11-14 22:13:20, a Tuesday */

static struct edges edges;
static struct vrtc r;

static void fresh(void)
{
	edges = (struct edges){0};
	test_now = START;
	vrtc_init(&r, HZ, EPOCH, test_now, MIB(512), GIB(2), edges_sink(&edges));
}

static uint8_t in(uint8_t reg)
{
	vdev_write(&vrtc_ops, &r, 0, 1, reg);
	return (uint8_t)vdev_read(&vrtc_ops, &r, 1, 1);
}

static void out(uint8_t reg, uint8_t v)
{
	vdev_write(&vrtc_ops, &r, 0, 1, reg);
	vdev_write(&vrtc_ops, &r, 1, 1, v);
}

/* Lets time pass; the timer is served as pc_run does. */
static void pass(uint64_t tsc)
{
	uint64_t until = test_now + tsc;

	while (vrtc_next(&r) <= until) {
		test_now = vrtc_next(&r);
		vrtc_run(&r, test_now);
	}
	test_now = until;
}

static void check_time(uint8_t h, uint8_t m, uint8_t s)
{
	CHECK_EQ(in(4), h);
	CHECK_EQ(in(2), m);
	CHECK_EQ(in(0), s);
}

static void check_date(uint8_t century, uint8_t year, uint8_t month, uint8_t day, uint8_t weekday)
{
	CHECK_EQ(in(0x32), century);
	CHECK_EQ(in(9), year);
	CHECK_EQ(in(8), month);
	CHECK_EQ(in(7), day);
	CHECK_EQ(in(6), weekday);
}

/* Linux, mc146818_set_time(): SET, divider reset, fields, and back. */
static void linux_set_time(const uint8_t field[7])
{
	static const uint8_t reg[7] = {0x32, 9, 8, 7, 4, 2, 0};
	uint8_t b = in(0x0b), a;

	out(0x0b, b | 0x80);
	a = in(0x0a);
	out(0x0a, a | 0x70);
	for (unsigned i = 0; i < 7; i++) {
		out(reg[i], field[i]);
	}
	out(0x0b, b);
	out(0x0a, a);
}

TEST(registers_after_power_up)
{
	fresh();
	CHECK_EQ(in(0x0a), 0x26);
	CHECK_EQ(in(0x0b), 0x02);
	CHECK_EQ(in(0x0c), 0x00);
	CHECK_EQ(in(0x0d), 0x80); /* valid RAM and time; Linux wants bit 6 clear */
	out(0x0c, 0xff);
	out(0x0d, 0x00);
	CHECK_EQ(in(0x0c), 0x00);
	CHECK_EQ(in(0x0d), 0x80);
	CHECK_EQ(vdev_read(&vrtc_ops, &r, 0, 1), 0xff);
	check_time(0x22, 0x13, 0x20);
	check_date(0x20, 0x23, 0x11, 0x14, 3);
}

TEST(time_goes_on)
{
	fresh();
	pass(40 * HZ - 1);
	check_time(0x22, 0x13, 0x59);
	pass(1);
	check_time(0x22, 0x14, 0x00);
	pass(6400 * HZ);
	check_time(0x00, 0x00, 0x40);
	check_date(0x20, 0x23, 0x11, 0x15, 4);
	pass(86400 * HZ * 366);
	check_date(0x20, 0x24, 0x11, 0x15, 6);
}

/* Update in progress: 244 us before each second, so who sees it clear has that long to read. */
TEST(update_in_progress)
{
	uint64_t window = HZ / 4096;

	fresh();
	CHECK_EQ(in(0x0a) & 0x80, 0);
	pass(HZ - window - 1);
	CHECK_EQ(in(0x0a) & 0x80, 0);
	pass(1);
	CHECK_EQ(in(0x0a) & 0x80, 0x80);
	CHECK_EQ(in(0), 0x20);
	pass(window - 1);
	CHECK_EQ(in(0x0a) & 0x80, 0x80);
	pass(1);
	CHECK_EQ(in(0x0a) & 0x80, 0);
	CHECK_EQ(in(0), 0x21);
	out(0x0b, 0x82); /* no updates while SET */
	pass(HZ - 1);
	CHECK_EQ(in(0x0a) & 0x80, 0);
}

TEST(linux_sets_the_time)
{
	static const uint8_t leap[7] = {0x20, 0x24, 0x02, 0x28, 0x23, 0x59, 0x58};

	fresh();
	pass(HZ / 3);
	linux_set_time(leap);
	check_time(0x23, 0x59, 0x58);
	pass(HZ / 2 - 1); /* out of reset, the first second is half a second away */
	check_time(0x23, 0x59, 0x58);
	pass(1);
	check_time(0x23, 0x59, 0x59);
	pass(HZ);
	check_time(0x00, 0x00, 0x00);
	check_date(0x20, 0x24, 0x02, 0x29, 5);
}

TEST(set_holds_the_bytes_and_keeps_the_phase)
{
	fresh();
	pass(HZ / 4);
	out(0x0b, 0x82);
	out(0, 0x30);
	pass(10 * HZ);
	check_time(0x22, 0x13, 0x30);
	out(0x0b, 0x02);
	pass(3 * HZ / 4 - 1);
	CHECK_EQ(in(0), 0x30);
	pass(1);
	CHECK_EQ(in(0), 0x31);
}

TEST(writes_without_set)
{
	fresh();
	out(4, 0x07);
	out(2, 0x59);
	out(0, 0x59);
	check_time(0x07, 0x59, 0x59);
	pass(HZ);
	check_time(0x08, 0x00, 0x00);
	CHECK_EQ(in(7), 0x14);
	out(7, 0x31); /* there is no 31st of November: shown until the next second */
	CHECK_EQ(in(7), 0x31);
	CHECK_EQ(in(8), 0x11);
	pass(HZ);
	CHECK_EQ(in(7), 0x01);
	CHECK_EQ(in(8), 0x12);
}

TEST(formats)
{
	fresh();
	out(0x0b, 0x06); /* binary, 24 h */
	check_time(22, 13, 20);
	check_date(20, 23, 11, 14, 3);
	out(0x0b, 0x04); /* binary, 12 h */
	check_time(0x80 | 10, 13, 20);
	out(0x0b, 0x00); /* BCD, 12 h */
	check_time(0x80 | 0x10, 0x13, 0x20);
	out(4, 0x12); /* 12 am */
	out(0x0b, 0x02);
	check_time(0x00, 0x13, 0x20);
	out(0x0b, 0x00);
	CHECK_EQ(in(4), 0x12);
	out(4, 0x92); /* 12 pm */
	out(0x0b, 0x02);
	check_time(0x12, 0x13, 0x20);
	out(0x0b, 0x00);
	CHECK_EQ(in(4), 0x92);
}

TEST(periodic_interrupt)
{
	unsigned n = 0;

	fresh();
	out(0x0a, 0x2a); /* 64 Hz */
	out(0x0b, 0x42);
	while (n < 640) {
		pass(HZ / 64 + 1);
		CHECK(edges.level[IRQ]);
		CHECK_EQ(in(0x0c) & 0xef, 0xc0);
		CHECK(!edges.level[IRQ]);
		CHECK_EQ(in(0x0c), 0x00);
		n++;
	}
	CHECK_EQ(edges.rises[IRQ], 640);
	CHECK_EQ(edges.repeats, 0);
	pass(HZ); /* nobody reads register C: the line stays up, and nothing is to be done */
	CHECK_EQ(edges.rises[IRQ], 641);
	CHECK_EQ(vrtc_next(&r), UINT64_MAX);
}

TEST(periodic_rates)
{
	static const unsigned hz[16] = {0,   256, 128, 8192, 4096, 2048, 1024, 512,
					256, 128, 64,  32,   16,   8,	 4,    2};

	for (unsigned rs = 0; rs < 16; rs++) {
		fresh();
		out(0x0a, (uint8_t)(0x20 | rs));
		out(0x0b, 0x42);
		if (!hz[rs]) {
			CHECK_EQ(vrtc_next(&r), UINT64_MAX);
			continue;
		}
		CHECK_EQ(vrtc_next(&r), START + (HZ + hz[rs] - 1) / hz[rs]);
		for (unsigned n = 0; n < 2 * hz[rs]; n++) {
			test_now = vrtc_next(&r);
			vrtc_run(&r, test_now);
			in(0x0c);
		}
		CHECK_EQ(edges.rises[IRQ], 2 * hz[rs]);
		CHECK_EQ(test_now, START + 2 * HZ);
	}
}

/* Flags are set whether or not their interrupts are enabled, for drivers that poll. */
TEST(flags_without_interrupts)
{
	fresh();
	out(1, 0x22);
	out(3, 0x13);
	out(5, 0x22);
	CHECK_EQ(in(0x0c), 0x00);
	pass(HZ / 1024 + 1);
	CHECK_EQ(in(0x0c), 0x40);
	pass(HZ);
	CHECK_EQ(in(0x0c), 0x50);
	pass(HZ);
	CHECK_EQ(in(0x0c), 0x70);
	CHECK_EQ(in(0x0c), 0x00);
	CHECK_EQ(edges.rises[IRQ], 0);
	pass(86400 * HZ * 3 + HZ / 2);
	CHECK_EQ(in(0x0c), 0x70); /* passed over in one step */
	pass(HZ);
	out(0x0b, 0x12); /* UF is up already: the interrupt comes at once */
	CHECK(edges.level[IRQ]);
}

/* Two CPUs take the time before they get the lock: the later one may come first. */
TEST(time_may_step_back_a_little)
{
	fresh();
	pass(HZ);
	CHECK_EQ(in(0x0c), 0x50);
	test_now -= 10;
	CHECK_EQ(in(0x0c), 0x00);
	CHECK_EQ(in(0), 0x21);
	test_now += 10;
	CHECK_EQ(in(0x0c), 0x00);
	pass(HZ / 1024 + 1);
	CHECK_EQ(in(0x0c), 0x40);
	test_now -= 10;
	CHECK_EQ(in(0x0c), 0x00);
}

TEST(update_ended_interrupt)
{
	fresh();
	pass(HZ / 2);
	out(0x0b, 0x12);
	CHECK_EQ(vrtc_next(&r), START + HZ);
	pass(HZ / 2);
	CHECK(edges.level[IRQ]);
	CHECK_EQ(in(0x0c) & 0xb0, 0x90);
	CHECK(!edges.level[IRQ]);
	pass(HZ);
	CHECK_EQ(edges.rises[IRQ], 2);
	in(0x0c);
	out(0x0b, 0x92); /* SET takes UIE down */
	CHECK_EQ(in(0x0b), 0x82);
	pass(5 * HZ);
	CHECK_EQ(edges.rises[IRQ], 2);
	CHECK_EQ(in(0x0c) & 0x10, 0);
}

/* Linux, cmos_set_alarm() and the interrupt it waits for. */
TEST(alarm_interrupt)
{
	fresh();
	in(0x0c);
	out(5, 0x22);
	out(3, 0x14);
	out(1, 0x05);
	out(0x0b, 0x22);
	CHECK_EQ(vrtc_next(&r), START + 45 * HZ);
	pass(45 * HZ - 1);
	CHECK_EQ(edges.rises[IRQ], 0);
	pass(1);
	CHECK_EQ(edges.rises[IRQ], 1);
	CHECK_EQ(in(0x0c) & 0xa0, 0xa0);
	CHECK_EQ(vrtc_next(&r), START + 45 * HZ + 86400 * HZ);
}

/* A second passes unseen, and then the alarm or the mode is changed: the past stays what it was. */
TEST(changes_do_not_reach_back)
{
	fresh();
	out(5, 0x22);
	out(3, 0x13);
	out(1, 0x21);
	pass(HZ);
	out(1, 0x40);
	CHECK_EQ(in(0x0c) & 0x20, 0x20);
	pass(HZ);
	out(0x0b, 0x82);
	CHECK_EQ(in(0), 0x22);
	CHECK_EQ(in(0x0c) & 0x10, 0x10);
}

TEST(alarm_wildcards_and_formats)
{
	static const struct {
		uint8_t h, m, s, b;
		uint32_t in; /* seconds from 22:13:20, 0: never */
	} cases[] = {
		{0xff, 0xff, 0xff, 0x22, 1},	 {0xff, 0xff, 0x20, 0x22, 60},
		{0xff, 0xff, 0x21, 0x22, 1},	 {0xff, 0xff, 0x19, 0x22, 59},
		{0xff, 0xff, 0x59, 0x22, 39},	 {0xc0, 0xc0, 0x19, 0x22, 59},
		{0xff, 0x13, 0xc0, 0x22, 1},	 {0xff, 0x14, 0xc0, 0x22, 40},
		{0xff, 0x13, 0x20, 0x22, 3600},	 {0xff, 0x12, 0x20, 0x22, 3540},
		{0x22, 0xff, 0xff, 0x22, 1},	 {0x22, 0x13, 0x20, 0x22, 86400},
		{0x22, 0x13, 0x19, 0x22, 86399}, {0x23, 0xff, 0xff, 0x22, 2800},
		{0x21, 0xff, 0xff, 0x22, 82000}, {0x00, 0x00, 0x00, 0x22, 6400},
		{0x12, 0x00, 0x00, 0x20, 6400}, /* 12 am */
		{0x91, 0x15, 0x00, 0x20, 3700}, /* 11 pm */
		{23, 15, 0, 0x26, 3700},	 {0x24, 0xff, 0xff, 0x22, 0},
		{0xff, 0x60, 0xff, 0x22, 0},	 {0xff, 0xff, 0x7a, 0x22, 0},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		fresh();
		out(5, cases[i].h);
		out(3, cases[i].m);
		out(1, cases[i].s);
		out(0x0b, cases[i].b);
		CHECK_EQ(vrtc_next(&r), cases[i].in ? START + cases[i].in * HZ : UINT64_MAX);
	}
}

TEST(stopped_divider_stops_the_clock)
{
	fresh();
	out(0x0b, 0x72);
	out(0x0a, 0x70);
	CHECK_EQ(vrtc_next(&r), UINT64_MAX);
	pass(10 * HZ);
	CHECK_EQ(in(0), 0x20);
	CHECK_EQ(in(0x0c), 0x00);
	out(0x0a, 0x26);
	pass(HZ / 2 - 1);
	CHECK_EQ(in(0), 0x20);
	pass(1);
	CHECK_EQ(in(0), 0x21);
}

TEST(cmos_ram_and_memory_sizes)
{
	unsigned sum = 0;

	fresh();
	CHECK_EQ(in(0x15) | in(0x16) << 8, 640);
	CHECK_EQ(in(0x17) | in(0x18) << 8, 0xffff);
	CHECK_EQ(in(0x30) | in(0x31) << 8, 0xffff);
	CHECK_EQ(in(0x34) | in(0x35) << 8, (512 - 16) * 16);
	CHECK_EQ(in(0x5b) | in(0x5c) << 8 | in(0x5d) << 16, 2048 * 16);
	for (uint8_t i = 0x10; i < 0x2e; i++) {
		sum += in(i);
	}
	CHECK_EQ(in(0x2e) << 8 | in(0x2f), sum);
	out(0x0f, 0x0a); /* shutdown code */
	out(0xff, 0x77); /* with the NMI mask */
	CHECK_EQ(in(0x8f), 0x0a);
	CHECK_EQ(in(0x7f), 0x77);
	vrtc_init(&r, HZ, 0, 0, MIB(16), 0, edges_sink(&edges));
	CHECK_EQ(in(0x17) | in(0x18) << 8, 15 * 1024);
	CHECK_EQ(in(0x34), 0);
	vrtc_init(&r, HZ, 0, 0, GIB(3), GIB(9) + KIB(64), edges_sink(&edges));
	CHECK_EQ(in(0x34) | in(0x35) << 8, (3072 - 16) * 16);
	CHECK_EQ(in(0x5b) | in(0x5c) << 8 | in(0x5d) << 16, 9 * 16384 + 1);
	vrtc_init(&r, HZ, 0, 0, GIB(3), GIB(4096), edges_sink(&edges));
	CHECK_EQ(in(0x5b) | in(0x5c) << 8 | in(0x5d) << 16, 0xffffff);
}

TEST(reset_keeps_time_and_ram)
{
	fresh();
	out(0x40, 0x99);
	out(0x0b, 0x72);
	pass(10 * HZ);
	CHECK(edges.level[IRQ]);
	CHECK_EQ(in(0), 0x30);
	vrtc_reset(&r);
	CHECK(!edges.level[IRQ]);
	CHECK_EQ(in(0x0b), 0x02);
	CHECK_EQ(in(0x0c), 0x00);
	CHECK_EQ(in(0x40), 0x99);
	CHECK_EQ(in(0), 0x30);
}

TEST(calendar_agrees_with_libc)
{
	for (int64_t day = -719162; day < 2932896; day += 13) { /* years 1 to 9999 */
		time_t t = day * 86400 + 3723;
		struct tm tm = *gmtime(&t);

		CHECK(vrtc_days(tm.tm_year + 1900, (unsigned)tm.tm_mon + 1, (unsigned)tm.tm_mday) ==
		      day);
		vrtc_init(&r, HZ, t, 0, MIB(64), 0, edges_sink(&edges));
		test_now = 0;
		out(0x0b, 0x06);
		check_time(1, 2, 3);
		check_date((uint8_t)((tm.tm_year + 1900) / 100),
			   (uint8_t)((tm.tm_year + 1900) % 100), (uint8_t)(tm.tm_mon + 1),
			   (uint8_t)tm.tm_mday, (uint8_t)(tm.tm_wday + 1));
	}
}

/* Whatever is written into the time bytes, the clock goes on and shows a date. */
TEST(impossible_dates)
{
	static const uint8_t ones[7] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	static const uint8_t zeros[7] = {0};

	fresh();
	linux_set_time(ones);
	pass(2 * HZ);
	CHECK(in(8) <= 0x12);
	linux_set_time(zeros);
	pass(HZ / 2);
	check_time(0, 0, 1);
	check_date(0, 0, 1, 1, 7);
}

TEST(hostile_accesses)
{
	fresh();
	for (unsigned i = 0; i < 1000000; i++) {
		uint64_t x = test_random();

		if (x & 1) {
			vdev_hostile(&vrtc_ops, &r);
		} else if (x & 2) {
			out(x >> 8 & 0x3f, (uint8_t)(x >> 16));
		} else {
			in(x >> 8 & 0x3f);
		}
		test_now += x >> 20 >> (x >> 8 & 63);
		if ((x & 0x70) == 0 && test_now > 1000) {
			test_now -= x >> 56;
		}
		if (test_now > UINT64_MAX / 4) {
			fresh();
		}
		vrtc_run(&r, test_now);
		CHECK(vrtc_next(&r) > test_now);
	}
	CHECK_EQ(edges.repeats, 0);
}
