/*
 * Time in a guest: the ACPI PM timer is the reference, the TSC the clock. See guest.h.
 */
#include "guest.h"

enum { MEASURE = PM_TIMER_HZ / 20, READS = 8 };

static uint32_t pm_ticks(uint32_t since)
{
	return (in32(PM_TIMER) - since) & 0xffffff;
}

uint64_t mullion_hz(bool apic_timer)
{
	struct cpuid id = cpuid(0x40000000, 0);

	if (id.b != 0x6c6c754d || id.a < 0x40000010) { /* "Mull" */
		return 0;
	}
	id = cpuid(0x40000010, 0);
	return (uint64_t)(apic_timer ? id.b : id.a) * 1000;
}

uint64_t tsc_hz(void)
{
	static uint64_t hz;

	if (!hz) {
		hz = mullion_hz(false);
	}
	if (!hz) {
		hz = tsc_hz_measured();
	}
	return hz;
}

/* Both clocks at one moment: of some readings the one with the least time around it. */
static uint32_t pm_now(uint64_t *tsc)
{
	uint64_t least = ~0ull;
	uint32_t best = 0;

	for (unsigned i = 0; i < READS; i++) {
		uint64_t before = rdtsc();
		uint32_t ticks = in32(PM_TIMER);
		uint64_t around = rdtsc() - before;

		if (around < least) {
			least = around;
			best = ticks;
			*tsc = before + (around >> 1);
		}
	}
	return best;
}

uint64_t tsc_hz_measured(void)
{
	uint64_t first, tsc = 0;
	uint32_t start = pm_now(&first), ticks;

	while (pm_ticks(start) < MEASURE) {
	}
	ticks = (pm_now(&tsc) - start) & 0xffffff;
	tsc -= first;
#ifdef __x86_64__
	return tsc * PM_TIMER_HZ / ticks;
#else
	/* 50 ms; close enough for delays, and without a 64-bit division. */
	(void)ticks;
	return (tsc << 4) + (tsc << 2);
#endif
}

void delay_us(unsigned microseconds)
{
	uint32_t start = in32(PM_TIMER), wanted = microseconds * 4 - microseconds * 4 / 10;

	while (pm_ticks(start) < wanted) {
		pause();
	}
}

void pit_start(unsigned mode, unsigned count)
{
	out8(0x43, (uint8_t)(0x30 | mode << 1));
	out8(0x40, (uint8_t)count);
	out8(0x40, (uint8_t)(count >> 8));
}
