/*
 * The interrupt shadow of STI and MOV SS, with a self-IPI that is pending before: it must come after
 * the next instruction, never between, also when that instruction exits to the hypervisor.
 */
#include "guest.h"

GUEST("shadow");

enum { VECTOR = 0x51, NMI = 2 };

static volatile unsigned taken;
static volatile uintptr_t where;

static void handler(struct frame *f)
{
	taken++;
	where = f->ip;
	lapic_eoi();
}

static void nmi_handler(struct frame *f)
{
	taken++;
	where = f->ip;
}

/* With one interrupt pending and IF 0: STI, one instruction, then CLI. It must come exactly once, and
 * find the instruction done (`where` is the label after it). */
#define AFTER_STI(text)                                                                            \
	do {                                                                                       \
		uintptr_t after;                                                                   \
		taken = 0;                                                                         \
		lapic_send(0, ICR_SELF | ICR_ASSERT | VECTOR);                                     \
		__asm__ volatile("leaq 1f(%%rip), %0; sti; " text "; 1: nop; cli"                  \
				 : "=&r"(after) : "b"((uintptr_t)LAPIC + LAPIC_VERSION)            \
				 : "rax", "rcx", "rdx", "memory", "cc");                           \
		if (taken != 1 || where != after) {                                                \
			guest_fail("sti; %s: %u interrupts, at %lx, not %lx", text, taken,         \
				   (unsigned long)where, (unsigned long)after);                    \
		}                                                                                  \
	} while (0)

static void check_sti(void)
{
	AFTER_STI("nop");
	AFTER_STI("hlt"); /* does not sleep over it */
	AFTER_STI("inb $0x61, %%al");
	AFTER_STI("movl (%%rbx), %%eax");
	AFTER_STI("movq %%cr0, %%rax");
}

/* STI directly before CLI opens no window at all. */
static void check_no_window(void)
{
	taken = 0;
	lapic_send(0, ICR_SELF | ICR_ASSERT | VECTOR);
	__asm__ volatile("sti; cli");
	CHECK_EQ(taken, 0);
	__asm__ volatile("sti; nop; cli");
	CHECK_EQ(taken, 1);
	/* STI when IF is 1 already makes no shadow: the interrupt is due at once. */
	taken = 0;
	__asm__ volatile("sti; nop");
	lapic_send(0, ICR_SELF | ICR_ASSERT | VECTOR);
	__asm__ volatile("nop; cli");
	CHECK_EQ(taken, 1);
}

/* MOV SS and POP SS hold back interrupts for one instruction, also one that exits. */
static void check_mov_ss(void)
{
	uintptr_t after;

	taken = 0;
	__asm__ volatile("sti; nop");
	__asm__ volatile("leaq 1f(%%rip), %0;"
			 "movl %3, (%2);"      /* pends; taken before the next instruction */
			 "1: nop; cli"
			 : "=&r"(after)
			 : "a"(0), "b"((uintptr_t)LAPIC + LAPIC_ICR), "r"(ICR_SELF | ICR_ASSERT | VECTOR)
			 : "memory", "cc");
	CHECK_EQ(taken, 1);
	CHECK_EQ(where, after);

	/* The IPI is sent in the shadow of MOV SS: it may only come after the store is done, which it is. */
	taken = 0;
	__asm__ volatile("sti; nop");
	__asm__ volatile("leaq 1f(%%rip), %0; movw %%ss, %%cx; movw %%cx, %%ss; movl %3, (%2); 1: nop; cli"
			 : "=&r"(after)
			 : "a"(0), "b"((uintptr_t)LAPIC + LAPIC_ICR), "r"(ICR_SELF | ICR_ASSERT | VECTOR)
			 : "rcx", "memory", "cc");
	CHECK_EQ(taken, 1);
	CHECK_EQ(where, after);
}

/* HLT wakes by an interrupt only when IF is 1, and goes on behind the HLT. */
static void check_halt(void)
{
	uint64_t hz = lapic_timer_hz();

	lapic_write(LAPIC_TIMER, VECTOR);
	for (unsigned i = 0; i < 20; i++) {
		taken = 0;
		lapic_write(LAPIC_INITIAL, (uint32_t)(hz / 2000));
		halt();
		CHECK_EQ(taken, 1);
	}
	/* NMI wakes it with IF 0. */
	on_interrupt(NMI, nmi_handler);
	taken = 0;
	lapic_send(lapic_id(), ICR_NMI | ICR_ASSERT);
	CHECK_EQ(taken, 1);
}

/*
 * SYSCALL in the shadow of STI, while a timer's interrupt comes at any moment: R11 must hold the flags
 * as they were, and the interrupt must come. (A hypervisor that steps out of the shadow by TF is lost
 * here: SFMASK clears TF, so no trap follows.)
 */
static void check_syscall(void)
{
	enum { TF = 1 << 8, STAR = 0xc0000081u, LSTAR, CSTAR, SFMASK, EFER = 0xc0000080u };
	extern struct __attribute__((packed)) {
		uint16_t limit;
		uint64_t base;
	} gdt_pointer;
	extern const char behind_syscall[];
	uint64_t hz = lapic_timer_hz();

	((volatile uint64_t *)gdt_pointer.base)[4] = 0x00cf93000000ffff; /* SS of SYSCALL to CS 0x18 */
	wrmsr(EFER, rdmsr(EFER) | 1);
	wrmsr(STAR, 0x18ull << 32);
	wrmsr(LSTAR, (uintptr_t)behind_syscall);
	wrmsr(SFMASK, TF);
	lapic_write(LAPIC_TIMER, VECTOR);
	for (unsigned i = 0; i < 400; i++) {
		uint64_t start = rdtsc(), flags;

		taken = 0;
		lapic_write(LAPIC_INITIAL, (uint32_t)(hz / 20000 + i * (hz / 2000000)));
		while (!taken) {
			__asm__ volatile("sti; syscall; .globl behind_syscall; behind_syscall: cli;"
					 "movq %%r11, %0; movl $0x10, %%ecx; movl %%ecx, %%ss"
					 : "=r"(flags) : : "rcx", "r11", "memory", "cc");
			if (flags & TF) {
				guest_fail("sti; syscall %u: R11 is %lx", i, (unsigned long)flags);
			}
			if (rdtsc() - start > 5 * tsc_hz()) {
				guest_fail("sti; syscall %u: no interrupt for 5 s", i);
			}
		}
	}
}

void guest_main(void)
{
	on_interrupt(VECTOR, handler);
	lapic_enable();
	check_sti();
	check_no_window();
	check_mov_ss();
	check_halt();
	check_syscall();
}
