/*
 * VMX on and off, and what a vCPU's VMCS holds for ever. Called through virt_ops: cpu_enable by
 * each CPU once, vcpu_create by the boot CPU, vcpu_reset by the owner CPU.
 */
#include "arch/x86_64/vmx/vmx.h"
#include "arch/x86_64/asm.h"
#include "arch/x86_64/exit_bitmap.h"
#include "arch/x86_64/guest_cpu.h"
#include "arch/x86_64/percpu.h"
#include "arch/x86_64/vmx/ept_format.h"
#include "hv/crx.h"
#include "hv/host.h"
#include "hv/lib/string.h"
#include "hv/msr_index.h"
#include "hv/partition.h"

enum { VPID_OF_GUEST = 1 /* one vCPU per CPU: one tag is enough */ };

/* EPT pointer: write-back tables, walk length 4 minus 1 (Intel SDM vol. 3, "EPT Pointer"). */
enum { EPTP_WB = 6, EPTP_WALK_4 = 3 << 3 };

struct npt_format vmx_npt_format =
	EPT_FORMAT; /* the probe sets gib_leaves, boot/partitions.c small_code */

static bool vmxon(hpa_t region)
{
	bool failed;

	__asm__ volatile("vmxon %1" : "=@ccbe"(failed) : "m"(region.v) : "memory");
	return !failed;
}

static void vmclear(hpa_t vmcs)
{
	bool failed;

	__asm__ volatile("vmclear %1" : "=@ccbe"(failed) : "m"(vmcs.v) : "memory");
	bug_on(failed);
}

static void vmptrld(hpa_t vmcs)
{
	bool failed;

	__asm__ volatile("vmptrld %1" : "=@ccbe"(failed) : "m"(vmcs.v) : "memory");
	bug_on(failed);
}

static bool enable(struct refusal *r)
{
	struct percpu *cpu = this_cpu();
	const struct vmx_caps *c = &vmx_caps;

	if (!vmx_check_cpu(r)) {
		return false;
	}
	write_cr0((read_cr0() | c->cr0_fixed0) & c->cr0_fixed1);
	write_cr4((read_cr4() | c->cr4_fixed0) & c->cr4_fixed1);
	*(uint32_t *)cpu->virt = c->revision;
	if (!vmxon(cpu->virt_hpa)) {
		return refuse(r, "CPU %u: VMXON fails", cpu->cpu);
	}
	nmi_set_restart((uint64_t)vmx_enter_start, (uint64_t)vmx_enter_end,
			(uint64_t)vmx_enter_abort);
	return true;
}

/* One bit for reads and one for writes of each MSR in two ranges; 1 exits. The same for all. */
static bool make_msr_bitmap(hpa_t *out)
{
	static hpa_t shared;
	enum { RANGE = 0x2000, READ = 0, WRITE = 2048, HIGH = 1024 };
	uint8_t *map;

	if (!shared.v) {
		if (!host_alloc(PAGE_SIZE, PAGE_SIZE, &shared)) {
			return false;
		}
		map = host_ptr(shared);
		memset(map, 0xff, PAGE_SIZE);
		for (uint32_t msr = msr_next(0); msr != MSR_NONE; msr = msr_next(msr + 1)) {
			uint8_t *half = msr < RANGE ? map : map + HIGH;

			if (msr >= RANGE && msr - 0xc0000000 >= RANGE) {
				continue; /* never passed: these always exit */
			}
			if (msr_passed(msr, false)) {
				bitmap_clear(half + READ, msr % RANGE);
			}
			if (msr_passed(msr, true)) {
				bitmap_clear(half + WRITE, msr % RANGE);
			}
		}
	}
	*out = shared;
	return true;
}

