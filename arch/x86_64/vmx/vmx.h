/*
 * The VMX backend's private state and the seams between its files. Only arch/x86_64 includes it.
 */
#pragma once

#include "arch/x86_64/vmx/controls.h"
#include "arch/x86_64/vmx/vmcs.h"
#include "hv/virt.h"

/* Virtual-APIC page. */
enum { VIRTUAL_TPR = 0x80 };

/* Of one vCPU; reached through vcpu.backend. Its owner CPU alone uses it after vcpu_create. */
struct vmx {
	uint64_t host_rsp; /* as the VMCS has it; entry.asm compares */
	bool launched;	   /* VMRESUME from now on */
	uint8_t tpr_class; /* threshold asked for */
	uint32_t primary;  /* as the VMCS has it */
	uint64_t cr0_shadow, cr4_shadow;
	struct event injected;	      /* by the entry field, until an exit */
	bool window_intr, window_nmi; /* asked for */
	uint8_t *virtual_apic;
	hpa_t vmcs, virtual_apic_hpa, io_bitmap, msr_bitmap;
	void *vmcs_ptr;
};

static inline struct vmx *vmx_of(struct vcpu *v)
{
	return v->backend;
}

/*
 * Bits of CR0 that are the hypervisor's: NE must be 1 for VMX, and CD and NW would make this CPU's
 * caches slow for everybody who shares them.
 */
#define CR0_OWNED (uint64_t)(CR0_NE | CR0_CD | CR0_NW)
/* And of CR4: VMXE must be 1 for VMX; a machine check must reach the hypervisor. */
#define CR4_OWNED (uint64_t)(CR4_VMXE | CR4_MCE)

extern const struct virt_ops vmx_ops;
extern struct npt_format vmx_npt_format;

/* state.c */
void vmx_fetch(struct vcpu *v, uint32_t groups);
void vmx_fetch_step(struct vcpu *v); /* GROUP_STEP, right after an exit */
void vmx_fetch_cr(struct vcpu *v);   /* GROUP_CR, right after an exit */
void vmx_write_back(struct vcpu *v);
/* A single-step trap that a shadow holds back must be pending, or the entry fails. */
void vmx_fix_pending_debug(void);

/* inject.c */
void vmx_inject(struct vcpu *v, const struct event *e);
void vmx_inject_undo(struct vcpu *v, struct event *e); /* the entry was abandoned: hands it back */
void vmx_want_window(struct vcpu *v, enum virt_window w, bool on);
/* Right before an entry, while an NMI window is asked for: see windows_primary. */
void vmx_arm_nmi_window(struct vmx *x);
void vmx_tpr_threshold(struct vcpu *v, unsigned class);

/* run.c */
void vmx_run(struct vcpu *v, struct vm_exit *exit);

/* Where vmx_enter goes on: after an exit, and when nothing ran. */
enum vmx_no_entry { VMX_FAILED = 1, VMX_ABORTED = 2 /* there was a request */ };
void vmx_exited(struct vcpu *v, struct vmx *x, struct vm_exit *exit);
void vmx_not_entered(struct vcpu *v, struct vmx *x, struct vm_exit *exit, enum vmx_no_entry why);

/* entry.asm */
void vmx_enter(struct vcpu *v, struct vmx *x, struct vm_exit *exit);
extern const char vmx_exit[], vmx_enter_start[], vmx_enter_end[], vmx_enter_abort[];
