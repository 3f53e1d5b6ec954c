/*
 * A guest that counts its own timer ticks, and tells each second whether it has lost one.
 *
 * Command line: hz=N ticks a second (default 100); seconds=N powers off after N seconds (default:
 * never). Ticks come from the local
 * APIC's periodic timer; how many there should be comes from the TSC.
 */
#include "guest.h"

GUEST("ticker");

enum { TICK = 0x40 };

static volatile uint64_t ticks;

static void tick(struct frame *f)
{
	(void)f;
	ticks++;
	lapic_eoi();
}

void guest_main(void)
{
	unsigned long seconds = guest_option("seconds", 0), hz = guest_option("hz", 100);
	uint64_t per_second, start, period;

	per_second = tsc_hz();
	lapic_enable();
	period = lapic_timer_hz() / hz;
	on_interrupt(TICK, tick);
	print("ticker: %lu ticks a second, TSC %lu kHz, APIC timer %lu kHz\n", hz,
	      (unsigned long)(per_second / 1000), (unsigned long)(lapic_timer_hz() / 1000));
	lapic_write(LAPIC_TIMER, LVT_PERIODIC | TICK);
	lapic_write(LAPIC_INITIAL, (uint32_t)period);
	halt();
	start = rdtsc();
	ticks = 0;
	for (uint64_t next = hz;; next += hz) {
		uint64_t due, late;

		while (ticks < next) {
			halt();
		}
		/* Ticks that the TSC says are over, against those that arrived. */
		due = (rdtsc() - start) * hz / per_second;
		late = due > ticks ? due - ticks : 0;
		print("ticker: %lu ticks, lost %lu\n", (unsigned long)ticks,
		      (unsigned long)(late > 1 + due / 1000 ? late : 0));
		if (seconds && next >= seconds * hz) {
			guest_power_off();
		}
	}
}
