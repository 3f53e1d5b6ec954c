/*
 * Running the guest: entry, and the exit reason turned into a neutral struct vm_exit (Intel SDM
 * vol. 3, "VM Exits" and appendix "VMX Basic Exit Reasons"). Called by the run loop through
 * virt_ops on the owner CPU with interrupts off.
 */
#include "arch/x86_64/asm.h"
#include "arch/x86_64/event_code.h"
#include "arch/x86_64/percpu.h"
#include "arch/x86_64/vmx/vmx.h"

enum exit_reason {
	REASON_EXCEPTION_NMI = 0,
	REASON_EXT_INTERRUPT = 1,
	REASON_TRIPLE_FAULT = 2,
	REASON_INTR_WINDOW = 7,
	REASON_NMI_WINDOW = 8,
	REASON_TASK_SWITCH = 9,
	REASON_CPUID = 10,
	REASON_GETSEC = 11,
	REASON_HLT = 12,
	REASON_INVD = 13,
	REASON_RDPMC = 15,
	REASON_RSM = 17,
	REASON_VMCALL = 18,
	REASON_VMCLEAR = 19,
	REASON_VMXON = 27,
	REASON_CR = 28,
	REASON_IO = 30,
	REASON_RDMSR = 31,
	REASON_WRMSR = 32,
	REASON_MWAIT = 36,
	REASON_MONITOR = 39,
	REASON_PAUSE = 40,
	REASON_ENTRY_MACHINE_CHECK = 41,
	REASON_TPR_THRESHOLD = 43,
	REASON_EPT_VIOLATION = 48,
	REASON_EPT_MISCONFIG = 49,
	REASON_INVEPT = 50,
	REASON_PREEMPTION_TIMER = 52,
	REASON_INVVPID = 53,
	REASON_WBINVD = 54,
	REASON_XSETBV = 55,
	REASON_VMFUNC = 59,
	REASON_SEAMCALL = 76, /* both exit on CPUs with TDX, whatever is enabled */
	REASON_TDCALL = 77,
};
/* The upper half of the exit reason holds flags; some are for later CPUs to define. */
enum { REASON_BASIC = FIELD(15, 0) };
#define REASON_ENTRY_FAILED BIT(31)

/* In the exit interruption information and in the qualification of an EPT violation. */
enum { NMI_UNBLOCKED_BY_IRET = BIT(12) };

enum { DR6_ALL = FIELD(3, 0) | BIT(13) | BIT(14), DR7_GD = BIT(13) };

static void exit_io(struct vm_exit *exit)
{
	uint64_t q = vmread(EXIT_QUALIFICATION);

	exit->kind = EXIT_IO;
	exit->io.port = (uint16_t)(q >> 16);
	exit->io.size = (uint8_t)((q & 7) + 1);
	exit->io.in = q & BIT(3);
	exit->io.string = q & BIT(4);
}

static NOINLINE void exit_cr(struct vm_exit *exit)
{
	uint64_t q = vmread(EXIT_QUALIFICATION);
	enum { MOV_TO = 0, MOV_FROM = 1, CLTS = 2, LMSW = 3 } access = field_get(FIELD(5, 4), q);

	exit->kind = EXIT_CR;
	exit->cr.cr = (uint8_t)(q & 15);
	exit->cr.gpr = (uint8_t)field_get(FIELD(11, 8), q);
	exit->cr.lmsw = (uint16_t)(q >> 16);
	exit->cr.op = access == CLTS ? CR_CLTS : access == LMSW ? CR_LMSW : CR_MOV_TO;
}

/* An IRET that faults has ended the blocking of NMIs already; it is to run again with it. */
static void block_nmi_again(const struct vm_exit *exit)
{
	if (!exit->interrupted.valid) {
		vmwrite(GUEST_INTERRUPTIBILITY,
			vmread(GUEST_INTERRUPTIBILITY) | INTERRUPTIBILITY_NMI);
	}
}

static void exit_npt(struct vcpu *v, struct vm_exit *exit)
{
	uint64_t q = vmread(EXIT_QUALIFICATION);
	enum { WRITE = BIT(1), FETCH = BIT(2), LINEAR_VALID = BIT(7), FINAL = BIT(8) };

	exit->kind = EXIT_NPT;
	exit->npt.gpa = gpa(vmread(GUEST_PHYSICAL_ADDRESS));
	exit->npt.write = q & WRITE;
	exit->npt.fetch = q & FETCH;
	exit->npt.walk = (q & LINEAR_VALID) && !(q & FINAL);
	if (q & NMI_UNBLOCKED_BY_IRET) {
		block_nmi_again(exit);
	}
	vmx_fetch_cr(v);
	exit->npt.code_64 = v->regs.efer & EFER_LMA && vmread(GUEST_CS_AR) & SEG_L;
	exit->npt.cpl = (uint8_t)field_get(SEG_DPL, vmread(GUEST_SS_AR));
	vmx_fetch_step(v);
}

