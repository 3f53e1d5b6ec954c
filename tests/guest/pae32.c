/*
 * PAE paging: a device register through a 4 KiB and a 2 MiB page, changed PDPTEs, page faults.
 */
#include "guest.h"

GUEST("pae32");

enum { PRESENT = 1, WRITE = 2, ACCESSED = 32, DIRTY = 64, LARGE = 128 };

static uint64_t pointers[4] __attribute__((aligned(32)));
static uint64_t pages[4][512] __attribute__((aligned(4096)));
static uint64_t table[512] __attribute__((aligned(4096)));

void guest_main(void)
{
	lapic_write(LAPIC_TIMER, LVT_MASKED);
	lapic_write(LAPIC_INITIAL, 0xcafe1234);
	for (unsigned i = 0; i < 4; i++) {
		pointers[i] = (uintptr_t)pages[i] | PRESENT;
		for (unsigned j = 0; j < 512; j++) {
			pages[i][j] = (uint64_t)i << 30 | j << 21 | PRESENT | WRITE | LARGE;
		}
	}
	pages[2][0] = (uintptr_t)table | PRESENT | WRITE;
	table[5] = LAPIC | PRESENT | WRITE;
	write_cr4(read_cr4() | 1 << 5);
	write_cr3((uintptr_t)pointers);
	write_cr0(read_cr0() | 1u << 31 | 1 << 16);

	CHECK_EQ(mmio_read(LAPIC + LAPIC_INITIAL), 0xcafe1234);
	mmio_write(0x80005380, 0x55667788);
	CHECK_EQ(mmio_read(LAPIC + LAPIC_INITIAL), 0x55667788);
	CHECK(table[5] & DIRTY);
	CHECK_EQ(TRY("movl 0x80006000, %%eax", ), EXC_PF);
	CHECK_EQ(caught.error, 0);
	CHECK_EQ(caught.cr2, 0x80006000);

	/* Another directory for the third GiB: CR3 loads the four entries anew. */
	pointers[2] = (uintptr_t)pages[3] | PRESENT;
	write_cr3((uintptr_t)pointers);
	CHECK_EQ(mmio_read(0x80000000 + (LAPIC & 0x3fffffff) + LAPIC_INITIAL), 0x55667788);
}
