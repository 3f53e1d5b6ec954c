/*
 * Memory that nobody else may change or read: a pattern in all of it above 16 MiB, compared for
 * `seconds=N`. Every change is told with its place.
 */
#include "guest.h"

GUEST("victim");

enum { FIRST = 0x1000000 };

static uint32_t pattern(uintptr_t at)
{
	return 0x5ec0de00u ^ (uint32_t)(at >> 2);
}

static void check(volatile uint32_t *from, volatile uint32_t *to)
{
	for (volatile uint32_t *p = from; p < to; p++) {
		if (*p != pattern((uintptr_t)p)) {
			guest_fail("%llx is %x", (unsigned long long)(uintptr_t)p, *p);
		}
	}
}

void guest_main(void)
{
	uint64_t end = tsc_hz() * guest_option("seconds", 5) + rdtsc();
	volatile uint32_t *from = (volatile uint32_t *)(uintptr_t)FIRST;
	volatile uint32_t *to = (volatile uint32_t *)(uintptr_t)((uint64_t)multiboot()->mem_upper *
									 1024 +
								 0x100000);
	unsigned rounds = 0;

	for (volatile uint32_t *p = from; p < to; p++) {
		*p = pattern((uintptr_t)p);
	}
	print("victim: %llx-%llx\n", (unsigned long long)(uintptr_t)from,
	      (unsigned long long)(uintptr_t)to);
	do {
		check(from, to);
		rounds++;
	} while (rdtsc() < end);
	print("unchanged, %u rounds\n", rounds);
}
