/*
 * Exits: one switch, a short function per kind.
 *
 * The run loop calls exit_handle on the owner CPU. What a guest may not do is a fault for the guest
 * or the end of its partition with a report; it is never an error of the hypervisor.
 */
#include "hv/exit.h"
#include "hv/cpuid.h"
#include "hv/crx.h"
#include "hv/emulate.h"
#include "hv/host.h"
#include "hv/lib/printf.h"
#include "hv/log.h"
#include "hv/msr.h"
#include "hv/partition.h"

/* Of an entry in the history, below the kind. */
enum { DETAIL = FIELD(23, 0) };

/* --- accesses of the emulator --- */

static void mmio_access(void *ctx, gpa_t gpa, struct bus_access *a)
{
	struct vcpu *v = ctx;

	if (vlapic_at(&v->apic, gpa.v)) {
		a->offset = gpa.v & PAGE_MASK;
		if (vlapic_is_timed((unsigned)a->offset >> 4)) {
			a->now = host_tsc();
		}
		vlapic_access(&v->apic, a);
		return;
	}
	if (!pc_mmio(v, gpa, a) && !a->write) {
		a->value = ~0ull;
	}
}

static void port_access(void *ctx, uint16_t port, struct bus_access *a)
{
	pc_port(ctx, port, a);
}

/* The rest of *e is for emulate() to fill. */
static void emulator(struct emulate *e, struct vcpu *v, const struct emulate_bus *bus)
{
	e->vcpu = v;
	e->as = &v->part->as;
	e->bus = bus;
	e->maxphyaddr = cpuid_maxphyaddr();
	e->pkru = 0;
	e->gpa_valid = false;
}

static void stop_unknown(struct vcpu *v, struct emulate *e, const char *what)
{
	vcpu_need(v, GROUP_RIP);
	exit_report(v, e->bytes, e->bytes_count);
	partition_end(v->part, END_ERROR, "%s at rip 0x%lx", what, (unsigned long)v->regs.rip);
}

static inline void finish_emulation(struct vcpu *v, struct emulate *e, enum emulate_result result,
				    const char *what)
{
	if (result == EMULATE_FAULT) {
		vcpu_raise(v, e->fault.vector, e->fault.has_error, e->fault.error);
	} else if (result == EMULATE_UNKNOWN) {
		stop_unknown(v, e, what);
	}
}

/* Skips an instruction whose length neither the CPU nor the backend knows. */
static NOINLINE void skip_decoded(struct vcpu *v)
{
	struct emulate e;
	unsigned len;

	emulator(&e, v, NULL);
	len = emulate_length(&e);
	if (len) {
		vcpu_skip(v, len);
	} else {
		finish_emulation(v, &e, e.fault.valid ? EMULATE_FAULT : EMULATE_UNKNOWN,
				 "an instruction that does not decode");
	}
}

static inline void skip(struct vcpu *v, const struct vm_exit *x)
{
	if (__builtin_expect(x->insn_len, 2)) {
		vcpu_skip(v, x->insn_len);
	} else {
		skip_decoded(v);
	}
}

/* --- one function per kind --- */

/* With the emulator's frame, which other exits need not pay for. */
static NOINLINE void exit_string_io(struct vcpu *v)
{
	struct emulate_bus bus = {.ctx = v, .mmio = mmio_access, .port = port_access};
	struct emulate e;

	emulator(&e, v, &bus);
	finish_emulation(v, &e, emulate(&e), "a string I/O instruction that is not understood");
}

static NOINLINE void exit_io(struct vcpu *v, const struct vm_exit *x, uint32_t *noted)
{
	static const uint64_t mask[] = {0, 0xff, 0xffff, 0, 0xffffffff};
	uint64_t *rax = &v->regs.gpr[RAX];
	struct bus_access a; /* the rest is for the bus to fill */

	*noted |= x->io.port;
	if (__builtin_expect(x->io.string, 0)) {
		exit_string_io(v);
		return;
	}
	a.size = x->io.size;
	a.write = !x->io.in;
	a.value = *rax;
	pc_port(v, x->io.port, &a);
	if (x->io.in) {
		*rax = a.size == 4 ? a.value : (*rax & ~mask[a.size]) | a.value;
	}
	skip(v, x);
}

