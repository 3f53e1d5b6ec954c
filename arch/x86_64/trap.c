/*
 * IDT and exception reports: see trap.h. Called by the stubs in traps.asm. The IDT is written at
 * boot only; all CPUs share it.
 */
#include "arch/x86_64/trap.h"
#include "arch/x86_64/asm.h"
#include "arch/x86_64/fixup.h"
#include "arch/x86_64/percpu.h"
#include "hv/host.h"
#include "hv/log.h"

enum { VECTORS = 256, STUB_SIZE = 16 };

struct idt_gate {
	uint16_t offset_0;
	uint16_t selector;
	uint8_t ist;
	uint8_t type; /* P, DPL, type */
	uint16_t offset_16;
	uint32_t offset_32;
	uint32_t reserved;
};
_Static_assert(sizeof(struct idt_gate) == 16, "hardware layout");
enum { GATE_INTERRUPT = 0x8e };

extern const char trap_stubs[], text_start[], text_end[];
extern const struct fixup fixup_start[], fixup_end[];

static struct idt_gate idt[VECTORS];
static uint64_t restart_start, restart_end, restart_abort;

static uint8_t ist_of(unsigned vector)
{
	switch (vector) {
	case EXC_NMI: return IST_NMI;
	case EXC_DF: return IST_DOUBLE_FAULT;
	case EXC_MC: return IST_MACHINE_CHECK;
	default: return 0;
	}
}

void trap_init(void)
{
	for (unsigned i = 0; i < VECTORS; i++) {
		uint64_t stub = (uint64_t)trap_stubs + i * STUB_SIZE;

		idt[i] = (struct idt_gate){
			.offset_0 = (uint16_t)stub,
			.selector = SEL_CODE,
			.ist = ist_of(i),
			.type = GATE_INTERRUPT,
			.offset_16 = (uint16_t)(stub >> 16),
			.offset_32 = (uint32_t)(stub >> 32),
		};
	}
}

void trap_load(void)
{
	struct table_register r = {sizeof(idt) - 1, (uint64_t)idt};

	__asm__ volatile("lidt %0" : : "m"(r));
}

void nmi_set_restart(uint64_t start, uint64_t end, uint64_t abort)
{
	restart_start = start;
	restart_end = end;
	restart_abort = abort;
}

static const char *exception_name(uint64_t vector)
{
	static const char *const name[] = {
		"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "#9",  "#TS",
		"#NP", "#SS", "#GP", "#PF", "#15", "#MF", "#AC", "#MC", "#XM", "#VE", "#CP",
	};

	return vector < ARRAY_SIZE(name) ? name[vector] : "exception";
}

/* Values on the stack that point behind something in our text: mostly return addresses. */
static void report_callers(const struct trap_frame *f)
{
	const uint64_t *sp = (const uint64_t *)ALIGN_DOWN(f->rsp, 8);
	/* The page of the stack pointer is mapped, unless the stack itself is what broke. */
	const uint64_t *end = (const uint64_t *)(ALIGN_DOWN(f->rsp, PAGE_SIZE) + PAGE_SIZE);
	unsigned n = 0;

	if (f->vector == EXC_DF) {
		return;
	}
	for (; sp < end && n < 12; sp++) {
		if (*sp > (uint64_t)text_start && *sp < (uint64_t)text_end) {
			log_line("  stack %016lx: %016lx", (uint64_t)sp, *sp);
			n++;
		}
	}
}

static NORETURN void report(const struct trap_frame *f)
{
	static _Atomic unsigned reports;

	/* A few CPUs may fault at once; a report that faults itself must end. */
	if (atomic_fetch_add(&reports, 1) >= 4) {
		host_stop();
	}
	log_defer(false);
	log_line("stopped: %s (vector %lu, error code 0x%lx) in the hypervisor on CPU %u",
		 exception_name(f->vector), f->vector, f->error, host_cpu());
	log_line("  rip %016lx  rsp %016lx  rflags %08lx  cs %04lx  ss %04lx", f->rip, f->rsp,
		 f->rflags, f->cs, f->ss);
	log_line("  rax %016lx  rbx %016lx  rcx %016lx  rdx %016lx", f->rax, f->rbx, f->rcx,
		 f->rdx);
	log_line("  rsi %016lx  rdi %016lx  rbp %016lx  r8  %016lx", f->rsi, f->rdi, f->rbp, f->r8);
	log_line("  r9  %016lx  r10 %016lx  r11 %016lx  r12 %016lx", f->r9, f->r10, f->r11, f->r12);
	log_line("  r13 %016lx  r14 %016lx  r15 %016lx", f->r13, f->r14, f->r15);
	log_line("  cr0 %016lx  cr2 %016lx  cr3 %016lx  cr4 %016lx", read_cr0(), read_cr2(),
		 read_cr3(), read_cr4());
	report_callers(f);
	host_stop();
}

void trap_dispatch(struct trap_frame *f)
{
	uint64_t resume;

	if (f->vector >= 32) {
		irq_dispatch((uint8_t)f->vector);
		return;
	}
	if (f->vector == EXC_DB) {
		/*
		 * The hypervisor neither steps nor has breakpoints, so this is a guest's: Bochs lets a
		 * single step outlive an SVM exit. GS base may still be the guest's: touch nothing.
		 */
		return;
	}
	if (f->vector == EXC_NMI) {
		nmi_dispatch();
		if (f->rip >= restart_start && f->rip < restart_end) {
			f->rip = restart_abort;
		}
		return;
	}
	resume = fixup_find(fixup_start, (size_t)(fixup_end - fixup_start), f->rip);
	if (!resume || f->vector == EXC_MC || f->vector == EXC_DF) {
		report(f);
	}
	f->rip = resume;
}
