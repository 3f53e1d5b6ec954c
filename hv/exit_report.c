/*
 * The report of a vCPU that is stopped: what a person needs to find the cause without a debugger.
 *
 * Called by exit.c right before partition_end, on the owner CPU, once per end.
 */
#include "hv/exit.h"
#include "hv/lib/printf.h"
#include "hv/log.h"
#include "hv/partition.h"

static const char *const kind_name[EXIT_KINDS] = {
	[EXIT_NONE] = "none",
	[EXIT_INTR] = "interrupt",
	[EXIT_WINDOW] = "window",
	[EXIT_IO] = "port I/O",
	[EXIT_NPT] = "MMIO",
	[EXIT_CPUID] = "CPUID",
	[EXIT_RDMSR] = "RDMSR",
	[EXIT_WRMSR] = "WRMSR",
	[EXIT_HLT] = "HLT",
	[EXIT_CR] = "CR access",
	[EXIT_XSETBV] = "XSETBV",
	[EXIT_VMCALL] = "VMCALL",
	[EXIT_WBINVD] = "WBINVD",
	[EXIT_EXCEPTION] = "exception",
	[EXIT_TRIPLE_FAULT] = "triple fault",
	[EXIT_TASK_SWITCH] = "task switch",
	[EXIT_UNDEFINED] = "undefined instruction",
	[EXIT_NOP] = "no-op",
	[EXIT_MISCONFIG] = "misconfiguration",
	[EXIT_UNKNOWN] = "unknown",
};

static void report_bytes(const uint8_t *bytes, unsigned count)
{
	char text[3 * 15 + 1] = "";

	for (unsigned i = 0; i < count && i < 15; i++) {
		fmt_print(text + 3 * i, 4, " %02x", bytes[i]);
	}
	log_line("  code:%s", count ? text : " not fetched");
}

void exit_report(struct vcpu *v, const uint8_t *bytes, unsigned count)
{
	const struct vcpu_regs *r = &v->regs;

	if (atomic_load(&v->part->end) != END_NONE) {
		return; /* another vCPU reported first */
	}
	vcpu_need(v, GROUP_RIP | GROUP_RSP | GROUP_RFLAGS | GROUP_SHADOW | GROUP_CR | GROUP_CR2 |
			     GROUP_CS_SS | GROUP_SEG);
	log_line("%s: vCPU %u on CPU %u, %u-bit code, CPL %u", v->part->config->name, v->index,
		 v->cpu, vcpu_code_bits(v), vcpu_cpl(v));
	log_line("  rip %04x:%016lx rsp %04x:%016lx flags %08lx", r->cs.selector, r->rip,
		 r->ss.selector, r->gpr[RSP], r->rflags);
	log_line("  rax %016lx rbx %016lx rcx %016lx rdx %016lx", r->gpr[RAX], r->gpr[RBX],
		 r->gpr[RCX], r->gpr[RDX]);
	log_line("  rsi %016lx rdi %016lx rbp %016lx r8  %016lx", r->gpr[RSI], r->gpr[RDI],
		 r->gpr[RBP], r->gpr[R8]);
	log_line("  r9  %016lx r10 %016lx r11 %016lx r12 %016lx", r->gpr[R9], r->gpr[R10],
		 r->gpr[R11], r->gpr[R12]);
	log_line("  r13 %016lx r14 %016lx r15 %016lx cs base %lx", r->gpr[R13], r->gpr[R14],
		 r->gpr[R15], r->cs.base);
	log_line("  cr0 %lx cr2 %lx cr3 %lx cr4 %lx efer %lx shadow %x", r->cr0, r->cr2, r->cr3,
		 r->cr4, r->efer, r->shadow);
	report_bytes(bytes, count);
	for (unsigned i = 0; i < EXIT_HISTORY; i++) {
		unsigned at = (v->history_next + i) % EXIT_HISTORY;

		log_line("  before: %s 0x%x", kind_name[v->history[at] >> 24],
			 v->history[at] & 0xffffff);
	}
}
