/*
 * CPUID: Mullion's leaves, what follows other state, and what a guest must not see.
 */
#include "guest.h"

GUEST("cpuid");

static uint64_t ratio(uint64_t a, uint64_t b) /* thousandths */
{
	return a * 1000 / b;
}

void guest_main(void)
{
	struct cpuid one = cpuid(1, 0), hv = cpuid(0x40000000, 0), timing;
	uint64_t measured;

	print("hypervisor leaf: %x, %c%c%c%c%c%c%c%c%c%c%c%c\n", hv.a, hv.b & 0xff, hv.b >> 8 & 0xff,
	      hv.b >> 16 & 0xff, hv.b >> 24, hv.c & 0xff, hv.c >> 8 & 0xff, hv.c >> 16 & 0xff,
	      hv.c >> 24, hv.d & 0xff, hv.d >> 8 & 0xff, hv.d >> 16 & 0xff, hv.d >> 24);
	CHECK(one.c >> 31);	  /* hypervisor */
	CHECK(one.c >> 21 & 1);	  /* x2APIC */
	CHECK(one.c >> 24 & 1);	  /* TSC deadline */
	CHECK(!(one.c >> 5 & 1)); /* VMX */
	CHECK(!(one.c >> 3 & 1)); /* MONITOR */
	CHECK_EQ(one.b >> 24, lapic_id());
	CHECK(!(cpuid(0x80000001, 0).c >> 2 & 1)); /* SVM */
	CHECK(cpuid(0x80000007, 0).d >> 8 & 1);	  /* invariant TSC */
	CHECK_EQ(cpuid(0xb, 0).d, lapic_id());

	/* OSXSAVE follows CR4. */
	CHECK(!(one.c >> 27 & 1));
	if (one.c >> 26 & 1) {
		write_cr4(read_cr4() | 1 << 18);
		CHECK(cpuid(1, 0).c >> 27 & 1);
		write_cr4(read_cr4() & ~(1ul << 18));
		CHECK(!(cpuid(1, 0).c >> 27 & 1));
	}

	CHECK(hv.a >= 0x40000010);
	timing = cpuid(0x40000010, 0); /* kHz: TSC, APIC timer */
	measured = tsc_hz_measured();
	print("TSC %u kHz, measured %lu kHz; APIC timer %u kHz\n", timing.a,
	      (unsigned long)(measured / 1000), timing.b);
	CHECK(ratio(measured / 1000, timing.a) >= 995 && ratio(measured / 1000, timing.a) <= 1005);
	lapic_enable();
	CHECK(ratio(lapic_timer_hz_measured() / 1000, timing.b) >= 990 &&
	      ratio(lapic_timer_hz_measured() / 1000, timing.b) <= 1010);
}
