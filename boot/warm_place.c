/*
 * Where the log that outlives a reset is kept: see warm.h. Pure, called by ram.c and warm.c.
 *
 * Found by filling all RAM with a pattern before a reset (QEMU; 64 MiB to 3 GiB; with and without
 * 60 MB of modules) and looking what was left when the next boot had come as far:
 *  - SeaBIOS with GRUB leaves 0x90000 to the EBDA alone, and OVMF with our own loader all below
 *    640 KiB; OVMF with GRUB nothing there.
 *  - OVMF has its volumes up to 23 MiB and its heap in the last 26 MiB; GRUB on OVMF takes its heap
 *    from 64 MiB below the top downwards. GRUB on SeaBIOS has its disk cache in the last 33 MiB.
 *  - Loaders put the image and its modules at the lowest addresses that are free, or the highest.
 * A place near an end leaves the memory between in one piece for guests.
 */
#include "boot/warm.h"

#define BELOW_TOP     MIB(48)
#define TOP_STEP      MIB(8) /* a map that differs a little gives the same place */
#define ABOVE_VOLUMES MIB(24)
#define LOWEST_OF_TOP MIB(8)

static bool is_ram(const struct boot_info *b, uint64_t at)
{
	for (unsigned i = 0; i < b->memories; i++) {
		const struct boot_memory *m = &b->memory[i];

		if (m->type == MEMORY_RAM && m->base <= at && m->size >= WARM_BYTES &&
		    at - m->base <= m->size - WARM_BYTES) {
			return true;
		}
	}
	return false;
}

static uint64_t top_of_ram(const struct boot_info *b)
{
	uint64_t top = 0;

	for (unsigned i = 0; i < b->memories; i++) {
		const struct boot_memory *m = &b->memory[i];
		uint64_t end = m->base + m->size < GIB(4) ? m->base + m->size : GIB(4);

		if (m->type == MEMORY_RAM && m->base < end && end > top) {
			top = end;
		}
	}
	return top;
}

unsigned warm_places(const struct boot_info *b, uint64_t at[WARM_PLACES])
{
	uint64_t top = top_of_ram(b);
	unsigned n = 0;

	if (is_ram(b, WARM_LOW)) {
		at[n++] = WARM_LOW;
	}
	if (b->efi && is_ram(b, ABOVE_VOLUMES)) {
		at[n++] = ABOVE_VOLUMES;
	}
	if (top >= BELOW_TOP + LOWEST_OF_TOP) {
		uint64_t high = ALIGN_DOWN(top - BELOW_TOP, TOP_STEP);

		if (is_ram(b, high) && !(n && at[n - 1] == high)) {
			at[n++] = high;
		}
	}
	return n;
}

static bool meets(uint64_t at, uint64_t start, uint64_t end)
{
	return start < at + WARM_BYTES && at < end;
}

bool warm_place_free(const struct boot_info *b, uint64_t at, uint64_t image, uint64_t image_end)
{
	for (unsigned i = 0; i < b->modules; i++) {
		const struct boot_module *m = &b->module[i];

		if (meets(at, m->start.v, m->start.v + m->size)) {
			return false;
		}
	}
	return !meets(at, image, image_end);
}