static bool create_vcpu(struct vcpu *v, struct refusal *r)
{
	hpa_t own, io;
	struct vmx *x;

	/* Page 0 the VMCS, page 1 the virtual APIC, page 2 our state. */
	if (!host_alloc(3 * PAGE_SIZE, PAGE_SIZE, &own) ||
	    !host_alloc(IO_BITMAP_BYTES, PAGE_SIZE, &io)) {
		return refuse(r, "no memory for a VMCS");
	}
	_Static_assert(sizeof(*x) <= PAGE_SIZE, "allocated as one page");
	x = (struct vmx *)((uint8_t *)host_ptr(own) + 2 * PAGE_SIZE);
	x->vmcs = own;
	x->vmcs_ptr = host_ptr(own);
	x->virtual_apic_hpa = hpa(own.v + PAGE_SIZE);
	x->virtual_apic = (uint8_t *)host_ptr(own) + PAGE_SIZE;
	x->io_bitmap = io;
	memset(host_ptr(io), 0xff, IO_BITMAP_BYTES);
	io_bitmap_open(host_ptr(io), v->part->config);
	if (!make_msr_bitmap(&x->msr_bitmap)) {
		return refuse(r, "no memory for the MSR bitmap");
	}
	v->backend = x;
	return true;
}

static void write_controls(struct vcpu *v)
{
	const struct vmx *x = vmx_of(v);
	const uint32_t *word = vmx_caps.word;

	vmwrite(PIN_CONTROLS, word[PIN]);
	vmwrite(PRIMARY_CONTROLS, word[PRIMARY]);
	vmwrite(SECONDARY_CONTROLS, word[SECONDARY]);
	vmwrite(EXIT_CONTROLS, word[EXIT]);
	vmwrite(ENTRY_CONTROLS, word[ENTRY]);
	/*
	 * #DB and #AC: a guest can have them delivered for ever without an instruction boundary
	 * (CVE-2015-5307, CVE-2015-8104). #MC is the machine's.
	 */
	vmwrite(EXCEPTION_BITMAP, BIT(EXC_DB) | BIT(EXC_AC) | BIT(EXC_MC));
	vmwrite(CR0_MASK, CR0_OWNED);
	/* A bit of a feature that is hidden exits too, and gives #GP. */
	vmwrite(CR4_MASK, CR4_OWNED | ~crx_cr4_allowed());
	vmwrite(IO_BITMAP_A, x->io_bitmap.v);
	vmwrite(IO_BITMAP_B, x->io_bitmap.v + PAGE_SIZE);
	vmwrite(MSR_BITMAP, x->msr_bitmap.v);
	vmwrite(VIRTUAL_APIC, x->virtual_apic_hpa.v);
	vmwrite(EPT_POINTER, v->part->npt.root.v | EPTP_WALK_4 | EPTP_WB);
	if (word[SECONDARY] & SECONDARY_VPID) {
		vmwrite(VPID, VPID_OF_GUEST);
	}
	if (word[SECONDARY] & SECONDARY_XSAVES) {
		vmwrite(XSS_EXIT_BITMAP, 0);
	}
}

/*
 * 10 ms without an exit: a watchdog for CPUs that hold external-interrupt exits back while the
 * guest's IF is 0. The field is loaded at each entry, so it is written only here.
 */
static void write_timer(void)
{
	uint64_t count = (host_tsc_hz / 100) >> vmx_caps.timer_shift;

	if (vmx_caps.word[PIN] & PIN_PREEMPTION_TIMER) {
		vmwrite(PREEMPTION_TIMER, count && count <= UINT32_MAX ? count : UINT32_MAX);
	}
}

static uint64_t tss_base(const struct table_register *gdtr, uint16_t selector)
{
	const uint64_t *d = (const uint64_t *)(gdtr->base + (selector & ~7u));

	return field_get(FIELD(39, 16), d[0]) | field_get(FIELD(63, 56), d[0]) << 24 | d[1] << 32;
}

/*
 * Exits leave limits of 0xffff in GDTR and IDTR. Nothing here depends on them: the IDT has all
 * 256 vectors, and no selector is loaded after boot.
 */
