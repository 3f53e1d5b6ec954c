/*
 * The seam to the CPU's virtualization: one table per vendor, chosen once at boot.
 *
 * arch/x86_64/vmx and arch/x86_64/svm implement it; tests/fake/fake_virt.c does for host tests.
 * Nothing above knows a VMCS or a VMCB.
 */
#pragma once

#include "hv/npt.h"
#include "hv/refuse.h"
#include "hv/vcpu.h"

enum exit_kind {
	EXIT_NONE,	   /* the entry was abandoned for a request; nothing ran */
	EXIT_INTR,	   /* a physical interrupt or NMI; the backend has had it handled */
	EXIT_WINDOW,	   /* the window asked for is open */
	EXIT_IO,	   /* .io */
	EXIT_NPT,	   /* .npt: EPT violation or nested page fault */
	EXIT_CPUID,
	EXIT_RDMSR,	   /* ECX */
	EXIT_WRMSR,	   /* ECX, EDX:EAX */
	EXIT_HLT,
	EXIT_CR,	   /* .cr */
	EXIT_XSETBV,
	EXIT_VMCALL,	   /* VMCALL or VMMCALL */
	EXIT_WBINVD,	   /* WBINVD or INVD */
	EXIT_EXCEPTION,	   /* .exc: an intercepted exception */
	EXIT_TRIPLE_FAULT, /* or SHUTDOWN */
	EXIT_TASK_SWITCH,
	EXIT_UNDEFINED,	   /* an instruction that this virtual CPU does not have: #UD */
	EXIT_NOP,	   /* an instruction that has no effect here (PAUSE, MONITOR): skip */
	EXIT_MISCONFIG,	   /* EPT misconfiguration or VMEXIT_INVALID: our bug or a hostile state */
	EXIT_UNKNOWN,	   /* .raw holds the vendor's reason */
	EXIT_KINDS
};

struct vm_exit {
	enum exit_kind kind;
	uint8_t insn_len; /* of the instruction that exited; 0: not known, decode it */
	/* What was being delivered when the exit happened; valid on every exit kind. */
	struct event interrupted;
	union {
		struct {
			uint16_t port;
			uint8_t size; /* 1, 2, 4 */
			bool in;
			bool string; /* INS or OUTS: decode for address size and segment */
		} io;
		struct {
			gpa_t gpa;
			bool write;
			bool fetch;
			bool walk; /* the access was to a guest page-table entry */
			/* The mode, with GROUP_CR, which is valid then. */
			bool code_64;
			uint8_t cpl;
		} npt;
		struct {
			uint8_t cr;  /* 0, 4 */
			uint8_t gpr; /* source register of MOV to CR */
			enum { CR_MOV_TO, CR_CLTS, CR_LMSW } op;
			uint16_t lmsw; /* source of LMSW */
		} cr;
		struct {
			uint8_t vector;
			bool has_error;
			uint32_t error;
		} exc;
		struct {
			uint64_t reason;
			uint64_t info1, info2;
		} raw;
	};
};

typedef void (*virt_feature_fn)(const char *name, bool present, bool needed);

enum virt_window { WINDOW_INTR, WINDOW_NMI };

struct virt_ops {
	const char *name; /* "VMX" or "SVM" */
	const struct npt_format *npt_format; /* final after probe */
	/* Boot CPU: logs every required feature that is missing, and why it is needed. */
	bool (*probe)(void);
	/* Boot CPU, any time: each feature by name, whether this CPU has it and whether it must. */
	void (*features)(virt_feature_fn tell);
	/* Each CPU once: turns virtualization on. Refuses in words (locked by firmware, ...). */
	bool (*cpu_enable)(struct refusal *r);
	/* Boot CPU: allocates and fills what v needs for ever (bitmaps, NPT root, ASID). */
	bool (*vcpu_create)(struct vcpu *v, struct refusal *r);
	/*
	 * Owner CPU: v->regs holds a whole new state; control state goes back to its first values.
	 * `init` false is RESET#: also puts what lives in this CPU's own registers (vector and debug
	 * registers, SYSCALL MSRs, XCR0, XSS, ...) to its reset values, so nothing leaks from whoever
	 * ran before. INIT leaves them alone, but for the debug registers.
	 */
	void (*vcpu_reset)(struct vcpu *v, bool init);
	/*
	 * Owner CPU, interrupts off: writes dirty groups, runs the guest until an exit, sets
	 * v->valid to what came for free (GROUP_STEP for most instructions), fills *exit. Returns with interrupts off.
	 * Returns EXIT_NONE without running when v->request is not 0 at the last moment; an event
	 * that was to be injected then comes back in exit->interrupted, as from any exit.
	 */
	void (*run)(struct vcpu *v, struct vm_exit *exit);
	/* Owner CPU, outside run: fetches register groups into v->regs (v->valid is set by the caller). */
	void (*fetch)(struct vcpu *v, uint32_t groups);
	/* Owner CPU: the next run delivers this event first. At most one per run. */
	void (*inject)(struct vcpu *v, const struct event *e);
	/*
	 * Owner CPU: the next runs exit with EXIT_WINDOW as soon as an interrupt (IF=1, no shadow) or
	 * an NMI could be delivered. `on` false takes the wish back. Cheap when nothing changes.
	 */
	void (*want_window)(struct vcpu *v, enum virt_window w, bool on);
	/*
	 * Owner CPU: exit as soon as the guest's TPR class falls below `class` (1-15), 0: never.
	 * May be reported as EXIT_WINDOW.
	 */
	void (*tpr_threshold)(struct vcpu *v, unsigned class);
	/* Owner CPU: no translation of the second-level tables from before outlives the next entry. */
	void (*flush)(struct vcpu *v);
};

extern const struct virt_ops *virt; /* set once at boot */
