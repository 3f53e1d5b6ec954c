/*
 * hv/vdev/vpit.c and vpit_counter.c: Linux's calibrations and clock events, the datasheet's modes
 * tick by tick, and hostile accesses.
 *
 * TICK host TSC ticks are one tick of the PIT, so that times are easy to state; one test takes a
 * rate that does not divide.
 */
#include "hv/vdev/vpit.h"
#include "tests/host/vdev_test.h"

enum { TICK = 1000, START = 1000000 };

static struct edges edges;
static struct vpit p;

static void fresh_at(uint64_t tsc_hz, uint64_t now)
{
	edges = (struct edges){0};
	test_now = now;
	vpit_init(&p, tsc_hz, edges_sink(&edges));
}

static void fresh(void)
{
	/* in the middle of a tick: deadlines are some TSC ticks late */
	fresh_at((uint64_t)VPIT_HZ * TICK, (uint64_t)START * TICK + TICK / 2);
}

static uint8_t in(unsigned port)
{
	if (port == 0x61) {
		return (uint8_t)vdev_read(&vpit_port61_ops, &p, 0, 1);
	}
	return (uint8_t)vdev_read(&vpit_ops, &p, port - 0x40, 1);
}

static void out(unsigned port, uint8_t v)
{
	if (port == 0x61) {
		vdev_write(&vpit_port61_ops, &p, 0, 1, v);
	} else {
		vdev_write(&vpit_ops, &p, port - 0x40, 1, v);
	}
}

/* Lets ticks pass; counter 0's timer is served as pc_run does. */
static void pass(uint64_t ticks)
{
	uint64_t until = test_now + ticks * TICK;

	while (vpit_next(&p) <= until) {
		test_now = vpit_next(&p);
		vpit_run(&p, test_now);
	}
	test_now = until;
}

static void load(unsigned counter, uint8_t mode, unsigned count)
{
	out(0x43, (uint8_t)(counter << 6 | 0x30 | mode << 1));
	out(0x40 + counter, (uint8_t)count);
	out(0x40 + counter, (uint8_t)(count >> 8));
	pass(1); /* the count is loaded at the next tick */
}

static unsigned latched(unsigned counter)
{
	unsigned low;

	out(0x43, (uint8_t)(counter << 6));
	low = in(0x40 + counter);
	return low | (unsigned)in(0x40 + counter) << 8;
}

static bool out2(void)
{
	return in(0x61) & 0x20;
}

/* Linux, tsc.c: pit_calibrate_tsc(): counter 2 in mode 0 with the gate open, polls OUT2. */
TEST(linux_pit_calibrate_tsc)
{
	enum { LATCH = VPIT_HZ / 20 };
	unsigned polls = 0;

	fresh();
	out(0x61, (in(0x61) & ~0x02) | 0x01);
	out(0x43, 0xb0);
	out(0x42, LATCH & 0xff);
	out(0x42, LATCH >> 8);
	while (!out2() && polls < 100000) {
		pass(1);
		polls++;
	}
	CHECK_EQ(polls, LATCH + 1);
	pass(100000);
	CHECK(out2());
}

/* Linux, quick_pit_calibrate(): the high byte of a free-running counter 2, one half at a time. */
TEST(linux_quick_pit_calibrate)
{
	fresh();
	out(0x61, (in(0x61) & ~0x02) | 0x01);
	out(0x43, 0xb0);
	out(0x42, 0xff);
	out(0x42, 0xff);
	pass(1);
	for (unsigned msb = 0xff; msb > 0x80; msb--) {
		for (unsigned i = 0; i < 255; i += 51) {
			in(0x42);
			CHECK_EQ(in(0x42), msb);
			pass(51);
		}
		pass(1);
	}
	CHECK(!out2());
}

