/*
 * The SVM backend's private state and the seams between its files. Only arch/x86_64 includes it.
 */
#pragma once

#include "arch/x86_64/svm/vmcb.h"
#include "hv/refuse.h"
#include "hv/virt.h"

/* CPUID 8000_000A EDX */
enum {
	SVM_CAP_NPT = BIT(0),
	SVM_CAP_NEXT_RIP = BIT(3),
	SVM_CAP_CLEAN = BIT(5),
	SVM_CAP_FLUSH_ASID = BIT(6),
};

/* Of this machine; set by svm_probe, read-only afterwards. */
struct svm_caps {
	uint32_t features; /* enum above */
	bool next_rip;
	bool repeats; /* quirk svm-repeat: see probe.c */
	uint32_t clean; /* CLEAN_ALL where the CPU has clean bits, else 0 */
	uint8_t flush;	/* enum tlb_control: what drops the guest's translations */
};
extern struct svm_caps svm_caps;

enum svm_step { STEP_NONE, STEP_SHADOW, STEP_IRET, STEP_CR8 };

/* Of one vCPU; reached through vcpu.backend. Its owner CPU alone uses it after vcpu_create. */
struct svm {
	struct vmcb *vmcb;
	hpa_t vmcb_hpa;
	hpa_t host_hpa; /* VMSAVE area of the host: GS base, TR, ... */
	struct {
		enum svm_step kind; /* this run steps one instruction */
		bool shadow;
		uint64_t rip, rflags, dr6, sce;
	} step;
	hpa_t iopm, msrpm;
	struct event injected; /* by EVENTINJ, until an exit */
	bool watching;	       /* svm_arm_windows has something to do before the next entry */
	bool window_intr;
	bool window_nmi;
	uint8_t tpr_class;
	bool nmi_blocked;	 /* from an NMI's injection to the end of the guest's IRET */
	enum svm_step next_step; /* the instruction at RIP has exited, and is now to be stepped */
};

static inline struct svm *svm_of(struct vcpu *v)
{
	return v->backend;
}

static inline uint32_t svm_shadow(const struct svm *x)
{
	/* The VMCB does not tell STI from MOV SS. */
	uint32_t shadow = x->vmcb->int_state & INT_STATE_SHADOW ? SHADOW_STI : 0;

	return x->nmi_blocked ? shadow | SHADOW_NMI : shadow;
}

/* For every change of a part of the VMCB that has a clean bit. */
static inline void vmcb_touch(struct vmcb *c, enum clean part)
{
	c->clean &= ~(uint64_t)part;
}

extern const struct virt_ops svm_ops;
extern struct npt_format svm_npt_format;

/* What is intercepted as long as no window, step or NMI needs more. */
enum {
	SVM_EXCEPTIONS = BIT(1) | BIT(17) | BIT(18), /* #DB #AC #MC */
};

/* What besides a single step gives #DB: breakpoints, and the protection of debug registers. */
enum { DR7_CAUSES = FIELD(7, 0) | BIT(13) };

/* probe.c */
bool svm_probe(void);
void svm_features(virt_feature_fn tell);
bool svm_check_cpu(struct refusal *r);

/* state.c */
void svm_fetch(struct vcpu *v, uint32_t groups);
void svm_write_back(struct vcpu *v);

/* inject.c */
void svm_inject(struct vcpu *v, const struct event *e);
void svm_inject_undo(struct vcpu *v, struct event *e); /* the entry was abandoned: hands it back */
void svm_want_window(struct vcpu *v, enum virt_window w, bool on);
void svm_tpr_threshold(struct vcpu *v, unsigned class);
/*
 * Right before an entry, while x->watching: asks for what is wanted, by V_IRQ or by stepping out of
 * a shadow, or no longer for what was wanted.
 */
void svm_arm_windows(struct svm *x);
/* NMIs are blocked until the guest's next IRET, or no longer. */
void svm_block_nmi(struct svm *x, bool blocked);

/* step.c: one guest instruction, then an exit. */
void svm_step_begin(struct svm *x, enum svm_step kind);
void svm_step_cancel(struct svm *x); /* the entry was abandoned */
/* After the exit of a step. True: *exit is final, and the exit code is not to be looked at. */
bool svm_step_end(struct vcpu *v, struct vm_exit *exit);

/* run.c */
void svm_run(struct vcpu *v, struct vm_exit *exit);

/* Where svm_enter goes on: after an exit, and when there was a request and nothing ran. */
void svm_exited(struct vcpu *v, struct svm *x, struct vm_exit *exit);
void svm_not_entered(struct vcpu *v, struct svm *x, struct vm_exit *exit);

/* entry.asm */
void svm_enter(struct vcpu *v, struct svm *x, struct vm_exit *exit);
