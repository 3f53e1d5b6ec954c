/*
 * Memory that nobody else may change or read: a pattern in all of it above 16 MiB, and in that of a
 * device if it has one, compared again and again for `seconds=N`, or until the last word of the
 * device's memory is no longer 0: then once more. A change is told with its place.
 */
#include "guest.h"

GUEST("victim");

enum { FIRST = 0x1000000 };

static uint32_t pattern(uintptr_t at)
{
	return 0x5ec0de00u ^ (uint32_t)(at >> 2);
}

static void fill(volatile uint32_t *from, volatile uint32_t *to)
{
	for (volatile uint32_t *p = from; p < to; p++) {
		*p = pattern((uintptr_t)p);
	}
}

static void check(volatile uint32_t *from, volatile uint32_t *to)
{
	for (volatile uint32_t *p = from; p < to; p++) {
		if (*p != pattern((uintptr_t)p)) {
			guest_fail("%llx is %x", (unsigned long long)(uintptr_t)p, *p);
		}
	}
}

/* --- a device with memory in its third BAR: QEMU's ivshmem ------------------------------------- */
enum { IVSHMEM = 0x11101af4, BAR = 0x18 };

static uint32_t config_read(unsigned devfn, unsigned reg)
{
	out32(0xcf8, 0x80000000u | devfn << 8 | reg);
	return in32(0xcfc);
}

static void config_write(unsigned devfn, unsigned reg, uint32_t value)
{
	out32(0xcf8, 0x80000000u | devfn << 8 | reg);
	out32(0xcfc, value);
}

/* Where the memory begins, and its size; NULL: there is no such device. */
static volatile uint32_t *device_memory(uint32_t *size)
{
	for (unsigned devfn = 8; devfn < 256; devfn += 8) {
		if (config_read(devfn, 0) == IVSHMEM) {
			uint32_t at = config_read(devfn, BAR);

			config_write(devfn, BAR, ~0u);
			*size = ~(config_read(devfn, BAR) & ~15u) + 1;
			config_write(devfn, BAR, at);
			config_write(devfn, 4, 2);
			return (volatile uint32_t *)(uintptr_t)(at & ~15u);
		}
	}
	return NULL;
}

void guest_main(void)
{
	uint64_t end = tsc_hz() * guest_option("seconds", 5) + rdtsc();
	volatile uint32_t *from = (volatile uint32_t *)(uintptr_t)FIRST;
	volatile uint32_t *to = (volatile uint32_t *)(uintptr_t)((uint64_t)multiboot()->mem_upper *
									 1024 +
								 0x100000);
	uint32_t size = 0;
	volatile uint32_t *device = device_memory(&size);
	unsigned rounds = 0;
	volatile uint32_t *device_end = device ? device + size / 4 - 1 : NULL;
	bool last;

	fill(from, to);
	fill(device, device_end);
	print("victim: %llx-%llx and a device's %x at %llx\n", (unsigned long long)(uintptr_t)from,
	      (unsigned long long)(uintptr_t)to, size, (unsigned long long)(uintptr_t)device);
	do {
		last = rdtsc() >= end || (device && *device_end);
		check(from, to);
		check(device, device_end);
		rounds++;
	} while (!last);
	print("unchanged, %u rounds\n", rounds);
}
