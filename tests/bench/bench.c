/*
 * What exits cost, in TSC ticks: on the vehicles of scripts/bench one tick is one instruction, so the
 * numbers are lengths of software paths and repeat exactly.
 *
 * Each operation is timed alone: serialise, read the TSC, operate, serialise, read the TSC. Of 272
 * rounds the first 16 are dropped and the minimum is kept, less that of an empty operation.
 */
#include "guest.h"

GUEST("bench");

enum { ROUNDS = 272, WARM = 16, VECTOR = 0x57, LOOPS = 10 * 1000 * 1000, AHEAD = 100000 };
enum { EFER = 0xc0000080, PAT = 0x277, FS_BASE = 0xc0000100, KERNEL_GS_BASE = 0xc0000102, TSC = 0x10,
       TSC_ADJUST = 0x3b, SELF_IPI = 0x83f };

static volatile uint64_t handler_tsc, sent;

static void handler(struct frame *f)
{
	(void)f;
	handler_tsc = rdtsc();
	lapic_eoi();
}

static inline uint64_t ticks(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc; lfence" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static void op_empty(void) {}
static void op_nop(void) { __asm__ volatile("nop"); }
static void op_cpuid0(void) { cpuid(0, 0); }
static void op_cpuid1(void) { cpuid(1, 0); }
static void op_out_80(void) { out8(0x80, 0); }
static void op_in_21(void) { (void)in8(0x21); }
static void op_out_21(void) { out8(0x21, 0xff); }
static void op_in_40(void) { (void)in8(0x40); }
static void op_in_3fd(void) { (void)in8(0x3fd); }
static void op_in_nobody(void) { (void)in8(0x1234); }
static void op_ioapic_read(void) { mmio_write(IOAPIC, 1); (void)mmio_read(IOAPIC + 0x10); }
static void op_ioapic_window(void) { (void)mmio_read(IOAPIC + 0x10); }
static void op_lapic_id(void) { (void)mmio_read(LAPIC + LAPIC_ID); }
static void op_lapic_current(void) { (void)mmio_read(LAPIC + LAPIC_CURRENT); }
static void op_lapic_tpr(void) { mmio_write(LAPIC + LAPIC_TPR, 0); }
static void op_lapic_eoi(void) { mmio_write(LAPIC + LAPIC_EOI, 0); }
static void op_lapic_lvt(void) { mmio_write(LAPIC + LAPIC_TIMER, LVT_MASKED | VECTOR); }
static void op_lapic_initial(void) { mmio_write(LAPIC + LAPIC_INITIAL, 1000000); }
static void op_self_ipi(void)
{
	mmio_write(LAPIC + LAPIC_ICR, ICR_SELF | ICR_ASSERT | VECTOR);
	interrupts_on();
	interrupts_off();
}
static void op_rd_efer(void) { (void)rdmsr(EFER); }
static void op_wr_efer(void) { wrmsr(EFER, 0x500); }
static void op_rd_apic_base(void) { (void)rdmsr(MSR_APIC_BASE); }
static void op_rd_tsc(void) { (void)rdmsr(TSC); }
static void op_rd_pat(void) { (void)rdmsr(PAT); }
static void op_wr_fs_base(void) { wrmsr(FS_BASE, 0); }
static void op_wr_kernel_gs(void) { wrmsr(KERNEL_GS_BASE, 0); }
static void op_cr8_rd(void) { uint64_t v; __asm__ volatile("movq %%cr8, %0" : "=r"(v)); }
static void op_cr8_wr(void) { __asm__ volatile("movq %0, %%cr8" : : "r"(0ul)); }
static void op_cr3(void) { write_cr3(read_cr3()); }
static void op_cr4_pge(void) { write_cr4(read_cr4() ^ 1 << 7); write_cr4(read_cr4() ^ 1 << 7); }
static void op_cr0_wp(void) { write_cr0(read_cr0() ^ 1 << 16); write_cr0(read_cr0() ^ 1 << 16); }
static void op_dr7(void) { __asm__ volatile("movq %0, %%dr7" : : "r"(0x400ul)); }
static void op_invlpg(void) { __asm__ volatile("invlpg (%0)" : : "r"(0x200000ul) : "memory"); }
static void op_wbinvd(void) { __asm__ volatile("wbinvd"); }
static void op_pause(void) { pause(); }
static void op_rd_tsc_adjust(void) { (void)rdmsr(TSC_ADJUST); }
static void op_deadline_far(void) { wrmsr(MSR_TSC_DEADLINE, ~0ul >> 1); }
static void op_x2_id(void) { (void)lapic_read(LAPIC_ID); }
static void op_x2_tpr(void) { lapic_write(LAPIC_TPR, 0); }
static void op_x2_eoi(void) { lapic_write(LAPIC_EOI, 0); }
static void op_x2_initial(void) { lapic_write(LAPIC_INITIAL, 1000000); }
static void op_x2_self_ipi(void)
{
	wrmsr(SELF_IPI, VECTOR);
	interrupts_on();
	interrupts_off();
}

struct operation {
	const char *name;
	void (*run)(void);
};
static const struct operation xapic_operations[] = {
	{"nop", op_nop},
	{"cpuid 0", op_cpuid0},
	{"cpuid 1", op_cpuid1},
	{"out 0x80", op_out_80},
	{"in 0x21 (PIC mask)", op_in_21},
	{"out 0x21 (PIC mask)", op_out_21},
	{"in 0x40 (PIT)", op_in_40},
	{"in 0x3fd (UART LSR)", op_in_3fd},
	{"in 0x1234 (nobody)", op_in_nobody},
	{"ioapic select + read", op_ioapic_read},
	{"ioapic read window", op_ioapic_window},
	{"lapic read ID", op_lapic_id},
	{"lapic read current count", op_lapic_current},
	{"lapic write TPR", op_lapic_tpr},
	{"lapic write EOI (idle)", op_lapic_eoi},
	{"lapic write LVT timer, masked", op_lapic_lvt},
	{"lapic write initial count, masked", op_lapic_initial},
	{"self-IPI, handler, EOI, back", op_self_ipi},
	{"rdmsr EFER", op_rd_efer},
	{"wrmsr EFER", op_wr_efer},
	{"rdmsr APIC_BASE", op_rd_apic_base},
	{"rdmsr TSC", op_rd_tsc},
	{"rdmsr PAT", op_rd_pat},
	{"wrmsr FS_BASE", op_wr_fs_base},
	{"wrmsr KERNEL_GS_BASE", op_wr_kernel_gs},
	{"mov from cr8", op_cr8_rd},
	{"mov to cr8", op_cr8_wr},
	{"mov to cr3", op_cr3},
	{"toggle CR4.PGE twice", op_cr4_pge},
	{"toggle CR0.WP twice", op_cr0_wp},
	{"mov to dr7", op_dr7},
	{"invlpg", op_invlpg},
	{"wbinvd", op_wbinvd},
	{"pause", op_pause},
	{"rdmsr TSC_ADJUST", op_rd_tsc_adjust},
};
static const struct operation x2apic_operations[] = {
	{"wrmsr TSC_DEADLINE, far", op_deadline_far},
	{"x2apic read ID", op_x2_id},
	{"x2apic write TPR", op_x2_tpr},
	{"x2apic write EOI (idle)", op_x2_eoi},
	{"x2apic write initial count, masked", op_x2_initial},
	{"x2apic self-IPI MSR, handler, EOI, back", op_x2_self_ipi},
};

static __attribute__((noipa)) uint64_t fastest(void (*run)(void))
{
	uint64_t best = ~0ul;

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t start = ticks(), spent;

		run();
		spent = ticks() - start;
		best = i >= WARM && spent < best ? spent : best;
	}
	return best;
}