static void write_host_state(void)
{
	struct table_register gdtr, idtr;
	uint16_t cs, ss, tr;

	__asm__("sgdt %0" : "=m"(gdtr));
	__asm__("sidt %0" : "=m"(idtr));
	__asm__("mov %%cs, %0" : "=r"(cs));
	__asm__("mov %%ss, %0" : "=r"(ss));
	__asm__("str %0" : "=r"(tr));
	vmwrite(HOST_CR0, read_cr0());
	vmwrite(HOST_CR3, read_cr3());
	vmwrite(HOST_CR4, read_cr4());
	vmwrite(HOST_CS_SELECTOR, cs);
	vmwrite(HOST_SS_SELECTOR, ss);
	vmwrite(HOST_TR_SELECTOR, tr);
	vmwrite(HOST_GS_BASE, (uint64_t)this_cpu());
	vmwrite(HOST_TR_BASE, tss_base(&gdtr, tr));
	vmwrite(HOST_GDTR_BASE, gdtr.base);
	vmwrite(HOST_IDTR_BASE, idtr.base);
	vmwrite(HOST_PAT, rdmsr(MSR_PAT));
	vmwrite(HOST_EFER, rdmsr(MSR_EFER));
	vmwrite(HOST_RIP, (uint64_t)vmx_exit);
}

/* What has no other owner; guest activity stays 0 as HLT, INIT and SIPI are done in software. */
static void write_constants(void)
{
	static const uint16_t zeros[] = {
		PF_ERROR_MASK,	     PF_ERROR_MATCH,	   CR3_TARGET_COUNT,  EXIT_MSR_STORE_COUNT,
		EXIT_MSR_LOAD_COUNT, ENTRY_MSR_LOAD_COUNT, ENTRY_EVENT,	      TPR_THRESHOLD,
		HOST_ES_SELECTOR,    HOST_DS_SELECTOR,	   HOST_FS_SELECTOR,  HOST_GS_SELECTOR,
		HOST_FS_BASE,	     HOST_SYSENTER_CS,	   HOST_SYSENTER_ESP, HOST_SYSENTER_EIP,
		GUEST_DEBUGCTL,	     GUEST_PENDING_DEBUG,  GUEST_PDPTE0,      GUEST_PDPTE0 + 2,
		GUEST_PDPTE0 + 4,    GUEST_PDPTE0 + 6,	   GUEST_ACTIVITY,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(zeros); i++) {
		vmwrite(zeros[i], 0);
	}
	vmwrite(VMCS_LINK_POINTER, ~0ull);
}

static void flush_ept(void)
{
	enum { ALL_CONTEXTS = 2 };
	struct {
		uint64_t eptp, reserved;
	} d = {0, 0};
	bool failed;

	__asm__ volatile("invept %1, %2"
			 : "=@ccbe"(failed)
			 : "m"(d), "r"((uint64_t)ALL_CONTEXTS)
			 : "memory");
	bug_on(failed);
}

static void reset_vcpu(struct vcpu *v, bool init)
{
	struct vmx *x = vmx_of(v);

	if (init) {
		guest_cpu_reset_debug();
	} else {
		guest_cpu_reset();
	}
	/* Page by page from the start: what a VMCS holds after VMCLEAR is not defined. */
	vmclear(x->vmcs);
	memset(x->vmcs_ptr, 0, PAGE_SIZE);
	*(uint32_t *)x->vmcs_ptr = vmx_caps.revision;
	vmptrld(x->vmcs);
	x->launched = false;
	x->host_rsp = 0;
	x->primary = vmx_caps.word[PRIMARY];
	x->tpr_class = 0;
	x->injected.valid = false;
	x->window_intr = false;
	x->window_nmi = false;
	write_controls(v);
	write_timer();
	write_host_state();
	write_constants();
	flush_ept();
	v->dirty = GROUP_ALL;
}

static void vmx_flush(struct vcpu *v)
{
	(void)v; /* the only one on this CPU */
	flush_ept();
}

const struct virt_ops vmx_ops = {
	.name = "VMX",
	.npt_format = &vmx_npt_format,
	.probe = vmx_probe,
	.features = vmx_features,
	.cpu_enable = enable,
	.vcpu_create = create_vcpu,
	.vcpu_reset = reset_vcpu,
	.run = vmx_run,
	.fetch = vmx_fetch,
	.inject = vmx_inject,
	.want_window = vmx_want_window,
	.tpr_threshold = vmx_tpr_threshold,
	.flush = vmx_flush,
};
