/*
 * 32-bit paging with 4 KiB and 4 MiB pages: device registers at other linear addresses, also by an
 * instruction that crosses a page, and page faults as the CPU reports them.
 */
#include "guest.h"

GUEST("paging32");

enum { PRESENT = 1, WRITE = 2, ACCESSED = 32, DIRTY = 64, LARGE = 128 };

static uint32_t directory[1024] __attribute__((aligned(4096)));
static uint32_t table[1024] __attribute__((aligned(4096)));
static uint8_t code[8192] __attribute__((aligned(4096)));

void guest_main(void)
{
	uint32_t value = 0;
	/* movl 0xc0000380, %eax; ret: the displacement crosses the page. */
	static const uint8_t load[] = {0xa1, 0x80, 0x03, 0x00, 0xc0, 0xc3};
	uint8_t *crossing = code + 4096 - 3;

	lapic_write(LAPIC_TIMER, LVT_MASKED);
	lapic_write(LAPIC_INITIAL, 0xcafe1234);
	for (unsigned i = 0; i < 1024; i++) {
		directory[i] = i << 22 | PRESENT | WRITE | LARGE;
	}
	directory[0xc0000000 >> 22] = (uint32_t)table | PRESENT | WRITE;
	table[0] = LAPIC | PRESENT | WRITE;
	table[1] = LAPIC | PRESENT;
	for (unsigned i = 0; i < sizeof(load); i++) {
		crossing[i] = load[i];
	}
	write_cr3((uintptr_t)directory);
	write_cr4(read_cr4() | 1 << 4); /* PSE */
	write_cr0(read_cr0() | 1u << 31 | 1 << 16);

	CHECK_EQ(mmio_read(LAPIC + LAPIC_INITIAL), 0xcafe1234); /* 4 MiB page */
	CHECK_EQ(mmio_read(0xc0000380), 0xcafe1234);
	mmio_write(0xc0000380, 0x11223344);
	CHECK_EQ(mmio_read(LAPIC + LAPIC_INITIAL), 0x11223344);
	CHECK(table[0] & ACCESSED);
	CHECK(table[0] & DIRTY);
	CHECK_EQ(mmio_read(0xc0001380), 0x11223344);
	CHECK(!(table[1] & DIRTY));
	__asm__ volatile("call *%1" : "=a"(value) : "r"(crossing) : "memory");
	CHECK_EQ(value, 0x11223344);

	CHECK_EQ(TRY("movl $1, 0xc0001380", ), EXC_PF); /* read-only, CR0.WP */
	CHECK_EQ(caught.error, 3);
	CHECK_EQ(caught.cr2, 0xc0001380);
	CHECK_EQ(TRY("movl 0xc0002000, %%eax", ), EXC_PF);
	CHECK_EQ(caught.error, 0);
	CHECK_EQ(caught.cr2, 0xc0002000);
	CHECK_EQ(mmio_read(LAPIC + LAPIC_INITIAL), 0x11223344);
}
