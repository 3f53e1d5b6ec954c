/*
 * The SVM feature probe. Called through virt_ops.probe on the boot CPU and by cpu_enable on each.
 */
#include "arch/x86_64/guest_cpu.h"
#include "arch/x86_64/svm/svm.h"
#include "hv/cpuid.h"
#include "hv/host.h"
#include "hv/log.h"
#include "hv/msr_index.h"

#define LEAF_EXTENDED 0x80000001u
#define LEAF_SVM      0x8000000au
enum { ECX_SVM = BIT(2), EDX_NX = BIT(20), EDX_GIB_PAGES = BIT(26) };
enum { VM_CR_SVMDIS = BIT(4) };

struct svm_caps svm_caps;

static bool has_svm(uint32_t extended[4])
{
	host_cpuid(0x80000000u, 0, extended);
	if (extended[0] < LEAF_SVM) {
		return false;
	}
	host_cpuid(LEAF_EXTENDED, 0, extended);
	return extended[2] & ECX_SVM;
}

/* Some CPUs and emulators have no VM_CR: then nothing can have switched SVM off in it. */
static bool check_firmware(struct refusal *r)
{
	uint64_t vm_cr;

	if (host_rdmsr(MSR_AMD_VM_CR, &vm_cr) && vm_cr & VM_CR_SVMDIS) {
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
	svm_npt_format.gib_leaves = (extended[3] & EDX_GIB_PAGES) != 0;
	return guest_cpu_alloc() && ok;
}

bool svm_check_cpu(struct refusal *r)
{
	uint32_t extended[4];

	if (!has_svm(extended) || read_features() != svm_caps.features) {
		return refuse(r, "CPU %u has other SVM capabilities than the boot CPU", host_cpu());
	}
	return check_firmware(r);
}
