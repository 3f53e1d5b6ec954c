/*
 * hv/vdev/vlapic_timer.c on a fake clock: counts, periods and masks (Intel SDM vol. 3, "APIC
 * Timer").
 */
#include "tests/fake/rng.h"
#include "tests/host/lapic_timer_rig.h"

/* How many times the timer fires when each is ended at once. */
static unsigned fires(void)
{
	unsigned n = 0;

	while (rig_deliver(0) == VECTOR) {
		rig_write(0, EOI, 0);
		n++;
	}
	return n;
}

/* --- counting --- */

TEST(one_shot)
{
	begin(VECTOR);
	CHECK_EQ(next(), NEVER);
	rig_write(0, TMICT, 1000);
	CHECK_EQ(next(), T0 + 1000);
	CHECK_EQ(rig_read(0, TMCCT), 1000);
	rig.now = T0 + 1;
	CHECK_EQ(rig_read(0, TMCCT), 999);
	run_at(T0 + 999);
	CHECK_EQ(rig_read(0, TMCCT), 1);
	CHECK(!fired());
	run_at(T0 + 1000);
	CHECK(fired());
	CHECK_EQ(rig_read(0, TMCCT), 0);
	CHECK_EQ(rig_read(0, TMICT), 1000);
	CHECK_EQ(next(), NEVER);
	run_at(T0 + 5000);
	CHECK(!fired());
	rig_write(0, TMICT, 10);
	CHECK_EQ(next(), T0 + 5010);
}

TEST(divide_configuration)
{
	static const struct {
		uint32_t tdcr;
		unsigned by;
	} table[] = {{0x0, 2},	{0x1, 4},  {0x2, 8},   {0x3, 16},
		     {0x8, 32}, {0x9, 64}, {0xa, 128}, {0xb, 1}};

	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		begin(VECTOR);
		rig_write(0, TDCR, table[i].tdcr | 0xfffffff4); /* the others are reserved */
		CHECK_EQ(rig_read(0, TDCR), table[i].tdcr);
		rig_write(0, TMICT, 100);
		CHECK_EQ(next(), T0 + 100 * table[i].by);
		rig.now = T0 + 10 * table[i].by - 1;
		CHECK_EQ(rig_read(0, TMCCT), 91);
		rig.now++;
		CHECK_EQ(rig_read(0, TMCCT), 90);
	}
}

TEST(timer_shift_slows_the_clock)
{
	rig_start(1);
	rig.bus.timer_shift = 4;
	vlapic_reset(&rig.lapic[0], false);
	rig_write(0, LVT_T, VECTOR);
	rig_write(0, TMICT, 10); /* divide by 2 after reset */
	CHECK_EQ(next(), T0 + 10 * 32);
	rig_write(0, TDCR, BY_1);
	rig_write(0, TMICT, 10);
	CHECK_EQ(next(), T0 + 10 * 16);
	rig.now = T0 + 31;
	CHECK_EQ(rig_read(0, TMCCT), 9);
}

TEST(initial_count_zero_stops)
{
	begin(VECTOR | PERIODIC);
	rig_write(0, TMICT, 1000);
	rig.now = T0 + 10;
	rig_write(0, TMICT, 0);
	CHECK_EQ(next(), NEVER);
	CHECK_EQ(rig_read(0, TMCCT), 0);
	run_at(T0 + 100000);
	CHECK(!fired());
}

TEST(a_new_count_starts_over)
{
	begin(VECTOR);
	rig_write(0, TMICT, 1000);
	rig.now = T0 + 900;
	rig_write(0, TMICT, 500);
	CHECK_EQ(next(), T0 + 1400);
	rig.now = T0 + 1450; /* late: what was due happens before the write */
	rig_write(0, TMICT, 100);
	CHECK(fired());
	CHECK_EQ(next(), T0 + 1550);
}