static void measure(const struct operation *o, size_t count, uint64_t empty)
{
	for (size_t i = 0; i < count; i++) {
		print("bench: %lu %s\n", (unsigned long)(fastest(o[i].run) - empty), o[i].name);
	}
}

/* How late the handler runs after a deadline, from HLT. */
static void measure_deadline(void)
{
	uint64_t best = ~0ul;

	lapic_write(LAPIC_TIMER, LVT_DEADLINE | VECTOR);
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t deadline = rdtsc() + AHEAD;

		wrmsr(MSR_TSC_DEADLINE, deadline);
		halt();
		best = i >= WARM && handler_tsc - deadline < best ? handler_tsc - deadline : best;
	}
	print("bench: %lu deadline 100000 ahead, hlt: handler minus deadline\n", (unsigned long)best);
}

/* Six instructions a round, one of them on memory: nothing here may exit. */
static void measure_compute(void)
{
	static volatile uint64_t word;
	uint64_t start = ticks(), rounds = LOOPS, x = 1;

	__asm__ volatile("1: addq %1, %2; rolq $7, %1; xorq %2, %1; movq %1, %2; decq %0; jnz 1b"
			 : "+r"(rounds), "+r"(x), "+m"(word) : : "cc");
	print("bench: %lu compute, 60000000 instructions\n", (unsigned long)(ticks() - start));
}

void guest_main(void)
{
	uint64_t empty;

	lapic_enable();
	on_interrupt(VECTOR, handler);
	lapic_write(LAPIC_TIMER, LVT_MASKED | VECTOR);
	empty = fastest(op_empty);
	measure(xapic_operations, sizeof(xapic_operations) / sizeof(xapic_operations[0]), empty);
	lapic_write(LAPIC_INITIAL, 0);
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | 1 << 10);
	lapic_x2 = true;
	measure(x2apic_operations, sizeof(x2apic_operations) / sizeof(x2apic_operations[0]), empty);
	measure_deadline();
	measure_compute();
}