/* An intercepted #DB has not changed DR6 and DR7 yet, as its delivery would. */
static void finish_debug_exception(void)
{
	uint64_t q = vmread(EXIT_QUALIFICATION) & DR6_ALL;

	write_dr6((read_dr6() & ~FIELD(3, 0)) | q);
	vmwrite(GUEST_DR7, vmread(GUEST_DR7) & ~(uint64_t)DR7_GD);
	vmx_fix_pending_debug();
}

static NOINLINE void exit_exception(struct vm_exit *exit)
{
	uint32_t code = (uint32_t)vmread(EXIT_EVENT);
	struct event e;

	event_decode(&e, code, 0);
	exit->kind = EXIT_INTR;
	if (e.type == EVENT_NMI) {
		/* Through the IDT: its IRET lets the next NMI come. */
		__asm__ volatile("int $2" : : : "memory");
		return;
	}
	if (e.type == EVENT_PRIV_SW) {
		/* INT1 is a trap, but RIP is still at it: deliver it with its length. */
		e.insn_len = (uint8_t)vmread(EXIT_INSN_LENGTH);
		exit->interrupted = e;
		return;
	}
	if (e.vector == EXC_MC) {
		__asm__ volatile("int $18" : : : "memory");
		return;
	}
	exit->kind = EXIT_EXCEPTION;
	exit->exc.vector = e.vector;
	exit->exc.has_error = e.has_error;
	exit->exc.error = e.has_error ? (uint32_t)vmread(EXIT_EVENT_ERROR) : 0;
	if (e.vector == EXC_DB) {
		finish_debug_exception();
	}
	if (code & NMI_UNBLOCKED_BY_IRET) {
		block_nmi_again(exit);
	}
}

static void exit_raw(struct vm_exit *exit, enum exit_kind kind, uint64_t reason)
{
	exit->kind = kind;
	exit->insn_len = 0;
	exit->raw.reason = reason;
	exit->raw.info1 = vmread(EXIT_QUALIFICATION);
	exit->raw.info2 = vmread(GUEST_PHYSICAL_ADDRESS);
}

/* An instruction that faults in a guest: its virtual CPU does not let anyone use it. */
static void exit_general_protection(struct vm_exit *exit)
{
	exit->kind = EXIT_EXCEPTION;
	exit->exc.vector = EXC_GP;
	exit->exc.has_error = true;
	exit->exc.error = 0;
}

/* Lets pending interrupts in whose exits this CPU has held back. */
static void exit_watchdog(struct vm_exit *exit)
{
	sti();
	pause(); /* the shadow of STI covers it */
	cli();
	exit->kind = EXIT_INTR;
}

static NOINLINE void decode_exit(struct vcpu *v, struct vm_exit *exit, uint64_t reason)
{
	exit->insn_len = 0;
	switch (reason & REASON_BASIC) {
	case REASON_EXT_INTERRUPT:
		irq_dispatch((uint8_t)vmread(EXIT_EVENT));
		exit->kind = EXIT_INTR;
		return;
	case REASON_EXCEPTION_NMI: exit_exception(exit); return;
	case REASON_EPT_VIOLATION: exit_npt(v, exit); return;
	case REASON_INTR_WINDOW:
	case REASON_NMI_WINDOW:
	case REASON_TPR_THRESHOLD: exit->kind = EXIT_WINDOW; return;
	case REASON_PREEMPTION_TIMER: exit_watchdog(exit); return;
	case REASON_TRIPLE_FAULT: exit->kind = EXIT_TRIPLE_FAULT; return;
	case REASON_TASK_SWITCH: exit->kind = EXIT_TASK_SWITCH; return;
	case REASON_RDPMC: exit_general_protection(exit); return;
	case REASON_GETSEC:
	case REASON_RSM:
	case REASON_MWAIT:
	case REASON_MONITOR:
	case REASON_INVEPT:
	case REASON_INVVPID:
	case REASON_VMFUNC:
	case REASON_SEAMCALL:
	case REASON_TDCALL:
	case REASON_VMCLEAR ... REASON_VMXON: exit->kind = EXIT_UNDEFINED; return;
	case REASON_EPT_MISCONFIG: exit_raw(exit, EXIT_MISCONFIG, reason); return;
	/* What is left is skipped by its length. */
	case REASON_IO: exit_io(exit); break;
	case REASON_CPUID: exit->kind = EXIT_CPUID; break;
	case REASON_RDMSR: exit->kind = EXIT_RDMSR; break;
	case REASON_WRMSR: exit->kind = EXIT_WRMSR; break;
	case REASON_HLT: exit->kind = EXIT_HLT; break;
	case REASON_CR: exit_cr(exit); break;
	case REASON_XSETBV: exit->kind = EXIT_XSETBV; break;
	case REASON_VMCALL: exit->kind = EXIT_VMCALL; break;
	case REASON_INVD:
	case REASON_WBINVD: exit->kind = EXIT_WBINVD; break;
	case REASON_PAUSE: exit->kind = EXIT_NOP; break;
	default: exit_raw(exit, EXIT_UNKNOWN, reason); return;
	}
	exit->insn_len = (uint8_t)vmread(EXIT_INSN_LENGTH);
	vmx_fetch_step(v);
}