/* Nothing that the emulator could do. */
static NOINLINE void exit_npt_odd(struct vcpu *v, const struct vm_exit *x)
{
	bool data = x->interrupted.valid || x->npt.walk;

	if (x->npt.fetch && npt_split(&v->part->npt, x->npt.gpa)) {
		return; /* the guest fetches again */
	}
	exit_report(v, NULL, 0);
	partition_end(v->part, END_ERROR, "%s guest-physical 0x%lx, which is not RAM",
		      !data	    ? "instruction fetch from"
		      : x->npt.walk ? "a page table at"
				    : "delivery of an event at",
		      x->npt.gpa.v);
}

static NOINLINE void emulate_npt(struct vcpu *v, const struct vm_exit *x)
{
	struct emulate_bus bus = {.ctx = v, .mmio = mmio_access, .port = port_access};
	struct emulate e;

	emulator(&e, v, &bus);
	e.gpa = x->npt.gpa;
	e.gpa_valid = true;
	e.write = x->npt.write;
	finish_emulation(v, &e, emulate(&e), "an instruction on MMIO that is not emulated");
}

static NOINLINE void exit_npt(struct vcpu *v, const struct vm_exit *x, uint32_t *noted)
{
	const struct decoded *d = NULL;
	struct bus_access a;

	*noted |= x->npt.gpa.v >> PAGE_SHIFT & DETAIL;
	if (__builtin_expect(x->interrupted.valid | x->npt.walk | x->npt.fetch, 0)) {
		exit_npt_odd(v, x);
		return;
	}
	if (x->npt.code_64) {
		vcpu_need(v, GROUP_RIP | GROUP_CR);
		d = emulate_plain(v, x->npt.gpa, x->npt.write, x->npt.cpl, &a);
	}
	if (d) {
		mmio_access(v, x->npt.gpa, &a);
		emulate_plain_end(v, d, &a);
	} else {
		emulate_npt(v, x);
	}
}

static NOINLINE void exit_cpuid(struct vcpu *v, const struct vm_exit *x, uint32_t *noted)
{
	uint64_t *r = v->regs.gpr;
	uint32_t out[4];

	*noted |= v->regs.gpr[RAX] & DETAIL;
	cpuid_guest(v, (uint32_t)r[RAX], (uint32_t)r[RCX], out);
	r[RAX] = out[0];
	r[RBX] = out[1];
	r[RCX] = out[2];
	r[RDX] = out[3];
	skip(v, x);
}

static NOINLINE void exit_rdmsr(struct vcpu *v, const struct vm_exit *x, uint32_t *noted)
{
	uint64_t value;

	*noted |= v->regs.gpr[RCX] & DETAIL;
	if (!msr_read(v, (uint32_t)v->regs.gpr[RCX], &value)) {
		vcpu_raise_gp0(v);
		return;
	}
	v->regs.gpr[RAX] = (uint32_t)value;
	v->regs.gpr[RDX] = value >> 32;
	skip(v, x);
}

static NOINLINE void exit_wrmsr(struct vcpu *v, const struct vm_exit *x, uint32_t *noted)
{
	uint64_t value = v->regs.gpr[RDX] << 32 | (uint32_t)v->regs.gpr[RAX];

	*noted |= v->regs.gpr[RCX] & DETAIL;
	if (!msr_write(v, (uint32_t)v->regs.gpr[RCX], value)) {
		vcpu_raise_gp0(v);
		return;
	}
	skip(v, x);
}

static NOINLINE void exit_hlt(struct vcpu *v, const struct vm_exit *x)
{
	skip(v, x);
	if (!v->pending.valid && v->state == VCPU_RUNNING) {
		v->state = VCPU_HALTED;
	}
}

static void exit_cr(struct vcpu *v, const struct vm_exit *x)
{
	uint64_t value;
	bool ok;

	vcpu_need(v, GROUP_CR);
	if (x->cr.gpr == RSP) {
		vcpu_need(v, GROUP_RSP);
	}
	switch (x->cr.op) {
	case CR_CLTS: value = v->regs.cr0 & ~CR0_TS; break;
	case CR_LMSW: /* sets PE, never clears it */
		value = (v->regs.cr0 & ~(uint64_t)0xe) | (x->cr.lmsw & 0xf);
		break;
	default: value = v->regs.gpr[x->cr.gpr & 15];
	}
	ok = x->cr.cr == 4 ? crx_write_cr4(v, value) : crx_write_cr0(v, value);
	if (!ok) {
		vcpu_raise_gp0(v);
		return;
	}
	skip(v, x);
}

