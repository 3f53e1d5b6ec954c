/*
 * Exceptions around emulated instructions: single steps over them, breakpoints on them, traps after
 * a port access, and exceptions that the CPU delivers by itself. `no-dr6`: Bochs does not tell an SVM
 * hypervisor which breakpoint it was.
 */
#include "guest.h"

GUEST("exceptions");

static volatile unsigned steps, breakpoints;
static volatile uintptr_t trail[64];
static volatile uint64_t dr6, dr6_all;

static void on_debug(struct frame *f)
{
	__asm__ volatile("movq %%dr6, %0" : "=r"(dr6));
	dr6_all &= dr6;
	if (steps < 64) {
		trail[steps] = f->ip;
	}
	steps++;
	__asm__ volatile("movq %0, %%dr6" : : "r"(0ul));
	/* An instruction breakpoint is a fault: go on past it. */
	f->flags |= 1 << 16;
}

static void on_breakpoint(struct frame *f)
{
	(void)f;
	breakpoints++;
}

/* TF from the first instruction to the last: each must give one #DB, also those that exit. */
static void check_steps(void)
{
	steps = 0;
	dr6_all = ~0ul;
	__asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq;"
			 "nop;"				/* 1: after this one */
			 "inb $0x61, %%al;"		/* 2: port I/O */
			 "movl (%0), %%eax;"		/* 3: MMIO */
			 "xorl %%eax, %%eax; cpuid;"	/* 4, 5 */
			 "movl $0x1b, %%ecx; rdmsr;"	/* 6, 7 */
			 "movq %%cr4, %%rax;"		/* 8 */
			 "pushfq; andq $~0x100, (%%rsp); popfq" /* 9, 10, 11 */
			 : : "r"((uintptr_t)LAPIC + LAPIC_VERSION)
			 : "eax", "ebx", "ecx", "edx", "memory", "cc");
	CHECK_EQ(steps, 11);
	CHECK_EQ(dr6_all >> 14 & 1, 1); /* BS, each time */
	/* Two bytes each: nop is one, in is two. */
	CHECK_EQ(trail[1] - trail[0], 2);
}

/* INT1 is a trap: the handler returns behind it. QEMU's CPUs do not know it. */
static void check_int1(void)
{
	extern const char behind_int1[];

	steps = 0;
	if (TRY(".byte 0xf1; .globl behind_int1; behind_int1: nop", ) == EXC_UD) {
		return;
	}
	CHECK_EQ(steps, 1);
	CHECK_EQ(trail[0], (uintptr_t)behind_int1);
	CHECK_EQ(dr6 >> 14 & 1, 0);
}

static void check_breakpoint_registers(void)
{
	extern const char exceptions_here[];

	steps = 0;
	__asm__ volatile("movq %0, %%dr0; movq %1, %%dr7" : : "r"(exceptions_here), "r"(0x402ul));
	__asm__ volatile("nop; .globl exceptions_here; exceptions_here: cpuid" : : : "eax", "ebx", "ecx", "edx");
	CHECK_EQ(steps, 1);
	CHECK_EQ(trail[0], (uintptr_t)exceptions_here);
	if (!guest_has_word("no-dr6")) {
		CHECK_EQ(dr6 & 1, 1);
	}
	/* An I/O breakpoint needs CR4.DE; a data breakpoint on RAM does not. */
	static volatile uint32_t watched;

	steps = 0;
	__asm__ volatile("movq %0, %%dr0; movq %1, %%dr7" : : "r"(&watched), "r"(0xd0402ul));
	watched = 1;
	__asm__ volatile("nop");
	CHECK_EQ(steps, 1);
	__asm__ volatile("movq %0, %%dr7" : : "r"(0x400ul));
}

void guest_main(void)
{
	on_interrupt(EXC_DB, on_debug);
	on_interrupt(EXC_BP, on_breakpoint);
	__asm__ volatile("int3");
	CHECK_EQ(breakpoints, 1);
	__asm__ volatile("int $3");
	CHECK_EQ(breakpoints, 2);
	check_steps();
	check_int1();
	check_breakpoint_registers();
	CHECK_EQ(TRY("xorl %%edx, %%edx; xorl %%ecx, %%ecx; divl %%ecx", ), 0);
	CHECK_EQ(TRY("ud2", ), EXC_UD);
	CHECK_EQ(TRY("movw $0x1234, %%ax; movw %%ax, %%ds", ), EXC_GP);
	CHECK_EQ(caught.error, 0x1234);
	CHECK_EQ(TRY("movl $0x12345678, %%eax; movq $0x7fffffffffffffff, %%rcx; movl (%%rcx), %%eax", ), EXC_GP);
}
