/*
 * The SVM feature probe. Called through virt_ops.probe on the boot CPU and by cpu_enable on each.
 */
#include "arch/x86_64/guest_cpu.h"
#include "arch/x86_64/svm/svm.h"
#include "hv/cpu_facts.h"
#include "hv/cpuid.h"
#include "hv/host.h"
#include "hv/log.h"
#include "hv/msr_index.h"

#define LEAF_EXTENDED 0x80000001u
#define LEAF_SVM      0x8000000au
enum { ECX_SVM = BIT(2), EDX_NX = BIT(20), EDX_GIB_PAGES = BIT(26) };
enum { VM_CR_LOCK = BIT(3), VM_CR_SVMDIS = BIT(4) };

struct svm_caps svm_caps;

static bool has_svm(uint32_t extended[4])
{
	return cpu_leaf(LEAF_SVM, 0, extended) && cpu_leaf(LEAF_EXTENDED, 0, extended) &&
	       extended[2] & ECX_SVM;
}

/*
 * Some CPUs and emulators have no VM_CR: then nothing can have switched SVM off in it. Where
 * firmware has set SVMDIS but not the lock, it can be taken back (AMD APM vol. 2 "Enabling SVM").
 */
static bool check_firmware(struct refusal *r)
{
	uint64_t vm_cr;

	if (!host_rdmsr(MSR_AMD_VM_CR, &vm_cr) || !(vm_cr & VM_CR_SVMDIS)) {
		return true;
	}
	if (vm_cr & VM_CR_LOCK || !host_wrmsr(MSR_AMD_VM_CR, vm_cr & ~(uint64_t)VM_CR_SVMDIS) ||
	    !host_rdmsr(MSR_AMD_VM_CR, &vm_cr) || vm_cr & VM_CR_SVMDIS) {
		return refuse(r,
			      "CPU %u: virtualization (SVM) is switched off in the firmware setup",
			      host_cpu());
	}
	return true;
}

static uint32_t read_features(void)
{
	uint32_t out[4];

	host_cpuid(LEAF_SVM, 0, out);
	return out[3];
}

/*
 * Quirk svm-repeat (docs/quirks.md): QEMU's emulated VMRUN delivers an injected interrupt and keeps
 * it in mind: if another thread wakes the CPU before its next exit or interrupt, it delivers it
 * again. So an exit follows at once, by an interrupt to this CPU that GIF holds back until VMRUN.
 * And it aborts when a guest writes CR8 while a virtual interrupt is set: see watch_cr8.
 */
static bool repeats_interrupts(void)
{
	enum { HYPERVISOR = BIT(31), LEAF_NAME = 0x40000000 };
	uint32_t out[4];

	host_cpuid(1, 0, out);
	if (!(out[2] & HYPERVISOR)) {
		return false;
	}
	host_cpuid(LEAF_NAME, 0, out);
	return out[1] == 0x54474354 && out[2] == 0x43544743 && out[3] == 0x47435447; /* TCGTCG.. */
}

bool svm_probe(void)
{
	struct refusal r = {{0}};
	uint32_t extended[4];
	bool ok = true;

	virt_controls = CONTROL_ALL; /* SVM guests need no control for these instructions */
	if (!has_svm(extended)) {
		log_line("missing: SVM (guests run in it)");
		return false;
	}
	if (!check_firmware(&r)) {
		log_line("missing: %s", r.text);
		ok = false;
	}
	if (!(extended[3] & EDX_NX)) {
		log_line("missing: NX (MMIO and data must not be executable)");
		ok = false;
	}
	svm_caps.features = read_features();
	if (!(svm_caps.features & SVM_CAP_NPT)) {
		log_line("missing: SVM nested paging (guest memory is kept apart by it)");
		ok = false;
	}
	svm_caps.next_rip = (svm_caps.features & SVM_CAP_NEXT_RIP) != 0;
	svm_caps.clean = svm_caps.features & SVM_CAP_CLEAN ? CLEAN_ALL : 0;
	svm_caps.flush = svm_caps.features & SVM_CAP_FLUSH_ASID ? TLB_FLUSH_ASID : TLB_FLUSH_ALL;
	svm_caps.repeats = repeats_interrupts();
	if (svm_caps.repeats) {
		log_line("quirk svm-repeat: each injected interrupt is followed by an exit");
	}
	svm_npt_format.gib_leaves = (extended[3] & EDX_GIB_PAGES) != 0;
	return guest_cpu_alloc() && ok;
}

void svm_features(virt_feature_fn tell)
{
	uint32_t extended[4], features = has_svm(extended) ? read_features() : 0;

	tell("nested paging", features & SVM_CAP_NPT, true);
	tell("NX", extended[3] & EDX_NX, true);
	tell("next RIP", features & SVM_CAP_NEXT_RIP, false);
	tell("VMCB clean bits", features & SVM_CAP_CLEAN, false);
	tell("flush by ASID", features & SVM_CAP_FLUSH_ASID, false);
	tell("1 GiB pages", extended[3] & EDX_GIB_PAGES, false);
}

/* The first of what the boot CPU has and guests will use that this CPU has not; NULL: none. */
static const char *lacking(const uint32_t extended[4])
{
	static const struct {
		uint32_t bit;
		const char *name;
	} used[] = {
		{SVM_CAP_NPT, "nested paging"},
		{SVM_CAP_NEXT_RIP, "next RIP"},
		{SVM_CAP_CLEAN, "VMCB clean bits"},
		{SVM_CAP_FLUSH_ASID, "flush by ASID"},
	};
	uint32_t missing = svm_caps.features & ~read_features();

	for (size_t i = 0; i < ARRAY_SIZE(used); i++) {
		if (missing & used[i].bit) {
			return used[i].name;
		}
	}
	if (svm_npt_format.gib_leaves && !(extended[3] & EDX_GIB_PAGES)) {
		return "1 GiB pages";
	}
	return extended[3] & EDX_NX ? NULL : "NX";
}

bool svm_check_cpu(struct refusal *r)
{
	uint32_t extended[4];
	const char *what;

	if (!has_svm(extended)) {
		return refuse(r, "CPU %u has no SVM, unlike the boot CPU", host_cpu());
	}
	what = lacking(extended);
	if (what) {
		return refuse(r, "CPU %u has no SVM %s, unlike the boot CPU", host_cpu(), what);
	}
	return check_firmware(r);
}
