/*
 * Times single operations of a guest, each of which a hypervisor may have to carry out, and a loop
 * of plain computing. See docs/performance.md; bench.py makes its table from what this prints.
 *
 * One row is: serialize, read the TSC, the operation, serialize, read the TSC; ROUNDS times, the
 * first WARM_UP dropped, the smallest kept, what an empty row takes subtracted. In the emulators the
 * TSC counts executed instructions, of the guest and the hypervisor alike.
 *
 * Options: compute=N rounds of the loop, 6 instructions each.
 */
#include "guest.h"

GUEST("bench");

enum { ROUNDS = 272, WARM_UP = 16, VECTOR = 0x53, TIMER_COUNT = 100000 };
enum { COM1_LSR = 0x3fd, PIC_MASK = 0x21, PIT_0 = 0x40, ELCR = 0x4d0, NOBODY = 0x1234, POST = 0x80 };
enum { EFER = 0xc0000080, PAT = 0x277, FS_BASE = 0xc0000100, KERNEL_GS_BASE = 0xc0000102,
       TSC = 0x10, TSC_ADJUST = 0x3b };
enum { CR0_WP = 1 << 16, CR4_PGE = 1 << 7, APIC_X2 = 1 << 10, CPUID_X2APIC = 1 << 21,
       CPUID_DEADLINE = 1 << 24 };
#define FAR (1ull << 62)

static uint64_t empty;
static volatile uint64_t handled_at;
static volatile unsigned handled;

static void report(const char *row, uint64_t smallest)
{
	print("row %s: %lu\n", row, (unsigned long)(smallest - empty));
}

/* `operation` runs between the two readings; `took` is the time of a round, for rows of another kind. */
#define SMALLEST(took, ...)                                                                        \
	({                                                                                         \
		uint64_t smallest_ = ~0ull;                                                        \
		for (unsigned i_ = 0; i_ < ROUNDS; i_++) {                                         \
			uint64_t start = rdtsc(), end;                                             \
			__VA_ARGS__;                                                               \
			end = rdtsc();                                                             \
			(void)start, (void)end;                                                                 \
			if (i_ >= WARM_UP && (took) < smallest_) {                                 \
				smallest_ = (took);                                                \
			}                                                                          \
		}                                                                                  \
		smallest_;                                                                         \
	})
#define ROW(name, ...) report(name, SMALLEST(end - start, __VA_ARGS__))
/* From `start`, or from another moment, until the handler's first reading. */
#define ROW_HANDLER(name, ...) report(name, SMALLEST(handled_at - start, __VA_ARGS__))

/* The instruction itself; what it gives is not wanted. */
#define DO(text, ...) __asm__ volatile(text : : __VA_ARGS__ : "eax", "ebx", "ecx", "edx", "memory")

static void handler(struct frame *f)
{
	handled_at = rdtsc();
	(void)f;
	handled++;
	lapic_eoi();
}

static void spin(unsigned before)
{
	interrupts_on();
	while (handled == before) {
	}
	interrupts_off();
}

static void plain_rows(void)
{
	empty = SMALLEST(end - start, );
	ROW("nop", DO("nop"));
	ROW("cpuid 0", DO("xorl %%eax, %%eax; cpuid", "i"(0)));
	ROW("cpuid 1", DO("movl $1, %%eax; cpuid", "i"(0)));
	ROW("pause", pause());
	ROW("wbinvd", DO("wbinvd"));
	ROW("invlpg", DO("invlpg (%0)", "r"(0x200000ul)));
}

static void port_rows(void)
{
	ROW("out 0x80", out8(POST, 0));
	ROW("in 0x21 (PIC mask)", in8(PIC_MASK));
	ROW("out 0x21 (PIC mask)", out8(PIC_MASK, 0xff));
	ROW("in 0x40 (PIT)", in8(PIT_0));
	ROW("in 0x4d0 (ELCR)", in8(ELCR));
	ROW("in 0x3fd (UART LSR)", in8(COM1_LSR));
	ROW("in 0x1234 (nobody)", in8(NOBODY));
}

static void ioapic_rows(void)
{
	ROW("IOAPIC select and read", ioapic_read(0x10));
	ROW("IOAPIC read window", mmio_read(IOAPIC + 0x10));
	ROW("IOAPIC select and write, masked", ioapic_write(0x10, LVT_MASKED));
}

static void lapic_rows(void)
{
	ROW("LAPIC read ID", mmio_read(LAPIC + LAPIC_ID));
	ROW("LAPIC read current count", mmio_read(LAPIC + LAPIC_CURRENT));
	ROW("LAPIC write TPR", mmio_write(LAPIC + LAPIC_TPR, 0));
	ROW("LAPIC write EOI, idle", mmio_write(LAPIC + LAPIC_EOI, 0));
	ROW("LAPIC write LVT timer, masked", mmio_write(LAPIC + LAPIC_TIMER, LVT_MASKED | VECTOR));
	ROW("LAPIC write initial count, masked", mmio_write(LAPIC + LAPIC_INITIAL, 0x7fffffff));
	mmio_write(LAPIC + LAPIC_INITIAL, 0);
	ROW("self-IPI, handler, EOI, back", mmio_write(LAPIC + LAPIC_ICR, ICR_SELF | VECTOR);
	    interrupts_on(); interrupts_off());
	ROW_HANDLER("self-IPI, until the handler", mmio_write(LAPIC + LAPIC_ICR, ICR_SELF | VECTOR);
		    interrupts_on(); interrupts_off());
}