/* Linux, i8253.c: pit_set_periodic() with HZ = 250. */
TEST(linux_periodic)
{
	enum { LATCH = (VPIT_HZ + 125) / 250 };

	fresh();
	load(0, 2, LATCH);
	CHECK_EQ(edges.rises[0], 1); /* the output left mode 0's low */
	pass(LATCH - 1);
	CHECK_EQ(edges.rises[0], 1);
	pass(1);
	CHECK_EQ(edges.rises[0], 2);
	pass(10 * LATCH);
	CHECK_EQ(edges.rises[0], 12);
	CHECK_EQ(edges.repeats, 0);
	CHECK_EQ(latched(0), LATCH);
	pass(5);
	CHECK_EQ(latched(0), LATCH - 5);
}

/* Linux: pit_set_oneshot() and pit_next_event(), then pit_shutdown(). */
TEST(linux_oneshot)
{
	fresh();
	out(0x43, 0x38);
	CHECK_EQ(vpit_next(&p), UINT64_MAX);
	CHECK_EQ(edges.rises[0], 1);
	for (unsigned n = 1; n <= 3; n++) {
		out(0x40, 0xe8);
		out(0x40, 0x03);
		pass(1 + 1000);
		CHECK_EQ(edges.rises[0], n);
		pass(1); /* the strobe is one tick low */
		CHECK_EQ(edges.rises[0], n + 1);
		pass(5000);
		CHECK_EQ(edges.rises[0], n + 1);
		CHECK_EQ(vpit_next(&p), UINT64_MAX);
	}
	out(0x40, 0xff); /* an event that is replaced before it happens */
	out(0x40, 0xff);
	pass(100);
	out(0x40, 10);
	out(0x40, 0);
	pass(20);
	CHECK_EQ(edges.rises[0], 5);
	out(0x43, 0x30);
	CHECK(!edges.level[0]);
	out(0x40, 0);
	out(0x40, 0);
	pass(65536);
	CHECK_EQ(edges.rises[0], 5);
	pass(1);
	CHECK_EQ(edges.rises[0], 6);
	CHECK_EQ(vpit_next(&p), UINT64_MAX);
}

TEST(missed_periods_collapse_and_keep_the_phase)
{
	fresh();
	load(0, 2, 1000);
	test_now += 10500ull * TICK;
	vpit_run(&p, test_now);
	CHECK_EQ(edges.rises[0], 2);
	CHECK_EQ(vpit_next(&p) / TICK, (uint64_t)START + 1 + 11000);
	CHECK_EQ(latched(0), 500);
	vpit_run(&p, test_now);
	CHECK_EQ(edges.rises[0], 2);
}

/* An access when an edge is due but its timer was not served: the edge must not get lost. */
TEST(access_serves_what_is_due)
{
	fresh();
	load(0, 2, 1000);
	test_now += 1000ull * TICK;
	out(0x43, 0x38);
	CHECK_EQ(edges.rises[0], 2);
}

TEST(mode0_output_and_wrap)
{
	fresh();
	out(0x61, 1);
	load(2, 0, 5);
	for (unsigned n = 5; n > 0; n--) {
		CHECK_EQ(latched(2), n);
		CHECK(!out2());
		pass(1);
	}
	CHECK(out2());
	CHECK_EQ(latched(2), 0);
	pass(1);
	CHECK_EQ(latched(2), 0xffff);
	out(0x42, 9); /* the first byte takes the output down and stops the count */
	CHECK(!out2());
	pass(50);
	CHECK(!out2());
	out(0x42, 0);
	pass(1 + 8);
	CHECK(!out2());
	pass(1);
	CHECK(out2());
}

TEST(mode0_gate_pauses)
{
	fresh();
	load(2, 0, 100);
	pass(500);
	CHECK_EQ(latched(2), 100);
	out(0x61, 1);
	pass(40);
	CHECK_EQ(latched(2), 60);
	out(0x61, 0);
	pass(1000);
	CHECK_EQ(latched(2), 60);
	CHECK(!out2());
	out(0x61, 1);
	pass(59);
	CHECK(!out2());
	pass(1);
	CHECK(out2());
}

