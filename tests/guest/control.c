/*
 * Control registers: illegal values fault in the guest and nowhere else, legal ones take effect.
 */
#include "guest.h"

GUEST("control");

#define TRY_CR(n, value) TRY("movq %0, %%cr" #n, "b"((uint64_t)(value)))

static int try_xsetbv(uint32_t index, uint64_t value)
{
	return TRY("movl %0, %%ecx; movl %1, %%eax; movl %2, %%edx; xsetbv",
		   "b"(index), "S"((uint32_t)value), "D"((uint32_t)(value >> 32)));
}

/* QEMU 7.2 takes any value that it does not understand: `lax` on the command line leaves those out. */
static void check_cr0_illegal(uint64_t cr0)
{
	CHECK_EQ(TRY_CR(0, cr0 & ~1ul), EXC_GP);		     /* PG without PE */
	CHECK_EQ(TRY_CR(0, (cr0 | 1ul << 29) & ~(1ul << 30)), EXC_GP); /* NW without CD */
	CHECK_EQ(TRY_CR(0, cr0 | 1ul << 32), EXC_GP);
	CHECK_EQ(TRY_CR(0, cr0 | 1ul << 63), EXC_GP);
	CHECK_EQ(TRY_CR(0, cr0 & ~(1ul << 31)), EXC_GP); /* leaving paging in 64-bit mode */
	CHECK_EQ(read_cr0(), cr0);
}

static void check_cr0(uint64_t cr0)
{
	for (unsigned bit = 1; bit <= 30; bit++) {
		/* MP, EM, TS, NE, WP, AM, CD */
		if (0x4005002e >> bit & 1) {
			CHECK_EQ(TRY_CR(0, cr0 ^ 1ul << bit), -1);
			if (read_cr0() != (cr0 ^ 1ul << bit)) {
				guest_fail("CR0 bit %u does not change", bit);
			}
			write_cr0(cr0);
		}
	}
	write_cr0(cr0 | 8); /* TS */
	CHECK_EQ(TRY("fnop", ), EXC_NM);
	__asm__ volatile("clts");
	CHECK_EQ(TRY("fnop", ), -1);
	__asm__ volatile("lmsw %w0" : : "r"(cr0 | 8));
	CHECK_EQ(read_cr0(), cr0 | 8);
	__asm__ volatile("lmsw %w0" : : "r"(0)); /* LMSW cannot clear PE */
	CHECK_EQ(read_cr0() & 0xf, 1);
	write_cr0(cr0);
}

static void check_cr4_illegal(uint64_t cr4)
{
	CHECK_EQ(TRY_CR(4, cr4 & ~(1ul << 5)), EXC_GP); /* PAE in 64-bit mode */
	CHECK_EQ(TRY_CR(4, cr4 | 1ul << 13), EXC_GP);	/* VMXE: no VMX for guests */
	CHECK_EQ(TRY_CR(4, cr4 | 1ul << 15), EXC_GP);
	CHECK_EQ(TRY_CR(4, cr4 | 1ul << 31), EXC_GP);
	CHECK_EQ(TRY_CR(4, cr4 | 1ul << 40), EXC_GP);
	CHECK_EQ(TRY_CR(4, cr4 ^ 1ul << 12), EXC_GP); /* LA57 in 64-bit mode */
	CHECK_EQ(read_cr4(), cr4);
}

static void check_cr4(uint64_t cr4)
{
	for (unsigned bit = 2; bit <= 10; bit++) {
		/* TSD, DE, MCE, PGE, PCE, OSXMMEXCPT */
		if (bit != 5 && bit != 4 && bit != 9) {
			CHECK_EQ(TRY_CR(4, cr4 ^ 1ul << bit), -1);
			CHECK_EQ(read_cr4(), cr4 ^ 1ul << bit);
			write_cr4(cr4);
		}
	}
}

static void check_others(void)
{
	uint64_t cr8;

	CHECK_EQ(TRY_CR(8, 0xb), -1);
	__asm__ volatile("movq %%cr8, %0" : "=r"(cr8));
	CHECK_EQ(cr8, 0xb);
	CHECK_EQ(lapic_read(LAPIC_TPR), 0xb0);
	lapic_write(LAPIC_TPR, 0x50);
	__asm__ volatile("movq %%cr8, %0" : "=r"(cr8));
	CHECK_EQ(cr8, 5);
	lapic_write(LAPIC_TPR, 0);
}

static void check_xcr0(void)
{
	bool avx;

	if (!(cpuid(1, 0).c >> 26 & 1)) {
		CHECK_EQ(TRY_CR(4, read_cr4() | 1ul << 18), EXC_GP);
		return;
	}
	CHECK_EQ(try_xsetbv(0, 1), EXC_UD); /* CR4.OSXSAVE is off */
	write_cr4(read_cr4() | 1 << 18);
	avx = cpuid(0xd, 0).a >> 2 & 1;
	CHECK_EQ(try_xsetbv(0, 0), EXC_GP);
	CHECK_EQ(try_xsetbv(0, 2), EXC_GP);
	CHECK_EQ(try_xsetbv(0, 5), EXC_GP); /* AVX without SSE */
	CHECK_EQ(try_xsetbv(0, 1ul << 63 | 1), EXC_GP);
	CHECK_EQ(try_xsetbv(1, 1), EXC_GP);
	CHECK_EQ(try_xsetbv(0, 3), -1);
	CHECK_EQ(try_xsetbv(0, 7), avx ? -1 : EXC_GP);
	CHECK_EQ(try_xsetbv(0, 1), -1);
}

void guest_main(void)
{
	if (!guest_has_word("lax")) {
		check_cr0_illegal(read_cr0());
		check_cr4_illegal(read_cr4());
		CHECK_EQ(TRY_CR(8, 0x10), EXC_GP);
		CHECK_EQ(TRY_CR(3, read_cr3() | 1ul << 62), EXC_GP);
		CHECK_EQ(TRY("movq %0, %%dr7", "b"(1ul << 32)), EXC_GP);
	}
	check_cr0(read_cr0());
	check_cr4(read_cr4());
	check_others();
	check_xcr0();
}