static uint64_t one_shot(uint32_t count, bool sleep)
{
	return SMALLEST(handled_at - start, unsigned before = handled;
			mmio_write(LAPIC + LAPIC_INITIAL, count); if (sleep) { halt(); } else {
				spin(before);
			});
}

/* The time beyond the count: twice the count takes once the count longer, in whatever unit it is. */
static void timer_rows(void)
{
	mmio_write(LAPIC + LAPIC_DIVIDE, 0xb);
	mmio_write(LAPIC + LAPIC_TIMER, VECTOR);
	report("LAPIC timer, hlt, late by", 2 * one_shot(TIMER_COUNT, true) -
	       one_shot(2 * TIMER_COUNT, true));
	report("LAPIC timer, spinning, late by", 2 * one_shot(TIMER_COUNT, false) -
	       one_shot(2 * TIMER_COUNT, false));
}

static void msr_rows(void)
{
	uint64_t efer = rdmsr(EFER), fs = rdmsr(FS_BASE), gs = rdmsr(KERNEL_GS_BASE);

	ROW("rdmsr EFER", rdmsr(EFER));
	ROW("wrmsr EFER, same", wrmsr(EFER, efer));
	ROW("rdmsr APIC_BASE", rdmsr(MSR_APIC_BASE));
	ROW("rdmsr TSC", rdmsr(TSC));
	ROW("rdmsr PAT", rdmsr(PAT));
	ROW("wrmsr FS_BASE", wrmsr(FS_BASE, fs));
	ROW("wrmsr KERNEL_GS_BASE", wrmsr(KERNEL_GS_BASE, gs));
	ROW("rdmsr TSC_ADJUST", rdmsr(TSC_ADJUST));
}

static void control_rows(void)
{
	uintptr_t cr0 = read_cr0(), cr3 = read_cr3(), cr4 = read_cr4();

	ROW("mov from cr8", DO("movq %%cr8, %%rax", "i"(0)));
	ROW("mov to cr8", DO("movq %0, %%cr8", "r"(0ul)));
	ROW("mov to cr3", write_cr3(cr3));
	ROW("mov to cr4, PGE there and back", write_cr4(cr4 ^ CR4_PGE); write_cr4(cr4));
	ROW("mov to cr0, WP there and back", write_cr0(cr0 ^ CR0_WP); write_cr0(cr0));
	ROW("mov to dr7", DO("movq %0, %%dr7", "r"(0x400ul)));
}

static void deadline_rows(void)
{
	uint64_t deadline;

	lapic_write(LAPIC_TIMER, VECTOR | LVT_DEADLINE);
	ROW("wrmsr TSC_DEADLINE, far", wrmsr(MSR_TSC_DEADLINE, FAR));
	report("TSC deadline, hlt, late by",
	       empty + SMALLEST(handled_at - deadline, deadline = rdtsc() + TIMER_COUNT;
				wrmsr(MSR_TSC_DEADLINE, deadline); halt()));
	wrmsr(MSR_TSC_DEADLINE, 0);
}

static void x2apic_rows(void)
{
	enum { ID = 0x802, TPR = 0x808, EOI = 0x80b, ICR = 0x830, TMICT = 0x838, SELF_IPI = 0x83f };

	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_X2);
	lapic_x2 = true;
	lapic_write(LAPIC_TIMER, VECTOR | LVT_MASKED);
	ROW("x2APIC read ID", rdmsr(ID));
	ROW("x2APIC write TPR", wrmsr(TPR, 0));
	ROW("x2APIC write EOI, idle", wrmsr(EOI, 0));
	ROW("x2APIC write initial count, masked", wrmsr(TMICT, 0x7fffffff));
	wrmsr(TMICT, 0);
	ROW("x2APIC SELF_IPI, handler, EOI, back", wrmsr(SELF_IPI, VECTOR); interrupts_on();
	    interrupts_off());
	ROW("x2APIC ICR self, handler, EOI, back", wrmsr(ICR, ICR_SELF | VECTOR); interrupts_on();
	    interrupts_off());
}

/* An unknown hypercall, if there is any; without a hypervisor the instruction is undefined. */
static void hypercall_row(void)
{
	if (TRY("movl $99, %%eax; vmmcall", "i"(0)) == -1) {
		ROW("hypercall 99", DO("movl $99, %%eax; vmmcall", "i"(0)));
	} else if (TRY("movl $99, %%eax; vmcall", "i"(0)) == -1) {
		ROW("hypercall 99", DO("movl $99, %%eax; vmcall", "i"(0)));
	}
}

static void compute_row(void)
{
	uint64_t rounds = guest_option("compute", 10000000), word = 1, start, end;

	if (!rounds) {
		return;
	}
	start = rdtsc();
	__asm__ volatile("1: movq %0, %%rax; addq $3, %%rax; rolq $5, %%rax; movq %%rax, %0;"
			 "decq %1; jnz 1b" : "+m"(word), "+r"(rounds) : : "rax", "memory", "cc");
	end = rdtsc();
	print("row compute: %lu\n", (unsigned long)(end - start - empty));
}

void guest_main(void)
{
	struct cpuid features = cpuid(1, 0);

	on_interrupt(VECTOR, handler);
	lapic_enable();
	plain_rows();
	hypercall_row();
	port_rows();
	ioapic_rows();
	lapic_rows();
	timer_rows();
	msr_rows();
	control_rows();
	compute_row();
	if (features.c & CPUID_DEADLINE) {
		deadline_rows();
	}
	if (features.c & CPUID_X2APIC) {
		x2apic_rows();
	}
}
