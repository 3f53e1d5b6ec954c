/*
 * Time in a guest: the ACPI PM timer is the reference, the TSC the clock. See guest.h.
 */
#include "guest.h"

enum { MEASURE = PM_TIMER_HZ / 20 };

static uint32_t pm_ticks(uint32_t since)
{
	return (in32(PM_TIMER) - since) & 0xffffff;
}

uint64_t tsc_hz(void)
{
	static uint64_t hz;
	uint32_t start, edge, ticks;
	uint64_t tsc;

	if (hz) {
		return hz;
	}
	for (edge = in32(PM_TIMER); (start = in32(PM_TIMER)) == edge;) {
	}
	tsc = rdtsc();
	do {
		ticks = pm_ticks(start);
	} while (ticks < MEASURE);
	tsc = rdtsc() - tsc;
#ifdef __x86_64__
	hz = tsc * PM_TIMER_HZ / ticks;
#else
	/* 50 ms; close enough for delays, and without a 64-bit division. */
	hz = tsc << 4 | tsc << 2;
#endif
	return hz;
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
