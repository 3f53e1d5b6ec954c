/*
 * A LAPIC's timer on a fake clock, for its tests: counts in test_vlapic_timer.c, deadlines in
 * test_vlapic_deadline.c.
 */
#pragma once

#include "hv/msr_index.h"
#include "tests/fake/apic_rig.h"
#include "tests/host/test.h"

enum { SVR = 0xf0, LVT_T = 0x320, TMICT = 0x380, TMCCT = 0x390, TDCR = 0x3e0, EOI = 0xb0 };
enum { BY_1 = 0xb, MASKED = 0x10000, PERIODIC = 0x20000, DEADLINE = 0x40000, VECTOR = 0xec };

#define T0    1000000ull /* rig.now after rig_start */
#define NEVER UINT64_MAX

static inline void begin(uint32_t lvt)
{
	rig_start(1);
	rig_write(0, TDCR, BY_1);
	rig_write(0, LVT_T, lvt);
}

/* Moves the clock and runs the timer, as the CPU's own timer interrupt would. */
static inline void run_at(uint64_t now)
{
	rig.now = now;
	vlapic_timer_run(&rig.lapic[0], now);
}

static inline uint64_t next(void)
{
	return vlapic_timer_next(&rig.lapic[0]);
}

/* Took exactly one timer interrupt? */
static inline bool fired(void)
{
	bool one = rig_deliver(0) == VECTOR;

	if (one) {
		rig_write(0, EOI, 0);
	}
	return one && rig_pending(0) < 0;
}
