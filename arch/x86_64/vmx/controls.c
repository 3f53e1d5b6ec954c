/*
 * The VMX feature probe: one table says what is wanted and why. Called through virt_ops.probe on
 * the boot CPU and by cpu_enable on each CPU.
 */
#include "arch/x86_64/vmx/controls.h"
#include "arch/x86_64/guest_cpu.h"
#include "arch/x86_64/vmx/vmx.h"
#include "hv/cpuid.h"
#include "hv/host.h"
#include "hv/lib/string.h"
#include "hv/log.h"
#include "hv/msr_index.h"

enum need { OPTIONAL, REQUIRED };

struct control {
	enum control_word word;
	uint32_t bit;
	enum need need;
	const char *name, *why;
};

/* clang-format off */
static const struct control controls[] = {
	{PIN, PIN_EXT_INTERRUPT, REQUIRED, "external-interrupt exiting", "devices' interrupts belong to the hypervisor"},
	{PIN, PIN_NMI, REQUIRED, "NMI exiting", "NMIs of the machine are not the guest's"},
	{PIN, PIN_VIRTUAL_NMI, REQUIRED, "virtual NMIs", "a guest's NMI must block further ones until its IRET"},
	{PIN, PIN_PREEMPTION_TIMER, OPTIONAL, "preemption timer", NULL},
	{PRIMARY, PRIMARY_INTR_WINDOW, REQUIRED, "interrupt-window exiting", "interrupts wait for the guest's IF"},
	{PRIMARY, PRIMARY_TSC_OFFSET, REQUIRED, "TSC offsetting", "a guest that restarts sees its TSC start anew"},
	{PRIMARY, PRIMARY_HLT, REQUIRED, "HLT exiting", "an idle guest waits in the hypervisor"},
	{PRIMARY, PRIMARY_MWAIT, REQUIRED, "MWAIT exiting", "guests have no MWAIT"},
	{PRIMARY, PRIMARY_RDPMC, REQUIRED, "RDPMC exiting", "performance counters are not the guest's"},
	{PRIMARY, PRIMARY_TPR_SHADOW, REQUIRED, "TPR shadow", "CR8 is the virtual APIC's"},
	{PRIMARY, PRIMARY_NMI_WINDOW, REQUIRED, "NMI-window exiting", "an NMI waits for the IRET of the one before"},
	{PRIMARY, PRIMARY_IO_BITMAPS, REQUIRED, "I/O bitmaps", "guests own single ports"},
	{PRIMARY, PRIMARY_MSR_BITMAPS, REQUIRED, "MSR bitmaps", "harmless MSRs must not exit"},
	{PRIMARY, PRIMARY_MONITOR, REQUIRED, "MONITOR exiting", "guests have no MONITOR"},
	{PRIMARY, (uint32_t)PRIMARY_SECONDARY, REQUIRED, "secondary controls", "EPT is one of them"},
	{SECONDARY, SECONDARY_EPT, REQUIRED, "extended page tables (EPT)", "guest memory is kept apart by them"},
	{SECONDARY, SECONDARY_UNRESTRICTED, REQUIRED, "unrestricted guest", "guests start in real mode"},
	{SECONDARY, SECONDARY_VPID, OPTIONAL, "VPID", NULL},
	{SECONDARY, SECONDARY_WBINVD, OPTIONAL, "WBINVD exiting", NULL},
	{SECONDARY, SECONDARY_RDTSCP, OPTIONAL, "RDTSCP", NULL},
	{SECONDARY, SECONDARY_INVPCID, OPTIONAL, "INVPCID", NULL},
	{SECONDARY, SECONDARY_XSAVES, OPTIONAL, "XSAVES", NULL},
	{SECONDARY, SECONDARY_USER_WAIT, OPTIONAL, "user wait", NULL},
	{EXIT, EXIT_SAVE_DEBUG, REQUIRED, "save debug controls", "DR7 must not leak"},
	{EXIT, EXIT_HOST_64, REQUIRED, "64-bit host", "the hypervisor is 64-bit code"},
	{EXIT, EXIT_ACK_INTERRUPT, REQUIRED, "acknowledge interrupt on exit", "tells the vector that exited"},
	{EXIT, EXIT_SAVE_PAT, REQUIRED, "save PAT", "memory types must not leak"},
	{EXIT, EXIT_LOAD_PAT, REQUIRED, "load PAT on exit", "memory types must not leak"},
	{EXIT, EXIT_SAVE_EFER, REQUIRED, "save EFER", "the guest has its own EFER"},
	{EXIT, EXIT_LOAD_EFER, REQUIRED, "load EFER on exit", "the guest has its own EFER"},
	{ENTRY, ENTRY_LOAD_DEBUG, REQUIRED, "load debug controls", "DR7 must not leak"},
	{ENTRY, ENTRY_IA32E, REQUIRED, "IA-32e mode guest", "guests may use long mode"},
	{ENTRY, ENTRY_LOAD_PAT, REQUIRED, "load PAT on entry", "memory types must not leak"},
	{ENTRY, ENTRY_LOAD_EFER, REQUIRED, "load EFER on entry", "the guest has its own EFER"},
};
static const uint32_t word_msr[CONTROL_WORDS] = {
	[PIN] = MSR_VMX_TRUE_PINBASED_CTLS, [PRIMARY] = MSR_VMX_TRUE_PROCBASED_CTLS,
	[SECONDARY] = MSR_VMX_PROCBASED_CTLS2, [EXIT] = MSR_VMX_TRUE_EXIT_CTLS,
	[ENTRY] = MSR_VMX_TRUE_ENTRY_CTLS,
};
/* Switched on later, or by the guest's mode. */
static const uint32_t word_dynamic[CONTROL_WORDS] = {
	[PRIMARY] = PRIMARY_INTR_WINDOW | PRIMARY_NMI_WINDOW, [ENTRY] = ENTRY_IA32E,
};
/* What must be possible to leave off, or the guest would exit for things that are its own. */
static const uint32_t word_unwanted[CONTROL_WORDS] = {
	[PRIMARY] = PRIMARY_CR3_LOAD | PRIMARY_CR3_STORE | PRIMARY_INVLPG,
};
static const struct { uint64_t bit; const char *name, *why; } ept_needs[] = {
	{EPT_CAP_WALK_4, "4-level EPT", "guest memory is mapped by them"},
	{EPT_CAP_WB, "write-back EPT", "guest RAM is cached"},
	{EPT_CAP_2M, "2 MiB EPT leaves", "guest RAM is mapped in large pages"},
	{EPT_CAP_INVEPT | EPT_CAP_INVEPT_ALL, "INVEPT", "a restarted guest must not see old translations"},
};
/* clang-format on */