TEST(mode1_is_triggered_by_the_gate)
{
	fresh();
	load(2, 1, 10);
	CHECK(out2());
	pass(100);
	CHECK(out2());
	out(0x61, 1);
	pass(1);
	CHECK(!out2());
	pass(5);
	out(0x61, 0); /* does not stop it */
	pass(3);
	out(0x61, 1); /* starts it again */
	pass(1 + 9);
	CHECK(!out2());
	pass(1);
	CHECK(out2());
	out(0x42, 3); /* a new count waits for the trigger */
	out(0x42, 0);
	pass(10);
	CHECK(out2());
	out(0x43, 0xe8);
	CHECK_EQ(in(0x42), 0xf2);
	out(0x61, 0);
	out(0x61, 1);
	pass(1);
	out(0x43, 0xe8); /* loaded */
	CHECK_EQ(in(0x42), 0x32);
	pass(2);
	CHECK(!out2());
	pass(1);
	CHECK(out2());
}

TEST(mode2_output_and_reload)
{
	fresh();
	out(0x61, 1);
	load(2, 2, 4);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned n = 4; n > 0; n--) {
			CHECK_EQ(latched(2), n);
			CHECK_EQ(out2(), n != 1);
			pass(1);
		}
	}
	pass(1);
	out(0x42, 6); /* loaded at the end of this period */
	out(0x42, 0);
	CHECK_EQ(latched(2), 3);
	pass(3);
	CHECK_EQ(latched(2), 6);
	pass(6 * 2);
	CHECK_EQ(latched(2), 6);
	out(0x61, 0); /* the gate forces the output up, and restarts */
	pass(5);
	CHECK(out2());
	out(0x61, 1);
	pass(1);
	CHECK_EQ(latched(2), 6);
}

TEST(mode2_new_count_interrupts_after_the_old_one)
{
	fresh();
	load(0, 2, 1000);
	pass(300);
	out(0x40, 500 & 0xff);
	out(0x40, 500 >> 8);
	pass(699);
	CHECK_EQ(edges.rises[0], 1);
	pass(1);
	CHECK_EQ(edges.rises[0], 2);
	pass(499);
	CHECK_EQ(edges.rises[0], 2);
	pass(1);
	CHECK_EQ(edges.rises[0], 3);
}

TEST(mode3_square_wave)
{
	static const uint8_t even[6] = {6, 4, 2, 6, 4, 2};
	static const uint8_t odd[5] = {4, 2, 0, 4, 2};

	fresh();
	out(0x61, 1);
	load(2, 3, 6);
	for (unsigned n = 0; n < 12; n++) {
		CHECK_EQ(latched(2), even[n % 6]);
		CHECK_EQ(out2(), n % 6 < 3);
		pass(1);
	}
	load(2, 3, 5);
	for (unsigned n = 0; n < 10; n++) {
		CHECK_EQ(latched(2), odd[n % 5]);
		CHECK_EQ(out2(), n % 5 < 3);
		pass(1);
	}
	load(2, 3, 100);
	pass(10); /* a new count is loaded at the end of the half */
	out(0x42, 20);
	out(0x42, 0);
	pass(40);
	CHECK(!out2());
	pass(10);
	CHECK(out2());
	pass(10);
	CHECK(!out2());
}

TEST(mode3_interrupts_once_a_period)
{
	fresh();
	load(0, 3, 0); /* 65536, as a BIOS sets it */
	CHECK_EQ(edges.rises[0], 1);
	pass(65536);
	CHECK_EQ(edges.rises[0], 2);
	pass(65536 + 10);
	CHECK_EQ(edges.rises[0], 3);
	out(0x40, 100); /* in the high half: the low half is already the new one */
	out(0x40, 0);
	pass(32768 - 10 + 50 - 1);
	CHECK_EQ(edges.rises[0], 3);
	pass(1);
	CHECK_EQ(edges.rises[0], 4);
	pass(100);
	CHECK_EQ(edges.rises[0], 5);
}