TEST(the_largest_count_and_divisor)
{
	uint64_t ticks = 0xffffffffull << 7;

	begin(VECTOR);
	rig_write(0, TDCR, 0xa);
	rig_write(0, TMICT, 0xffffffff);
	CHECK_EQ(next(), T0 + ticks);
	CHECK_EQ(rig_read(0, TMCCT), 0xffffffff);
	rig.now = T0 + 128;
	CHECK_EQ(rig_read(0, TMCCT), 0xfffffffe);
	run_at(T0 + ticks - 1);
	CHECK_EQ(rig_read(0, TMCCT), 1);
	CHECK(!fired());
	run_at(T0 + ticks);
	CHECK(fired());
}

TEST(the_rate_changes_under_way)
{
	begin(VECTOR);
	rig_write(0, TMICT, 1000);
	rig.now = T0 + 400;
	rig_write(0, TDCR, 0); /* by 2: 600 counts left */
	CHECK_EQ(rig_read(0, TMCCT), 600);
	CHECK_EQ(next(), T0 + 400 + 1200);
	rig.now = T0 + 401;
	rig_write(0, TDCR, 0); /* no change: no loss of phase */
	CHECK_EQ(next(), T0 + 400 + 1200);
}

/* --- periodic --- */

TEST(periodic)
{
	begin(VECTOR | PERIODIC);
	rig_write(0, TMICT, 1000);
	for (unsigned i = 1; i <= 10; i++) {
		CHECK_EQ(next(), T0 + 1000 * i);
		run_at(T0 + 1000 * i - 1);
		CHECK(!fired());
		CHECK_EQ(rig_read(0, TMCCT), 1);
		run_at(T0 + 1000 * i + 7); /* a little late: the phase stays */
		CHECK(fired());
		CHECK_EQ(rig_read(0, TMCCT), 993);
	}
}

TEST(periods_that_came_late_are_made_up_and_keep_phase)
{
	begin(VECTOR | PERIODIC);
	rig_write(0, TMICT, 1000);
	run_at(T0 + 1999);
	CHECK(fired());
	CHECK_EQ(next(), T0 + 2000);
	run_at(T0 + 4000); /* late by two periods: three ticks */
	CHECK_EQ(fires(), 3);
	CHECK_EQ(next(), T0 + 5000);
	run_at(T0 + 5000 + 1000000000ull * 1000 + 123); /* 10^9 periods: there is an end to it */
	CHECK_EQ(fires(), 1001);
	CHECK_EQ(next(), T0 + 6000 + 1000000000ull * 1000);
	CHECK_EQ(rig_read(0, TMCCT), 877);
}

TEST(a_period_of_one_tick)
{
	begin(VECTOR | PERIODIC);
	rig_write(0, TMICT, 1);
	run_at(T0 + (1ull << 50));
	CHECK_EQ(fires(), 1001);
	CHECK_EQ(next(), T0 + (1ull << 50) + 1);
}

/* No tick is lost, but the machine looks after a while only, so that the guest runs at all. */
TEST(a_tiny_period_leaves_the_guest_time)
{
	begin(VECTOR | PERIODIC);
	rig.bus.timer_gap = 500;
	rig_write(0, TMICT, 1);
	CHECK_EQ(next(), T0 + 1);
	run_at(T0 + 1);
	CHECK_EQ(fires(), 1);
	CHECK_EQ(next(), T0 + 501);
	run_at(T0 + 501);
	CHECK_EQ(fires(), 1); /* what fell into the gap is not owed, or EOIs would be all it did */
	CHECK_EQ(next(), T0 + 1001);
	rig_write(0, TMICT, 1000); /* a longer one comes when it is due */
	run_at(T0 + 1501);
	CHECK_EQ(next(), T0 + 2501);
	rig_write(0, LVT_T, VECTOR | PERIODIC | MASKED);
	run_at(T0 + 2501);
	CHECK_EQ(next(), NEVER);
}

/* The guest has the interrupt in its IRR and does not take it: they merge, as in hardware. */
TEST(ticks_that_the_guest_holds_back_merge)
{
	begin(VECTOR | PERIODIC);
	rig_write(0, TMICT, 1000);
	for (unsigned i = 1; i <= 5; i++) {
		run_at(T0 + 1000 * i);
	}
	CHECK_EQ(fires(), 1);
}

