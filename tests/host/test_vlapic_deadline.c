/*
 * hv/vdev/vlapic_timer.c on a fake clock: TSC deadlines, and changes between them and counts (Intel
 * SDM vol. 3, "APIC Timer").
 */
#include "tests/host/lapic_timer_rig.h"

TEST(tsc_deadline)
{
	begin(VECTOR | DEADLINE);
	CHECK_EQ(rig_rdmsr(0, MSR_TSC_DEADLINE), 0);
	CHECK(rig_wrmsr(0, MSR_TSC_DEADLINE, T0 + 500));
	CHECK_EQ(rig_rdmsr(0, MSR_TSC_DEADLINE), T0 + 500);
	CHECK_EQ(next(), T0 + 500);
	CHECK_EQ(rig_read(0, TMCCT), 0);
	run_at(T0 + 499);
	CHECK(!fired());
	run_at(T0 + 500);
	CHECK(fired());
	CHECK_EQ(rig_rdmsr(0, MSR_TSC_DEADLINE), 0);
	CHECK_EQ(next(), NEVER);
}

TEST(a_deadline_in_the_past_fires_at_once)
{
	begin(VECTOR | DEADLINE);
	rig_wrmsr(0, MSR_TSC_DEADLINE, T0);
	CHECK(fired());
	CHECK_EQ(rig_rdmsr(0, MSR_TSC_DEADLINE), 0);
	rig_wrmsr(0, MSR_TSC_DEADLINE, 1);
	CHECK(fired());
	CHECK_EQ(next(), NEVER);
	rig_wrmsr(0, MSR_TSC_DEADLINE, 0); /* disarms */
	CHECK(!fired());
}

TEST(rearming_and_disarming)
{
	begin(VECTOR | DEADLINE);
	rig_wrmsr(0, MSR_TSC_DEADLINE, T0 + 500);
	rig_wrmsr(0, MSR_TSC_DEADLINE, T0 + 900);
	run_at(T0 + 600);
	CHECK(!fired());
	CHECK_EQ(next(), T0 + 900);
	rig_wrmsr(0, MSR_TSC_DEADLINE, 0);
	CHECK_EQ(next(), NEVER);
	run_at(T0 + 1000);
	CHECK(!fired());
	rig_wrmsr(0, MSR_TSC_DEADLINE, T0 + 1100); /* due before it is replaced: both count */
	rig.now = T0 + 1200;
	rig_wrmsr(0, MSR_TSC_DEADLINE, T0 + 1300);
	CHECK(fired());
	CHECK_EQ(next(), T0 + 1300);
}

TEST(the_guests_tsc_has_an_offset)
{
	begin(VECTOR | DEADLINE);
	rig.tsc_offset[0] = 7000;
	rig_wrmsr(0, MSR_TSC_DEADLINE, T0 + 7000 + 500);
	CHECK_EQ(next(), T0 + 500);
	rig_wrmsr(0, MSR_TSC_DEADLINE, T0 + 7000); /* now, by the guest's clock */
	CHECK(fired());
	rig.tsc_offset[0] = (uint64_t)0 - T0; /* the guest's TSC began at 0 */
	rig_wrmsr(0, MSR_TSC_DEADLINE, 250);
	CHECK_EQ(next(), T0 + 250);
	CHECK_EQ(rig_rdmsr(0, MSR_TSC_DEADLINE), 250);
	run_at(T0 + 250);
	CHECK(fired());
}

TEST(a_new_offset_moves_the_deadline)
{
	begin(VECTOR | DEADLINE);
	rig_wrmsr(0, MSR_TSC_DEADLINE, T0 + 500);
	rig.tsc_offset[0] = 200;
	vlapic_timer_rebase(&rig.lapic[0], rig.now);
	CHECK_EQ(next(), T0 + 300);
	CHECK_EQ(rig_rdmsr(0, MSR_TSC_DEADLINE), T0 + 500);
	rig.tsc_offset[0] = 500;
	vlapic_timer_rebase(&rig.lapic[0], rig.now);
	CHECK(fired());
	vlapic_timer_rebase(&rig.lapic[0], rig.now);
	CHECK(!fired());
	begin(VECTOR); /* counts do not depend on the offset */
	rig_write(0, TMICT, 1000);
	rig.tsc_offset[0] = 5000;
	vlapic_timer_rebase(&rig.lapic[0], rig.now);
	CHECK_EQ(next(), T0 + 1000);
}