TEST(mode5_strobes_after_the_trigger)
{
	fresh();
	load(2, 5, 3);
	pass(10);
	CHECK(out2());
	out(0x61, 1);
	pass(1 + 2);
	CHECK(out2());
	pass(1);
	CHECK(!out2());
	pass(1);
	CHECK(out2());
}

TEST(read_back_command)
{
	fresh();
	load(0, 2, 0x1234);
	out(0x61, 1);
	out(0x43, 0xb6);	       /* counter 2: mode 3, not loaded yet */
	out(0x43, 0xe0 | 0x08 | 0x02); /* status of 0 and 2 */
	CHECK_EQ(in(0x40), 0xb4);
	CHECK_EQ(in(0x42), 0xf6); /* output high, null count */
	out(0x43, 0xc0 | 0x02);	  /* status and count: the status comes first */
	pass(5);
	out(0x43, 0xc0 | 0x02); /* a second one changes nothing before they are read */
	CHECK_EQ(in(0x40), 0xb4);
	CHECK_EQ(in(0x40), 0x34);
	CHECK_EQ(in(0x40), 0x12);
	CHECK_EQ(in(0x40), 0x2f); /* and then the running count */
	CHECK_EQ(in(0x40), 0x12);
	out(0x43, 0xd0 | 0x02); /* count alone */
	pass(3);
	CHECK_EQ(in(0x40), 0x2f);
	CHECK_EQ(in(0x40), 0x12);
	CHECK_EQ(in(0x40), 0x2c);
	CHECK_EQ(in(0x40), 0x12);
	out(0x40, 0x00);
	out(0x40, 0x20);
	out(0x43, 0xe2); /* status alone: a count waits */
	CHECK_EQ(in(0x40), 0xf4);
	pass(0x1234);
	out(0x43, 0xe2);
	CHECK_EQ(in(0x40), 0xb4);
}

TEST(latched_count_waits_to_be_read)
{
	fresh();
	load(0, 2, 0x8000);
	out(0x43, 0x00);
	pass(0x100);
	out(0x43, 0x00); /* ignored while one is latched */
	CHECK_EQ(in(0x40), 0x00);
	CHECK_EQ(in(0x40), 0x80);
	CHECK_EQ(in(0x40), 0x00);
	CHECK_EQ(in(0x40), 0x7f);
	out(0x43, 0x14); /* low byte only */
	out(0x40, 0x80);
	pass(1 + 1);
	CHECK_EQ(in(0x40), 0x7f);
	CHECK_EQ(in(0x40), 0x7f);
	out(0x43, 0x00);
	pass(1);
	CHECK_EQ(in(0x40), 0x7f);
	CHECK_EQ(in(0x40), 0x7e);
	out(0x43, 0x24); /* high byte only */
	out(0x40, 0x80);
	pass(1 + 1);
	CHECK_EQ(in(0x40), 0x7f);
	CHECK_EQ(in(0x43), 0xff);
}

TEST(bcd_counts)
{
	fresh();
	out(0x61, 1);
	out(0x43, 0xb1);
	out(0x42, 0x00);
	out(0x42, 0x10); /* 1000 */
	pass(1 + 1);
	CHECK_EQ(latched(2), 0x0999);
	pass(999);
	CHECK(out2());
	pass(1);
	CHECK_EQ(latched(2), 0x9999);
	out(0x43, 0x35);
	out(0x40, 0);
	out(0x40, 0); /* 10000 */
	pass(1);
	CHECK_EQ(latched(0), 0x0000);
	pass(10000);
	CHECK_EQ(edges.rises[0], 2);
}