TEST(a_beat_while_an_owed_tick_waits_is_owed_too)
{
	begin(VECTOR | PERIODIC);
	rig_write(0, TMICT, 1000);
	run_at(T0 + 3000); /* two owed */
	CHECK_EQ(rig_deliver(0), VECTOR);
	rig_write(0, EOI, 0); /* one of them is in IRR now */
	run_at(T0 + 4000);
	CHECK_EQ(fires(), 3);
}

TEST(a_new_count_owes_nothing)
{
	begin(VECTOR | PERIODIC);
	rig_write(0, TMICT, 1000);
	run_at(T0 + 9000);
	rig_write(0, TMICT, 1000);
	CHECK_EQ(fires(), 1);
}

/* What is in IRR by then stays, as in hardware; nothing comes behind it. */
TEST(a_masked_timer_owes_nothing)
{
	begin(VECTOR | PERIODIC);
	rig_write(0, TMICT, 1000);
	run_at(T0 + 9000);
	rig_write(0, LVT_T, VECTOR | PERIODIC | MASKED);
	CHECK_EQ(fires(), 1);
	rig_write(0, LVT_T, VECTOR | PERIODIC);
	run_at(T0 + 10000);
	CHECK_EQ(fires(), 1);
}

TEST(a_software_disabled_apic_owes_nothing)
{
	begin(VECTOR | PERIODIC);
	rig_write(0, TMICT, 1000);
	run_at(T0 + 9000);
	rig_write(0, SVR, 0xff);
	CHECK_EQ(fires(), 1);
}

TEST(a_one_shot_timer_owes_nothing)
{
	begin(VECTOR | PERIODIC);
	rig_write(0, TMICT, 1000);
	run_at(T0 + 9000);
	rig_write(0, LVT_T, VECTOR);
	CHECK_EQ(fires(), 1);
	run_at(T0 + 10000); /* the count under way ends once */
	CHECK_EQ(fires(), 1);
	CHECK_EQ(next(), NEVER);
}

/* A read in a handler that runs late sees the new period, and the interrupt is pending. */
TEST(reading_a_count_that_has_wrapped)
{
	begin(VECTOR | PERIODIC);
	rig_write(0, TMICT, 1000);
	rig.now = T0 + 1300;
	CHECK_EQ(rig_read(0, TMCCT), 700);
	CHECK(fired());
	run_at(T0 + 1300);
	CHECK(!fired());
	CHECK_EQ(next(), T0 + 2000);
}

TEST(periodic_random_against_a_model)
{
	for (unsigned round = 0; round < 3000; round++) {
		uint32_t count = 1 + (uint32_t)rng_below(5000);
		unsigned shift = (unsigned)rng_below(8);
		uint64_t period = (uint64_t)count << shift, now = T0, beats = 0;

		begin(VECTOR | PERIODIC);
		rig_write(0, TDCR, ((shift - 1) & 4) << 1 | ((shift - 1) & 3));
		rig_write(0, TMICT, count);
		for (unsigned step = 0; step < 8; step++) {
			uint64_t expect;

			now += rng_below(4 * period);
			run_at(now);
			expect = (now - T0) / period;
			CHECK_EQ(fires(), expect - beats);
			beats = expect;
			CHECK_EQ(next(), T0 + (beats + 1) * period);
			CHECK_EQ(rig_read(0, TMCCT), count - (((now - T0) % period) >> shift));
		}
	}
}

/* --- masks and modes --- */

TEST(masked_counts_without_waking_anybody)
{
	begin(VECTOR | PERIODIC | MASKED);
	rig_write(0, TMICT, 1000);
	CHECK_EQ(next(), NEVER);
	rig.now = T0 + 300;
	CHECK_EQ(rig_read(0, TMCCT), 700);
	rig.now = T0 + 123456789;
	CHECK_EQ(rig_read(0, TMCCT), 1000 - 789);
	CHECK(!fired());
	rig_write(0, LVT_T, VECTOR | PERIODIC);
	CHECK_EQ(next(), T0 + 123457000); /* in phase */
	CHECK(!fired());
	run_at(T0 + 123457000);
	CHECK(fired());
}

