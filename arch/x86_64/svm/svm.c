/*
 * SVM on, and what a vCPU's VMCB holds for ever. Called through virt_ops: cpu_enable by each CPU
 * once, vcpu_create by the boot CPU, vcpu_reset by the owner CPU.
 */
#include "arch/x86_64/svm/svm.h"
#include "arch/x86_64/asm.h"
#include "arch/x86_64/exit_bitmap.h"
#include "arch/x86_64/guest_cpu.h"
#include "arch/x86_64/percpu.h"
#include "arch/x86_64/svm/npt_format.h"
#include "hv/host.h"
#include "hv/lib/string.h"
#include "hv/msr_index.h"
#include "hv/partition.h"

enum {
	ASID_OF_GUEST = 1, /* one vCPU per CPU: one tag is enough */
	IOPM_BYTES = 3 * PAGE_SIZE,
	MSRPM_BYTES = 2 * PAGE_SIZE,
};

struct npt_format svm_npt_format = NPT_FORMAT; /* the probe sets gib_leaves */

static bool enable(struct refusal *r)
{
	const struct percpu *cpu = this_cpu();

	if (!svm_check_cpu(r)) {
		return false;
	}
	/* NXE: the NPT's NX bit and the fetch bit of its faults depend on the host's. */
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME | EFER_NXE);
	wrmsr(MSR_AMD_VM_HSAVE_PA, cpu->virt_hpa.v);
	return true;
}

/* Two bits per MSR, read and write, in three ranges of 0x2000; 1 exits. The same for all guests. */
static bool make_msr_map(hpa_t *out)
{
	static hpa_t shared;
	static const uint32_t range[] = {0, 0xc0000000u, 0xc0010000u};
	enum { RANGE = 0x2000 };
	uint8_t *map;

	if (!shared.v) {
		if (!host_alloc(MSRPM_BYTES, PAGE_SIZE, &shared)) {
			return false;
		}
		map = host_ptr(shared);
		memset(map, 0xff, MSRPM_BYTES);
		for (uint32_t msr = msr_next(0); msr != MSR_NONE; msr = msr_next(msr + 1)) {
			uint32_t i = msr % RANGE, n = 0;

			while (n < ARRAY_SIZE(range) && msr - range[n] >= RANGE) {
				n++;
			}
			i += n * RANGE;
			/* EFER: SVME is not the guest's to see, and must stay set. */
			if (n == ARRAY_SIZE(range) || msr == MSR_EFER) {
				continue;
			}
			if (msr_passed(msr, false)) {
				bitmap_clear(map, 2 * i);
			}
			if (msr_passed(msr, true)) {
				bitmap_clear(map, 2 * i + 1);
			}
		}
	}
	*out = shared;
	return true;
}

static bool create_vcpu(struct vcpu *v, struct refusal *r)
{
	hpa_t own, iopm;
	struct svm *x;

	/* Page 0 the VMCB, page 1 the host's VMSAVE area, page 2 our state. */
	if (!host_alloc(3 * PAGE_SIZE, PAGE_SIZE, &own) ||
	    !host_alloc(IOPM_BYTES, PAGE_SIZE, &iopm)) {
		return refuse(r, "no memory for a VMCB");
	}
	_Static_assert(sizeof(*x) <= PAGE_SIZE, "allocated as one page");
	x = (struct svm *)((uint8_t *)host_ptr(own) + 2 * PAGE_SIZE);
	x->vmcb = host_ptr(own);
	x->vmcb_hpa = own;
	x->host_hpa = hpa(own.v + PAGE_SIZE);
	x->iopm = iopm;
	memset(host_ptr(iopm), 0xff, IOPM_BYTES);
	io_bitmap_open(host_ptr(iopm), v->part->config);
	if (!make_msr_map(&x->msrpm)) {
		return refuse(r, "no memory for the MSR permission map");
	}
	v->backend = x;
	return true;
}

static void fill_control(struct vcpu *v)
{
	const struct svm *x = svm_of(v);
	struct vmcb *c = x->vmcb;

	/*
	 * #DB and #AC: a guest can have them delivered for ever without an instruction boundary
	 * (CVE-2015-5307, CVE-2015-8104). #MC is the machine's.
	 */
	c->intercept_exceptions = SVM_EXCEPTIONS;
	/* Control registers are the guest's own: the world switch keeps them apart. */
	c->intercept_3 = (uint32_t)(INTERCEPT_INTR | INTERCEPT_NMI | INTERCEPT_INIT |
				    INTERCEPT_RDPMC | INTERCEPT_CPUID | INTERCEPT_RSM |
				    INTERCEPT_INVD | INTERCEPT_HLT | INTERCEPT_INVLPGA |
				    INTERCEPT_IO | INTERCEPT_MSR | INTERCEPT_SHUTDOWN);
	c->intercept_4 = INTERCEPT_SVM | INTERCEPT_ICEBP | INTERCEPT_WBINVD | INTERCEPT_MONITOR |
			 INTERCEPT_MWAIT | INTERCEPT_XSETBV | INTERCEPT_RDPRU;
	c->iopm = x->iopm.v;
	c->msrpm = x->msrpm.v;
	c->asid = ASID_OF_GUEST;
	c->tlb_control = svm_caps.flush;
	c->vintr = VINTR_MASKING | VINTR_IGNORE_TPR | VINTR_PRIORITY;
	c->nested = 1;
	c->nested_cr3 = v->part->npt.root.v;
}

/* The MSRs that VMLOAD loads stay what they were over an INIT. */
static void reset_vmcb(struct vcpu *v, bool init)
{
	struct vmcb *c = svm_of(v)->vmcb;
	uint64_t star = c->star, lstar = c->lstar, cstar = c->cstar, sfmask = c->sfmask;
	uint64_t kernel_gs_base = c->kernel_gs_base;

	memset(c, 0, sizeof(*c));
	fill_control(v);
	if (init) {
		c->star = star;
		c->lstar = lstar;
		c->cstar = cstar;
		c->sfmask = sfmask;
		c->kernel_gs_base = kernel_gs_base;
	}
}

static void reset_vcpu(struct vcpu *v, bool init)
{
	struct svm *x = svm_of(v);

	if (init) {
		guest_cpu_reset_debug();
	} else {
		guest_cpu_reset();
	}
	__asm__ volatile("vmsave" : : "a"(x->host_hpa.v) : "memory");
	reset_vmcb(v, init);
	x->injected.valid = false;
	x->window_intr = false;
	x->window_nmi = false;
	x->tpr_class = 0;
	x->nmi_blocked = false;
	x->next_step = STEP_NONE;
	x->step.kind = STEP_NONE;
	x->watching = false;
	v->dirty = GROUP_ALL;
}

static void svm_flush(struct vcpu *v)
{
	svm_of(v)->vmcb->tlb_control = svm_caps.flush;
}

const struct virt_ops svm_ops = {
	.name = "SVM",
	.npt_format = &svm_npt_format,
	.probe = svm_probe,
	.features = svm_features,
	.cpu_enable = enable,
	.vcpu_create = create_vcpu,
	.vcpu_reset = reset_vcpu,
	.run = svm_run,
	.fetch = svm_fetch,
	.inject = svm_inject,
	.want_window = svm_want_window,
	.tpr_threshold = svm_tpr_threshold,
	.flush = svm_flush,
};