TEST(port61_refresh_toggle_and_bits)
{
	unsigned toggles = 0;
	uint8_t before;

	fresh();
	out(0x61, 0xff);
	CHECK_EQ(in(0x61) & 0xcf, 0x0f);
	before = in(0x61) & 0x10;
	for (unsigned n = 0; n < 18 * 100; n++) {
		pass(1);
		toggles += (in(0x61) & 0x10) != before;
		before = in(0x61) & 0x10;
	}
	CHECK_EQ(toggles, 100);
	for (unsigned n = 1; n < 10; n++) {
		pass(18 * n); /* several at once */
		toggles = (in(0x61) & 0x10) != before;
		CHECK_EQ(toggles, n & 1);
		before = in(0x61) & 0x10;
	}
}

TEST(illegal_count_makes_no_interrupts)
{
	fresh();
	load(0, 2, 1);
	CHECK_EQ(vpit_next(&p), UINT64_MAX);
	load(0, 3, 1);
	CHECK_EQ(vpit_next(&p), UINT64_MAX);
	load(0, 2, 2);
	CHECK(vpit_next(&p) != UINT64_MAX);
}

/* A guest that asks for an interrupt every other tick must still get to take it back. */
TEST(tiny_periods_leave_the_guest_time)
{
	for (unsigned mode = 2; mode <= 3; mode++) {
		fresh();
		load(0, (uint8_t)mode, 2);
		pass(6000);
		CHECK(edges.rises[0] >= 80 && edges.rises[0] <= 101);
		load(0, (uint8_t)mode, 100); /* this one is as it was asked for */
		edges.rises[0] = 0;
		pass(6000);
		CHECK(edges.rises[0] >= 59 && edges.rises[0] <= 60);
	}
}

TEST(no_drift_over_a_year)
{
	enum { HZ = 2399998765u };
	uint64_t first, year = (uint64_t)HZ * 86400 * 365, rises;

	fresh_at(HZ, 12345678901ull);
	out(0x43, 0x34);
	out(0x40, 1193 & 0xff);
	out(0x40, 1193 >> 8);
	first = vpit_next(&p);
	test_now += year;
	vpit_run(&p, test_now);
	rises = edges.rises[0];
	vpit_run(&p, vpit_next(&p));
	CHECK_EQ(edges.rises[0], rises + 1);
	/* Whole periods since the first edge, to the TSC tick or two of rounding. */
	rises = (uint64_t)((unsigned __int128)(vpit_next(&p) - first) * VPIT_HZ / HZ + 1193 / 2) /
		1193;
	first += (uint64_t)((unsigned __int128)rises * 1193 * HZ / VPIT_HZ);
	CHECK(vpit_next(&p) + 16 - first <= 32);
}

TEST(reset_stops_counter_0)
{
	fresh();
	load(0, 2, 1000);
	out(0x61, 0x0f);
	vpit_reset(&p);
	CHECK_EQ(vpit_next(&p), UINT64_MAX);
	CHECK(!edges.level[0]);
	CHECK_EQ(in(0x61) & 0x2f, 0);
	CHECK_EQ(in(0x40), 0);
	out(0x40, 1); /* no control word: goes nowhere */
	CHECK_EQ(vpit_next(&p), UINT64_MAX);
}

/* Time stands still, jumps, and goes back a little, as TSCs of several CPUs may. */
TEST(hostile_accesses)
{
	static const uint64_t starts[] = {0, (uint64_t)START * TICK, UINT64_MAX / 4};

	for (unsigned n = 0; n < 3; n++) {
		fresh_at(2399998765, starts[n]);
		for (unsigned i = 0; i < 400000; i++) {
			uint64_t r = test_random();

			vdev_hostile(r & 7 ? &vpit_ops : &vpit_port61_ops, &p);
			test_now += r >> 8 & 0xfffff;
			if ((r & 0x70) == 0 && test_now > 1000) {
				test_now -= r >> 56;
			}
			vpit_run(&p, test_now);
			CHECK(vpit_next(&p) > test_now);
		}
		CHECK_EQ(edges.repeats, 0);
	}
}