static void exit_xsetbv(struct vcpu *v, const struct vm_exit *x)
{
	uint64_t value = v->regs.gpr[RDX] << 32 | (uint32_t)v->regs.gpr[RAX];

	vcpu_need(v, GROUP_CR);
	if (!(v->regs.cr4 & CR4_OSXSAVE)) {
		vcpu_raise_ud(v);
	} else if (vcpu_cpl(v) != 0 || !crx_write_xcr0((uint32_t)v->regs.gpr[RCX], value)) {
		vcpu_raise_gp0(v);
	} else {
		skip(v, x);
	}
}

/* No hypercall is defined; the answer is the one that guests test for. */
static void exit_vmcall(struct vcpu *v, const struct vm_exit *x)
{
	if (vcpu_cpl(v) != 0) {
		vcpu_raise_ud(v);
		return;
	}
	v->regs.gpr[RAX] = ~0ull;
	skip(v, x);
}

static void exit_unknown(struct vcpu *v, const struct vm_exit *x)
{
	exit_report(v, NULL, 0);
	partition_end(v->part, END_ERROR, "%s: %s exit, reason 0x%lx, info 0x%lx 0x%lx",
		      x->kind == EXIT_MISCONFIG ? "guest state that cannot run" : "unknown exit",
		      virt->name, x->raw.reason, x->raw.info1, x->raw.info2);
}

static void requeue(struct vcpu *v, const struct event *e)
{
	if (e->type == EVENT_NMI) {
		/* Delivery did not finish, so NMIs are not blocked by it. */
		vcpu_need(v, GROUP_SHADOW);
		v->regs.shadow &= ~(uint32_t)SHADOW_NMI;
		vcpu_touch(v, GROUP_SHADOW);
	}
	v->pending = *e;
}

/* What few exits are. */
static NOINLINE void exit_rare(struct vcpu *v, const struct vm_exit *x, uint32_t *noted)
{
	switch (x->kind) {
	case EXIT_CR: exit_cr(v, x); break;
	case EXIT_XSETBV: exit_xsetbv(v, x); break;
	case EXIT_VMCALL: exit_vmcall(v, x); break;
	case EXIT_EXCEPTION:
		*noted |= x->exc.vector;
		vcpu_raise(v, x->exc.vector, x->exc.has_error, x->exc.error);
		break;
	case EXIT_TRIPLE_FAULT:
		partition_end(v->part, END_TRIPLE_FAULT, "triple fault of vCPU %u", v->index);
		break;
	case EXIT_TASK_SWITCH:
		exit_report(v, NULL, 0);
		partition_end(v->part, END_ERROR, "hardware task switches are not emulated");
		break;
	case EXIT_UNDEFINED: vcpu_raise_ud(v); break;
	default: exit_unknown(v, x);
	}
}

/* Each kind has its own function and frame; this has none. */
static inline void handle(struct vcpu *v, const struct vm_exit *x, uint32_t *noted)
{
	switch (x->kind) {
	case EXIT_NONE:
	case EXIT_INTR:
	case EXIT_WINDOW: break;
	case EXIT_IO: exit_io(v, x, noted); break;
	case EXIT_NPT: exit_npt(v, x, noted); break;
	case EXIT_CPUID: exit_cpuid(v, x, noted); break;
	case EXIT_RDMSR: exit_rdmsr(v, x, noted); break;
	case EXIT_WRMSR: exit_wrmsr(v, x, noted); break;
	case EXIT_HLT: exit_hlt(v, x); break;
	case EXIT_WBINVD: /* RAM is write-back and MMIO is emulated: there is nothing to flush */
	case EXIT_NOP: skip(v, x); break;
	default: exit_rare(v, x, noted);
	}
}

static NOINLINE void handle_interrupted(struct vcpu *v, const struct vm_exit *x, uint32_t *noted)
{
	requeue(v, &x->interrupted);
	handle(v, x, noted);
}

/* Counts an exit and enters it in the history; returns its entry, for what else is worth a note. */
static inline uint32_t *note(struct vcpu *v, enum exit_kind kind)
{
	uint32_t *entry = &v->history[v->history_next++ % EXIT_HISTORY];

	v->exits[kind]++;
	*entry = (uint32_t)kind << 24;
	return entry;
}

void exit_handle(struct vcpu *v, const struct vm_exit *x)
{
	uint32_t *noted = note(v, x->kind);

	if (__builtin_expect(x->interrupted.valid, 0)) {
		handle_interrupted(v, x, noted);
	} else {
		handle(v, x, noted);
	}
}
