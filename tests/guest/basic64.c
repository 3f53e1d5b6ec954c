/*
 * 64-bit mode: what the loader promised, high linear addresses, R8-R15, 4 KiB and 1 GiB pages over
 * device registers, an instruction that crosses into an unmapped page.
 */
#include "guest.h"

GUEST("basic64");

enum { PRESENT = 1, WRITE = 2, ACCESSED = 32, DIRTY = 64, LARGE = 128 };
#define HIGH 0xffff800000000000ul

static uint64_t pdpt[512] __attribute__((aligned(4096)));
static uint64_t pd[512] __attribute__((aligned(4096)));
static uint64_t table[512] __attribute__((aligned(4096)));
static uint8_t code[4096] __attribute__((aligned(4096)));

static uint64_t *pml4(void)
{
	return (uint64_t *)read_cr3();
}

static void check_loader(void)
{
	CHECK_EQ(boot_magic, 0x2badb002);
	CHECK(multiboot()->flags & 1);
	CHECK(guest_has_word("word"));
	CHECK_EQ(guest_option("number", 0), 42);
}

static void check_mmio(void)
{
	uint64_t r8, r15;

	pml4()[256] = (uintptr_t)pdpt | PRESENT | WRITE;
	pdpt[0] = (uintptr_t)pd | PRESENT | WRITE;
	pd[0] = (uintptr_t)table | PRESENT | WRITE;
	table[7] = LAPIC | PRESENT | WRITE;
	write_cr3(read_cr3());
	lapic_write(LAPIC_TIMER, LVT_MASKED);
	lapic_write(LAPIC_INITIAL, 0x89abcdef);
	__asm__ volatile("movq $-1, %%r8; movl %2, %%r8d; movq %%r8, %0;"
			 "movq $-1, %%r15; movw %2, %%r15w; movq %%r15, %1"
			 : "=m"(r8), "=m"(r15)
			 : "m"(*(volatile uint32_t *)(HIGH + 0x7000 + LAPIC_INITIAL))
			 : "r8", "r15");
	CHECK_EQ(r8, 0x89abcdef); /* 32-bit results clear the upper half */
	CHECK_EQ(r15 >> 16, 0xffffffffffff);
	CHECK(table[7] & ACCESSED);
	CHECK(!(table[7] & DIRTY));
	__asm__ volatile("movl $0x13572468, %%r12d; movl %%r12d, (%0, %1, 4)"
			 : : "r"(HIGH + 0x7000), "r"((uint64_t)LAPIC_INITIAL / 4) : "r12", "memory");
	CHECK_EQ(lapic_read(LAPIC_INITIAL), 0x13572468);
	CHECK(table[7] & DIRTY);
}

/* A load whose last bytes lie on a page that is not there: the fault names that page. */
static void check_fetch(void)
{
	static const uint8_t load[] = {0x8b, 0x04, 0x25, 0x80, 0x03, 0xe0, 0xfe}; /* movl 0x..., %eax */
	uint64_t start = HIGH + 0x10000 - 3;

	table[15] = (uintptr_t)code | PRESENT | WRITE;
	table[16] = 0;
	for (unsigned i = 0; i < 3; i++) {
		code[4096 - 3 + i] = load[i];
	}
	CHECK_EQ(TRY("jmp *%0", "b"(start)), EXC_PF);
	CHECK_EQ(caught.cr2, HIGH + 0x10000);
	CHECK_EQ(caught.ip, start);
}

void guest_main(void)
{
	check_loader();
	check_mmio();
	check_fetch();
	CHECK_EQ(TRY("ud2", ), EXC_UD);
	CHECK_EQ(TRY("movq (%0), %%rax", "b"(1ul << 63)), EXC_GP);
	CHECK_EQ(TRY("movq (%0), %%rax", "b"(HIGH + 0x100000)), EXC_PF);
	CHECK_EQ(caught.cr2, HIGH + 0x100000);
}
