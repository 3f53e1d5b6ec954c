/*
 * Debug exceptions and NMIs where a hypervisor has a hand in them: steps over emulated instructions,
 * an NMI that falls into an interrupt shadow, IRET that ends an NMI under single step.
 */
#include "guest.h"

GUEST("debug");

enum { TF = 0x100, DR6_BS = 1 << 14, VECTOR = 0x53 };

static volatile unsigned steps, nmis, depth, deepest, interrupts;
static volatile uintptr_t where, nmi_where;
extern const char interrupt_stubs[]; /* 16 bytes each */
static volatile uint64_t dr6, nmi_flags;

static void on_debug(struct frame *f)
{
	__asm__ volatile("movq %%dr6, %0" : "=r"(dr6));
	__asm__ volatile("movq %0, %%dr6" : : "r"(0ul));
	steps++;
	where = f->ip;
}

static void send_nmi(void)
{
	lapic_send(lapic_id(), ICR_NMI | ICR_ASSERT);
}

static void on_nmi(struct frame *f)
{
	nmis++;
	depth++;
	deepest = depth > deepest ? depth : deepest;
	nmi_where = f->ip;
	nmi_flags = f->flags;
	if (nmis == 1) {
		send_nmi(); /* waits for the IRET */
		(void)in8(0x61);
		CHECK_EQ(nmis, 1);
	}
	depth--;
}

static void on_vector(struct frame *f)
{
	interrupts++;
	where = f->ip;
	lapic_eoi();
}

/* One step each over a register read, a port and a CPUID: #DB behind it, with BS as the cause. */
#define STEP_OVER(text)                                                                            \
	do {                                                                                       \
		uintptr_t after;                                                                   \
		steps = 0;                                                                         \
		__asm__ volatile("leaq 1f(%%rip), %0; pushfq; orq $0x100, (%%rsp); popfq; " text   \
				 "; 1: pushfq; andq $~0x100, (%%rsp); popfq"                       \
				 : "=&r"(after)                                                    \
				 : "S"((uintptr_t)LAPIC + LAPIC_VERSION)                           \
				 : "rax", "rbx", "rcx", "rdx", "memory", "cc");                    \
		CHECK_EQ(steps, 4);                                                                \
	} while (0)

static volatile uintptr_t first_where;
static volatile uint64_t first_dr6;

static void on_first_debug(struct frame *f)
{
	on_debug(f);
	if (steps == 1) {
		first_where = f->ip;
		first_dr6 = dr6;
		f->flags &= ~(uint64_t)TF;
	}
}

/* Only the instruction itself is stepped: what DR6 says is about it alone. */
#define STEP_ONE(text)                                                                             \
	do {                                                                                       \
		uintptr_t after;                                                                   \
		steps = 0;                                                                         \
		__asm__ volatile("leaq 1f(%%rip), %0; pushfq; orq $0x100, (%%rsp); popfq; " text   \
				 "; 1: nop"                                                        \
				 : "=&r"(after)                                                    \
				 : "S"((uintptr_t)LAPIC + LAPIC_VERSION)                           \
				 : "rax", "rbx", "rcx", "rdx", "memory", "cc");                    \
		CHECK_EQ(steps, 1);                                                                \
		CHECK_EQ(first_where, after);                                                      \
		CHECK_EQ(first_dr6 & (DR6_BS | 15), DR6_BS);                                       \
	} while (0)

static void check_steps(void)
{
	on_interrupt(EXC_DB, on_debug);
	STEP_OVER("nop");
	STEP_OVER("cpuid");
	on_interrupt(EXC_DB, on_first_debug);
	STEP_ONE("nop");
	STEP_ONE("inb $0x61, %%al");
	STEP_ONE("movl (%%rsi), %%eax");
	STEP_ONE("xorl %%eax, %%eax");
	STEP_ONE("cpuid");
	on_interrupt(EXC_DB, on_debug);
}

static void check_nmi(void)
{
	uint64_t flags;

	on_interrupt(EXC_NMI, on_nmi);
	nmis = 0;
	deepest = 0;
	/*
	 * Sent in the shadow of STI by an instruction that exits: the shadow ends with it, and the
	 * blocking that the NMI begins must not.
	 */
	__asm__ volatile("sti; movl %1, (%0); nop; cli"
			 : : "r"((uintptr_t)LAPIC + LAPIC_ICR), "r"(ICR_NMI | ICR_ASSERT) : "memory");
	(void)in8(0x61);
	CHECK_EQ(nmis, 2);
	CHECK_EQ(deepest, 1);

	/*
	 * The store is stepped, so its #DB comes first and the NMI at the first instruction of that
	 * handler, which has not run yet. Nothing of TF is lost.
	 */
	nmis = 10;
	steps = 0;
	__asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq;"
			 "movl %1, (%0);"
			 "nop; nop;"
			 "pushfq; andq $~0x100, (%%rsp); popfq"
			 : : "r"((uintptr_t)LAPIC + LAPIC_ICR), "r"(ICR_NMI | ICR_ASSERT) : "memory", "cc");
	CHECK_EQ(nmis, 11);
	CHECK_EQ(nmi_where, (uintptr_t)interrupt_stubs + 16 * EXC_DB);
	CHECK(!(nmi_flags & TF));
	CHECK_EQ(steps, 6);
	__asm__ volatile("pushfq; popq %0" : "=r"(flags));
	CHECK(!(flags & TF));

	/* And one that does not never sees TF. */
	nmis = 20;
	steps = 0;
	send_nmi();
	send_nmi();
	(void)in8(0x61);
	CHECK_EQ(nmis, 22);
	CHECK(!(nmi_flags & TF));
	CHECK_EQ(steps, 0);
}

/* With interrupts coming at any moment, STI; PUSHF shows IF and nothing else. */
static void check_flags_in_shadow(void)
{
	on_interrupt(VECTOR, on_vector);
	for (unsigned i = 0; i < 200; i++) {
		uint64_t flags;

		interrupts = 0;
		lapic_send(0, ICR_SELF | ICR_ASSERT | VECTOR);
		__asm__ volatile("sti; pushfq; cli; popq %0" : "=r"(flags) : : "memory");
		CHECK_EQ(interrupts, 1);
		CHECK_EQ(flags & (TF | 0x200), 0x200);
	}
	CHECK_EQ(steps, 0);
}

void guest_main(void)
{
	lapic_enable();
	check_steps();
	check_nmi();
	check_flags_in_shadow();
}