TEST(deadlines_beyond_the_end_of_time)
{
	begin(VECTOR | DEADLINE);
	rig_wrmsr(0, MSR_TSC_DEADLINE, UINT64_MAX);
	CHECK_EQ(rig_rdmsr(0, MSR_TSC_DEADLINE), UINT64_MAX);
	CHECK_EQ(next(), NEVER);
	CHECK(!fired());
	rig.tsc_offset[0] = (uint64_t)0 - T0;
	rig_wrmsr(0, MSR_TSC_DEADLINE, UINT64_MAX - 5); /* host time would wrap */
	CHECK_EQ(next(), NEVER);
	CHECK_EQ(rig_rdmsr(0, MSR_TSC_DEADLINE), UINT64_MAX - 5);
	run_at(1ull << 60);
	CHECK(!fired());
}

TEST(counts_are_ignored_in_deadline_mode)
{
	begin(VECTOR | DEADLINE);
	rig_write(0, TMICT, 1000);
	CHECK_EQ(rig_read(0, TMICT), 0);
	CHECK_EQ(next(), NEVER);
	rig_wrmsr(0, MSR_TSC_DEADLINE, T0 + 500);
	rig_write(0, TMICT, 1000);
	rig_write(0, TDCR, 0);
	CHECK_EQ(next(), T0 + 500);
}

TEST(the_msr_is_deaf_in_other_modes)
{
	begin(VECTOR);
	CHECK(rig_wrmsr(0, MSR_TSC_DEADLINE, 1));
	CHECK_EQ(rig_rdmsr(0, MSR_TSC_DEADLINE), 0);
	CHECK(!fired());
	rig.bus.tsc_deadline = false;
	CHECK(!rig_wrmsr(0, MSR_TSC_DEADLINE, 1));
	CHECK(!rig_rdmsr_ok(0, MSR_TSC_DEADLINE));
	rig_write(0, LVT_T, VECTOR | DEADLINE); /* not offered: the bit is not there */
	CHECK_EQ(rig_read(0, LVT_T), VECTOR);
	rig_write(0, TMICT, 100);
	CHECK_EQ(next(), T0 + 100);
}

TEST(mode_changes_disarm)
{
	begin(VECTOR);
	rig_write(0, TMICT, 1000);
	rig_write(0, LVT_T, VECTOR | DEADLINE);
	CHECK_EQ(next(), NEVER);
	CHECK_EQ(rig_read(0, TMCCT), 0);
	CHECK_EQ(rig_read(0, TMICT), 0);
	rig_wrmsr(0, MSR_TSC_DEADLINE, T0 + 100);
	rig_write(0, LVT_T, VECTOR | PERIODIC);
	CHECK_EQ(next(), NEVER);
	CHECK_EQ(rig_read(0, TMCCT), 0);
	CHECK_EQ(rig_rdmsr(0, MSR_TSC_DEADLINE), 0);
	run_at(T0 + 10000);
	CHECK(!fired());
	rig_write(0, LVT_T, VECTOR | DEADLINE);
	CHECK_EQ(rig_rdmsr(0, MSR_TSC_DEADLINE), 0);
	rig_wrmsr(0, MSR_TSC_DEADLINE, T0 + 20000);
	rig_write(0, LVT_T, 0xee | DEADLINE); /* same mode: stays armed */
	CHECK_EQ(next(), T0 + 20000);
}

TEST(a_masked_deadline_passes_silently)
{
	begin(VECTOR | DEADLINE | MASKED);
	rig_wrmsr(0, MSR_TSC_DEADLINE, T0 + 100);
	CHECK_EQ(next(), NEVER);
	rig.now = T0 + 50;
	rig_write(0, LVT_T, VECTOR | DEADLINE);
	CHECK_EQ(next(), T0 + 100);
	rig_write(0, LVT_T, VECTOR | DEADLINE | MASKED);
	rig.now = T0 + 150;
	CHECK_EQ(rig_rdmsr(0, MSR_TSC_DEADLINE), 0);
	rig_write(0, LVT_T, VECTOR | DEADLINE);
	CHECK(!fired());
}

/* The way Linux calibrates and then runs: periodic off, divide by 16, one-shot, then deadlines. */
TEST(as_linux_does)
{
	rig_start(1);
	rig_write(0, LVT_T, VECTOR | PERIODIC);
	rig_write(0, TDCR, 0x3);
	rig_write(0, TMICT, 0xffffffff / 16);
	rig.now += 1600000;
	CHECK_EQ(0xffffffff / 16 - rig_read(0, TMCCT), 100000);
	rig_write(0, LVT_T, VECTOR | MASKED);
	rig_write(0, TMICT, 0);
	CHECK_EQ(next(), NEVER);
	rig_write(0, LVT_T, VECTOR | DEADLINE);
	rig_wrmsr(0, MSR_TSC_DEADLINE, rig.now + 12345);
	CHECK_EQ(next(), rig.now + 12345);
	run_at(rig.now + 12345);
	CHECK(fired());
}