TEST(what_ended_while_masked_is_gone)
{
	begin(VECTOR | MASKED);
	rig_write(0, TMICT, 1000);
	rig.now = T0 + 2000;
	rig_write(0, LVT_T, VECTOR);
	CHECK(!fired());
	CHECK_EQ(next(), NEVER);
	rig_write(0, TMICT, 1000);
	rig_write(0, LVT_T, VECTOR | MASKED);
	CHECK_EQ(next(), NEVER);
	rig.now = T0 + 2500;
	rig_write(0, LVT_T, VECTOR);
	CHECK_EQ(next(), T0 + 3000);
}

/* It was due before the write that masks it: the CPU was only late to look. */
TEST(what_was_due_before_masking_fires)
{
	begin(VECTOR);
	rig_write(0, TMICT, 1000);
	rig.now = T0 + 1001;
	rig_write(0, LVT_T, 0x55 | MASKED);
	CHECK(fired());
}

TEST(software_disable_masks_the_timer)
{
	begin(VECTOR);
	rig_write(0, TMICT, 1000);
	rig_write(0, SVR, 0xff);
	CHECK_EQ(next(), NEVER);
	CHECK_EQ(rig_read(0, LVT_T), VECTOR | MASKED);
	run_at(T0 + 2000);
	CHECK(!fired());
}

TEST(one_shot_and_periodic_share_the_count)
{
	begin(VECTOR);
	rig_write(0, TMICT, 1000);
	rig.now = T0 + 400;
	rig_write(0, LVT_T, VECTOR | PERIODIC);
	CHECK_EQ(next(), T0 + 1000);
	run_at(T0 + 1000);
	CHECK(fired());
	CHECK_EQ(next(), T0 + 2000);
	rig_write(0, LVT_T, VECTOR);
	run_at(T0 + 2000);
	CHECK(fired());
	CHECK_EQ(next(), NEVER);
	rig_write(0, LVT_T, VECTOR | PERIODIC); /* a stopped count stays stopped */
	CHECK_EQ(next(), NEVER);
}

TEST(an_illegal_vector_is_an_error)
{
	begin(0x0f);
	rig_write(0, TMICT, 10);
	run_at(T0 + 10);
	CHECK_EQ(rig_pending(0), -1);
	rig_write(0, 0x280, 0);
	CHECK_EQ(rig_read(0, 0x280), 0x40);
}

TEST(disabling_the_apic_stops_the_timer)
{
	begin(VECTOR | PERIODIC);
	rig_write(0, TMICT, 10);
	CHECK(rig_wrmsr(0, MSR_APIC_BASE, 0xfee00100));
	CHECK_EQ(next(), NEVER);
	CHECK(rig_wrmsr(0, MSR_TSC_DEADLINE, 5)); /* ignored */
	CHECK_EQ(rig_rdmsr(0, MSR_TSC_DEADLINE), 0);
	CHECK_EQ(next(), NEVER);
}

/* Of an exit's access to any other register, nobody needs to read the clock. */
TEST(only_timed_registers_look_at_the_time)
{
	unsigned timed = 0;

	for (unsigned reg = 0; reg < 64; reg++) {
		for (unsigned write = 0; write < 2; write++) {
			struct bus_access now = {
				.offset = reg * 16, .size = 4, .write = write, .value = 0x10031};
			struct bus_access never = now;
			struct vlapic at_now, at_never;

			rig_start(1);
			rig_write(0, LVT_T, VECTOR | PERIODIC);
			rig_write(0, TMICT, 1000);
			at_now = at_never = rig.lapic[0];
			now.now = rig.now + 2500; /* one period is over */
			vlapic_access(&at_now, &now);
			vlapic_access(&at_never, &never);
			if (now.value != never.value ||
			    memcmp(&at_now, &at_never, sizeof(at_now))) {
				CHECK(vlapic_is_timed(reg));
				timed++;
			}
		}
	}
	CHECK_EQ(timed,
		 5); /* SVR, LVT timer, initial count, divide: written; current count: read */
}