/* The event whose delivery the exit cut short. */
static void read_interrupted(struct event *e, uint32_t code)
{
	event_decode(e, code, 0);
	if (e->has_error) {
		e->error = (uint32_t)vmread(IDT_VECTORING_ERROR);
	}
	if (event_is_software(e->type)) {
		e->insn_len = (uint8_t)vmread(EXIT_INSN_LENGTH);
	}
}

void vmx_not_entered(struct vcpu *v, struct vmx *x, struct vm_exit *exit, enum vmx_no_entry why)
{
	(void)x;
	vmx_inject_undo(v, &exit->interrupted);
	if (why == VMX_ABORTED) {
		exit->kind = EXIT_NONE;
		exit->insn_len = 0;
		return;
	}
	exit_raw(exit, EXIT_MISCONFIG, vmread(INSTRUCTION_ERROR));
}

/* Not only the instruction at RIP has to do with this exit. */
static NOINLINE void take_more(struct vcpu *v, struct vm_exit *exit, uint64_t reason,
			       uint32_t vectoring)
{
	uint8_t cr8 = vmx_of(v)->virtual_apic[VIRTUAL_TPR] >> 4;

	if (cr8 != v->cr8) {
		vcpu_take_cr8(v, cr8);
	}
	if (vectoring & EVENT_CODE_VALID) {
		read_interrupted(&exit->interrupted, vectoring);
	}
	decode_exit(v, exit, reason);
}

/* Guest state that the CPU refuses, or an error of the machine, for which no exception comes. */
static NOINLINE void entry_failed(struct vcpu *v, struct vm_exit *exit, uint64_t reason)
{
	if ((reason & REASON_BASIC) == REASON_ENTRY_MACHINE_CHECK) {
		__asm__ volatile("int $18" : : : "memory");
	}
	vmx_inject_undo(v, &exit->interrupted);
	exit_raw(exit, EXIT_MISCONFIG, reason);
}

void vmx_exited(struct vcpu *v, struct vmx *x, struct vm_exit *exit)
{
	uint64_t reason = vmread(EXIT_REASON);
	uint32_t vectoring;

	v->valid = 0;
	if (__builtin_expect(reason & REASON_ENTRY_FAILED, 0)) {
		entry_failed(v, exit, reason);
		return;
	}
	x->launched = true;
	x->injected.valid = false;
	exit->interrupted.valid = false;
	vectoring = (uint32_t)vmread(IDT_VECTORING);
	if (__builtin_expect(vectoring & EVENT_CODE_VALID ||
				     x->virtual_apic[VIRTUAL_TPR] >> 4 != v->cr8,
			     0)) {
		take_more(v, exit, reason, vectoring);
	} else {
		decode_exit(v, exit, reason);
	}
}

_Static_assert(offsetof(struct vcpu, request) == 0x1d8, "known to gpr.inc");
_Static_assert(offsetof(struct vmx, host_rsp) == 0x00, "known to entry.asm");
_Static_assert(offsetof(struct vmx, launched) == 0x08, "known to entry.asm");

static NOINLINE void write_and_enter(struct vcpu *v, struct vmx *x, struct vm_exit *exit)
{
	if (v->dirty) {
		vmx_write_back(v);
	}
	if (x->window_nmi) {
		vmx_arm_nmi_window(x);
	}
	vmx_enter(v, x, exit);
}

void vmx_run(struct vcpu *v, struct vm_exit *exit)
{
	struct vmx *x = vmx_of(v);

	if (__builtin_expect(v->dirty & ~(uint32_t)GROUP_RIP || x->window_nmi, 0)) {
		write_and_enter(v, x, exit);
		return;
	}
	if (v->dirty) {
		v->dirty = 0;
		vmwrite(GUEST_RIP, v->regs.rip);
	}
	vmx_enter(v, x, exit);
}