enum { CPUID_1_ECX_VMX = BIT(5) };
/* IA32_VMX_BASIC */
#define BASIC_TRUE_CONTROLS BIT(55)
#define BASIC_REVISION	    FIELD(30, 0)
/* IA32_VMX_MISC */
enum { MISC_TIMER_SHIFT = FIELD(4, 0), MISC_STORES_LMA = BIT(5) };
/* IA32_FEATURE_CONTROL */
enum { FEATURE_LOCK = BIT(0), FEATURE_VMX_OUTSIDE_SMX = BIT(2) };

struct vmx_caps vmx_caps;

static uint64_t capability(uint32_t msr)
{
	uint64_t v;

	return host_rdmsr(msr, &v) ? v : 0;
}

static bool missing(bool quiet, const char *name, const char *why)
{
	if (!quiet) {
		log_line("missing: VMX %s (%s)", name, why);
	}
	return false;
}

static bool read_controls(struct vmx_caps *c, bool quiet)
{
	uint64_t allowed[CONTROL_WORDS];
	uint32_t wanted[CONTROL_WORDS] = {0};
	bool ok = true;

	for (unsigned w = 0; w < CONTROL_WORDS; w++) {
		allowed[w] = capability(word_msr[w]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(controls); i++) {
		const struct control *k = &controls[i];

		if (controls_allow(k->bit, allowed[k->word])) {
			wanted[k->word] |= k->bit;
		} else if (k->need == REQUIRED) {
			ok = missing(quiet, k->name, k->why);
		}
	}
	for (unsigned w = 0; w < CONTROL_WORDS; w++) {
		c->word[w] = controls_meet(wanted[w] & ~word_dynamic[w], allowed[w]);
		if (c->word[w] & word_unwanted[w]) {
			ok = missing(quiet, "leave to switch off CR3 and INVLPG exits",
				     "guests change address spaces often");
		}
	}
	return ok;
}

static bool read_ept(struct vmx_caps *c, bool quiet)
{
	bool ok = true;

	if (!(c->word[SECONDARY] & (SECONDARY_EPT | SECONDARY_VPID))) {
		return true; /* reported already; the MSR does not exist */
	}
	c->ept = capability(MSR_VMX_EPT_VPID_CAP);
	for (size_t i = 0; i < ARRAY_SIZE(ept_needs); i++) {
		if ((c->ept & ept_needs[i].bit) != ept_needs[i].bit) {
			ok = missing(quiet, ept_needs[i].name, ept_needs[i].why);
		}
	}
	if (!(c->ept & EPT_CAP_INVVPID) || !(c->ept & EPT_CAP_INVVPID_SINGLE)) {
		c->word[SECONDARY] &= ~(uint32_t)SECONDARY_VPID; /* cannot be flushed: not used */
	}
	return ok;
}

static bool read_caps(struct vmx_caps *c, bool quiet)
{
	uint64_t basic = capability(MSR_VMX_BASIC), misc = capability(MSR_VMX_MISC);
	bool ok = true;

	memset(c, 0, sizeof(*c));
	c->revision = (uint32_t)(basic & BASIC_REVISION);
	c->cr0_fixed0 = capability(MSR_VMX_CR0_FIXED0);
	c->cr0_fixed1 = capability(MSR_VMX_CR0_FIXED1);
	c->cr4_fixed0 = capability(MSR_VMX_CR4_FIXED0);
	c->cr4_fixed1 = capability(MSR_VMX_CR4_FIXED1);
	c->timer_shift = (unsigned)field_get(MISC_TIMER_SHIFT, misc);
	if (!(basic & BASIC_TRUE_CONTROLS)) {
		return missing(quiet, "true controls", "CR3 exits cannot be switched off without");
	}
	if (!(misc & MISC_STORES_LMA)) {
		ok = missing(quiet, "EFER.LMA stored on exit",
			     "guests enter long mode by themselves");
	}
	ok &= read_controls(c, quiet);
	ok &= read_ept(c, quiet);
	return ok;
}

static uint32_t controls_for_cpuid(uint32_t secondary)
{
	return (secondary & SECONDARY_RDTSCP ? CONTROL_RDTSCP : 0) |
	       (secondary & SECONDARY_INVPCID ? CONTROL_INVPCID : 0) |
	       (secondary & SECONDARY_XSAVES ? CONTROL_XSAVES : 0) |
	       (secondary & SECONDARY_USER_WAIT ? CONTROL_WAITPKG : 0);
}

static bool unlock(struct refusal *r)
{
	uint64_t control = 0;

	if (!host_rdmsr(MSR_FEATURE_CONTROL, &control)) {
		return refuse(r, "CPU %u: no IA32_FEATURE_CONTROL although CPUID shows VMX",
			      host_cpu());
	}
	if (!(control & FEATURE_LOCK)) {
		control |= FEATURE_LOCK | FEATURE_VMX_OUTSIDE_SMX;
		if (!host_wrmsr(MSR_FEATURE_CONTROL, control)) {
			return refuse(r, "CPU %u: IA32_FEATURE_CONTROL cannot be written",
				      host_cpu());
		}
	}
	if (!(control & FEATURE_VMX_OUTSIDE_SMX)) {
		return refuse(r,
			      "CPU %u: virtualization (VT-x) is switched off in the firmware setup",
			      host_cpu());
	}
	return true;
}

void vmx_features(virt_feature_fn tell)
{
	uint64_t ept = capability(MSR_VMX_EPT_VPID_CAP);

	tell("true controls", capability(MSR_VMX_BASIC) & BASIC_TRUE_CONTROLS, true);
	tell("EFER.LMA stored on exit", capability(MSR_VMX_MISC) & MISC_STORES_LMA, true);
	for (size_t i = 0; i < ARRAY_SIZE(controls); i++) {
		const struct control *k = &controls[i];

		tell(k->name, controls_allow(k->bit, capability(word_msr[k->word])),
		     k->need == REQUIRED);
	}
	for (size_t i = 0; i < ARRAY_SIZE(ept_needs); i++) {
		tell(ept_needs[i].name, (ept & ept_needs[i].bit) == ept_needs[i].bit, true);
	}
	tell("1 GiB EPT leaves", ept & EPT_CAP_1G, false);
}

static bool has_vmx(void)
{
	uint32_t out[4];

	host_cpuid(1, 0, out);
	return out[2] & CPUID_1_ECX_VMX;
}

bool vmx_probe(void)
{
	struct refusal r = {{0}};
	bool ok;

	if (!has_vmx()) {
		return missing(false, "itself",
			       "guests run in it; neither VMX nor SVM is shown by CPUID");
	}
	ok = read_caps(&vmx_caps, false);
	if (!unlock(&r)) {
		log_line("missing: %s", r.text);
		ok = false;
	}
	ok &= guest_cpu_alloc();
	virt_controls = controls_for_cpuid(vmx_caps.word[SECONDARY]);
	vmx_npt_format.gib_leaves = (vmx_caps.ept & EPT_CAP_1G) != 0;
	return ok;
}

/* The first of what the boot CPU chose that is not possible here; NULL: all of it is. */
static const char *lacking(void)
{
	uint64_t ept = capability(MSR_VMX_EPT_VPID_CAP);

	for (size_t i = 0; i < ARRAY_SIZE(controls); i++) {
		const struct control *k = &controls[i];
		uint32_t used = vmx_caps.word[k->word] | word_dynamic[k->word];

		if (k->bit & used && !controls_allow(k->bit, capability(word_msr[k->word]))) {
			return k->name;
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(ept_needs); i++) {
		if ((ept & ept_needs[i].bit) != ept_needs[i].bit) {
			return ept_needs[i].name;
		}
	}
	if (vmx_npt_format.gib_leaves && !(ept & EPT_CAP_1G)) {
		return "1 GiB EPT leaves";
	}
	if (vmx_caps.word[SECONDARY] & SECONDARY_VPID &&
	    !(ept & EPT_CAP_INVVPID && ept & EPT_CAP_INVVPID_SINGLE)) {
		return "INVVPID";
	}
	return NULL;
}

/* What must be the same, because one set of values is written on all CPUs. */
static bool same_rest(const struct vmx_caps *own)
{
	for (unsigned w = 0; w < CONTROL_WORDS; w++) {
		uint32_t must = (uint32_t)capability(word_msr[w]);

		if (must & ~vmx_caps.word[w]) {
			return false;
		}
	}
	return own->revision == vmx_caps.revision && own->timer_shift == vmx_caps.timer_shift &&
	       own->cr0_fixed0 == vmx_caps.cr0_fixed0 && own->cr4_fixed0 == vmx_caps.cr4_fixed0 &&
	       !(vmx_caps.cr0_fixed1 & ~own->cr0_fixed1) &&
	       !(vmx_caps.cr4_fixed1 & ~own->cr4_fixed1);
}

bool vmx_check_cpu(struct refusal *r)
{
	struct vmx_caps own;
	const char *what;

	if (!has_vmx()) {
		return refuse(r, "CPU %u has no VMX, unlike the boot CPU", host_cpu());
	}
	if (!unlock(r)) {
		return false;
	}
	what = lacking();
	if (what) {
		return refuse(r, "CPU %u has no VMX %s, unlike the boot CPU", host_cpu(), what);
	}
	read_caps(&own, true);
	if (!same_rest(&own)) {
		return refuse(r, "CPU %u has other VMX capabilities than the boot CPU", host_cpu());
	}
	return true;
}
